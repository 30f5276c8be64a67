/// @file
/// Clipping: which range of a slice its codes are to cover.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/quantize/concepts.hpp>
#include <structopt/quantize/rounding.hpp>
#include <structopt/quantize/uniform.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Chooses the range of a slice: `range(values, importance, scheme)`. Values are finite, importance
/// is one number per value or nothing, no values have the range [0, 0].
template <class C, class S>
concept clipping_for = range_scheme<S> && requires(
    const C& c, std::span<const float> values, std::span<const float> importance, const S& s)
{
    {
        c.range(values, importance, s)
        } -> std::same_as<value_range>;
};

/// All of it: smallest and largest value.
struct no_clipping
{
    template <class S>
    value_range range(
        std::span<const float> values, std::span<const float>, const S&) const noexcept;

    friend bool operator==(const no_clipping&, const no_clipping&) = default;
};

/// Keeps a share of the values: the quantiles (1 - share) / 2 and (1 + share) / 2, interpolated
/// between neighbours as NumPy and PyTorch do. Importance plays no part. O(n), one copy.
struct percentile
{
    double share = 0.999; ///< in (0, 1]

    template <class S>
    value_range range(std::span<const float> values, std::span<const float>, const S&) const;

    friend bool operator==(const percentile&, const percentile&) = default;
};

/// Mean plus and minus k standard deviations (of the population), within smallest and largest value.
/// Importance plays no part. O(n).
struct sigmas
{
    double k = 3; ///< above 0

    template <class S>
    value_range range(std::span<const float> values, std::span<const float>, const S&) const;

    friend bool operator==(const sigmas&, const sigmas&) = default;
};

/// The range of least squared error for the scheme at hand, weighted by importance.
///
/// Both ends shrink together: t * [lowest, highest] for t = 1/steps, ..., 1, then a golden section
/// around the best t. Never worse than no clipping. Encodes and decodes all values `steps` + 12 times.
struct mse_optimal
{
    int steps = 32; ///< at least 2

    template <class S>
    value_range range(
        std::span<const float> values, std::span<const float> importance, const S& scheme) const;

