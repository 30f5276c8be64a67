/// @file
/// Structured pruning: units (neurons, filters, input features) leave the network, and its tensors
/// get smaller, through every layer and container that answers (see prune/unit_graph.hpp).
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/kept_units.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/unit_change.hpp>
#include <structopt/prune/unit_scores.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// How many units go.
struct unit_options
{
    /// Share of the units of each layer (or of all layers, with `scope::global`) to remove, [0, 1).
    double sparsity = 0.5;
    /// Compare scores within each layer or over the whole network.
    prune::scope scope = prune::scope::per_layer;
    /// The number kept in each layer is rounded up to a multiple of this (the SIMD width), or to all
    /// where there are not that many.
    index_t round_to = 1;
    /// No layer keeps fewer units.
    index_t minimum = 1;
    /// Whether features (channels) of the input can go, too.
    bool inputs = false;
    /// What a removed unit stands for.
    removed_unit becomes = removed_unit::zero;
};

/// Number of units of every layer that can lose some.
///
/// `sample` is the shape of a batch of any size, for example {1, 3, 32, 32}. Throws `shape_error` if
/// the network does not take it, as all functions here do.
template <class Network, std::size_t N>
std::vector<index_t> prunable_units(
    const Network& network, const shape<N>& sample, bool inputs = false);

/// All units, by name: to take some away by hand.
template <class Network, std::size_t N>
kept_units all_units(const Network& network, const shape<N>& sample, bool inputs = false);

/// Chooses by score which units stay: all but round(sparsity * n), per layer or in all; of equal
/// scores the earlier units go first, and every layer keeps at least one. Units whose constant no bias
/// can take stay (see `compact`). Throws `argument_error` for options out of range and for scores that
/// are not finite.
template <class Network, std::size_t N>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const unit_options& options);

/// The same by scores of rows or weights.
template <class Network, std::size_t N>
kept_units choose_units(const Network& network, const shape<N>& sample, const prune::scores& found,
    const unit_options& options)
{
    return prune::choose_units(
        network, sample, prune::score_units(network, sample, found, options.inputs), options);
}

/// The same by the scores of a criterion.
template <class Network, std::size_t N, row_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options);

/// Sets weights and biases of the units that do not stay to zero, and with `removed_unit::zero` what
/// the layers that they pass keep for them (batch norm's scale and shift); of input features, the
/// weights that take them. The shapes remain. A masked network and the compacted one compute the
/// same, up to rounding.
template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept);

/// The network without the other units. What a removed unit still contributes (its activation of
/// zero, where that is not zero) is a constant and is added to the next layer's bias.
///
/// Throws `argument_error` for a list that is empty, not ascending or out of range, for a layer that
/// would lose its last unit, and where that constant is not a bias: in front of a zero-padded
/// convolution after an activation with f(0) != 0, or of a layer without bias (`add_biases` gives it
/// one). Allocates what stays.
template <class Network, std::size_t N>
Network compact(const Network& network, const shape<N>& sample, const kept_units& kept);

/// The same of a network that is given up: layer by layer in place. Peak memory is the network and its
/// largest layer.
template <class Network, std::size_t N>
    requires(!std::is_lvalue_reference_v<Network> && !std::is_const_v<Network>)
Network compact(Network&& network, const shape<N>& sample, const kept_units& kept);

/// The units that stay of a value of the network's type that is none: gradients, an optimizer's
/// momentum. Nothing is folded.
template <class Network, std::size_t N>
Network select_units(const Network& values, const shape<N>& sample, const kept_units& kept);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline void check_options(const unit_options& options)
{
    detail::check_share("unit sparsity", options.sparsity);
    if (options.round_to < 1 || options.minimum < 1)
    {
        structopt::detail::raise<argument_error>("unit options",
            "round_to and minimum of at least 1",
            std::to_string(options.round_to) + " and " + std::to_string(options.minimum));
    }
}

/// Units in the order in which they go, and what may go at all.
struct unit_ranking
{
    std::vector<double> scores;
    std::vector<std::uint8_t> stuck;

    /// The n lowest of the units first .. first + units - 1 that may go.
    std::vector<std::size_t> lowest(index_t first, index_t units, std::size_t n) const
    {
        std::vector<double> part;
        std::vector<std::size_t> at;
        for (index_t i = first; i < first + units; ++i)
        {
            const auto unit = static_cast<std::size_t>(i);
            if (stuck[unit] == 0)
            {
                part.push_back(scores[unit]);
                at.push_back(unit);
            }
        }
        auto found = detail::lowest(std::span<const double>(part), std::min(n, part.size()));
        for (std::size_t& each : found)
        {
            each = at[each];
        }
        return found;
    }
};

