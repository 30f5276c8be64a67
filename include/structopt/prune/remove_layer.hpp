/// @file
/// Whole layers and residual branches leave a network: the result has another type.
#pragma once

#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// What the removal of a layer or branch costs, or how little it does: the lowest go first.
struct removal_score
{
    std::string name; ///< "3" a layer of the chain, "3.branch" a residual branch
    double score = 0;

    friend bool operator==(const removal_score&, const removal_score&) = default;
};

/// The network without layer I of a `sequential`; `remove_layer<2, 0>(net, sample)` is without layer 0
/// of the `sequential` that is layer 2.
///
/// `sample` is the shape of a batch. Throws `shape_error` where the rest does not fit together or
/// gives another output; ranks that do not fit are a compile error.
template <std::size_t... Path, class Network, std::size_t N>
auto remove_layer(const Network& network, const shape<N>& sample);

/// The network in which the residual at a place is its shortcut alone; places and errors as of
/// `remove_layer`.
template <std::size_t... Path, class Network, std::size_t N>
auto remove_branch(const Network& network, const shape<N>& sample);

/// What leaving out costs, for every layer of a chain that can be left out (its output has the shape
/// of its input) and every residual branch: `measure(y)` without it, minus `measure(y)` of the whole
/// network, y being the output for x. A measure is for example the loss on the samples x. One forward
/// pass from there on each.
template <class... Layers, class T, std::size_t N, class Measure>
std::vector<removal_score> score_removals(
    const nn::sequential<Layers...>& network, const tensor<T, N>& x, const Measure& measure);

/// How much every residual branch of a chain contributes for the samples x: |branch| / (|branch| +
/// |shortcut|), Euclidean norms of the two outputs. In [0, 1].
template <class... Layers, class T, std::size_t N>
std::vector<removal_score> branch_shares(
    const nn::sequential<Layers...>& network, const tensor<T, N>& x);

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class L>
inline constexpr bool is_residual = false;

template <class Branch, class Shortcut>
inline constexpr bool is_residual<nn::residual<Branch, Shortcut>> = true;

template <std::size_t I, class... Layers>
auto without_layer(const nn::sequential<Layers...>& network)
{
    static_assert(I < sizeof...(Layers), "there is no such layer");
    return [&]<std::size_t... K>(std::index_sequence<K...>)
    {
        using all = std::tuple<Layers...>;
        return nn::sequential<std::tuple_element_t<(K < I ? K : K + 1), all>...>(
            network.template layer<(K < I ? K : K + 1)>()...);
    }
    (std::make_index_sequence<sizeof...(Layers) - 1>{});
}

/// The chain with `change(layer)` in the place of layer I.
template <std::size_t I, class Change, class... Layers>
auto with_layer(const nn::sequential<Layers...>& network, const Change& change)
{
    static_assert(I < sizeof...(Layers), "there is no such layer");
    const auto choose = [&]<std::size_t K>(std::integral_constant<std::size_t, K>)
    {
        if constexpr (K == I)
        {
            return change(network.template layer<K>());
        }
        else
        {
            return network.template layer<K>();
        }
    };
    return [&]<std::size_t... K>(std::index_sequence<K...>)
    {
        return nn::sequential<decltype(choose(std::integral_constant<std::size_t, K>{}))...>(
            choose(std::integral_constant<std::size_t, K>{})...);
    }
    (std::make_index_sequence<sizeof...(Layers)>{});
}

template <std::size_t I, std::size_t... Rest, class Network>
auto without(const Network& network)
{
    if constexpr (sizeof...(Rest) == 0)
    {
        return detail::without_layer<I>(network);
    }
    else
    {
        return detail::with_layer<I>(network,
            [](const auto& layer)
            {
                return detail::without<Rest...>(layer);
            });
    }
}

template <std::size_t I, std::size_t... Rest, class Network>
auto without_branch(const Network& network)
{
    return detail::with_layer<I>(network,
        []<class L>(const L& layer)
        {
            if constexpr (sizeof...(Rest) == 0)
            {
                static_assert(is_residual<L>, "there is no residual at this place");
                return layer.shortcut;
            }
            else
            {
                return detail::without_branch<Rest...>(layer);
            }
        });
}