    friend bool operator==(const mse_optimal&, const mse_optimal&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Smallest and largest of finite values, [0, 0] of none.
inline value_range extent_of(std::span<const float> values) noexcept
{
    if (values.empty())
    {
        return {};
    }
    // Bits that compare as integers like the numbers compare: such a loop is vectorized.
    const auto key = [](float x) noexcept
    {
        const auto bits = std::bit_cast<std::int32_t>(x);
        return bits ^ ((bits >> 31) & 0x7fffffff);
    };
    std::int32_t lowest = key(values[0]);
    std::int32_t highest = lowest;
    const float* const data = values.data();
    const std::size_t n = values.size();
    for (std::size_t i = 0; i < n; ++i)
    {
        const std::int32_t k = key(data[i]);
        lowest = k < lowest ? k : lowest;
        highest = k > highest ? k : highest;
    }
    const auto value = [](std::int32_t k) noexcept
    {
        return std::bit_cast<float>(k ^ ((k >> 31) & 0x7fffffff));
    };
    return {value(lowest), value(highest)};
}

/// Sum of importance * (value - decoded code)^2.
template <class S>
double weighted_error(std::span<const float> values, std::span<const float> importance, const S& s,
    const typename S::parameters& parameters)
{
    // Parameters on the stack, sums side by side: the compiler may keep all of it in registers.
    const typename S::parameters p = parameters;
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {};
    const auto add = [&](std::size_t i, std::size_t lane)
    {
        const float x = values[i];
        const auto e = static_cast<double>(x) -
                       static_cast<double>(s.decode(s.encode(x, p, nearest_even{}), p));
        sums[lane] += e * e * (importance.empty() ? 1.0 : static_cast<double>(importance[i]));
    };
    std::size_t i = 0;
    for (; i + lanes <= values.size(); i += lanes)
    {
        for (std::size_t lane = 0; lane < lanes; ++lane)
        {
            add(i + lane, lane);
        }
    }
    for (; i < values.size(); ++i)
    {
        add(i, 0);
    }
    double sum = 0;
    for (const double part : sums)
    {
        sum += part;
    }
    return sum;
}

/// The quantile q of `values`, which are put in another order; interpolated.
inline float quantile(std::span<float> values, double q)
{
    const double at = q * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(below);
    std::nth_element(values.begin(), middle, values.end());
    const double low = *middle;
    const double part = at - static_cast<double>(below);
    if (below + 1 == values.size() || !(part > 0))
    {
        return static_cast<float>(low);
    }
    const double high = *std::min_element(middle + 1, values.end());
    return static_cast<float>(low + part * (high - low));
}

} // namespace detail

template <class S>
value_range no_clipping::range(
    std::span<const float> values, std::span<const float>, const S&) const noexcept
{
    return detail::extent_of(values);
}

template <class S>
value_range percentile::range(std::span<const float> values, std::span<const float>, const S&) const
{
    if (!structopt::detail::is_finite(share) || share <= 0 || share > 1)
    {
        structopt::detail::raise<argument_error>(
            "quantize::percentile share", "above 0, at most 1", std::to_string(share));
    }
    if (values.empty())
    {
        return {};
    }
    buffer<float> copy(values.begin(), values.end());
    const float low = detail::quantile(copy, (1 - share) / 2);
    const float high = detail::quantile(copy, (1 + share) / 2);
    return {low, std::max(low, high)};
}

template <class S>
value_range sigmas::range(std::span<const float> values, std::span<const float>, const S&) const
{
    if (!structopt::detail::is_finite(k) || k <= 0)
    {
        structopt::detail::raise<argument_error>(
            "quantize::sigmas k", "a finite number above 0", std::to_string(k));
    }
    if (values.empty())
    {
        return {};
    }
    const auto n = static_cast<double>(values.size());
    double sum = 0;
    for (const float x : values)
    {
        sum += static_cast<double>(x);
    }
    const double mean = sum / n;
    double squares = 0;
    for (const float x : values)
    {
        const double d = static_cast<double>(x) - mean;
        squares += d * d;
    }
    const double reach = k * std::sqrt(squares / n);
    const value_range all = detail::extent_of(values);
    return {std::max(all.lowest, static_cast<float>(mean - reach)),
        std::min(all.highest, static_cast<float>(mean + reach))};
}

template <class S>
value_range mse_optimal::range(
    std::span<const float> values, std::span<const float> importance, const S& scheme) const
{
    if (steps < 2)
    {
        structopt::detail::raise<argument_error>(
            "quantize::mse_optimal steps", "at least 2", std::to_string(steps));
    }
    const value_range all = detail::extent_of(values);
    const auto range_at = [&](double t)
    {
        return value_range{static_cast<float>(t * static_cast<double>(all.lowest)),
            static_cast<float>(t * static_cast<double>(all.highest))};
    };
    const auto error_at = [&](double t)
    {
        return detail::weighted_error(values, importance, scheme, scheme.fit(range_at(t)));
    };
    double best = 1;
    double least = error_at(1);
    const auto consider = [&](double t)
    {
        const double error = error_at(t);
        if (error < least)
        {
            least = error;
            best = t;
        }
        return error;
    };
    for (int i = steps - 1; i >= 1; --i)
    {
        consider(static_cast<double>(i) / steps);
    }
    constexpr double golden = 0.6180339887498949;
    double low = best - 1.0 / steps;
    double high = std::min(1.0, best + 1.0 / steps);
    double a = high - golden * (high - low);
    double b = low + golden * (high - low);
    double at_a = consider(a);
    double at_b = consider(b);
    for (int i = 0; i < 10; ++i)
    {
        if (at_a < at_b)
        {
            high = b;
            b = a;
            at_b = at_a;
            a = high - golden * (high - low);
            at_a = consider(a);
        }
        else
        {
            low = a;
            a = b;
            at_a = at_b;
            b = low + golden * (high - low);
            at_b = consider(b);
        }
    }
    return range_at(best);
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
