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
/// go). Within a layer it is always the lowest scores that go.
struct layer_ranking
{
    std::string_view name;
    weight_extents extents;
    std::span<const double> scores;
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

/// Ranks the layers named by `members` as one: writes how many each of them loses, `share` of all.
inline void remove_together(std::span<const layer_ranking> layers,
    std::span<const std::size_t> members, double share, index_t minimum,
    std::vector<std::size_t>& removed)
{
    // The highest scores of a layer with a minimum do not take part.
    std::vector<std::vector<double>> shortened(members.size());
    std::vector<std::span<const double>> lists(members.size());
    std::size_t all = 0;
    std::size_t eligible = 0;
    for (std::size_t i = 0; i < members.size(); ++i)
    {
        const layer_ranking& layer = layers[members[i]];
        lists[i] = layer.scores;
        if (minimum > 0)
        {
            for (const std::size_t p : lowest(layer.scores, removable(layer, minimum)))
            {
                shortened[i].push_back(layer.scores[p]);
            }
            lists[i] = shortened[i];
        }
        all += layer.scores.size();
        eligible += lists[i].size();
    }
    const std::size_t n = share_of(share, all);
    if (n > eligible)
    {
        structopt::detail::raise<argument_error>("sparsity",
            "at most " + std::to_string(eligible) + " of " + std::to_string(all) +
                " to remove, since every layer keeps " + std::to_string(minimum),
            std::to_string(n));
    }
    lowest_bound left = find_bound<double>(lists, n);
    for (std::size_t i = 0; i < members.size(); ++i)
    {
        std::size_t below = 0;
        std::size_t at = 0;
        for (const double score : lists[i])
        {
            const std::uint64_t order = order_of(score);
            below += order < left.bound ? 1 : 0;
            at += order == left.bound ? 1 : 0;
        }
        const std::size_t ties = std::min(at, left.ties);
        left.ties -= ties;
        removed[members[i]] = below + ties;
    }
}

} // namespace detail

inline std::vector<std::size_t> mask_options::removed(std::span<const layer_ranking> layers) const
{
    detail::check_share("sparsity", sparsity);
    detail::check_minimum(minimum);
    std::vector<std::size_t> result(layers.size());
    if (scope == prune::scope::global)
    {
        std::vector<std::size_t> members(layers.size());
        std::iota(members.begin(), members.end(), std::size_t{0});
        detail::remove_together(layers, members, sparsity, minimum, result);
        return result;
    }
    std::transform(layers.begin(), layers.end(), result.begin(),
        [&](const layer_ranking& layer)
        {
            return detail::removed_of(layer, sparsity, minimum);
        });
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
