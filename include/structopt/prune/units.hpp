/// @file
/// Structured pruning: units (neurons, filters, input features) leave the network, and its tensors
/// get smaller, through every layer and container that answers (see prune/unit_graph.hpp).
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/prune/unit_graph.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The units that stay: of every layer that can lose some, in the order of the data, the ascending
/// numbers of those it keeps.
///
/// Layers whose outputs are added have their units in common: they stand under the first of these
/// layers. Of a convolution in groups, unit j is channel j of every group. A list is named after its
/// layer ("2.branch.0"); that of the input's features, where these are units, is the first one and
/// named "input".
class kept_units
{
public:
    kept_units() = default;

    /// By position, without names: `kept_units{{0, 2}, {1}}`.
    kept_units(std::initializer_list<std::vector<index_t>> each)
        : lists(each)
    {
    }

    std::size_t size() const noexcept
    {
        return lists.size();
    }

    std::vector<index_t>& operator[](std::size_t list) noexcept
    {
        return lists[list];
    }

    const std::vector<index_t>& operator[](std::size_t list) const noexcept
    {
        return lists[list];
    }

    /// The units of a layer. Throws `argument_error` for a layer that has none of its own: one that
    /// must keep its width (the output layer), or shares its units with an earlier one.
    std::vector<index_t>& at(std::string_view layer)
    {
        std::string known;
        for (std::size_t i = 0; i < names.size(); ++i)
        {
            if (names[i] == layer)
            {
                return lists[i];
            }
            known += (i == 0 ? "" : ", ") + names[i];
        }
        structopt::detail::raise<argument_error>(
            "kept units", "a layer that can lose units (" + known + ")", std::string(layer));
    }

    void push_back(std::vector<index_t> list)
    {
        lists.push_back(std::move(list));
    }

    void emplace_back()
    {
        lists.emplace_back();
    }

    std::vector<index_t>& back() noexcept
    {
        return lists.back();
    }

    /// The features (channels) of the input that stay, by position. Throws `argument_error` where they
    /// were no units.
    std::vector<index_t> input_features() const
    {
        if (!inputs || lists.empty())
        {
            structopt::detail::raise<argument_error>(
                "kept units", "features of the input among the units (.inputs = true)", "none");
        }
        if (unit_of_feature.empty())
        {
            return lists.front();
        }
        std::vector<index_t> features;
        for (std::size_t i = 0; i < unit_of_feature.size(); ++i)
        {
            const index_t unit = unit_of_feature[i];
            if (unit < 0 || std::binary_search(lists.front().begin(), lists.front().end(), unit))
            {
                features.push_back(static_cast<index_t>(i));
            }
        }
        return features;
    }

    friend bool operator==(const kept_units& a, const kept_units& b)
    {
        return a.lists == b.lists && a.inputs == b.inputs && a.becomes == b.becomes;
    }

    std::vector<std::vector<index_t>> lists;
    /// The names of the layers; empty where nobody said them. A network with other layers is refused.
    std::vector<std::string> names;
    /// Whether the first list is that of the input's features.
    bool inputs = false;
    /// The unit of every feature of the input (-1: it stays), because a layer with groups ties some;
    /// empty: unit i is feature i.
    std::vector<index_t> unit_of_feature;
    removed_unit becomes = removed_unit::zero;
};

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

/// Scores of units, list by list as in `kept_units`; the lowest go first. The units of an empty list
/// stay.
struct unit_scores
{
    std::vector<std::string> names;
    std::vector<std::vector<double>> values;
    bool inputs = false;

    friend bool operator==(const unit_scores&, const unit_scores&) = default;
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

/// The scores of the units of a network.
///
/// `rows(name, layer, scores)` writes one finite number per output of a layer with a weight
/// (`std::span<double>`); `name` is the layer's. A unit's score is the mean over its rows in all
/// layers. With `inputs`, `rows` is called as `rows(name, layer, columns, scores)` for the layers that
/// take the input's features; `columns` is a matrix [features, numbers]. Throws `argument_error`,
/// naming layer and position, for a score that is NaN or infinite. A `rows` that returns false has none
/// for this layer.
template <class Network, std::size_t N, class RowScores>
unit_scores score_units_by(
    const Network& network, const shape<N>& sample, const RowScores& rows, bool inputs = false);

/// A criterion that scores rows, or at least single weights.
template <class C>
concept row_criterion = unit_criterion<C> || weight_criterion<C>;

/// The scores of the units of a network by a criterion on rows (`score_units`), or, where it has none,
/// by the mean of its scores of a row's weights.
template <class Network, std::size_t N, row_criterion Criterion>
unit_scores score_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    bool inputs = false);

