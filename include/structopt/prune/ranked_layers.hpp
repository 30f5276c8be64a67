/// @file
/// What an allocation ranks: the scores of every layer, stored only where they must be.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/prune/allocation.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/granularity.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A criterion whose score of a weight is |w|, and says so with `scores_are_sizes`: masks of single
/// weights then store no scores.
template <class C>
concept size_criterion = weight_criterion<C> && static_cast<bool>(C::scores_are_sizes);

/// A criterion that ranks the weights of one layer by their size, and compares layers in its own way:
/// `shares(sizes, most, n)` says how many of the `n` lowest scores each layer has, of which only the
/// `most[l]` lowest take part; of equal scores those of earlier layers are lower. One ranking of single
/// weights then stores no scores.
template <class C>
concept size_ranking_criterion = weight_criterion<C> && requires(
    const C& c, std::span<const score_list> sizes, std::span<const std::size_t> most, std::size_t n)
{
    {
        c.shares(sizes, most, n)
        } -> std::same_as<std::vector<std::size_t>>;
};

namespace detail
{

/// One layer, and what its list of scores views.
struct ranked_layer
{
    std::string name;
    index_t parameter = 0;
    weight_extents extents;
    score_list scores;
    std::vector<float> floats{};
    std::vector<double> doubles{};
    std::vector<std::size_t> counts{};
};

/// Makes `list` the scores of a layer. Throws `argument_error` for one that is not finite: found, in
/// large layers, by the counts that selection needs anyway.
template <class T>
void set_scores(ranked_layer& layer, std::span<const T> values, bool sizes = false)
{
    layer.scores = sizes ? score_list::sizes_of(values) : score_list(values);
    if (values.size() < 8 * digits)
    {
        detail::check_scores(layer.name, values);
        return;
    }
    using order_type = structopt::detail::bits_of<T>;
    layer.counts.assign(digits, 0);
    layer.scores.visit<order_type>(
        [&](const auto* data, const auto& order)
        {
            count_orders<order_type>(data, values.size(), order, layer.counts.data());
        });
    if (!counts_are_finite<order_type>(layer.counts.data()))
    {
        detail::check_scores(layer.name, values);
    }
    layer.scores.set_counted(layer.counts.data());
}

/// Makes the groups of a weight the scores of a layer.
template <class Granularity>
void set_group_scores(
    ranked_layer& layer, const Granularity& groups, std::span<const double> values)
{
    layer.doubles = detail::group_scores(groups, layer.extents, values);
    layer.scores = layer.doubles;
}

/// The scores of a network by a criterion that looks at one weight at a time. `Sizes`: the sizes of the
/// weights in their place.
template <bool Sizes, class Network, class Criterion, class Granularity>
std::vector<ranked_layer> rank_weights(
    const Network& network, const Criterion& criterion, const Granularity& groups)
{
    constexpr bool single_weights = std::same_as<Granularity, single>;
    std::vector<ranked_layer> ranked;
    index_t position = 0;
    detail::visit_prunable_extents(network,
        [&]<class Weight>(
            const nn::parameter_name& name, const weight_extents& extents, const Weight& w)
        {
            if constexpr (!std::is_null_pointer_v<Weight>)
            {
                ranked_layer& layer = ranked.emplace_back();
                layer.name = name.text();
                layer.parameter = position;
                layer.extents = extents;
                using T = std::remove_cvref_t<decltype(*w.data())>;
                if constexpr (Sizes)
                {
                    detail::set_scores(layer, std::span<const T>(w.flat()), true);
                }
                else if constexpr (single_weights && weight_criterion<Criterion>)
                {
                    auto& values = [&]() -> auto&
                    {
                        if constexpr (std::same_as<T, float>)
                        {
                            return layer.floats;
                        }
                        else
                        {
                            return layer.doubles;
                        }
                    }
                    ();
                    values.resize(static_cast<std::size_t>(w.size()));
                    criterion.score(w, std::span<T>(values));
                    detail::set_scores(layer, std::span<const T>(values));
                }
                else
                {
                    std::vector<double> values;
                    detail::score_weight(criterion, w, values);
                    if constexpr (single_weights)
                    {
                        layer.doubles = std::move(values);
                        detail::set_scores(layer, std::span<const double>(layer.doubles));
                    }
                    else
                    {
                        detail::check_scores(layer.name, std::span<const double>(values));
                        detail::set_group_scores(layer, groups, values);
                    }
                }
            }
            ++position;
        });
    return ranked;
}

/// Scores that are there already: finite ones, which must live as long as the ranking.
template <class Granularity>
std::vector<ranked_layer> rank_scores(const scores& found, const Granularity& groups)
{
    std::vector<ranked_layer> ranked;
    for (const layer_scores& values : found.layers)
    {
        ranked_layer& layer = ranked.emplace_back();
        layer.name = values.name;
        layer.parameter = values.parameter;
        layer.extents = values.extents();
        if constexpr (std::same_as<Granularity, single>)
        {
            layer.scores = values.values;
        }
        else
        {
            detail::set_group_scores(layer, groups, values.values);
        }
    }
    return ranked;
}

/// The layers as an allocation sees them.
inline std::vector<layer_ranking> rankings_of(const std::vector<ranked_layer>& ranked)
{
    std::vector<layer_ranking> layers;
    for (const ranked_layer& layer : ranked)
    {
        layers.push_back({layer.name, layer.extents, layer.scores});
    }
    return layers;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