template <class Network, std::size_t N>
unit_ranking rank_units(const Network& network, const shape<N>& sample, unit_graph& graph,
    const unit_scores& scores, removed_unit becomes)
{
    unit_ranking ranking;
    bool fits = scores.values.size() == graph.ranges.size();
    for (std::size_t i = 0; fits && i < scores.values.size(); ++i)
    {
        const std::size_t n = scores.values[i].size();
        fits = n == 0 || static_cast<index_t>(n) == graph.ranges[i].units;
    }
    if (!fits)
    {
        structopt::detail::raise<argument_error>("unit scores",
            "one list for each of the " + std::to_string(graph.ranges.size()) +
                " layers that can lose units, one number per unit",
            std::to_string(scores.values.size()) + " lists");
    }
    ranking.scores.assign(static_cast<std::size_t>(graph.units), 0.0);
    for (std::size_t i = 0; i < scores.values.size(); ++i)
    {
        check_scores(list_name("unit scores", graph, i), std::span<const double>(scores.values[i]));
        std::copy(scores.values[i].begin(), scores.values[i].end(),
            ranking.scores.begin() + graph.ranges[i].first);
    }
    ranking.stuck = detail::find_stuck(network, sample, graph, becomes);
    for (std::size_t i = 0; i < scores.values.size(); ++i)
    {
        if (scores.values[i].empty())
        {
            std::fill_n(ranking.stuck.begin() + graph.ranges[i].first, graph.ranges[i].units,
                std::uint8_t{1});
        }
    }
    return ranking;
}

/// Removes of every list the given number of units, rounded, and gives every layer its best unit back
/// that lost all.
inline kept_units keep_without_lowest(const unit_graph& graph, const unit_ranking& ranking,
    const std::vector<std::size_t>& removed, const unit_options& options)
{
    std::vector<std::uint8_t> gone(static_cast<std::size_t>(graph.units), 0);
    for (std::size_t list = 0; list < graph.ranges.size(); ++list)
    {
        const unit_range& range = graph.ranges[list];
        const index_t n = range.units;
        const index_t stay =
            std::max(n - static_cast<index_t>(removed[list]), std::min(n, options.minimum));
        // Not (stay + round_to - 1) / round_to: any round_to is allowed.
        const index_t over = stay % options.round_to;
        const index_t more = over == 0 ? 0 : options.round_to - over;
        const index_t rounded = more > n - stay ? n : stay + more;
        for (const std::size_t unit :
            ranking.lowest(range.first, n, static_cast<std::size_t>(n - rounded)))
        {
            gone[unit] = 1;
        }
    }
    const auto revive = [&](const std::vector<index_t>& units)
    {
        index_t best = -1;
        for (const index_t unit : units)
        {
            if (unit < 0 || gone[static_cast<std::size_t>(unit)] == 0)
            {
                return;
            }
            const auto at = [&](index_t u)
            {
                return ranking.scores[static_cast<std::size_t>(u)];
            };
            best = best < 0 || at(unit) > at(best) ? unit : best;
        }
        if (best >= 0)
        {
            gone[static_cast<std::size_t>(best)] = 0;
        }
    };
    for (const unit_record& record : graph.records)
    {
        revive(record.in);
        revive(record.out);
    }
    kept_units kept = detail::keep_others(graph, gone);
    kept.becomes = options.becomes;
    return kept;
}

inline kept_units keep_by_share(
    const unit_graph& graph, const unit_ranking& ranking, const unit_options& options)
{
    std::vector<std::size_t> removed(graph.ranges.size(), 0);
    if (options.scope == scope::per_layer)
    {
        for (std::size_t list = 0; list < removed.size(); ++list)
        {
            removed[list] =
                share_of(options.sparsity, static_cast<std::size_t>(graph.ranges[list].units));
        }
    }
    else
    {
        std::size_t list = 0;
        for (const std::size_t unit : ranking.lowest(
                 0, graph.units, share_of(options.sparsity, static_cast<std::size_t>(graph.units))))
        {
            while (
                static_cast<index_t>(unit) >= graph.ranges[list].first + graph.ranges[list].units)
            {
                ++list;
            }
            ++removed[list];
        }
    }
    return detail::keep_without_lowest(graph, ranking, removed, options);
}

/// Whether a network has units in the sense of this file: one of activations alone has none.
template <class Network>
constexpr bool has_element_type = !std::is_void_v<nn::value_type<Network>>;

} // namespace detail

