/// @file
/// Uniform symmetric quantization: value = scale * code, zero is code 0.
#pragma once

#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/uniform.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// n = 2^Bits levels, s = max|x| / (n/2 - 1), code = round(x / s) in [-(n/2 - 1), n/2 - 1].
///
/// The code -n/2 is not used, so that -x has the code of x with the other sign. With `FullRange`
/// it is, and s = max|x| / ((n - 1) / 2), as PyTorch's MinMaxObserver has it. Either way the error of
/// a value within the range is at most s / 2. A slice of zeros has scale 1; a scale below 2^-126 is
/// 2^-126.
template <int Bits, bool FullRange = false>
struct symmetric
{
    static constexpr int bits = detail::is_uniform_width(Bits) ? Bits : 8;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = FullRange ? "symmetric_full" : "symmetric";
    static constexpr std::int32_t half_levels = std::int32_t{1} << (bits - 1);
    static constexpr code_range codes{FullRange ? -half_levels : 1 - half_levels, half_levels - 1};
    using parameters = scale_only;

    /// Throws `argument_error` for ends that are not finite or not in order.
    parameters fit(value_range range) const
    {
        detail::check_range("quantize::symmetric", range);
        constexpr float steps = static_cast<float>(codes.highest - codes.lowest) / 2;
        const float largest = detail::magnitude(range);
        return {detail::usable_scale(
            largest / steps, structopt::detail::is_zero(largest), -codes.lowest)};
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

    friend bool operator==(const symmetric&, const symmetric&) = default;

    static_assert(
        detail::is_uniform_width(Bits), "quantize::symmetric<Bits>: Bits is 2 to 8, or 16");
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
