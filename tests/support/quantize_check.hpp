/// @file
/// What holds for every quantization scheme, checked on numbers of all sizes.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/quantize/encode.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace support
{

/// Slices of 37 numbers between 2^-80 and 2^80: no value is further from what its code stands for
/// than half a step, up to the rounding of float; quantizing the result again changes nothing.
/// Values of one sign, around zero and far from it.
template <class Scheme>
void check_half_step(std::uint64_t seed)
{
    using namespace structopt;
    CAPTURE(Scheme::bits);
    random_engine rng(seed);
    auto x = random_tensor<float>(shape<2>{48, 37}, rng);
    for (index_t r = 0; r < 48; ++r)
    {
        const float shift = r % 3 == 0 ? 0.0f : r % 3 == 1 ? 5.0f : -5.0f;
        for (index_t c = 0; c < 37; ++c)
        {
            x(r, c) = std::ldexp(x(r, c) + shift, static_cast<int>(r * 160 / 47 - 80));
        }
    }
    const auto q = quantize::encode(x, Scheme{}, quantize::per_channel<0>{});
    const auto back = q.dequantize();
    const auto again = quantize::encode_with(
        back, {q.parameters().begin(), q.parameters().end()}, Scheme{}, quantize::per_channel<0>{});
    CHECK(again == q);
    index_t far = 0;
    index_t extremes = 0;
    for (index_t r = 0; r < 48; ++r)
    {
        const double step = static_cast<double>(q.parameters()[static_cast<std::size_t>(r)].scale);
        const quantize::code_range codes = quantize::codes_of<Scheme>();
        bool extreme = false;
        for (index_t c = 0; c < 37; ++c)
        {
            const auto exact = static_cast<double>(x(r, c));
            const double e = std::abs(exact - static_cast<double>(back(r, c)));
            far += e <= 0.5 * step + 3e-7 * std::abs(exact) ? 0 : 1;
            extreme =
                extreme || q.code(r, c) <= codes.lowest || std::abs(q.code(r, c)) >= codes.highest;
        }
        extremes += extreme ? 1 : 0;
    }
    CHECK(far == 0);
    CHECK(extremes == 48);
}

} // namespace support