/// The same from scores of rows (`inputs` and `window` are 1) or of weights, of which a row's mean counts;
/// a weight without values says nothing about its units. Features of the input need scores of weights.
template <class Network, std::size_t N>
unit_scores score_units(const Network& network, const shape<N>& sample, const prune::scores& found,
    bool inputs = false);

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
/// convolution after an activation with f(0) != 0, or of a layer without bias. Allocates what stays.
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

/// A batch with those features (channels) of the input alone that stay: what a network takes that
/// was compacted with `.inputs = true`. Throws `argument_error` where input features were no units.
template <class T, std::size_t N>
tensor<T, N> take_inputs(const tensor<T, N>& batch, const kept_units& kept)
{
    const std::vector<index_t> features = kept.input_features();
    return nn::take_columns(batch, std::span<const index_t>(features));
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class Network, std::size_t N>
unit_graph find_units(const Network& network, const shape<N>& sample, bool inputs)
{
    using T = nn::value_type<Network>;
    unit_graph graph;
    if constexpr (!std::is_void_v<T>)
    {
        static_cast<void>(nn::output_shape(network, sample));
        unit_walk<T>(graph).find(network, sample, inputs);
    }
    return graph;
}

/// Calls `f(layer, record)` for every layer of a network that the walk met.
template <class L, class F>
void for_each_record(L& layer, const unit_graph& graph, const F& f)
{
    if (const unit_record* const record = graph.find(detail::key_of(std::as_const(layer))))
    {
        f(layer, *record);
        return;
    }
    if constexpr (nn::has_children<L>)
    {
        std::remove_const_t<L>::children(layer,
            [&](std::string_view, auto& child)
            {
                detail::for_each_record(child, graph, f);
            });
    }
}

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

/// Shrinks a network in place. `find` gives the record of a layer, or null.
template <class T, class L, class Find>
void shrink(L& layer, const unit_change<T>& change, const Find& find)
{
    if (const unit_record* const record = find(detail::key_of(std::as_const(layer))))
    {
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
                detail::shrink(child, change, find);
            });
    }
}