template <class Network, std::size_t N>
std::vector<index_t> prunable_units(const Network& network, const shape<N>& sample, bool inputs)
{
    std::vector<index_t> units;
    if constexpr (detail::check_removable<Network>())
    {
        for (const auto& range : detail::find_units(network, sample, inputs).ranges)
        {
            units.push_back(range.units);
        }
    }
    return units;
}

template <class Network, std::size_t N>
kept_units all_units(const Network& network, const shape<N>& sample, bool inputs)
{
    kept_units kept;
    if constexpr (detail::check_removable<Network>())
    {
        const auto graph = detail::find_units(network, sample, inputs);
        kept = detail::keep_others(
            graph, std::vector<std::uint8_t>(static_cast<std::size_t>(graph.units), 0));
    }
    return kept;
}

template <class Network, std::size_t N>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const unit_options& options)
{
    kept_units kept;
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        detail::check_options(options);
        auto graph = detail::find_units(network, sample, options.inputs);
        kept = detail::keep_by_share(
            graph, detail::rank_units(network, sample, graph, scores, options.becomes), options);
    }
    return kept;
}

template <class Network, std::size_t N, row_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options)
{
    kept_units kept;
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        detail::check_options(options);
        auto graph = detail::find_units(network, sample, options.inputs);
        const auto scores =
            detail::score_graph(network, graph, detail::rows_by<Criterion>{criterion});
        kept = detail::keep_by_share(
            graph, detail::rank_units(network, sample, graph, scores, options.becomes), options);
    }
    return kept;
}

template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept)
{
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        const auto graph = detail::find_units(std::as_const(network), sample, kept.inputs);
        const auto removal = detail::removal_of(graph, kept);
        detail::for_each_record(network, graph,
            [&](auto& layer, const detail::unit_record& record)
            {
                using L = std::remove_cvref_t<decltype(layer)>;
                if constexpr (detail::unit_owner<L>)
                {
                    if (record.coupling == nn::coupling::normalizes ||
                        (record.coupling == nn::coupling::passes &&
                            removal.becomes == removed_unit::zero))
                    {
                        detail::clear_units(layer, record, removal);
                    }
                }
                if constexpr (detail::row_weighted<L>)
                {
                    if (!record.producer)
                    {
                        return;
                    }
                    const auto units = static_cast<index_t>(record.out.size());
                    const index_t columns = static_cast<index_t>(layer.weight.size()) / units;
                    const index_t depth = static_cast<index_t>(record.in.size()) / record.groups;
                    const index_t window = columns / depth;
                    for (index_t u = 0; u < units; ++u)
                    {
                        auto* const row = layer.weight.data() + u * columns;
                        if (removal.removes(record.out[static_cast<std::size_t>(u)]))
                        {
                            std::fill_n(row, columns, 0);
                            if constexpr (requires { layer.bias.data(); })
                            {
                                if (layer.bias.size() != 0)
                                {
                                    layer.bias.data()[u] = 0;
                                }
                            }
                        }
                        const index_t first = u / (units / record.groups) * depth;
                        for (index_t c = 0; graph.input_units > 0 && c < depth; ++c)
                        {
                            const index_t unit = record.in[static_cast<std::size_t>(first + c)];
                            if (unit < graph.input_units && removal.removes(unit))
                            {
                                std::fill_n(row + c * window, window, 0);
                            }
                        }
                    }
                }
            });
    }
}

template <class Network, std::size_t N>
Network compact(const Network& network, const shape<N>& sample, const kept_units& kept)
{
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        auto graph = detail::find_units(network, sample, kept.inputs);
        const auto removal = detail::removal_of(graph, kept);
        return detail::rebuild(network, detail::plan_removal(network, sample, graph, removal));
    }
    else
    {
        return network;
    }
}

template <class Network, std::size_t N>
    requires(!std::is_lvalue_reference_v<Network> && !std::is_const_v<Network>)
Network compact(Network&& network, const shape<N>& sample, const kept_units& kept)
{
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        auto graph = detail::find_units(std::as_const(network), sample, kept.inputs);
        const auto removal = detail::removal_of(graph, kept);
        detail::shrink(network,
            detail::plan_removal(std::as_const(network), sample, graph, removal),
            [&](const nn::layer_identity& key)
            {
                return graph.find(key);
            });
    }
    return std::move(network);
}

template <class Network, std::size_t N>
Network select_units(const Network& values, const shape<N>& sample, const kept_units& kept)
{
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        const auto graph = detail::find_units(values, sample, kept.inputs);
        const auto removal = detail::removal_of(graph, kept);
        return detail::rebuild(
            values, detail::unit_change<nn::value_type<Network>>{graph, removal, {}});
    }
    else
    {
        return values;
    }
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
