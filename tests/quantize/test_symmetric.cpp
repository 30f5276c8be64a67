#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/symmetric.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/quantize_check.hpp"

#include <cstdint>
#include <limits>

namespace test_symmetric
{

using namespace structopt;
using quantize::nearest_even;
using quantize::symmetric;

static_assert(quantize::range_scheme<symmetric<4>>);
static_assert(!quantize::data_scheme<symmetric<4>>);
static_assert(quantize::codes_of<symmetric<4>>() == quantize::code_range{-7, 7});
static_assert(quantize::codes_of<symmetric<4, true>>() == quantize::code_range{-8, 7});

TEST_SUITE("smoke")
{
    TEST_CASE("symmetric codes by hand")
    {
        // 16 levels: s = 3.5 / (16 / 2 - 1) = 0.5.
        const symmetric<4> scheme;
        const auto p = scheme.fit({-3.5f, 1.0f});
        CHECK(p.scale == 0.5f);
        CHECK(scheme.encode(-3.5f, p, nearest_even{}) == -7);
        CHECK(scheme.encode(0.74f, p, nearest_even{}) == 1);
        CHECK(scheme.encode(0.75f, p, nearest_even{}) == 2);
        CHECK(scheme.encode(1.25f, p, nearest_even{}) == 2);
        CHECK(scheme.encode(100.0f, p, nearest_even{}) == 7);
        CHECK(scheme.encode(-3e38f, p, nearest_even{}) == -7);
        CHECK(scheme.decode(-7, p) == -3.5f);
        // Two bits: s = max|x| / (4 / 2 - 1), codes -1, 0, 1.
        CHECK(symmetric<2>{}.fit({-2, 1}).scale == 2);
        CHECK(symmetric<2>{}.encode(1.1f, {2}, nearest_even{}) == 1);
        CHECK(symmetric<2>{}.encode(-5.0f, {2}, nearest_even{}) == -1);
        // The full range: s = max|x| / 7.5, and -8 is a code.
        CHECK(symmetric<4, true>{}.fit({-7.5f, 1}).scale == 1);
        CHECK(symmetric<4, true>{}.encode(-7.6f, {1}, nearest_even{}) == -8);
        CHECK(symmetric<4, true>{}.encode(7.6f, {1}, nearest_even{}) == 7);
    }
}

TEST_CASE("symmetric: half a step, at every width")
{
    support::check_half_step<symmetric<2>>(1);
    support::check_half_step<symmetric<3>>(2);
    support::check_half_step<symmetric<4>>(3);
    support::check_half_step<symmetric<5>>(4);
    support::check_half_step<symmetric<6>>(5);
    support::check_half_step<symmetric<7>>(6);
    support::check_half_step<symmetric<8>>(7);
    support::check_half_step<symmetric<16>>(8);
    support::check_half_step<symmetric<4, true>>(9);
    support::check_half_step<symmetric<8, true>>(10);
}

TEST_CASE("symmetric scales at the ends of float")
{
    constexpr float largest = std::numeric_limits<float>::max();
    constexpr float smallest = std::numeric_limits<float>::denorm_min();
    const symmetric<8> scheme;
    CHECK(scheme.fit({0, 0}).scale == 1);
    CHECK(scheme.fit({-0.0f, 0}).scale == 1);
    CHECK(scheme.fit({0, smallest}).scale == std::numeric_limits<float>::min());
    const auto p = scheme.fit({-largest, largest});
    CHECK(scheme.encode(-largest, p, nearest_even{}) == -127);
    CHECK(scheme.decode(127, p) == doctest::Approx(largest));
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const std::string text = support::message_of<argument_error>(
        [&]
        {
            scheme.fit({0, infinity});
        });
    support::check_parts(text, {"symmetric", "finite range", "inf"});
    CHECK_THROWS_AS(scheme.fit({1, 0}), argument_error);
    CHECK_THROWS_AS(scheme.fit({std::numeric_limits<float>::quiet_NaN(), 0}), argument_error);
}

} // namespace test_symmetric
