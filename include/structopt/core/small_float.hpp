/// @file
/// The small floating-point formats that files and weights are kept in: half, bfloat16, float8.
///
/// Storage only: no arithmetic, explicit conversions from and to float and double. Integer code
/// throughout, so the results do not depend on the compiler, its flags or the rounding mode.
#pragma once

#include <structopt/config.hpp>

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A floating-point number of one sign bit, `ExponentBits` and `MantissaBits`.
///
/// Bias 2^(ExponentBits-1) - 1, subnormals as in IEEE 754. With `HasInfinity` the largest exponent
/// holds infinity and NaN (IEEE 754); without it those codes are numbers, and only the code of all
/// ones is NaN (the "FN" formats of Micikevicius et al., "FP8 Formats for Deep Learning", 2022).
template <int ExponentBits, int MantissaBits, bool HasInfinity>
class small_float
{
public:
    using bits_type =
        std::conditional_t<(1 + ExponentBits + MantissaBits <= 8), std::uint8_t, std::uint16_t>;

    /// Not initialised, as a float is not.
    small_float() = default;

    /// Rounds to nearest, ties to even. Too large a number becomes infinity, or NaN in a format
    /// without it; a NaN stays one and keeps the leading bits of its payload.
    template <class Wide>
        requires(std::same_as<Wide, float> || std::same_as<Wide, double>)
    STRUCTOPT_ALWAYS_INLINE explicit constexpr small_float(Wide value) noexcept
        : m_bits(narrow(value))
    {
    }

    STRUCTOPT_ALWAYS_INLINE static constexpr small_float from_bits(bits_type bits) noexcept
    {
        small_float x(0.0f);
        x.m_bits = bits;
        return x;
    }

    STRUCTOPT_ALWAYS_INLINE constexpr bits_type bits() const noexcept
    {
        return m_bits;
    }

    /// Exact.
    STRUCTOPT_ALWAYS_INLINE explicit constexpr operator float() const noexcept
    {
        return widen<float>(m_bits);
    }

    /// Exact.
    STRUCTOPT_ALWAYS_INLINE explicit constexpr operator double() const noexcept
    {
        return widen<double>(m_bits);
    }

    /// As numbers: 0.0 equals -0.0, NaN equals nothing.
    STRUCTOPT_ALWAYS_INLINE friend constexpr bool operator==(small_float a, small_float b) noexcept
    {
        constexpr std::uint32_t digits = (1u << (ExponentBits + MantissaBits)) - 1;
        constexpr std::uint32_t infinity = HasInfinity ? s_overflow : s_overflow - 1;
        const std::uint32_t x = a.m_bits & digits;
        const std::uint32_t y = b.m_bits & digits;
        return x == y && x <= infinity && (a.m_bits == b.m_bits || x == 0);
    }

private:
    static constexpr int s_bias = (1 << (ExponentBits - 1)) - 1;
    static constexpr std::uint32_t s_top_exponent = (1u << ExponentBits) - 1;
    // The code of infinity, or of NaN in a format without infinity.
    static constexpr std::uint32_t s_overflow =
        HasInfinity ? s_top_exponent << MantissaBits : (1u << (ExponentBits + MantissaBits)) - 1;

    template <class Wide>
    struct wide
    {
        using bits = std::conditional_t<sizeof(Wide) == 4, std::uint32_t, std::uint64_t>;
        static constexpr int mantissa_bits = std::numeric_limits<Wide>::digits - 1;
        static constexpr int bias = std::numeric_limits<Wide>::max_exponent - 1;
        static constexpr int width = static_cast<int>(sizeof(Wide)) * 8;
        static constexpr bits mantissa_mask = (bits(1) << mantissa_bits) - 1;
        static constexpr bits top_exponent = (bits(1) << (width - 1 - mantissa_bits)) - 1;
    };

