/// @file
/// An allocation between per layer and global: groups of layers that share one ranking.
#pragma once

#include <structopt/prune/allocation.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Layers whose scores are compared with each other.
struct layer_group
{
    /// Positions in `scores::layers`.
    std::vector<std::size_t> layers;
    /// Share of all their weights that goes, in [0, 1).
    double sparsity = 0.5;

    friend bool operator==(const layer_group&, const layer_group&) = default;
};

/// Every group loses exactly round(sparsity * n) of the lowest scores of its layers together; layers in
/// no group stay whole.
struct grouped
{
    std::vector<layer_group> groups;
    /// What every layer keeps at least; 0: losing everything is an `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a layer that is not there or in two groups, and as `mask_options`.
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const
    {
        detail::check_minimum(minimum);
        std::vector<bool> taken(layers.size(), false);
        for (const layer_group& group : groups)
        {
            detail::check_share("grouped sparsity", group.sparsity);
            for (const std::size_t layer : group.layers)
            {
                if (layer >= layers.size() || taken[layer])
                {
                    structopt::detail::raise<argument_error>("grouped",
                        "each of " + std::to_string(layers.size()) + " layers at most once",
                        "layer " + std::to_string(layer));
                }
                taken[layer] = true;
            }
        }
        std::vector<std::size_t> result(layers.size());
        for (const layer_group& group : groups)
        {
            const auto joint = detail::join(layers, group.layers, group.sparsity, minimum);
            const auto shares = detail::shares_of_lowest(joint.lists, joint.most, joint.removed);
            for (std::size_t i = 0; i < shares.size(); ++i)
            {
                result[group.layers[i]] = shares[i];
            }
        }
        return result;
    }

    friend bool operator==(const grouped&, const grouped&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
