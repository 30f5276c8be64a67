/// @file
/// Symmetric quantization whose scale is a power of two: a shift instead of a multiplication.
#pragma once

#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/uniform.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// s = max|x| / (n/2 - 1) rounded up to a power of two, n = 2^Bits; codes in [-(n/2 - 1), n/2 - 1].
///
/// The error of a value within the range is at most s / 2, and s at most twice that of `symmetric`.
/// s lies in [2^-126, 2^(129 - Bits)]; of numbers that would need a larger one, beyond
/// (n/2 - 1) * 2^(129 - Bits), the code saturates. A slice of zeros has scale 1.
template <int Bits>
struct power_of_two
{
    static constexpr int bits = detail::is_uniform_width(Bits) ? Bits : 8;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = "power_of_two";
    static constexpr std::int32_t most = (std::int32_t{1} << (bits - 1)) - 1;
    static constexpr code_range codes{-most, most};
    using parameters = scale_only;

    /// Throws `argument_error` for ends that are not finite or not in order.
    parameters fit(value_range range) const
    {
        detail::check_range("quantize::power_of_two", range);
        const float largest = detail::magnitude(range);
        if (structopt::detail::is_zero(largest))
        {
            return {};
        }
        int exponent = 0;
        const float least = detail::usable_scale(largest / static_cast<float>(most), false, 1);
        const float fraction = std::frexp(least, &exponent);
        exponent -= fraction > 0.5f ? 0 : 1;
        exponent = exponent > 129 - bits ? 129 - bits : exponent;
        return {std::ldexp(1.0f, exponent)};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        return detail::saturate(round(x / p.scale), codes);
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        return p.scale * static_cast<float>(code);
    }

    friend bool operator==(const power_of_two&, const power_of_two&) = default;

    static_assert(
        detail::is_uniform_width(Bits), "quantize::power_of_two<Bits>: Bits is 2 to 8, or 16");
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