/// A smaller network of the same type; copies what stays. A container that cannot be rebuilt from its
/// children (`transform`) is copied whole first.
template <class T, class L>
L rebuild(const L& layer, const unit_change<T>& change)
{
    if (const unit_record* const record = change.graph.find(detail::key_of(layer)))
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
            [&](const layer_key& key) -> const unit_record*
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

/// One score per unit: the mean of what was added for it.
class unit_means
{
public:
    explicit unit_means(const unit_graph& graph)
        : m_sums(static_cast<std::size_t>(graph.units), 0.0)
        , m_counts(static_cast<std::size_t>(graph.units), 0)
    {
    }

    void add(index_t unit, double score) noexcept
    {
        if (unit >= 0)
        {
            m_sums[static_cast<std::size_t>(unit)] += score;
            ++m_counts[static_cast<std::size_t>(unit)];
        }
    }

    unit_scores scores(const unit_graph& graph) const
    {
        unit_scores found;
        found.inputs = graph.input_units > 0;
        for (const unit_range& range : graph.ranges)
        {
            found.names.push_back(range.name);
            std::vector<double> values;
            bool any = false;
            for (index_t i = range.first; i < range.first + range.units; ++i)
            {
                const auto unit = static_cast<std::size_t>(i);
                const bool scored = m_counts[unit] > 0;
                any = any || scored;
                // Of units that share a layer with scored ones, those without a score go last.
                values.push_back(scored ? m_sums[unit] / static_cast<double>(m_counts[unit])
                                        : std::numeric_limits<double>::max());
            }
            found.values.push_back(any ? std::move(values) : std::vector<double>{});
        }
        return found;
    }

private:
    std::vector<double> m_sums;
    std::vector<index_t> m_counts;
};

inline bool any_unit(const std::vector<index_t>& units, index_t below) noexcept
{
    return std::any_of(units.begin(), units.end(),
        [below](index_t unit)
        {
            return unit >= 0 && unit < below;
        });
}

/// The columns of a layer as rows: for every input the numbers that it is multiplied by.
template <class L>
auto columns_of(const L& layer, const unit_record& record)
{
    using storage = std::remove_cvref_t<decltype(layer.weight)>;
    using T = typename nn::storage_traits<storage>::value_type;
    const auto matrix = nn::storage_traits<storage>::matrix(layer.weight);
    const auto inputs = static_cast<index_t>(record.in.size());
    const index_t depth = inputs / record.groups;
    const index_t rows = matrix.shape(0) / record.groups;
    const index_t window = matrix.shape(1) / depth;
    auto columns = make_tensor<T>(shape<2>{inputs, rows * window});
    for (index_t r = 0; r < matrix.shape(0); ++r)
    {
        const index_t group = r / rows;
        for (index_t c = 0; c < depth; ++c)
        {
            std::copy_n(matrix.data() + r * matrix.shape(1) + c * window, window,
                columns.data() + ((group * depth + c) * rows + r % rows) * window);
        }
    }
    return columns;
}

/// Scores of rows by a criterion, as `score_units_by` asks for them.
template <class Criterion>
struct rows_by
{
    const Criterion& criterion;

    template <class L>
    void operator()(const std::string& name, const L& layer, std::span<double> scores) const
    {
        using storage = std::remove_cvref_t<decltype(layer.weight)>;
        (*this)(name, layer, nn::storage_traits<storage>::matrix(layer.weight), scores);
    }

    template <class L, class T>
    void operator()(const std::string&, const L&, view<T, 2> matrix, std::span<double> scores) const
    {
        using value = std::remove_const_t<T>;
        const view<const value, 2> w(matrix);
        if constexpr (requires { criterion.score_units(w, std::span<value>{}); })
        {
            std::vector<value> raw(scores.size());
            criterion.score_units(w, std::span<value>(raw));
            std::copy(raw.begin(), raw.end(), scores.begin());
        }
        else
        {
            std::vector<value> raw(static_cast<std::size_t>(w.size()));
            criterion.score(w, std::span<value>(raw));
            const std::size_t columns = raw.size() / std::max<std::size_t>(scores.size(), 1);
            for (std::size_t r = 0; r < scores.size(); ++r)
            {
                double sum = 0;
                for (std::size_t c = 0; c < columns; ++c)
                {
                    sum += static_cast<double>(raw[r * columns + c]);
                }
                scores[r] = sum / static_cast<double>(std::max<std::size_t>(columns, 1));
            }
        }
    }
};

/// Scores of rows that are there already.
struct rows_of
{
    const prune::scores& found;
    /// Of the network's trainable parameters, in their order.
    std::vector<const void*> addresses;

    template <class L>
    const layer_scores* entry(const L& layer) const
    {
        for (const layer_scores& each : found.layers)
        {
            const auto at = static_cast<std::size_t>(each.parameter);
            if (at < addresses.size() && addresses[at] == &layer.weight && !each.values.empty())
            {
                return &each;
            }
        }
        return nullptr;
    }

    template <class L>
    bool operator()(const std::string& name, const L& layer, std::span<double> scores) const
    {
        const layer_scores* const there = entry(layer);
        if (there == nullptr)
        {
            return false;
        }
        const std::size_t columns = there->values.size() / scores.size();
        if (columns * scores.size() != there->values.size())
        {
            structopt::detail::raise<shape_error>("scores of layer '" + name + "'",
                std::to_string(scores.size()) + " rows", std::to_string(there->rows));
        }
        for (std::size_t r = 0; r < scores.size(); ++r)
        {
            double sum = 0;
            for (std::size_t c = 0; c < columns; ++c)
            {
                sum += there->values[r * columns + c];
            }
            scores[r] = sum / static_cast<double>(columns);
        }
        return true;
    }

    template <class L, class T>
    bool operator()(const std::string& name, const L& layer, view<const T, 2> columns,
        std::span<double> scores) const
    {
        const layer_scores* const there = entry(layer);
        if (there == nullptr || static_cast<index_t>(there->values.size()) != columns.size())
        {
            structopt::detail::raise<argument_error>("scores of layer '" + name + "'",
                "one for each weight, where features of the input are units", "others");
        }
        const auto depth = static_cast<std::size_t>(there->inputs);
        const std::size_t groups = scores.size() / depth;
        const std::size_t rows = static_cast<std::size_t>(there->rows) / groups;
        const auto window = static_cast<std::size_t>(there->window);
        std::fill(scores.begin(), scores.end(), 0.0);
        for (std::size_t r = 0; r < rows * groups; ++r)
        {
            for (std::size_t i = 0; i < depth * window; ++i)
            {
                scores[r / rows * depth + i / window] +=
                    there->values[r * depth * window + i] / static_cast<double>(rows * window);
            }
        }
        return true;
    }
};

template <class Network, class RowScores>
unit_scores score_graph(const Network& network, const unit_graph& graph, const RowScores& rows)
{
    unit_means means(graph);
    // Whether `ask` has given scores.
    const auto given = [](const auto& ask)
    {
        if constexpr (std::is_void_v<decltype(ask())>)
        {
            ask();
            return true;
        }
        else
        {
            return static_cast<bool>(ask());
        }
    };
    const auto add = [&](const unit_record& record, const std::vector<index_t>& units,
                         index_t first, index_t last, const std::vector<double>& scores)
    {
        check_scores("unit scores, layer '" + record.name + "'", std::span<const double>(scores));
        for (std::size_t i = 0; i < units.size(); ++i)
        {
            if (units[i] >= first && units[i] < last)
            {
                means.add(units[i], scores[i]);
            }
        }
    };
    detail::for_each_record(network, graph,
        [&](const auto& layer, const unit_record& record)
        {
            if constexpr (row_weighted<std::remove_cvref_t<decltype(layer)>>)
            {
                if (!record.producer)
                {
                    return;
                }
                if (any_unit(record.out, graph.units))
                {
                    std::vector<double> scores(record.out.size());
                    if (given(
                            [&]
                            {
                                return rows(record.name, layer, std::span<double>(scores));
                            }))
                    {
                        add(record, record.out, 0, graph.units, scores);
                    }
                }
                if (any_unit(record.in, graph.input_units))
                {
                    using storage = std::remove_cvref_t<decltype(layer.weight)>;
                    using T = typename nn::storage_traits<storage>::value_type;
                    if constexpr (requires(view<const T, 2> columns, std::span<double> to) {
                                      rows(record.name, layer, columns, to);
                                  })
                    {
                        std::vector<double> scores(record.in.size());
                        const auto columns = detail::columns_of(layer, record);
                        if (given(
                                [&]
                                {
                                    return rows(record.name, layer, view<const T, 2>(columns),
                                        std::span<double>(scores));
                                }))
                        {
                            add(record, record.in, 0, graph.input_units, scores);
                        }
                    }
                    else
                    {
                        structopt::detail::raise<argument_error>("unit scores",
                            "a criterion that scores columns, for features of the input", "none");
                    }
                }
            }
        });
    return means.scores(graph);
}

/// Units that cannot go although they could as far as their layers are concerned.
template <class Network, std::size_t N>
std::vector<std::uint8_t> find_stuck(
    const Network& network, const shape<N>& sample, unit_graph& graph, removed_unit becomes)
{
    std::vector<std::uint8_t> stuck(static_cast<std::size_t>(graph.units), 0);
    if (graph.units > 0)
    {
        unit_removal all;
        all.becomes = becomes;
        all.gone.assign(stuck.size(), 1);
        unit_walk<nn::value_type<Network>>(graph).fold(network, sample, all, &stuck);
    }
    return stuck;
}

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

/// Whether a network has units in the sense of this file.
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

template <class Network, std::size_t N, class RowScores>
unit_scores score_units_by(
    const Network& network, const shape<N>& sample, const RowScores& rows, bool inputs)
{
    unit_scores scores;
    if constexpr (detail::check_removable<Network>())
    {
        scores = detail::score_graph(network, detail::find_units(network, sample, inputs), rows);
    }
    return scores;
}

template <class Network, std::size_t N, row_criterion Criterion>
unit_scores score_units(
    const Network& network, const shape<N>& sample, const Criterion& criterion, bool inputs)
{
    return prune::score_units_by(network, sample, detail::rows_by<Criterion>{criterion}, inputs);
}

template <class Network, std::size_t N>
unit_scores score_units(
    const Network& network, const shape<N>& sample, const prune::scores& found, bool inputs)
{
    detail::rows_of rows{found, {}};
    nn::visit_parameters(network,
        [&](const nn::parameter_name&, const auto& parameter, nn::role kind)
        {
            if constexpr (nn::trainable_parameter<const std::remove_cvref_t<decltype(parameter)>>)
            {
                if (kind != nn::role::statistic)
                {
                    rows.addresses.push_back(&parameter);
                }
            }
        });
    return prune::score_units_by(network, sample, rows, inputs);
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
            [&](const detail::layer_key& key)
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
