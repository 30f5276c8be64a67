#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>
#include <structopt/nn/dense.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace test_dense
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

template <class T>
dense<T> random_layer(index_t in, index_t out, bool bias, random_engine& rng)
{
    auto weight = random_tensor<T>(shape<2>{out, in}, rng);
    return dense<T>(std::move(weight), random_tensor<T>(shape<1>{bias ? out : 0}, rng));
}

template <class T>
void agrees(index_t batch, index_t in, index_t out, bool bias, random_engine& rng)
{
    INFO("batch " << batch << " in " << in << " out " << out);
    const auto layer = random_layer<T>(in, out, bias, rng);
    const auto x = random_tensor<T>(shape<2>{batch, in}, rng);
    auto expected = make_tensor<double>(shape<2>{batch, out});
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t o = 0; o < out; ++o)
        {
            double sum = bias ? static_cast<double>(layer.bias(o)) : 0.0;
            for (index_t i = 0; i < in; ++i)
            {
                sum += static_cast<double>(layer.weight(o, i)) * static_cast<double>(x(b, i));
            }
            expected(b, o) = sum;
        }
    }
    const double tolerance =
        16 * static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(in + 1);
    const auto y = nn::forward(layer, x);
    CHECK(largest_difference(y, expected) <= tolerance);
    auto kept = nn::make_cache(layer, x, rng);
    CHECK(largest_difference(nn::forward(layer, x, kept), y) == 0);
}

} // namespace

TEST_SUITE("smoke dense")
{
    TEST_CASE_TEMPLATE("dense agrees with the definition", T, float, double)
    {
        random_engine rng(1);
        agrees<T>(1, 5, 3, true, rng);
        agrees<T>(20, 33, 17, false, rng);
    }
}

TEST_SUITE("dense")
{
    TEST_CASE_TEMPLATE("dense agrees with the definition on many shapes", T, float, double)
    {
        random_engine rng(2);
        for (int i = 0; i < 60; ++i)
        {
            const index_t batch = 1 + uniform_index(rng, 40);
            const index_t in = 1 + uniform_index(rng, 90);
            const index_t out = 1 + uniform_index(rng, 90);
            agrees<T>(batch, in, out, i % 3 != 0, rng);
        }
        agrees<T>(64, 784, 300, true, rng);
    }

    TEST_CASE("gradients")
    {
        random_engine rng(3);
        for (const bool bias : {true, false})
        {
            const auto layer = random_layer<double>(5, 4, bias, rng);
            support::check_gradients(layer, random_tensor<double>(shape<2>{3, 5}, rng));
            const auto single = random_layer<double>(1, 1, bias, rng);
            support::check_gradients(single, random_tensor<double>(shape<2>{1, 1}, rng));
        }
        const auto wide = random_layer<double>(40, 35, true, rng);
        support::check_gradients(wide, random_tensor<double>(shape<2>{33, 40}, rng));
    }

    TEST_CASE("the empty batch")
    {
        random_engine rng(4);
        const auto layer = random_layer<float>(3, 2, true, rng);
        const auto x = structopt::zeros<float>(shape<2>{0, 3});
        CHECK(shape_of(nn::forward(layer, x)) == shape<2>{0, 2});
        auto kept = nn::make_cache(layer, x, rng);
        nn::forward(layer, x, kept);
        auto gradients = nn::zeros_like(layer);
        nn::backward(layer, structopt::zeros<float>(shape<2>{0, 2}), kept, gradients);
        CHECK(gradients.weight(1, 2) == 0.0f);
    }

    TEST_CASE("units are selected on either side")
    {
        random_engine rng(5);
        const auto layer = random_layer<float>(4, 5, true, rng);
        const auto x = random_tensor<float>(shape<2>{3, 4}, rng);
        const auto y = nn::forward(layer, x);
        const std::vector<index_t> outputs{4, 0, 2};
        const auto z = nn::forward(layer.select_outputs(outputs), x);
        REQUIRE(shape_of(z) == shape<2>{3, 3});
        CHECK(z(1, 0) == y(1, 4));
        CHECK(z(2, 1) == y(2, 0));

        const std::vector<index_t> inputs{3, 1};
        auto part = make_tensor<float>(shape<2>{3, 2});
        auto masked = x;
        for (index_t b = 0; b < 3; ++b)
        {
            part(b, 0) = x(b, 3);
            part(b, 1) = x(b, 1);
            masked(b, 0) = masked(b, 2) = 0;
        }
        CHECK(largest_difference(nn::forward(layer.select_inputs(inputs), part),
                  nn::forward(layer, masked)) <= 1e-6);
        CHECK(layer.unit_coupling() == coupling::mixes);
    }

    TEST_CASE("bad options, weights and inputs throw")
    {
        random_engine rng(6);
        CHECK_THROWS_WITH_AS((dense{{.in = 0, .out = 3}, rng}),
            "dense: expected in and out of at least 1, got in 0, out 3", argument_error);
        CHECK_THROWS_AS((dense{{.in = 3, .out = -2}, rng}), argument_error);
        CHECK_THROWS_WITH_AS(dense<float>(structopt::zeros<float>(shape<2>{2, 3}),
                                 structopt::zeros<float>(shape<1>{3})),
            "dense bias: expected [2], got [3]", shape_error);
        const dense layer{{.in = 3, .out = 2}, rng};
        CHECK_THROWS_WITH_AS(nn::forward(layer, structopt::zeros<float>(shape<2>{5, 4})),
            "dense input: expected [any, 3], got [5, 4]", shape_error);
        CHECK_THROWS_AS(layer.with_weight(structopt::zeros<float>(shape<2>{3, 2})), shape_error);
        const std::vector<index_t> past{0, 3};
        const std::vector<index_t> before{-1};
        const std::vector<index_t> none;
        CHECK_THROWS_WITH_AS(layer.select_inputs(past),
            "take_columns: expected positions from 0 to 2, got 3", argument_error);
        CHECK_THROWS_WITH_AS(layer.select_outputs(past),
            "take_rows: expected positions from 0 to 1, got 3", argument_error);
        CHECK_THROWS_AS(layer.select_inputs(before), argument_error);
        CHECK_THROWS_AS(layer.select_outputs(before), argument_error);
        CHECK_THROWS_WITH_AS(layer.select_outputs(none),
            "dense units: expected at least one that stays, got none", argument_error);
    }

    TEST_CASE("an input with gaps throws")
    {
        random_engine rng(7);
        const dense layer{{.in = 2, .out = 2}, rng};
        const auto x = structopt::zeros<float>(shape<2>{4, 4});
        const view<const float, 2> gaps(x.data(), {4, 2}, {4, 1});
        CHECK_THROWS_WITH_AS(nn::forward(layer, gaps),
            "dense: expected a contiguous row-major input, got strides [4, 1]", shape_error);
        auto kept = nn::make_cache(layer, gaps, rng);
        CHECK_THROWS_AS(nn::forward(layer, gaps, kept), shape_error);
    }
}

} // namespace test_dense
