/// @file
/// The allocation of Erdos-Renyi graphs: large layers lose more.
#pragma once

#include <structopt/prune/allocation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The density of a layer grows as (inputs + outputs + kernel height + kernel width) /
/// (inputs * outputs * kernel height * kernel width), of a dense layer without the kernel; layers that
/// would be denser than 1 stay whole and the others make up for them.
///
/// Evci et al., "Rigging the Lottery", 2020 (ERK), after Mocanu et al., 2018. Exactly round(sparsity *
/// n) of all n weights go: each layer's share is rounded down, and the layers with the largest
/// remainders lose one more.
struct erk
{
    /// Share of all weights (or groups of weights) that go, in [0, 1).
    double sparsity = 0.5;
    /// What every layer keeps at least, so that fewer may go; 0: losing everything is an
    /// `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a sparsity outside [0, 1).
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const;

    /// The density of every layer, before rounding.
    std::vector<double> densities(std::span<const layer_ranking> layers) const;

    friend bool operator==(const erk&, const erk&) = default;
};

// ---------------------------------------------------------------------------------------------

inline std::vector<double> erk::densities(std::span<const layer_ranking> layers) const
{
    detail::check_share("erk sparsity", sparsity);
    std::vector<double> raw;
    for (const layer_ranking& layer : layers)
    {
        const weight_extents& e = layer.extents;
        raw.push_back(static_cast<double>(e.rows + e.inputs + e.window_sum) /
                      std::max(1.0, static_cast<double>(e.size())));
    }
    std::vector<bool> whole(layers.size(), false);
    for (;;)
    {
        double left = 0; // what the others may keep
        double divisor = 0;
        double largest = 0;
        for (std::size_t i = 0; i < layers.size(); ++i)
        {
            const auto n = static_cast<double>(layers[i].scores.size());
            left += n * (1 - sparsity) - (whole[i] ? n : 0);
            divisor += whole[i] ? 0 : raw[i] * n;
            largest = whole[i] ? largest : std::max(largest, raw[i]);
        }
        const double factor = divisor > 0 ? left / divisor : 0;
        if (factor * largest <= 1)
        {
            for (std::size_t i = 0; i < layers.size(); ++i)
            {
                raw[i] = whole[i] ? 1 : factor * raw[i];
            }
            return raw;
        }
        for (std::size_t i = 0; i < layers.size(); ++i)
        {
            whole[i] = whole[i] || raw[i] >= largest;
        }
    }
}

inline std::vector<std::size_t> erk::removed(std::span<const layer_ranking> layers) const
{
    detail::check_minimum(minimum);
    const std::vector<double> density = densities(layers);
    std::vector<std::size_t> result(layers.size());
    std::vector<double> remainder(layers.size());
    std::size_t all = 0;
    std::size_t gone = 0;
    for (std::size_t i = 0; i < layers.size(); ++i)
    {
        const std::size_t n = layers[i].scores.size();
        const double exact = std::max(0.0, 1 - density[i]) * static_cast<double>(n);
        result[i] = std::min(n, static_cast<std::size_t>(exact));
        remainder[i] = exact - static_cast<double>(result[i]);
        all += n;
        gone += result[i];
    }
    std::vector<std::size_t> order(layers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
        [&](std::size_t a, std::size_t b)
        {
            return remainder[a] > remainder[b];
        });
    const std::size_t target = detail::share_of(sparsity, all);
    for (const std::size_t i : order)
    {
        if (gone < target && result[i] < layers[i].scores.size())
        {
            ++result[i];
            ++gone;
        }
    }
    for (std::size_t i = 0; i < layers.size(); ++i)
    {
        result[i] = std::min(result[i], detail::removable(layers[i], minimum));
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
