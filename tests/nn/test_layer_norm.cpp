#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>
#include <structopt/nn/layer_norm.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <vector>

namespace test_layer_norm
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

template <class T, std::size_t Axes>
layer_norm<T, Axes> random_layer(const layer_norm_options<Axes>& options, random_engine& rng)
{
    layer_norm<T, Axes> layer{options};
    if (options.affine)
    {
        layer.weight = random_tensor<T>(options.features.extents, rng);
        layer.bias = random_tensor<T>(options.features.extents, rng);
    }
    return layer;
}

template <class T, std::size_t Axes, std::size_t N>
void agrees(const layer_norm<T, Axes>& layer, const shape<N>& in, random_engine& rng)
{
    INFO(describe(in));
    auto x = random_tensor<T>(in, rng, T(2));
    const index_t n = count(layer.options().features.extents);
    auto expected = make_tensor<double>(in);
    for (index_t row = 0; row < size_of(x) / n; ++row)
    {
        const T* const from = x.data() + row * n;
        double mean = 0;
        double var = 0;
        for (index_t i = 0; i < n; ++i)
        {
            mean += static_cast<double>(from[i]) / static_cast<double>(n);
        }
        for (index_t i = 0; i < n; ++i)
        {
            const double d = static_cast<double>(from[i]) - mean;
            var += d * d / static_cast<double>(n);
        }
        for (index_t i = 0; i < n; ++i)
        {
            const bool affine = layer.options().affine;
            expected.data()[row * n + i] =
                (static_cast<double>(from[i]) - mean) / std::sqrt(var + layer.options().eps) *
                    (affine ? static_cast<double>(layer.weight.data()[i]) : 1.0) +
                (affine ? static_cast<double>(layer.bias.data()[i]) : 0.0);
        }
    }
    const double tolerance = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(largest_difference(nn::forward(layer, x), expected) <= tolerance);
    auto kept = nn::make_cache(layer, x, rng);
    CHECK(largest_difference(nn::forward(layer, x, kept), nn::forward(layer, x)) == 0);
}

} // namespace

TEST_SUITE("smoke layer_norm")
{
    TEST_CASE_TEMPLATE("layer_norm agrees with the definition", T, float, double)
    {
        random_engine rng(1);
        agrees(random_layer<T, 1>({.features = 6}, rng), shape<2>{4, 6}, rng);
        agrees(random_layer<T, 3>({.features = {2, 3, 4}}, rng), shape<4>{3, 2, 3, 4}, rng);
    }
}

TEST_SUITE("layer_norm")
{
    TEST_CASE_TEMPLATE("layer_norm over other ranks and options", T, float, double)
    {
        random_engine rng(2);
        agrees(random_layer<T, 1>({.features = 33, .eps = 0.1, .affine = false}, rng),
            shape<3>{2, 5, 33}, rng);
        agrees(random_layer<T, 2>({.features = {5, 7}}, rng), shape<3>{6, 5, 7}, rng);
        agrees(random_layer<T, 1>({.features = 500}, rng), shape<2>{300, 500}, rng);
    }

    TEST_CASE("gradients")
    {
        random_engine rng(3);
        support::check_gradients(random_layer<double, 1>({.features = 5}, rng),
            random_tensor<double>(shape<2>{3, 5}, rng));
        support::check_gradients(
            random_layer<double, 1>({.features = 5, .eps = 0.3, .affine = false}, rng),
            random_tensor<double>(shape<3>{2, 3, 5}, rng));
        support::check_gradients(random_layer<double, 3>({.features = {2, 3, 4}}, rng),
            random_tensor<double>(shape<4>{2, 2, 3, 4}, rng));
    }

    TEST_CASE("features that are missing count as zeros")
    {
        random_engine rng(4);
        const auto whole = random_layer<double, 1>({.features = 6}, rng);
        const std::vector<index_t> kept{0, 3, 4};
        const auto fewer = layer_traits<layer_norm<double>>::select_units(whole, kept);
        CHECK(fewer.options().normalized_over == 6);
        CHECK(fewer.unit_coupling(shape<2>{1, 3}) == coupling::normalizes);
        CHECK(fewer.unit_coupling(shape<3>{1, 3, 3}) == coupling::blocks);
        auto x = structopt::zeros<double>(shape<2>{2, 6});
        auto part = random_tensor<double>(shape<2>{2, 3}, rng);
        for (index_t b = 0; b < 2; ++b)
        {
            for (std::size_t i = 0; i < 3; ++i)
            {
                x(b, kept[i]) = part(b, static_cast<index_t>(i));
            }
        }
        const auto expected = nn::forward(whole, x);
        const auto found = nn::forward(fewer, part);
        for (index_t b = 0; b < 2; ++b)
        {
            for (std::size_t i = 0; i < 3; ++i)
            {
                CHECK(found(b, static_cast<index_t>(i)) == doctest::Approx(expected(b, kept[i])));
            }
        }
        support::check_gradients(fewer, part);
        // Once more, and as if it came from a file.
        const std::vector<index_t> one{1};
        auto again = fewer.select_units(one);
        CHECK(again.options().normalized_over == 6);
        again.normalized_over(0) = 8;
        again.refresh();
        CHECK(again.options().normalized_over == 8);
        again.normalized_over(0) = -1;
        CHECK_THROWS_AS(again.refresh(), format_error);
        CHECK_THROWS_AS((layer_norm{{.features = 3, .normalized_over = 2}}), argument_error);
    }

    TEST_CASE("bad options and inputs throw")
    {
        CHECK_THROWS_WITH_AS((layer_norm{{.features = 0}}),
            "layer_norm features: expected at least 1, got [0]", argument_error);
        CHECK_THROWS_AS(
            (layer_norm<float, 2>{{.features = {3, -1}, .affine = false}}), argument_error);
        CHECK_THROWS_AS((layer_norm{{.features = 3, .eps = 0}}), argument_error);
        CHECK_THROWS_WITH_AS(nn::forward(layer_norm<float, 2>{{.features = {3, 4}}},
                                 structopt::zeros<float>(shape<3>{1, 4, 3})),
            "layer_norm input: expected [any, 3, 4], got [1, 4, 3]", shape_error);
    }
}

} // namespace test_layer_norm