    template <class Wide>
    STRUCTOPT_ALWAYS_INLINE static constexpr bits_type narrow(Wide value) noexcept
    {
        using w = wide<Wide>;
        using bits = typename w::bits;
        const auto pattern = std::bit_cast<bits>(value);
        const auto sign = static_cast<std::uint32_t>(pattern >> (w::width - 1))
                          << (ExponentBits + MantissaBits);
        const bits field = (pattern >> w::mantissa_bits) & w::top_exponent;
        const bits mantissa = pattern & w::mantissa_mask;
        if (field == w::top_exponent)
        {
            std::uint32_t code = s_overflow;
            if (mantissa != 0 && HasInfinity)
            {
                const auto payload =
                    static_cast<std::uint32_t>(mantissa >> (w::mantissa_bits - MantissaBits));
                code |= payload != 0 ? payload : 1u << (MantissaBits - 1);
            }
            return static_cast<bits_type>(sign | code);
        }
        // |value| = significand * 2^lsb; the result counts units of 2^unit.
        const bits significand = field == 0 ? mantissa : mantissa | (bits(1) << w::mantissa_bits);
        if (significand == 0)
        {
            return static_cast<bits_type>(sign);
        }
        const int lsb = (field == 0 ? 1 : static_cast<int>(field)) - w::bias - w::mantissa_bits;
        const int exponent = lsb + static_cast<int>(std::bit_width(significand)) - 1;
        const int lowest = 1 - s_bias;
        const int unit = (exponent > lowest ? exponent : lowest) - MantissaBits;
        const int shift = unit - lsb;
        bits units = 0;
        if (shift <= 0)
        {
            units = significand << -shift;
        }
        else if (shift <= w::mantissa_bits + 2)
        {
            const bits rest = significand & ((bits(1) << shift) - 1);
            const bits tie = bits(1) << (shift - 1);
            units = significand >> shift;
            units += rest > tie || (rest == tie && (units & 1) != 0) ? 1 : 0;
        }
        // The sum carries from subnormal to normal and from one exponent to the next.
        const auto code =
            (static_cast<std::uint32_t>(unit + MantissaBits + s_bias - 1) << MantissaBits) +
            static_cast<std::uint32_t>(units);
        return static_cast<bits_type>(sign | (code < s_overflow ? code : s_overflow));
    }

    template <class Wide>
    STRUCTOPT_ALWAYS_INLINE static constexpr Wide widen(bits_type code) noexcept
    {
        using w = wide<Wide>;
        using bits = typename w::bits;
        const bits sign = bits(code >> (ExponentBits + MantissaBits)) << (w::width - 1);
        const std::uint32_t field = (code >> MantissaBits) & s_top_exponent;
        const std::uint32_t mantissa = code & ((1u << MantissaBits) - 1);
        constexpr int shift = w::mantissa_bits - MantissaBits;
        bits magnitude = 0;
        if (HasInfinity ? field == s_top_exponent
                        : ((field << MantissaBits) | mantissa) == s_overflow)
        {
            magnitude = (w::top_exponent << w::mantissa_bits) | (bits(mantissa) << shift);
        }
        else if (field != 0)
        {
            const auto exponent = static_cast<bits>(static_cast<int>(field) - s_bias + w::bias);
            magnitude = (exponent << w::mantissa_bits) | (bits(mantissa) << shift);
        }
        else if (mantissa != 0)
        {
            const int top = static_cast<int>(std::bit_width(mantissa)) - 1;
            const int exponent = 1 - s_bias - MantissaBits + top + w::bias;
            if constexpr (s_bias == w::bias)
            {
                magnitude = bits(mantissa) << shift;
            }
            else
            {
                const bits rest = bits(mantissa) ^ (bits(1) << top);
                magnitude = (static_cast<bits>(exponent) << w::mantissa_bits) |
                            (rest << (w::mantissa_bits - top));
            }
        }
        return std::bit_cast<Wide>(static_cast<bits>(sign | magnitude));
    }

    bits_type m_bits;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE

using shared::small_float;

/// IEEE 754 binary16: largest finite 65504, smallest 2^-24.
using half = small_float<5, 10, true>;

/// The upper half of a float: its range with 8 bits of precision.
using bfloat16 = small_float<8, 7, true>;

/// 4 exponent bits, no infinity (E4M3FN): largest finite 448, smallest 2^-9.
using float8_e4m3 = small_float<4, 3, false>;

/// 5 exponent bits: largest finite 57344, smallest 2^-16.
using float8_e5m2 = small_float<5, 2, true>;

namespace detail
{

/// 0.0 or -0.0.
template <int ExponentBits, int MantissaBits, bool HasInfinity>
constexpr bool is_zero(small_float<ExponentBits, MantissaBits, HasInfinity> x) noexcept
{
    return (x.bits() & ((1u << (ExponentBits + MantissaBits)) - 1)) == 0;
}

} // namespace detail
STRUCTOPT_END_NAMESPACE
