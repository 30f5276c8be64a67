/// @file
/// Storage in a small floating-point format: half, bfloat16, float8.
#pragma once

#include <structopt/core/small_float.hpp>
#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/rounding.hpp>
#include <structopt/quantize/uniform.hpp>

#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes are the bits of a `Small`: `half`, `bfloat16`, `float8_e4m3` or `float8_e5m2`.
///
/// The relative error is at most 2^-11, 2^-8, 2^-4 or 2^-3 within the normal numbers of the format.
/// What is too large saturates at its largest finite number. `nearest_even` rounds as IEEE 754 does;
/// other roundings get the fraction of the way between two neighbours, counted from zero.
template <class Small>
struct stored_as
{
    static constexpr bool known = std::is_same_v<Small, half> || std::is_same_v<Small, bfloat16> ||
                                  std::is_same_v<Small, float8_e4m3> ||
                                  std::is_same_v<Small, float8_e5m2>;
    static_assert(known, "quantize::stored_as<Small>: Small is half, bfloat16, float8_e4m3 or "
                         "float8_e5m2");

    using word = typename Small::bits_type;
    static constexpr int bits = static_cast<int>(sizeof(word)) * 8;
    static constexpr bool is_signed = false;
    static constexpr std::string_view name = std::is_same_v<Small, half>          ? "float16"
                                             : std::is_same_v<Small, bfloat16>    ? "bfloat16"
                                             : std::is_same_v<Small, float8_e4m3> ? "float8_e4m3"
                                                                                  : "float8_e5m2";
    using parameters = no_parameters;

    /// Nothing follows from the range.
    parameters fit(value_range) const noexcept
    {
        return {};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters&, const R& round) const
    {
        const float most = static_cast<float>(Small::from_bits(largest));
        const float size = std::abs(x) < most ? std::abs(x) : most;
        word code = Small(size).bits();
        if constexpr (!std::is_same_v<R, nearest_even>)
        {
            if (static_cast<float>(Small::from_bits(code)) > size)
            {
                --code;
            }
            if (code < largest)
            {
                const float below = static_cast<float>(Small::from_bits(code));
                const float above =
                    static_cast<float>(Small::from_bits(static_cast<word>(code + 1)));
                code = static_cast<word>(
                    code + static_cast<word>(round((size - below) / (above - below))));
            }
        }
        return static_cast<std::int32_t>(code) | (std::signbit(x) ? 1 << (bits - 1) : 0);
    }

    float decode(std::int32_t code, const parameters&) const noexcept
    {
        return static_cast<float>(Small::from_bits(static_cast<word>(code)));
    }

    friend bool operator==(const stored_as&, const stored_as&) = default;

private:
    // The code below infinity, or below NaN in a format without infinity.
    static constexpr word largest = std::is_same_v<Small, half>          ? word(0x7bff & word(-1))
                                    : std::is_same_v<Small, bfloat16>    ? word(0x7f7f & word(-1))
                                    : std::is_same_v<Small, float8_e4m3> ? word(0x7e)
                                                                         : word(0x7b);
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
