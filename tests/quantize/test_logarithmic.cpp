#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/logarithmic.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_logarithmic
{

using namespace structopt;
using quantize::logarithmic;
using quantize::nearest_even;

namespace
{

/// Relative error at most sqrt(b) - 1 between the ends, nothing below, a fixed point of itself.
template <class S>
void check_relative(const S& scheme, std::uint64_t seed)
{
    CAPTURE(S::bits);
    CAPTURE(scheme.base);
    random_engine rng(seed);
    auto x = support::random_tensor<float>(shape<1>{1500}, rng);
    for (index_t i = 0; i < 1500; ++i)
    {
        x(i) = std::ldexp(x(i), -static_cast<int>(rng() % 10));
    }
    const auto q = quantize::encode(x, scheme);
    const auto p = q.parameters()[0];
    const float largest = scheme.decode(S::count, p);
    const float smallest = scheme.decode(1, p);
    const double root = std::sqrt(static_cast<double>(scheme.base));
    for (index_t i = 0; i < 1500; ++i)
    {
        const double exact = static_cast<double>(std::abs(x(i)));
        const double found = static_cast<double>(std::abs(q.value(i)));
        if (exact < static_cast<double>(smallest) / root * 0.9999)
        {
            CHECK(found == 0);
        }
        else if (exact < static_cast<double>(largest))
        {
            CHECK(std::abs(found - exact) <= (root - 1) * 1.0001 * exact);
        }
        else
        {
            CHECK(found == static_cast<double>(largest));
        }
        CHECK((q.value(i) == 0 || std::signbit(q.value(i)) == std::signbit(x(i))));
    }
    CHECK(quantize::encode_with(q.dequantize(), {p}, scheme) == q);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("c = b^(floor(log_b max) + 1) by hand")
    {
        // max 5: c = 2^(2 + 1) = 8, values 4, 2, 1 and their negatives, and 0.
        const logarithmic<3> scheme;
        const auto p = scheme.fit({-5, 1});
        CHECK(p.scale == 4);
        CHECK(scheme.decode(3, p) == 4);
        CHECK(scheme.decode(2, p) == 2);
        CHECK(scheme.decode(-1, p) == -1);
        CHECK(scheme.decode(0, p) == 0);
        CHECK(scheme.encode(-5, p, nearest_even{}) == -3);
        CHECK(scheme.encode(7.9f, p, nearest_even{}) == 3);
        // The rounding is in the log domain: the border is sqrt(8), not 3.
        CHECK(scheme.encode(2.82f, p, nearest_even{}) == 2);
        CHECK(scheme.encode(2.84f, p, nearest_even{}) == 3);
        CHECK(scheme.encode(0.71f, p, nearest_even{}) == 1);
        CHECK(scheme.encode(0.7f, p, nearest_even{}) == 0);
        CHECK(scheme.encode(0, p, nearest_even{}) == 0);
        CHECK(scheme.encode(-1e-38f, p, nearest_even{}) == 0);
        // first = 0: 8, 4, 2.
        const logarithmic<3> higher{.first = 0};
        CHECK(higher.fit({-5, 1}).scale == 4);
        CHECK(higher.decode(3, p) == 8);
        CHECK(higher.encode(5, p, nearest_even{}) == 2);
        CHECK(higher.encode(7, p, nearest_even{}) == 3);
        // Base 3: max 9 is a power, c = 27.
        CHECK(logarithmic<4>{.base = 3}.fit({0, 9}).scale == 9);
        CHECK(logarithmic<4>{.base = 3}.fit({0, 8.99f}).scale == 3);
        CHECK(logarithmic<2>{}.encode(-3, {2}, nearest_even{}) == -1);
        CHECK(scheme.fit({0, 0}).scale == 1);
    }
}

TEST_CASE("logarithmic: the relative error, at every width")
{
    check_relative(logarithmic<2>{}, 1);
    check_relative(logarithmic<3>{}, 2);
    check_relative(logarithmic<4>{}, 3);
    check_relative(logarithmic<5>{.base = 1.5f, .first = 0}, 4);
    check_relative(logarithmic<6>{.base = 1.4142135f}, 5);
    check_relative(logarithmic<7>{.base = 1.2f}, 6);
    check_relative(logarithmic<8>{.base = 1.1f, .first = 0}, 7);
}

TEST_CASE("powers of a base are powers exactly, at the ends of float too")
{
    for (int e = -126; e < 128; ++e)
    {
        CHECK(logarithmic<4>{}.fit({0, std::ldexp(1.0f, e)}).scale == std::ldexp(1.0f, e));
        CHECK(logarithmic<4>{}.fit({0, std::ldexp(1.99f, e)}).scale == std::ldexp(1.0f, e));
    }
    constexpr float largest = std::numeric_limits<float>::max();
    const logarithmic<4> higher{.first = 0};
    CHECK(std::isfinite(higher.decode(7, higher.fit({0, largest}))));
    CHECK(logarithmic<4>{}.fit({0, std::numeric_limits<float>::denorm_min()}).valid());
    CHECK_THROWS_AS((logarithmic<4>{.base = 1}.fit({0, 1})), argument_error);
    CHECK_THROWS_AS((logarithmic<4>{.base = 20}.fit({0, 1})), argument_error);
    CHECK_THROWS_AS((logarithmic<4>{.first = 2}.fit({0, 1})), argument_error);
    CHECK_THROWS_AS(
        (logarithmic<4>{}.fit({0, std::numeric_limits<float>::infinity()})), argument_error);
}

} // namespace test_logarithmic