template <class Network, class Smaller, std::size_t N>
void check_output(const Network& network, const Smaller& smaller, const shape<N>& sample)
{
    const auto before = nn::output_shape(network, sample);
    const auto after = nn::output_shape(smaller, sample);
    static_assert(std::is_same_v<decltype(before), decltype(after)>,
        "without this layer the output has another rank");
    if (before != after)
    {
        structopt::detail::raise<shape_error>(
            "network without a layer, output", describe(before), describe(after));
    }
}

/// Runs the layers from I on, one of them left out: `skip`, or none if it is below I.
template <std::size_t I, class... Layers, class T, std::size_t N, class Measure>
double measure_without(const nn::sequential<Layers...>& network, const tensor<T, N>& x,
    std::size_t skip, const Measure& measure)
{
    if constexpr (I == sizeof...(Layers))
    {
        return static_cast<double>(measure(x));
    }
    else
    {
        const auto& layer = network.template layer<I>();
        using L = std::remove_cvref_t<decltype(layer)>;
        if (skip == I)
        {
            if constexpr (is_residual<L>)
            {
                const auto y = nn::forward(layer.shortcut, x);
                return detail::measure_without<I + 1>(network, y, skip, measure);
            }
            else if constexpr (nn::output_rank<L, N> == N)
            {
                return detail::measure_without<I + 1>(network, x, skip, measure);
            }
        }
        const auto y = nn::forward(layer, x);
        return detail::measure_without<I + 1>(network, y, skip, measure);
    }
}

template <std::size_t I, class... Layers, class T, std::size_t N, class Measure>
void score_from(const nn::sequential<Layers...>& network, const tensor<T, N>& x,
    const Measure& measure, std::vector<removal_score>& scores)
{
    if constexpr (I < sizeof...(Layers))
    {
        const auto& layer = network.template layer<I>();
        using L = std::remove_cvref_t<decltype(layer)>;
        bool leaves = is_residual<L>;
        if constexpr (nn::output_rank<L, N> == N)
        {
            leaves = leaves || nn::output_shape(layer, shape_of(x)) == shape_of(x);
        }
        if (leaves)
        {
            scores.push_back({std::to_string(I) + (is_residual<L> ? ".branch" : ""),
                detail::measure_without<I>(network, x, I, measure)});
        }
        const auto y = nn::forward(layer, x);
        detail::score_from<I + 1>(network, y, measure, scores);
    }
    else
    {
        const auto whole = static_cast<double>(measure(x));
        for (removal_score& each : scores)
        {
            each.score -= whole;
        }
    }
}

template <std::size_t I, class... Layers, class T, std::size_t N>
void share_from(const nn::sequential<Layers...>& network, const tensor<T, N>& x,
    std::vector<removal_score>& shares)
{
    if constexpr (I < sizeof...(Layers))
    {
        const auto& layer = network.template layer<I>();
        if constexpr (is_residual<std::remove_cvref_t<decltype(layer)>>)
        {
            const auto norm = [](const auto& y)
            {
                double sum = 0;
                for (index_t i = 0; i < size_of(y); ++i)
                {
                    const auto value = static_cast<double>(y.data()[i]);
                    sum += value * value;
                }
                return std::sqrt(sum);
            };
            const double branch = norm(nn::forward(layer.branch, x));
            const double both = branch + norm(nn::forward(layer.shortcut, x));
            shares.push_back({std::to_string(I) + ".branch", both > 0 ? branch / both : 0.0});
        }
        const auto y = nn::forward(layer, x);
        detail::share_from<I + 1>(network, y, shares);
    }
}

} // namespace detail

template <std::size_t... Path, class Network, std::size_t N>
auto remove_layer(const Network& network, const shape<N>& sample)
{
    auto smaller = detail::without<Path...>(network);
    detail::check_output(network, smaller, sample);
    return smaller;
}

template <std::size_t... Path, class Network, std::size_t N>
auto remove_branch(const Network& network, const shape<N>& sample)
{
    auto smaller = detail::without_branch<Path...>(network);
    detail::check_output(network, smaller, sample);
    return smaller;
}

template <class... Layers, class T, std::size_t N, class Measure>
std::vector<removal_score> score_removals(
    const nn::sequential<Layers...>& network, const tensor<T, N>& x, const Measure& measure)
{
    std::vector<removal_score> scores;
    detail::score_from<0>(network, x, measure, scores);
    return scores;
}

template <class... Layers, class T, std::size_t N>
std::vector<removal_score> branch_shares(
    const nn::sequential<Layers...>& network, const tensor<T, N>& x)
{
    std::vector<removal_score> shares;
    detail::share_from<0>(network, x, shares);
    return shares;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
