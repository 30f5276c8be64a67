#include <structopt/quantize/affine.hpp>
#include <structopt/quantize/encode.hpp>

#include <doctest/doctest.h>

#include "support/quantize_check.hpp"

#include <limits>

namespace test_affine
{

using namespace structopt;
using quantize::affine;
using quantize::nearest_even;

static_assert(quantize::range_scheme<affine<8>>);
static_assert(quantize::codes_of<affine<4>>() == quantize::code_range{0, 15});
static_assert(quantize::codes_of<affine<4, true>>() == quantize::code_range{-8, 7});

TEST_SUITE("smoke")
{
    TEST_CASE("affine codes by hand")
    {
        // 16 levels over [-1, 2]: s = 3 / 15 = 0.2, z = 0 - round(-1 / 0.2) = 5.
        const affine<4> scheme;
        const auto p = scheme.fit({-1, 2});
        CHECK(p.scale == 3.0f / 15.0f);
        CHECK(p.zero == 5);
        CHECK(scheme.encode(-1, p, nearest_even{}) == 0);
        CHECK(scheme.encode(2, p, nearest_even{}) == 15);
        CHECK(scheme.encode(0, p, nearest_even{}) == 5);
        CHECK(scheme.decode(5, p) == 0.0f);
        CHECK(scheme.encode(-9, p, nearest_even{}) == 0);
        CHECK(scheme.encode(9, p, nearest_even{}) == 15);
        CHECK(affine<4, true>{}.fit({-1, 2}).zero == -3);
        // A range without 0 is widened to hold it.
        CHECK(scheme.fit({3, 15}) == quantize::scale_and_zero{1, 0});
        CHECK(scheme.fit({-15, -3}) == quantize::scale_and_zero{1, 15});
        CHECK(scheme.fit({0, 0}) == quantize::scale_and_zero{1, 0});
    }
}

TEST_CASE("affine: half a step, at every width")
{
    support::check_half_step<affine<2>>(1);
    support::check_half_step<affine<3>>(2);
    support::check_half_step<affine<4>>(3);
    support::check_half_step<affine<5>>(4);
    support::check_half_step<affine<6>>(5);
    support::check_half_step<affine<7>>(6);
    support::check_half_step<affine<8>>(7);
    support::check_half_step<affine<16>>(8);
    support::check_half_step<affine<8, true>>(9);
    support::check_half_step<affine<3, true>>(10);
}

TEST_CASE("affine scales at the ends of float")
{
    constexpr float largest = std::numeric_limits<float>::max();
    const affine<8> scheme;
    const auto p = scheme.fit({-largest, largest});
    CHECK(p.valid());
    CHECK(scheme.encode(largest, p, nearest_even{}) == 255);
    CHECK(scheme.encode(-largest, p, nearest_even{}) == 0);
    CHECK(scheme.fit({0, std::numeric_limits<float>::denorm_min()}).scale ==
          std::numeric_limits<float>::min());
    CHECK_THROWS_AS(scheme.fit({0, std::numeric_limits<float>::infinity()}), argument_error);
}

} // namespace test_affine
