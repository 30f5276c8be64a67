#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/fixed_point.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>

namespace test_fixed_point
{

using namespace structopt;
using quantize::fixed_point;
using quantize::nearest_even;

static_assert(fixed_point<7, 8>::bits == 16);
static_assert(fixed_point<0, 7>::bits == 8);
static_assert(fixed_point<4, 4, false>::bits == 8);
static_assert(fixed_point<-2, 5>::bits == 4);
static_assert(quantize::codes_of<fixed_point<1, 2>>() == quantize::code_range{-8, 7});
static_assert(quantize::codes_of<fixed_point<1, 2, false>>() == quantize::code_range{0, 7});

TEST_SUITE("smoke")
{
    TEST_CASE("Q1.2 by hand")
    {
        const fixed_point<1, 2> q;
        CHECK(q.encode(1.75f, {}, nearest_even{}) == 7);
        CHECK(q.encode(9, {}, nearest_even{}) == 7);
        CHECK(q.encode(-2, {}, nearest_even{}) == -8);
        CHECK(q.encode(-3e38f, {}, nearest_even{}) == -8);
        CHECK(q.encode(0.3f, {}, nearest_even{}) == 1);
        CHECK(q.encode(0.125f, {}, nearest_even{}) == 0);
        CHECK(q.decode(-5, {}) == -1.25f);
        CHECK(fixed_point<1, 2, false>{}.encode(-1, {}, nearest_even{}) == 0);
        // Negative integer bits: [-1/4, 1/4) in steps of 1/32.
        CHECK(fixed_point<-2, 5>{}.encode(0.25f, {}, nearest_even{}) == 7);
        CHECK(fixed_point<-2, 5>{}.decode(-8, {}) == -0.25f);
        // Steps of 4.
        CHECK(fixed_point<5, -2>{}.decode(3, {}) == 12);
    }
}

TEST_CASE("fixed point: nothing but codes, half a step within the range")
{
    random_engine rng(5);
    const auto x = support::random_tensor<float>(shape<2>{31, 33}, rng, 0.2f);
    const auto q = quantize::encode(x, fixed_point<0, 7>{}, quantize::per_channel<0>{});
    CHECK(q.bytes() == 31 * 33);
    for (index_t i = 0; i < 31; ++i)
    {
        for (index_t j = 0; j < 33; ++j)
        {
            const float e = std::abs(q.value(i, j) - x(i, j));
            CHECK((e <= 0x1p-8f || std::abs(x(i, j)) > 0.99f));
        }
    }
}

} // namespace test_fixed_point
