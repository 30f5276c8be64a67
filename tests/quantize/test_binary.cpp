#include <structopt/quantize/binary.hpp>
#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/error.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>

namespace test_binary
{

using namespace structopt;
using quantize::binary;

TEST_SUITE("smoke")
{
    TEST_CASE("binary weights by hand")
    {
        const tensor<float, 2> x = {{3, -1, 0, 2}, {0, 0, 0, 0}};
        const auto q = quantize::encode(x, binary{}, quantize::per_channel<0>{});
        CHECK(q.parameters()[0].scale == 1.5f);
        const tensor<float, 2> expected = {{1.5f, -1.5f, 1.5f, 1.5f}, {0, 0, 0, 0}};
        CHECK(q.dequantize() == expected);
        CHECK(q.packed().size() == 1);
        CHECK(q.packed()[0] == 0xfd);
        const tensor<float, 1> y = {1, 4};
        const tensor<float, 1> importance = {3, 1};
        CHECK(quantize::encode(y, binary{}, quantize::per_tensor{}, quantize::no_clipping{},
                  quantize::nearest_even{}, importance)
                  .parameters()[0]
                  .scale == 1.75f);
    }
}

TEST_CASE("binary: the sign whatever the size, the best scale")
{
    random_engine rng(3);
    auto x = support::random_tensor<float>(shape<1>{300}, rng);
    for (index_t i = 0; i < 300; i += 3)
    {
        x(i) *= 1e-9f;
    }
    const auto away = quantize::encode(
        x, binary{}, quantize::per_tensor{}, quantize::no_clipping{}, quantize::half_away{});
    const auto q = quantize::encode(x, binary{});
    CHECK(away == q);
    const double least = quantize::measure_error(x, q).mse;
    for (index_t i = 0; i < 300; ++i)
    {
        CHECK(q.code(i) == (x(i) >= 0 ? 1 : 0));
    }
    for (const float factor : {0.9f, 0.99f, 1.01f, 1.1f})
    {
        const auto other = quantize::encode_with(x, {{factor * q.parameters()[0].scale}}, binary{});
        CHECK(quantize::measure_error(x, other).mse > least);
    }
}

TEST_CASE("binary at random is right on average")
{
    random_engine rng(5);
    const quantize::stochastic round{rng};
    for (const float x : {0.5f, -0.25f, 0.0f, 3.0f})
    {
        int ones = 0;
        for (int i = 0; i < 20000; ++i)
        {
            ones += binary{}.encode(x, {1.0f}, round);
        }
        const double mean = 2.0 * ones / 20000 - 1;
        CHECK(std::abs(mean - std::min(1.0, static_cast<double>(x))) < 0.025);
    }
}

} // namespace test_binary
