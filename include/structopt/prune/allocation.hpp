/// @file
/// What an allocation is: how many of the lowest scores each layer loses.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A layer as an allocation sees it: one score per group of weights (per weight, if single weights
/// go), `scores[i]`. Within a layer it is always the lowest scores that go.
struct layer_ranking
{
    std::string_view name;
    weight_extents extents;
    score_list scores;
};

/// Says how many groups go: `removed(layers)` returns one number per layer, of its `scores.size()`.
///
/// An allocation of one's own is one struct with this member. `make_mask` refuses a layer that would
/// lose everything.
template <class A>
concept allocation = requires(const A& a, std::span<const layer_ranking> layers)
{
    {
        a.removed(layers)
        } -> std::same_as<std::vector<std::size_t>>;
};

/// How many weights go, and where. Exactly round(sparsity * n) go, per layer or in all, halves to the
/// even number; of equal scores the earlier weights go first.
struct mask_options
{
    /// Share of the weights (or groups of weights) that become zero, in [0, 1).
    double sparsity = 0.5;
    /// Compare scores within each layer or over the whole network.
    prune::scope scope = prune::scope::per_layer;
    /// What every layer keeps at least, as far as it has that many: others go instead (`global`), or
    /// fewer (`per_layer`). 0: a layer that would lose everything is an `argument_error`.
    index_t minimum = 0;

    /// Throws `argument_error` for a sparsity outside [0, 1), a minimum below 0, and a minimum that
    /// leaves too little to remove.
    std::vector<std::size_t> removed(std::span<const layer_ranking> layers) const;

    friend bool operator==(const mask_options&, const mask_options&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline void check_minimum(index_t minimum)
{
    if (minimum < 0)
    {
        structopt::detail::raise<argument_error>(
            "minimum", "a number of weights of at least 0", std::to_string(minimum));
    }
}

/// What a layer can lose.
inline std::size_t removable(const layer_ranking& layer, index_t minimum) noexcept
{
    const std::size_t n = layer.scores.size();
    return n - std::min(n, static_cast<std::size_t>(minimum));
}

/// round(share * n) of one layer, or what it can lose.
inline std::size_t removed_of(const layer_ranking& layer, double share, index_t minimum) noexcept
{
    return std::min(share_of(share, layer.scores.size()), removable(layer, minimum));
}

/// Layers that are ranked as one: their scores, what each of them can lose, and how many go in all.
struct joint_ranking
{
    std::vector<score_list> lists;
    std::vector<std::size_t> most;
    std::size_t removed = 0;
};

/// Throws `argument_error` if `share` of all is more than can go.
inline joint_ranking join(std::span<const layer_ranking> layers,
    std::span<const std::size_t> members, double share, index_t minimum)
{
    joint_ranking joint;
    std::size_t all = 0;
    std::size_t eligible = 0;
    for (const std::size_t l : members)
    {
        joint.lists.push_back(layers[l].scores);
        joint.most.push_back(removable(layers[l], minimum));
        all += joint.lists.back().size();
        eligible += joint.most.back();
    }
    joint.removed = share_of(share, all);
    if (joint.removed > eligible)
    {
        structopt::detail::raise<argument_error>("sparsity",
            "at most " + std::to_string(eligible) + " of " + std::to_string(all) +
                " to remove, since every layer keeps " + std::to_string(minimum),
            std::to_string(joint.removed));
    }
    return joint;
}

/// All layers as one.
inline joint_ranking join(const mask_options& options, std::span<const layer_ranking> layers)
{
    check_share("sparsity", options.sparsity);
    check_minimum(options.minimum);
    std::vector<std::size_t> members(layers.size());
    std::iota(members.begin(), members.end(), std::size_t{0});
    return join(layers, members, options.sparsity, options.minimum);
}

} // namespace detail

inline std::vector<std::size_t> mask_options::removed(std::span<const layer_ranking> layers) const
{
    if (scope == prune::scope::global)
    {
        const detail::joint_ranking joint = detail::join(*this, layers);
        return detail::shares_of_lowest(joint.lists, joint.most, joint.removed);
    }
    detail::check_share("sparsity", sparsity);
    detail::check_minimum(minimum);
    std::vector<std::size_t> result(layers.size());
    std::transform(layers.begin(), layers.end(), result.begin(),
        [&](const layer_ranking& layer)
        {
            return detail::removed_of(layer, sparsity, minimum);
        });
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
