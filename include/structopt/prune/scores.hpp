/// @file
/// Scores of all prunable weights of a network: what lies between criteria and masks.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// How the numbers of a weight lie: row by row, a row holding `inputs` windows of `window` numbers.
///
/// Of a convolution [outputs, inputs per group, height, width] the window is height x width; of a
/// dense layer 1. Of a sparse weight the stored numbers count as one row.
struct weight_extents
{
    index_t rows = 0;
    index_t inputs = 0;
    index_t window = 1;
    index_t window_sum = 0; ///< height + width of the window; 0 of a weight without one

    constexpr index_t columns() const noexcept
    {
        return inputs * window;
    }

    constexpr index_t size() const noexcept
    {
        return rows * columns();
    }

    friend bool operator==(const weight_extents&, const weight_extents&) = default;
};

/// The scores of one weight, row by row; the lowest go first.
struct layer_scores
{
    std::string name;      ///< "0.weight": the parameter's name
    index_t parameter = 0; ///< its position in `nn::trainable_parameters`
    index_t rows = 0;
    index_t inputs = 0;
    index_t window = 1;
    std::vector<double> values; ///< rows x inputs x window
    index_t window_sum = 0;     ///< height + width of the window; 0 of a weight without one

    constexpr weight_extents extents() const noexcept
    {
        return {rows, inputs, window, window_sum};
    }

    friend bool operator==(const layer_scores&, const layer_scores&) = default;
};

/// The scores of a network: one entry per weight that can be pruned (role `weight`, of rank 2 and more
/// or in a sparse format), in the order of `nn::trainable_parameters`.
struct scores
{
    std::vector<layer_scores> layers;

    friend bool operator==(const scores&, const scores&) = default;
};

/// A criterion that looks at the network as a whole: `score_network(network)` returns `scores`.
template <class C, class Network>
concept network_criterion = requires(const C& c, const Network& network)
{
    {
        c.score_network(network)
        } -> std::same_as<prune::scores>;
};

/// A criterion that needs the weights alone, of one layer or of the whole network.
template <class C, class Network>
concept data_free_criterion =
    weight_criterion<C> || unit_criterion<C> || network_criterion<C, Network>;

/// Throws `argument_error`, naming layer and position, for the first score that is NaN or infinite
/// (found by its bits, so that -ffast-math hides none), and `shape_error` for a list whose length is
/// not rows x inputs x window.
inline void check_scores(const scores& found);

/// The scores of a network by a criterion on weights alone: of the network as a whole if it has
/// `score_network`, else of every weight, else of every unit (each weight of a row gets the row's).
/// O(weights) and what the criterion takes, 8 bytes each.
///
/// Throws `argument_error`, naming layer and position, for a score that is NaN or infinite.
template <class Network, data_free_criterion<Network> Criterion>
scores score(const Network& network, const Criterion& criterion);

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Calls `visit(name, extents, w)` for the trainable parameters, in the order of
/// `nn::trainable_parameters`: w is the view of a weight as a matrix (stored numbers of a sparse one:
/// as one row), null for parameters that are not pruned.
template <class Network, class Visitor>
void visit_prunable_extents(const Network& network, const Visitor& visit)
{
    nn::visit_parameters(network,
        [&](const nn::parameter_name& name, const auto& parameter, nn::role kind)
        {
            using storage = std::remove_cvref_t<decltype(parameter)>;
            if constexpr (nn::trainable_parameter<const storage>)
            {
                if (kind == nn::role::statistic)
                {
                    return;
                }
                if constexpr (requires { nn::storage_traits<storage>::matrix(parameter); })
                {
                    if (kind == nn::role::weight)
                    {
                        const auto w = nn::storage_traits<storage>::matrix(parameter);
                        weight_extents extents{w.shape(0), w.shape(1), 1};
                        if constexpr (requires { shape_of(parameter); })
                        {
                            extents.inputs = static_cast<index_t>(shape_of(parameter)[1]);
                            for (const index_t side : tail(tail(shape_of(parameter))))
                            {
                                extents.window *= side;
                                extents.window_sum += side;
                            }
                        }
                        visit(name, extents, w);
                        return;
                    }
                }
                else if constexpr (nn::weight_storage<storage>)
                {
                    if (kind == nn::role::weight)
                    {
                        const auto stored = nn::trainable_values(parameter);
                        const auto n = static_cast<index_t>(stored.size());
                        visit(name, weight_extents{1, n, 1},
                            view<const typename storage::value_type, 2>(
                                stored.data(), shape<2>{1, n}));
                        return;
                    }
                }
                visit(name, weight_extents{}, nullptr);
            }
        });
}

/// `visit_prunable_extents` without the extents: `visit(name, w)`.
template <class Network, class Visitor>
void visit_prunable(const Network& network, const Visitor& visit)
{
    detail::visit_prunable_extents(network,
        [&](const nn::parameter_name& name, const weight_extents&, const auto& w)
        {
            visit(name, w);
        });
}

/// The entries of a network's weights, without values: name, position and extents.
template <class Network>
scores empty_scores(const Network& network)
{
    scores result;
    index_t position = 0;
    detail::visit_prunable_extents(network,
        [&]<class Weight>(
            const nn::parameter_name& name, const weight_extents& extents, const Weight&)
        {
            if constexpr (!std::is_null_pointer_v<Weight>)
            {
                result.layers.push_back({name.text(), position, extents.rows, extents.inputs,
                    extents.window, {}, extents.window_sum});
            }
            ++position;
        });
    return result;
}

/// The scores of one weight by a criterion that looks at one weight at a time.
template <class Criterion, class T>
void score_weight(const Criterion& criterion, view<const T, 2> w, std::vector<double>& values)
{
    const auto size = static_cast<std::size_t>(w.size());
    if constexpr (!weight_criterion<Criterion>)
    {
        std::vector<T> raw(static_cast<std::size_t>(w.shape(0)));
        criterion.score_units(w, std::span<T>(raw));
        values.reserve(size);
        for (const T value : raw)
        {
            values.insert(values.end(), static_cast<std::size_t>(w.shape(1)), value);
        }
    }
    else if constexpr (std::same_as<T, double>)
    {
        values.resize(size);
        criterion.score(w, std::span<double>(values));
    }
    else
    {
        std::vector<T> raw(size);
        criterion.score(w, std::span<T>(raw));
        values.assign(raw.begin(), raw.end());
    }
}

} // namespace detail

inline void check_scores(const scores& found)
{
    for (const layer_scores& layer : found.layers)
    {
        if (static_cast<index_t>(layer.values.size()) != layer.extents().size())
        {
            structopt::detail::raise<shape_error>("scores of " + layer.name,
                std::to_string(layer.extents().size()) + " numbers",
                std::to_string(layer.values.size()));
        }
        detail::check_scores(layer.name, std::span<const double>(layer.values));
    }
}

template <class Network, data_free_criterion<Network> Criterion>
scores score(const Network& network, const Criterion& criterion)
{
    scores result;
    if constexpr (detail::check_prunable<Network>())
    {
        if constexpr (network_criterion<Criterion, Network>)
        {
            result = criterion.score_network(network);
        }
        else
        {
            result = detail::empty_scores(network);
            std::size_t next = 0;
            detail::visit_prunable(network,
                [&]<class Weight>(const nn::parameter_name&, const Weight& w)
                {
                    if constexpr (!std::is_null_pointer_v<Weight>)
                    {
                        detail::score_weight(criterion, w, result.layers[next++].values);
                    }
                });
        }
        prune::check_scores(result);
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
