#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace test_batch_norm
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

template <class T>
batch_norm<T> random_layer(index_t features, random_engine& rng, bool affine = true)
{
    batch_norm<T> layer{{.features = features, .affine = affine}};
    if (affine)
    {
        layer.weight = random_tensor<T>(shape<1>{features}, rng);
        layer.bias = random_tensor<T>(shape<1>{features}, rng);
    }
    layer.running_mean = random_tensor<T>(shape<1>{features}, rng);
    for (T& v : layer.running_var)
    {
        v = uniform<T>(rng, T(0.5), T(2));
    }
    return layer;
}

/// The definition, element by element, with mean and variance of the batch or the running ones.
template <class T, std::size_t N>
tensor<double, N> normalized(const batch_norm<T>& layer, const tensor<T, N>& x, bool training,
    std::vector<double>* variances)
{
    const auto in = shape_of(x);
    const index_t inner = count(tail(tail(in)));
    auto y = make_tensor<double>(in);
    for (index_t c = 0; c < in[1]; ++c)
    {
        double mean = static_cast<double>(layer.running_mean(c));
        double var = static_cast<double>(layer.running_var(c));
        const auto each = [&](const auto& body)
        {
            for (index_t b = 0; b < in[0]; ++b)
            {
                for (index_t i = 0; i < inner; ++i)
                {
                    body((b * in[1] + c) * inner + i);
                }
            }
        };
        if (training)
        {
            const double n = static_cast<double>(in[0] * inner);
            mean = 0;
            var = 0;
            each(
                [&](index_t i)
                {
                    mean += static_cast<double>(x.data()[i]) / n;
                });
            each(
                [&](index_t i)
                {
                    const double d = static_cast<double>(x.data()[i]) - mean;
                    var += d * d / n;
                });
            if (variances != nullptr)
            {
                variances->push_back(var * n / (n - 1));
            }
        }
        const double w = layer.options().affine ? static_cast<double>(layer.weight(c)) : 1.0;
        const double bias = layer.options().affine ? static_cast<double>(layer.bias(c)) : 0.0;
        each(
            [&](index_t i)
            {
                y.data()[i] = (static_cast<double>(x.data()[i]) - mean) /
                                  std::sqrt(var + layer.options().eps) * w +
                              bias;
            });
    }
    return y;
}

template <class T, std::size_t N>
void agrees(const shape<N>& in, random_engine& rng, bool affine)
{
    INFO(describe(in));
    auto layer = random_layer<T>(in[1], rng, affine);
    auto x = random_tensor<T>(in, rng, T(3));
    for (T& v : x)
    {
        v += T(1.5);
    }
    const double tolerance = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(largest_difference(nn::forward(layer, x), normalized(layer, x, false, nullptr)) <=
          tolerance);
    auto kept = nn::make_cache(layer, x, rng);
    std::vector<double> variances;
    const auto expected = normalized(layer, x, true, &variances);
    CHECK(largest_difference(nn::forward(layer, x, kept), expected) <= tolerance);
    CHECK(largest_difference(nn::forward(layer, x), expected) > 0.1);

    const auto before = layer;
    nn::update_statistics(layer, kept);
    for (index_t c = 0; c < in[1]; ++c)
    {
        CHECK(static_cast<double>(layer.running_var(c)) ==
              doctest::Approx(0.9 * static_cast<double>(before.running_var(c)) +
                              0.1 * variances[static_cast<std::size_t>(c)])
                  .epsilon(1e-5));
    }
}

} // namespace

TEST_SUITE("smoke batch_norm")
{
    TEST_CASE_TEMPLATE("batch_norm agrees with the definition", T, float, double)
    {
        random_engine rng(1);
        agrees<T>(shape<2>{7, 5}, rng, true);
        agrees<T>(shape<4>{3, 2, 4, 5}, rng, true);
    }
}

