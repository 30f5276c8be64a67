#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/power_of_two.hpp>

#include <doctest/doctest.h>

#include "support/quantize_check.hpp"

#include <cmath>
#include <limits>

namespace test_power_of_two
{

using namespace structopt;
using quantize::nearest_even;
using quantize::power_of_two;

TEST_SUITE("smoke")
{
    TEST_CASE("scales that are powers of two, by hand")
    {
        // 7 / 7 = 1 is one; 7.1 / 7 is rounded up to 2, 6.9 / 7 to 1.
        const power_of_two<4> scheme;
        CHECK(scheme.fit({-7, 3}).scale == 1);
        CHECK(scheme.fit({-7.1f, 3}).scale == 2);
        CHECK(scheme.fit({-1, 6.9f}).scale == 1);
        CHECK(scheme.fit({0, 0}).scale == 1);
        CHECK(power_of_two<8>{}.fit({0, 0.1f}).scale == 0x1p-10f);
        CHECK(scheme.encode(-7, {0.5f}, nearest_even{}) == -7);
        CHECK(scheme.encode(1.2f, {0.5f}, nearest_even{}) == 2);
        CHECK(scheme.decode(-7, {0.5f}) == -3.5f);
    }
}

TEST_CASE("power of two: at most twice the least scale, at the ends of float too")
{
    random_engine rng(3);
    for (int i = 0; i < 1000; ++i)
    {
        const float most =
            std::ldexp(uniform<float>(rng, 0.5f, 1), static_cast<int>(rng() % 200) - 100);
        const float scale = power_of_two<6>{}.fit({-most, 0}).scale;
        int exponent = 0;
        CHECK(std::frexp(scale, &exponent) == 0.5f);
        CHECK(scale * 31 >= most);
        CHECK(scale * 31 < 2.0001f * most);
    }
    constexpr float largest = std::numeric_limits<float>::max();
    const auto p = power_of_two<8>{}.fit({0, largest});
    CHECK(p.scale == 0x1p121f);
    CHECK(power_of_two<8>{}.encode(largest, p, nearest_even{}) == 127);
    CHECK(power_of_two<2>{}.fit({0, largest}).scale == 0x1p127f);
    CHECK(power_of_two<8>{}.fit({0, std::numeric_limits<float>::denorm_min()}).scale == 0x1p-126f);
    CHECK_THROWS_AS(power_of_two<8>{}.fit({2, 1}), argument_error);
    CHECK_THROWS_AS(
        power_of_two<8>{}.fit({0, std::numeric_limits<float>::infinity()}), argument_error);
    // Half a step everywhere.
    const auto x = support::random_tensor<float>(shape<1>{501}, rng);
    const auto q = quantize::encode(x, power_of_two<5>{});
    CHECK(quantize::encode_with(q.dequantize(), {q.parameters()[0]}, power_of_two<5>{}) == q);
    for (index_t i = 0; i < 501; ++i)
    {
        CHECK(std::abs(q.value(i) - x(i)) <= 0.5f * q.parameters()[0].scale);
    }
}

} // namespace test_power_of_two
