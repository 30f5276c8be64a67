#include <structopt/quantize/additive_powers.hpp>
#include <structopt/quantize/encode.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>
#include <vector>

namespace test_additive_powers
{

using namespace structopt;
using quantize::additive_powers;
using quantize::nearest_even;

namespace
{

template <int Bits>
std::vector<float> levels()
{
    return {additive_powers<Bits>::levels.begin(), additive_powers<Bits>::levels.end()};
}

/// The nearest of all values, whichever the scheme.
template <class S>
void check_nearest(const S& scheme, std::uint64_t seed)
{
    CAPTURE(S::bits);
    random_engine rng(seed);
    const auto x = support::random_tensor<float>(shape<1>{1200}, rng);
    const auto q = quantize::encode(x, scheme);
    const auto table = quantize::decode_table(scheme, q.parameters()[0]);
    const quantize::code_range range = quantize::codes_of<S>();
    for (index_t i = 0; i < 1200; ++i)
    {
        float nearest = 1e9f;
        for (std::int32_t code = range.lowest; code <= range.highest; ++code)
        {
            nearest =
                std::min(nearest, std::abs(table[quantize::narrow_code<S::bits>(code)] - x(i)));
        }
        CHECK(std::abs(q.value(i) - x(i)) <= nearest + 1e-6f);
    }
    CHECK(quantize::encode_with(q.dequantize(), {q.parameters()[0]}, scheme) == q);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("levels of the paper")
    {
        // {0, 1/2, 1/4, 1/16} + {0, 1/8}, in sixteenths.
        CHECK(levels<4>() == std::vector<float>{0, 1, 2, 3, 4, 6, 8, 10});
        CHECK(levels<3>() == std::vector<float>{0, 1, 2, 4});
        CHECK(levels<2>() == std::vector<float>{0, 1});
        // {0, 1/2, 1/8, 1/32} + {0, 1/4, 1/16, 1/64}, in sixty-fourths.
        CHECK(levels<5>() ==
              std::vector<float>{0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48});
        CHECK(additive_powers<6>::levels.back() == 100);
        const additive_powers<4> scheme;
        const auto p = scheme.fit({-5, 2});
        CHECK(p.scale == 0.5f);
        CHECK(scheme.encode(-5, p, nearest_even{}) == -7);
        CHECK(scheme.encode(2.4f, p, nearest_even{}) == 4); // 4.8: 4 is nearer than 6
        CHECK(scheme.encode(2.6f, p, nearest_even{}) == 5);
        CHECK(scheme.encode(99, p, nearest_even{}) == 7);
        CHECK(scheme.decode(-7, p) == -5);
        CHECK(scheme.fit({0, 0}).scale == 1);
    }
}

TEST_CASE("additive powers: the nearest of all levels, at every width")
{
    check_nearest(additive_powers<2>{}, 1);
    check_nearest(additive_powers<3>{}, 2);
    check_nearest(additive_powers<4>{}, 3);
    check_nearest(additive_powers<5>{}, 4);
    check_nearest(additive_powers<6>{}, 5);
    check_nearest(additive_powers<7>{}, 6);
    check_nearest(additive_powers<8>{}, 7);
}

} // namespace test_additive_powers
