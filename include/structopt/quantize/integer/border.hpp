/// @file
/// Floats to int8 codes and back, where a network of integers begins and ends.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/quantize/affine.hpp>

#include <cmath>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// What int8 codes of activations are: value = scale (code - zero), codes in [-128, 127].
using activation_scheme = affine<8, true>;

/// The code of a number: round(x / scale) + zero, half to even, saturated; that of zero for NaN.
inline std::int8_t to_code(float x, const scale_and_zero& p) noexcept
{
    if (structopt::detail::is_nan(x))
    {
        return static_cast<std::int8_t>(p.zero);
    }
    const float steps = std::nearbyint(x / p.scale);
    const auto lowest = static_cast<float>(-128 - p.zero);
    const auto highest = static_cast<float>(127 - p.zero);
    const float inside = steps < lowest ? lowest : steps > highest ? highest : steps;
    return static_cast<std::int8_t>(static_cast<std::int32_t>(inside) + p.zero);
}

/// The number that a code stands for.
constexpr float from_code(std::int8_t code, const scale_and_zero& p) noexcept
{
    return p.scale * static_cast<float>(code - p.zero);
}

/// The codes of n numbers.
inline void to_codes(
    const float* x, index_t n, const scale_and_zero& p, std::int8_t* codes) noexcept
{
    for (index_t i = 0; i < n; ++i)
    {
        codes[i] = to_code(x[i], p);
    }
}

/// The numbers that n codes stand for.
inline void from_codes(
    const std::int8_t* codes, index_t n, const scale_and_zero& p, float* x) noexcept
{
    for (index_t i = 0; i < n; ++i)
    {
        x[i] = from_code(codes[i], p);
    }
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
