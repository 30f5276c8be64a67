/// @file
/// int8 codes of one scale as codes of another, alone or as the sum of two, in integer arithmetic.
#pragma once

#include <structopt/quantize/affine.hpp>

#include <cmath>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// y = ((a - a_zero) m_a + (b - b_zero) m_b + 2^(s - 1)) / 2^s + y_zero, rounded down and saturated, with
/// multipliers m = round(scale / y_scale * 2^s) below 2^21.
///
/// Integers alone, so that every machine gives the same codes; a multiplier is off by at most 2^-21 of
/// the larger of the two, halves are rounded up.
class code_sum
{
public:
    code_sum() = default;

    /// With ReLU the result is not below `y.zero`.
    code_sum(const scale_and_zero& a, const scale_and_zero& b, const scale_and_zero& y, bool relu)
        : m_a_zero(a.zero)
        , m_b_zero(b.zero)
        , m_y_zero(y.zero)
        , m_lowest(relu ? y.zero : -128)
    {
        const double ratio_a = double{a.scale} / y.scale;
        const double ratio_b = double{b.scale} / y.scale;
        int exponent = 0;
        std::frexp(ratio_a > ratio_b ? ratio_a : ratio_b, &exponent);
        // The larger multiplier lies in [2^20, 2^21).
        m_shift = 21 - exponent;
        m_shift = m_shift < 0 ? 0 : m_shift > 30 ? 30 : m_shift;
        m_a = multiplier(ratio_a);
        m_b = multiplier(ratio_b);
        m_half = m_shift == 0 ? 0 : std::int32_t{1} << (m_shift - 1);
    }

    /// The code of a + b.
    constexpr std::int8_t operator()(std::int8_t a, std::int8_t b) const noexcept
    {
        return code((a - m_a_zero) * m_a + (b - m_b_zero) * m_b);
    }

    /// The code of a alone.
    constexpr std::int8_t operator()(std::int8_t a) const noexcept
    {
        return code((a - m_a_zero) * m_a);
    }

private:
    std::int32_t multiplier(double ratio) const noexcept
    {
        const double m = std::nearbyint(std::ldexp(ratio, m_shift));
        constexpr std::int32_t most = (1 << 21) - 1;
        return m < most ? static_cast<std::int32_t>(m) : most;
    }

    constexpr std::int8_t code(std::int32_t sum) const noexcept
    {
        const std::int32_t y = ((sum + m_half) >> m_shift) + m_y_zero;
        return static_cast<std::int8_t>(y < m_lowest ? m_lowest : y > 127 ? 127 : y);
    }

    std::int32_t m_a = 1;
    std::int32_t m_b = 0;
    std::int32_t m_a_zero = 0;
    std::int32_t m_b_zero = 0;
    std::int32_t m_y_zero = 0;
    std::int32_t m_half = 0;
    std::int32_t m_lowest = -128;
    std::int32_t m_shift = 0;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