TEST_SUITE("batch_norm")
{
    TEST_CASE_TEMPLATE("batch_norm agrees with the definition on many shapes", T, float, double)
    {
        random_engine rng(2);
        for (int i = 0; i < 20; ++i)
        {
            const index_t batch = 6 + uniform_index(rng, 9);
            const index_t features = 1 + uniform_index(rng, 40);
            agrees<T>(shape<2>{batch, features}, rng, i % 2 == 0);
            agrees<T>(shape<3>{batch, features, 1 + uniform_index(rng, 40)}, rng, i % 2 == 0);
            agrees<T>(
                shape<4>{batch, features, 1 + uniform_index(rng, 6), 1 + uniform_index(rng, 6)},
                rng, i % 2 == 0);
        }
        agrees<T>(shape<4>{40, 20, 10, 12}, rng, true);
    }

    TEST_CASE("gradients")
    {
        random_engine rng(3);
        for (const bool affine : {true, false})
        {
            const auto layer = random_layer<double>(3, rng, affine);
            support::check_gradients(layer, random_tensor<double>(shape<2>{5, 3}, rng));
            support::check_gradients(layer, random_tensor<double>(shape<3>{2, 3, 4}, rng));
            support::check_gradients(layer, random_tensor<double>(shape<4>{2, 3, 3, 2}, rng));
        }
        const dense<double> a({.in = 4, .out = 6, .bias = false}, rng);
        const dense<double> b({.in = 6, .out = 2}, rng);
        const auto middle = random_layer<double>(6, rng);
        support::check_gradients(
            sequential{a, middle, relu{}, b}, random_tensor<double>(shape<2>{6, 4}, rng));
    }

    TEST_CASE("a large mean does not cost the variance its digits")
    {
        auto x = make_tensor<float>(shape<2>{64, 1});
        for (index_t i = 0; i < 64; ++i)
        {
            x(i, 0) = 1000.0f + (i % 2 == 0 ? 0.5f : -0.5f);
        }
        const batch_norm layer{{.features = 1}};
        random_engine rng(4);
        auto kept = nn::make_cache(layer, x, rng);
        const auto& y = nn::forward(layer, x, kept);
        CHECK(y(0, 0) == doctest::Approx(0.99998).epsilon(1e-5));
        CHECK(y(1, 0) == doctest::Approx(-0.99998).epsilon(1e-5));
    }

    TEST_CASE("running averages move by the momentum, and only after a training pass")
    {
        batch_norm<double> layer{{.features = 1, .momentum = 0.25}};
        random_engine rng(5);
        const tensor<double, 2> x{{1.0}, {2.0}, {6.0}};
        auto kept = nn::make_cache(layer, x, rng);
        nn::update_statistics(layer, kept);
        CHECK(layer.running_mean(0) == 0);
        CHECK(layer.running_var(0) == 1);
        nn::forward(layer, x, kept);
        CHECK(layer.running_mean(0) == 0);
        nn::update_statistics(layer, kept);
        CHECK(layer.running_mean(0) == doctest::Approx(0.75));
        CHECK(layer.running_var(0) == doctest::Approx(0.75 + 0.25 * 7));
    }

    TEST_CASE("a batch of one value per channel cannot train")
    {
        const batch_norm layer{{.features = 3}};
        random_engine rng(6);
        const auto x = structopt::zeros<float>(shape<2>{1, 3});
        auto kept = nn::make_cache(layer, x, rng);
        CHECK_THROWS_WITH_AS(nn::forward(layer, x, kept),
            "batch_norm in training: expected more than one value per channel, got an input of "
            "shape [1, 3]",
            argument_error);
        CHECK(shape_of(nn::forward(layer, x)) == shape<2>{1, 3});
        const auto image = structopt::zeros<float>(shape<4>{1, 3, 1, 2});
        auto other = nn::make_cache(layer, image, rng);
        CHECK_NOTHROW(nn::forward(layer, image, other));
    }

    TEST_CASE("roles, names and selection")
    {
        random_engine rng(7);
        const auto layer = random_layer<float>(4, rng);
        std::vector<std::string> names;
        std::vector<role> roles;
        nn::visit_parameters(layer,
            [&](const parameter_name& name, const auto&, role kind)
            {
                names.push_back(name.text());
                roles.push_back(kind);
            });
        CHECK(names == std::vector<std::string>{"weight", "bias", "running_mean", "running_var"});
        CHECK(
            roles == std::vector<role>{role::scale, role::bias, role::statistic, role::statistic});
        CHECK(nn::parameter_count(layer) == 8);
        CHECK(nn::trainable_parameters<const float>(layer).size() == 2);

        const std::vector<index_t> units{3, 1};
        const auto fewer = layer_traits<batch_norm<float>>::select_units(layer, units);
        CHECK(layer.unit_coupling() == coupling::passes);
        const auto x = random_tensor<float>(shape<2>{3, 4}, rng);
        auto part = make_tensor<float>(shape<2>{3, 2});
        for (index_t b = 0; b < 3; ++b)
        {
            part(b, 0) = x(b, 3);
            part(b, 1) = x(b, 1);
        }
        const auto y = nn::forward(layer, x);
        const auto z = nn::forward(fewer, part);
        CHECK(z(2, 0) == y(2, 3));
        CHECK(z(1, 1) == y(1, 1));
    }

    TEST_CASE("bad options and inputs throw")
    {
        CHECK_THROWS_WITH_AS((batch_norm{{.features = 0}}),
            "batch_norm features: expected at least 1, got 0", argument_error);
        CHECK_THROWS_AS((batch_norm{{.features = 1, .eps = 0}}), argument_error);
        CHECK_THROWS_AS((batch_norm{{.features = 1, .eps = std::nan("")}}), argument_error);
        CHECK_THROWS_AS((batch_norm{{.features = 1, .momentum = 1.5}}), argument_error);
        CHECK_THROWS_AS((batch_norm{{.features = 1, .momentum = -0.1}}), argument_error);
        CHECK_THROWS_WITH_AS(
            nn::forward(batch_norm{{.features = 3}}, structopt::zeros<float>(shape<4>{2, 4, 1, 1})),
            "batch_norm input: expected [any, 3, any, any], got [2, 4, 1, 1]", shape_error);
    }
}

} // namespace test_batch_norm
