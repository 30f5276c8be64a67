#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/stored_as.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_stored_as
{

using namespace structopt;
using quantize::half_away;
using quantize::nearest_even;
using quantize::stored_as;

namespace
{

/// All finite codes come back from what they stand for; largest numbers saturate.
template <class Small>
void check_codes(float largest, float relative)
{
    using scheme = stored_as<Small>;
    CAPTURE(scheme::name);
    const scheme s;
    for (std::int32_t code = 0; code < 1 << scheme::bits; ++code)
    {
        const float x = s.decode(code, {});
        if (std::isfinite(x))
        {
            REQUIRE(s.encode(x, {}, nearest_even{}) == code);
            REQUIRE(s.encode(x, {}, half_away{}) == code);
        }
    }
    for (const float x : {3.4e38f, -3.4e38f, largest})
    {
        CHECK(std::abs(s.decode(s.encode(x, {}, nearest_even{}), {})) == largest);
        CHECK(std::abs(s.decode(s.encode(x, {}, half_away{}), {})) == largest);
    }
    random_engine rng(3);
    for (int i = 0; i < 2000; ++i)
    {
        const float x = std::ldexp(uniform<float>(rng, -1, 1), static_cast<int>(rng() % 5));
        const float bound = relative * std::abs(x) + 0x1p-9f * relative * 8;
        CHECK(std::abs(s.decode(s.encode(x, {}, nearest_even{}), {}) - x) <= bound);
        CHECK(std::abs(s.decode(s.encode(x, {}, half_away{}), {}) - x) <= bound);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("half and bfloat16 by hand")
    {
        CHECK(stored_as<half>{}.encode(1.0f, {}, nearest_even{}) == 0x3c00);
        CHECK(stored_as<half>{}.encode(-2.0f, {}, nearest_even{}) == 0xc000);
        CHECK(stored_as<half>{}.encode(70000.0f, {}, nearest_even{}) == 0x7bff);
        CHECK(stored_as<bfloat16>{}.encode(1.0f, {}, nearest_even{}) == 0x3f80);
        // Halfway between 1 and its neighbour 1 + 2^-7.
        CHECK(stored_as<bfloat16>{}.encode(1 + 0x1p-8f, {}, nearest_even{}) == 0x3f80);
        CHECK(stored_as<bfloat16>{}.encode(1 + 0x1p-8f, {}, half_away{}) == 0x3f81);
        CHECK(stored_as<bfloat16>{}.encode(-1 - 0x1p-8f, {}, half_away{}) == 0xbf81);
        const tensor<float, 1> x = {0.1f, -3};
        const auto q = quantize::encode(x, stored_as<half>{});
        CHECK(q.bytes() == 4);
        CHECK(q.value(1) == -3);
    }
}

TEST_CASE("every number of the small formats comes back")
{
    check_codes<half>(65504.0f, 0x1p-11f);
    check_codes<bfloat16>(0x1.fep127f, 0x1p-8f);
    check_codes<float8_e4m3>(448.0f, 0x1p-4f);
    check_codes<float8_e5m2>(57344.0f, 0x1p-3f);
}

TEST_CASE("small floats rounded at random are right on average")
{
    random_engine rng(7);
    const quantize::stochastic round{rng};
    double sum = 0;
    for (int i = 0; i < 40000; ++i)
    {
        sum += static_cast<double>(
            stored_as<bfloat16>{}.decode(stored_as<bfloat16>{}.encode(1.002f, {}, round), {}));
    }
    CHECK(std::abs(sum / 40000 - 1.002) < 1e-4);
}

} // namespace test_stored_as
