/// @file
/// Scores of units: means over their rows, by a criterion, by evidence, by any function.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/prune/unit_walk.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Scores of units, list by list as in `kept_units`; the lowest go first. The units of an empty list
/// stay.
struct unit_scores
{
    std::vector<std::string> names;
    std::vector<std::vector<double>> values;
    bool inputs = false;

    friend bool operator==(const unit_scores&, const unit_scores&) = default;
};

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

// ---------------------------------------------------------------------------------------------

namespace detail
{

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

} // namespace detail

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
    const detail::rows_of rows{found, nn::trainable_addresses(network)};
    return prune::score_units_by(network, sample, rows, inputs);
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
