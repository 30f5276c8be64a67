/// @file
/// Uniform affine (asymmetric) quantization: value = scale * (code - zero).
#pragma once

#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/rounding.hpp>
#include <structopt/quantize/uniform.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// n = 2^Bits levels over [lo, hi], widened to hold 0: s = (hi - lo) / (n - 1), zero point
/// z = lowest code - round(lo / s), code = round(x / s) + z.
///
/// As PyTorch's MinMaxObserver: 0 is exact, and the error of a value within the range is at most
/// s / 2. Codes are [0, n - 1], or with `Signed` [-n/2, n/2 - 1]. A slice of zeros has scale 1.
/// The sum of round(x / s) and z is rounded before it saturates.
template <int Bits, bool Signed = false>
struct affine
{
    static constexpr int bits = detail::is_uniform_width(Bits) ? Bits : 8;
    static constexpr bool is_signed = Signed;
    static constexpr std::string_view name = "affine";
    static constexpr std::int32_t levels = std::int32_t{1} << bits;
    static constexpr code_range codes{Signed ? -levels / 2 : 0, (Signed ? levels / 2 : levels) - 1};
    using parameters = scale_and_zero;

    /// Throws `argument_error` for ends that are not finite or not in order.
    parameters fit(value_range range) const
    {
        detail::check_range("quantize::affine", range);
        const float low = range.lowest < 0 ? range.lowest : 0.0f;
        const float high = range.highest > 0 ? range.highest : 0.0f;
        constexpr float steps = static_cast<float>(levels - 1);
        float width = high - low;
        // The width of the whole range of float is not a float.
        float scale = width / steps;
        if (!structopt::detail::is_finite(width))
        {
            scale = high / steps - low / steps;
        }
        width = high > -low ? high : -low;
        const float usable =
            detail::usable_scale(scale, structopt::detail::is_zero(width), levels - 1);
        const float zero = static_cast<float>(codes.lowest) - nearest_even{}(low / usable);
        return {usable, detail::saturate(zero, codes)};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        return detail::saturate(round(x / p.scale) + static_cast<float>(p.zero), codes);
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        return p.scale * static_cast<float>(code - p.zero);
    }

    friend bool operator==(const affine&, const affine&) = default;

    static_assert(detail::is_uniform_width(Bits), "quantize::affine<Bits>: Bits is 2 to 8, or 16");
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
