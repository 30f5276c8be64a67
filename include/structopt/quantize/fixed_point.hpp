/// @file
/// Fixed point Qm.f: a scale of 2^-f, whatever the data.
#pragma once

#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/uniform.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A sign bit, m integer and f fraction bits: value = code * 2^-f, in [-2^m, 2^m - 2^-f]; without
/// `Signed` no sign bit and [0, 2^m - 2^-f].
///
/// Of all bits, sign included, there are 1 to 8, or 16: Q7.8 is `fixed_point<7, 8>`, a byte in
/// [-1, 1) `fixed_point<0, 7>`. (Texas Instruments' notation; ARM's counts the sign among m.)
/// What lies beyond saturates; elsewhere the error is at most 2^-f / 2.
template <int M, int F, bool Signed = true>
struct fixed_point
{
    static constexpr int width = M + F + (Signed ? 1 : 0);
    static constexpr int bits = detail::is_width(width) ? width : 8;
    static constexpr bool is_signed = Signed;
    static constexpr std::string_view name = "fixed_point";
    static constexpr code_range codes{Signed ? -(std::int32_t{1} << (bits - 1)) : 0,
        (std::int32_t{1} << (Signed ? bits - 1 : bits)) - 1};
    using parameters = no_parameters;

    /// Nothing follows from the range.
    parameters fit(value_range) const noexcept
    {
        return {};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters&, const R& round) const
    {
        return detail::saturate(round(x * power(F)), codes);
    }

    float decode(std::int32_t code, const parameters&) const noexcept
    {
        return static_cast<float>(code) * power(-F);
    }

    /// For files.
    std::string options() const
    {
        return "fraction=" + std::to_string(F);
    }

    friend bool operator==(const fixed_point&, const fixed_point&) = default;

    static_assert(detail::is_width(width) && F > -64 && F < 64,
        "quantize::fixed_point<M, F>: sign, integer and fraction bits are 1 to 8, or 16, together");

private:
    static constexpr float power(int exponent) noexcept
    {
        float p = 1;
        for (int i = 0; i < (exponent < 0 ? -exponent : exponent) && i < 64; ++i)
        {
            p *= exponent < 0 ? 0.5f : 2.0f;
        }
        return p;
    }
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
