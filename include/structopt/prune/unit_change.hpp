/// @file
/// How a network gets rid of units: in place, or copying what stays.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/prune/kept_units.hpp>
#include <structopt/prune/unit_walk.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

namespace detail
{

inline std::string list_name(const char* what, const unit_graph& graph, std::size_t list)
{
    return std::string(what) + ", list " + std::to_string(list) + " (layer '" +
           graph.ranges[list].name + "')";
}

/// Which units a list of kept ones removes. Throws `argument_error` if they are no units of the
/// network, or a layer would lose its last one.
inline unit_removal removal_of(const unit_graph& graph, const kept_units& kept)
{
    if (graph.ranges.size() != kept.size())
    {
        structopt::detail::raise<argument_error>("kept units",
            std::to_string(graph.ranges.size()) + " lists, one per layer that can lose units",
            std::to_string(kept.size()));
    }
    unit_removal removal;
    removal.becomes = kept.becomes;
    removal.gone.assign(static_cast<std::size_t>(graph.units), 1);
    for (std::size_t list = 0; list < kept.size(); ++list)
    {
        const unit_range& range = graph.ranges[list];
        if (!kept.names.empty() && (kept.names.size() <= list || kept.names[list] != range.name))
        {
            structopt::detail::raise<argument_error>(list_name("kept units", graph, list),
                "the units of this layer",
                "those of " + (kept.names.size() <= list ? "none" : "'" + kept.names[list] + "'"));
        }
        const auto& units = kept[list];
        bool good = !units.empty() && units.front() >= 0 && units.back() < range.units;
        for (std::size_t i = 1; i < units.size(); ++i)
        {
            good = good && units[i] > units[i - 1];
        }
        if (!good)
        {
            structopt::detail::raise<argument_error>(list_name("kept units", graph, list),
                "ascending numbers from 0 to " + std::to_string(range.units - 1) + ", at least one",
                std::to_string(units.size()) + " numbers");
        }
        for (const index_t unit : units)
        {
            removal.gone[static_cast<std::size_t>(range.first + unit)] = 0;
        }
    }
    for (const unit_record& record : graph.records)
    {
        if (removal.kept(record.in).empty() || removal.kept(record.out).empty())
        {
            structopt::detail::raise<argument_error>(
                "kept units, layer '" + record.name + "'", "at least one that stays", "none");
        }
    }
    return removal;
}

inline kept_units keep_others(const unit_graph& graph, const std::vector<std::uint8_t>& gone)
{
    kept_units kept;
    for (const unit_range& range : graph.ranges)
    {
        std::vector<index_t> units;
        for (index_t i = 0; i < range.units; ++i)
        {
            if (gone[static_cast<std::size_t>(range.first + i)] == 0)
            {
                units.push_back(i);
            }
        }
        kept.names.push_back(range.name);
        kept.lists.push_back(std::move(units));
    }
    kept.inputs = graph.input_units > 0;
    if (kept.inputs)
    {
        kept.unit_of_feature = graph.input;
    }
    return kept;
}

/// Adds to the bias what goes into the rows that stay.
void add_fold(auto& layer, const auto& added, const std::vector<index_t>& rows)
{
    if constexpr (requires { layer.bias.data()[0] += added[0]; })
    {
        for (std::size_t i = 0; i < rows.size() && !added.empty(); ++i)
        {
            layer.bias.data()[i] += added[static_cast<std::size_t>(rows[i])];
        }
    }
}

/// What of a layer loses units: its rows (or what it keeps for units that pass), its columns.
struct layer_change
{
    bool rows = false;
    bool columns = false;

    layer_change(const unit_record& record, const unit_removal& removal)
    {
        const bool mixes = record.coupling == nn::coupling::mixes;
        rows = record.coupling != nn::coupling::blocks &&
               removal.removes_any(mixes ? record.out : record.in);
        columns = mixes && removal.removes_any(record.in);
    }
};

template <class L>
L keep_rows(const L& layer, const unit_record& record, const unit_removal& removal)
{
    if constexpr (nn::selectable<L>)
    {
        if (record.coupling == nn::coupling::mixes)
        {
            const std::vector<index_t> rows = removal.kept(record.out);
            return layer.select_outputs(rows);
        }
    }
    const std::vector<index_t> units = removal.kept(record.in);
    return nn::layer_traits<L>::select_units(layer, units);
}

template <class L>
L keep_columns(const L& layer, const unit_record& record, const unit_removal& removal)
{
    if constexpr (nn::selectable<L>)
    {
        const std::vector<index_t> columns = removal.kept(record.in);
        return layer.select_inputs(columns);
    }
    else
    {
        return layer;
    }
}

/// What `rebuild` and `shrink` work with: where the records of a network are, and what to do.
template <class T>
struct unit_change
{
    const unit_graph& graph;
    const unit_removal& removal;
    std::vector<std::vector<T>> folds;

