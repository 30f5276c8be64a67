/// @file
/// Ternary quantization: -s, 0, s with a threshold.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/linalg/k_means_1d.hpp>
#include <structopt/quantize/binary.hpp>
#include <structopt/quantize/concepts.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Of ternary codes: the threshold is needed to encode alone.
struct scale_and_threshold
{
    float scale = 0;     ///< at least 0
    float threshold = 0; ///< at least 0; what is not above it is 0

    bool valid() const noexcept
    {
        return structopt::detail::is_finite(scale) && scale >= 0 &&
               structopt::detail::is_finite(threshold) && threshold >= 0;
    }

    template <class Self, class F>
    static void fields(Self& p, F&& f)
    {
        f("scale", p.scale);
        f("threshold", p.threshold);
    }

    friend bool operator==(const scale_and_threshold&, const scale_and_threshold&) = default;
};

/// Codes -1, 0 and 1 in two bits: 0 where |x| <= threshold, or else the sign; value = s * code with s
/// the mean of |x| beyond the threshold (weighted by importance).
///
/// threshold = factor * mean|x|; with factor 0.7 the rule of Li, Zhang and Liu, "Ternary weight
/// networks", 2016, (6). With `exact` the threshold of least squared error, which maximizes (sum of
/// |x| beyond)^2 / number beyond ((5) there), by sorting. Rounding plays no part.
struct ternary
{
    float factor = 0.7f; ///< at least 0
    bool exact = false;  ///< the best threshold; `factor` plays no part

    static constexpr int bits = 2;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = "ternary";
    static constexpr code_range codes{-1, 1};
    using parameters = scale_and_threshold;

    /// Throws `argument_error` for a factor that is negative or not finite.
    parameters fit(std::span<const float> values, std::span<const float> importance) const
    {
        if (!structopt::detail::is_finite(factor) || factor < 0)
        {
            structopt::detail::raise<argument_error>("quantize::ternary factor",
                "a finite number, not negative", std::to_string(factor));
        }
        const detail::importance_of weight(importance);
        if (exact)
        {
            return fit_exact(values, weight);
        }
        double sum = 0;
        double mass = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            sum += weight[i] * static_cast<double>(std::abs(values[i]));
            mass += weight[i];
        }
        const double mean = mass > 0 ? sum / mass : 0;
        const double most = static_cast<double>(std::numeric_limits<float>::max());
        const auto threshold =
            static_cast<float>(std::min(static_cast<double>(factor) * mean, most));
        sum = 0;
        mass = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            const float size = std::abs(values[i]);
            sum += size > threshold ? weight[i] * static_cast<double>(size) : 0;
            mass += size > threshold ? weight[i] : 0;
        }
        return {mass > 0 ? static_cast<float>(sum / mass) : 0.0f, threshold};
    }

    template <class R>
    std::int32_t encode(float x, const parameters& p, const R&) const noexcept
    {
        return (x > p.threshold ? 1 : 0) - (x < -p.threshold ? 1 : 0);
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        return p.scale * static_cast<float>(code);
    }

    /// For files: the codes mean the same whatever the members.
    std::string options() const
    {
        return "levels=3";
    }

    friend bool operator==(const ternary&, const ternary&) = default;

private:
    static parameters fit_exact(std::span<const float> values, const detail::importance_of& weight)
    {
        buffer<float> sizes(values.size());
        buffer<float> weights(weight.all_alike() ? 0 : values.size());
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            sizes[i] = std::abs(values[i]);
        }
        for (std::size_t i = 0; i < weights.size(); ++i)
        {
            weights[i] = static_cast<float>(weight[i]);
        }
        linalg::detail::sort_weighted(sizes, weights);
        parameters best;
        double most = -1;
        double sum = 0;
        double mass = 0;
        for (std::size_t i = sizes.size(); i-- > 0;)
        {
            const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
            sum += w * static_cast<double>(sizes[i]);
            mass += w;
            const float next = i > 0 ? sizes[i - 1] : 0.0f;
            // No threshold lies between equal numbers, nor below 0.
            if (sizes[i] > next && mass > 0 && sum * sum > most * mass)
            {
                most = sum * sum / mass;
                best = {static_cast<float>(sum / mass), next};
            }
        }
        return best;
    }
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
