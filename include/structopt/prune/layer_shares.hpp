/// @file
/// An allocation by hand: a share for each layer.
#pragma once

#include <structopt/prune/allocation.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Layer i loses exactly round(sparsities[i] * n) of its lowest scores; 0 leaves it whole.
struct layer_shares
{
    /// One number in [0, 1) per weight that can be pruned, in the order of `scores`.
    std::vector<double> sparsities;
    /// What every layer keeps at least; 0: losing everything is an `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a list of another length and a share outside [0, 1).
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const
    {
        detail::check_minimum(minimum);
        if (sparsities.size() != layers.size())
        {
            structopt::detail::raise<argument_error>("layer_shares",
                std::to_string(layers.size()) + " sparsities, one per weight that can be pruned",
                std::to_string(sparsities.size()));
        }
        std::vector<std::size_t> result;
        for (std::size_t i = 0; i < layers.size(); ++i)
        {
            detail::check_share("layer_shares", sparsities[i]);
            result.push_back(detail::removed_of(layers[i], sparsities[i], minimum));
        }
        return result;
    }

    friend bool operator==(const layer_shares&, const layer_shares&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