    const std::vector<T>& fold_of(const unit_record& record) const noexcept
    {
        static const std::vector<T> nothing;
        const auto at = static_cast<std::size_t>(&record - graph.records.data());
        return at < folds.size() ? folds[at] : nothing;
    }
};

template <class T, class L, class Find>
void shrink_below(
    L& layer, const unit_change<T>& change, const Find& find, std::vector<const unit_record*>& done)
{
    if (const unit_record* const record = find(nn::layer_identity::of(std::as_const(layer))))
    {
        if (std::find(done.begin(), done.end(), record) != done.end())
        {
            return;
        }
        done.push_back(record);
        // One step at a time: never more than one copy of a layer besides.
        const layer_change what(*record, change.removal);
        if (what.rows)
        {
            layer = detail::keep_rows(std::as_const(layer), *record, change.removal);
        }
        if (what.columns)
        {
            layer = detail::keep_columns(std::as_const(layer), *record, change.removal);
            detail::add_fold(layer, change.fold_of(*record), change.removal.kept(record->out));
        }
        return;
    }
    if constexpr (nn::has_children<L>)
    {
        L::children(layer,
            [&](std::string_view, auto& child)
            {
                detail::shrink_below(child, change, find, done);
            });
    }
}

/// Shrinks a network in place. `find` gives the record of a layer, or null. A layer that a container
/// shows under several names shrinks once.
template <class T, class L, class Find>
void shrink(L& layer, const unit_change<T>& change, const Find& find)
{
    std::vector<const unit_record*> done;
    detail::shrink_below(layer, change, find, done);
}

/// A smaller network of the same type; copies what stays. A container that cannot be rebuilt from its
/// children (`transform`) is copied whole first.
template <class T, class L>
L rebuild(const L& layer, const unit_change<T>& change)
{
    if (const unit_record* const record = change.graph.find(nn::layer_identity::of(layer)))
    {
        const layer_change what(*record, change.removal);
        if (!what.rows && !what.columns)
        {
            return layer;
        }
        L smaller = what.rows ? detail::keep_rows(layer, *record, change.removal)
                              : detail::keep_columns(layer, *record, change.removal);
        if (what.columns)
        {
            if (what.rows)
            {
                smaller = detail::keep_columns(std::as_const(smaller), *record, change.removal);
            }
            detail::add_fold(smaller, change.fold_of(*record), change.removal.kept(record->out));
        }
        return smaller;
    }
    if constexpr (nn::transformable<L>)
    {
        return layer.transform(
            [&](const auto& child)
            {
                return detail::rebuild(child, change);
            });
    }
    else if constexpr (nn::has_children<L>)
    {
        L copy = layer;
        std::vector<named_layer> from;
        std::vector<named_layer> to;
        detail::list_layers(layer, nullptr, from);
        detail::list_layers(copy, nullptr, to);
        detail::shrink(copy, change,
            [&](const nn::layer_identity& key) -> const unit_record*
            {
                for (std::size_t i = 0; i < to.size(); ++i)
                {
                    if (to[i].key == key)
                    {
                        return change.graph.find(from[i].key);
                    }
                }
                return nullptr;
            });
        return copy;
    }
    else
    {
        return layer;
    }
}

/// What is to be done to a network, checked and computed before anything changes.
template <class Network, std::size_t N>
auto plan_removal(
    const Network& network, const shape<N>& sample, unit_graph& graph, const unit_removal& removal)
{
    using T = nn::value_type<Network>;
    unit_change<T> change{graph, removal, {}};
    change.folds = unit_walk<T>(graph).fold(network, sample, removal, nullptr);
    return change;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
