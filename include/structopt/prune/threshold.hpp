/// @file
/// Allocations by an absolute bound on the score.
#pragma once

#include <structopt/prune/allocation.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

namespace detail
{

/// How many scores of a layer are below a bound, as far as it can lose them.
inline std::size_t removed_below(const layer_ranking& layer, double bound, index_t minimum)
{
    if (!structopt::detail::is_finite(bound))
    {
        structopt::detail::raise<argument_error>("threshold", "a finite bound", "NaN or infinity");
    }
    const auto below = count_below(layer.scores, order_of(bound)).below;
    return std::min(below, removable(layer, minimum));
}

} // namespace detail

/// Everything whose score is below `value` goes, in every layer: with `magnitude`, |w| < value.
struct threshold
{
    double value = 0;
    /// What every layer keeps at least; 0: losing everything is an `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a value that is not finite.
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const
    {
        detail::check_minimum(minimum);
        std::vector<std::size_t> result;
        for (const layer_ranking& layer : layers)
        {
            result.push_back(detail::removed_below(layer, value, minimum));
        }
        return result;
    }

    friend bool operator==(const threshold&, const threshold&) = default;
};

/// As `threshold`, with a bound of its own for each layer.
struct layer_thresholds
{
    /// One finite number per weight that can be pruned, in the order of `scores`.
    std::vector<double> values;
    /// What every layer keeps at least; 0: losing everything is an `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a list of another length and a value that is not finite.
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const
    {
        detail::check_minimum(minimum);
        if (values.size() != layers.size())
        {
            structopt::detail::raise<argument_error>("layer_thresholds",
                std::to_string(layers.size()) + " values, one per weight that can be pruned",
                std::to_string(values.size()));
        }
        std::vector<std::size_t> result;
        for (std::size_t i = 0; i < layers.size(); ++i)
        {
            result.push_back(detail::removed_below(layers[i], values[i], minimum));
        }
        return result;
    }

    friend bool operator==(const layer_thresholds&, const layer_thresholds&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
