#include <structopt/quantize/rounding.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace test_rounding
{

using namespace structopt;

static_assert(quantize::rounding<quantize::nearest_even>);
static_assert(quantize::rounding<quantize::half_away>);
static_assert(quantize::rounding<quantize::stochastic>);
static_assert(!quantize::rounding<int>);

TEST_SUITE("smoke")
{
    TEST_CASE("halves")
    {
        const float xs[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0.49999997f, -0.49999997f, 3.0f};
        const float even[] = {0, 2, 2, 0, -2, -2, 0, 0, 3};
        const float away[] = {1, 2, 3, -1, -2, -3, 0, 0, 3};
        for (int i = 0; i < 9; ++i)
        {
            CAPTURE(xs[i]);
            CHECK(quantize::nearest_even{}(xs[i]) == even[i]);
            CHECK(quantize::half_away{}(xs[i]) == away[i]);
        }
        // Beyond 2^23 all floats are whole.
        for (const float x : {8388609.0f, -16777218.0f, 3e38f})
        {
            CHECK(quantize::half_away{}(x) == x);
            CHECK(quantize::nearest_even{}(x) == x);
        }
    }
}

TEST_CASE("half away is std::round")
{
    random_engine rng(3);
    for (int i = 0; i < 20000; ++i)
    {
        const float x = std::ldexp(uniform<float>(rng, -1, 1), static_cast<int>(rng() % 30));
        REQUIRE(quantize::half_away{}(x) == std::round(x));
    }
}

TEST_CASE("stochastic rounding is right on average and leaves whole numbers alone")
{
    random_engine rng(5);
    const quantize::stochastic round{rng};
    for (const float x : {0.25f, -0.25f, 3.75f, -7.5f})
    {
        double sum = 0;
        bool neighbours = true;
        constexpr int n = 40000;
        for (int i = 0; i < n; ++i)
        {
            const float r = round(x);
            neighbours = neighbours && (r == std::floor(x) || r == std::ceil(x));
            sum += static_cast<double>(r);
        }
        CHECK(neighbours);
        // Standard deviation of the mean: at most 0.5 / 200.
        CHECK(std::abs(sum / n - static_cast<double>(x)) < 0.0125);
    }
    for (int i = 0; i < 100; ++i)
    {
        CHECK(round(-4.0f) == -4.0f);
    }
}

} // namespace test_rounding
