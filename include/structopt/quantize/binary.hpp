/// @file
/// Binary quantization: a sign per number and one scale per slice.
#pragma once

#include <structopt/quantize/parameters.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// One scale, which is 0 where all numbers are.
struct scale_or_zero
{
    float scale = 0; ///< at least 0

    bool valid() const noexcept
    {
        return structopt::detail::is_finite(scale) && scale >= 0;
    }

    template <class Self, class F>
    static void fields(Self& p, F&& f)
    {
        f("scale", p.scale);
    }

    friend bool operator==(const scale_or_zero&, const scale_or_zero&) = default;
};

namespace detail
{

/// The weights that the sums of |x| are taken with: importance, or 1 where it is empty or all 0.
class importance_of
{
public:
    explicit importance_of(std::span<const float> importance) noexcept
    {
        for (const float w : importance)
        {
            m_importance = w > 0 ? importance : m_importance;
        }
    }

    bool all_alike() const noexcept
    {
        return m_importance.empty();
    }

    double operator[](std::size_t i) const noexcept
    {
        return m_importance.empty() ? 1.0 : static_cast<double>(m_importance[i]);
    }

private:
    std::span<const float> m_importance;
};

} // namespace detail

/// value = +- s with s = mean|x|, the scale of least squared error (weighted by importance). Code 1 is
/// +s, also of 0; code 0 is -s.
///
/// Rastegari et al., "XNOR-Net", 2016. `stochastic` rounding gives +s with probability
/// (1 + x / s) / 2, x clipped to [-s, s] (Courbariaux et al., "BinaryConnect", 2015); roundings to
/// nearest keep the sign.
struct binary
{
    static constexpr int bits = 1;
    static constexpr bool is_signed = false;
    static constexpr std::string_view name = "binary";
    using parameters = scale_or_zero;

    parameters fit(std::span<const float> values, std::span<const float> importance) const noexcept
    {
        const detail::importance_of weight(importance);
        double sum = 0;
        double mass = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            sum += weight[i] * static_cast<double>(std::abs(values[i]));
            mass += weight[i];
        }
        return {mass > 0 ? static_cast<float>(sum / mass) : 0.0f};
    }

    template <class R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        // The sign flips with this probability, below a half.
        const float size = std::abs(x);
        const float flip = size < p.scale ? 0.5f - 0.5f * (size / p.scale) : 0.0f;
        const bool flips = round(flip < 0x1.fffffep-2f ? flip : 0x1.fffffep-2f) > 0;
        return (x >= 0) != flips ? 1 : 0;
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        return code == 0 ? -p.scale : p.scale;
    }

    friend bool operator==(const binary&, const binary&) = default;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
