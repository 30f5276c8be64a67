/// @file
/// What the schemes with equal steps share: ranges checked, scales that can be divided by, codes
/// that saturate.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/quantize/concepts.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize::detail
{

/// Throws `argument_error` unless both ends are finite and in order.
inline void check_range(const char* where, value_range range)
{
    if (!structopt::detail::is_finite(range.lowest) ||
        !structopt::detail::is_finite(range.highest) || range.lowest > range.highest)
    {
        structopt::detail::raise<argument_error>(where, "a finite range, its lower end first",
            "[" + std::to_string(range.lowest) + ", " + std::to_string(range.highest) + "]");
    }
}

/// The larger magnitude of the two ends.
inline float magnitude(value_range range) noexcept
{
    const float low = std::abs(range.lowest);
    const float high = std::abs(range.highest);
    return low > high ? low : high;
}

/// A scale that can be divided by, and whose product with `most` is finite.
///
/// 1 in place of 0, so that zeros have the code of zero and are exact, and the smallest normal
/// number in place of what is below it.
inline float usable_scale(float scale, bool all_zero, std::int32_t most) noexcept
{
    constexpr float smallest = std::numeric_limits<float>::min();
    // Two units in the last place below the largest float, for the two roundings.
    const float largest = 0x1.fffffap127f / static_cast<float>(most);
    const float above = scale < smallest ? smallest : scale;
    return all_zero ? 1.0f : above < largest ? above : largest;
}

/// A whole number as a code; NaN has the lowest.
constexpr std::int32_t saturate(float whole, code_range codes) noexcept
{
    const auto low = static_cast<float>(codes.lowest);
    const auto high = static_cast<float>(codes.highest);
    const float above = whole > low ? whole : low;
    return static_cast<std::int32_t>(above < high ? above : high);
}

} // namespace quantize::detail
STRUCTOPT_END_NAMESPACE
