/// @file
/// Structured pruning: units (neurons, filters) leave the network, and its tensors get smaller.
///
/// In a chain of layers, the units of a layer that mixes its inputs (dense, convolution) can go if
/// every layer behind it lets units pass (activations, pooling, batch norm, flatten) up to the next
/// layer that mixes. That next layer loses the inputs. Nested `sequential`s are one chain; layers
/// inside other containers (`residual`, `concat`) keep their units.
#pragma once

#include <structopt/nn/chain.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The units that stay: for every layer that can lose units, in the order of the chain, the
/// ascending numbers of those it keeps.
using kept_units = std::vector<std::vector<index_t>>;

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
};

/// Number of units of every layer that can lose some.
///
/// `sample` is the shape of a batch of any size, for example {1, 3, 32, 32}. Throws `shape_error` if
/// the network does not take it, as all functions here do.
template <class Network, std::size_t N>
std::vector<index_t> prunable_units(const Network& network, const shape<N>& sample);

/// Chooses by score which units stay: all but round(sparsity * n), per layer or in all; of equal
/// scores the earlier units go first. Throws `argument_error` for options out of range and for scores
/// that are not finite.
template <class Network, std::size_t N, unit_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options);

/// Sets weights and biases of the units that do not stay to zero; the shapes remain. A masked
/// network and the compacted one compute the same, up to rounding.
template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept);

/// The network without the other units. What a removed unit still contributes (its activation of
/// zero, where that is not zero) is a constant and is added to the next layer's bias.
///
/// Throws `argument_error` for a list that is empty, not ascending or out of range, and where that
/// constant is not a bias: in front of a zero-padded convolution after an activation with
/// f(0) != 0, or of a layer without bias.
template <class Network, std::size_t N>
Network compact(const Network& network, const shape<N>& sample, const kept_units& kept);

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class L>
using traits_of = nn::layer_traits<std::remove_cvref_t<L>>;

template <class L>
bool mixes(const L& layer) noexcept
{
    return nn::selectable<L> && traits_of<L>::unit_coupling(layer) == nn::coupling::mixes;
}

/// For every layer of the chain: whether it can lose units.
template <class Flat>
std::vector<bool> producers(const Flat& flat)
{
    std::vector<nn::coupling> couplings;
    std::vector<bool> candidate;
    std::apply(
        [&](const auto&... each)
        {
            (couplings.push_back(traits_of<decltype(each)>::unit_coupling(each)), ...);
            (candidate.push_back(mixes(each)), ...);
        },
        flat);
    std::vector<bool> result(couplings.size(), false);
    for (std::size_t i = 0; i < couplings.size(); ++i)
    {
        std::size_t next = i + 1;
        while (next < couplings.size() && couplings[next] == nn::coupling::passes)
        {
            ++next;
        }
        result[i] = candidate[i] && next < couplings.size() && candidate[next];
    }
    return result;
}

/// Calls `f(layer, list)` for every layer that can lose units, with its position in `kept_units`.
template <class Network, class F>
void for_each_producer(Network& network, const F& f)
{
    auto flat = nn::flat_layers(network);
    const std::vector<bool> loses = producers(flat);
    std::size_t position = 0;
    std::size_t list = 0;
    std::apply(
        [&](auto&... each)
        {
            const auto visit = [&](auto& layer)
            {
                if constexpr (nn::selectable<std::remove_cvref_t<decltype(layer)>>)
                {
                    if (loses[position])
                    {
                        f(layer, list++);
                    }
                }
                ++position;
            };
            (visit(each), ...);
        },
        flat);
}

template <class Network>
void check_kept(const Network& network, const kept_units& kept)
{
    std::size_t lists = 0;
    for_each_producer(network,
        [&](const auto& layer, std::size_t list)
        {
            lists = list + 1;
            if (list >= kept.size())
            {
                return;
            }
            const auto& units = kept[list];
            bool good = !units.empty() && units.front() >= 0 && units.back() < layer.outputs();
            for (std::size_t i = 1; i < units.size(); ++i)
            {
                good = good && units[i] > units[i - 1];
            }
            if (!good)
            {
                structopt::detail::raise<argument_error>("kept units, list " + std::to_string(list),
                    "ascending numbers from 0 to " + std::to_string(layer.outputs() - 1) +
                        ", at least one",
                    std::to_string(units.size()) + " numbers");
            }
        });
    if (lists != kept.size())
    {
        structopt::detail::raise<argument_error>("kept units",
            std::to_string(lists) + " lists, one per layer that can lose units",
            std::to_string(kept.size()));
    }
}

/// Adds to the bias of `consumer` what the removed units of its input contribute: their value is
/// `constant`, an input for the original layer, with the kept units set to zero.
template <class L, class Constant>
void fold_constant(const L& original, L& consumer, const Constant& constant)
{
    using T = typename Constant::value_type;
    const T* const values = constant.data();
    if (std::all_of(values, values + constant.size(),
            [](T value)
            {
                return structopt::detail::is_zero(value);
            }))
    {
        return;
    }
    std::string found = "a layer without bias";
    if constexpr (requires { consumer.bias.data(); })
    {
        const auto nothing = structopt::zeros<T>(shape_of(constant));
        const auto with = nn::forward(original, constant);
        const auto without = nn::forward(original, nothing);
        const index_t units = shape_of(with)[1];
        const index_t block = size_of(with) / units;
        // Positions may differ by the order of summation, but not by a padded border.
        T largest = 0;
        for (index_t i = 0; i < size_of(with); ++i)
        {
            largest = std::max({largest, std::abs(with.data()[i]), std::abs(without.data()[i])});
        }
        const T tolerance = 64 * std::numeric_limits<T>::epsilon() * largest;
        bool uniform = true;
        for (index_t i = 0; i < size_of(with); ++i)
        {
            const index_t first = i / block * block;
            uniform = uniform && std::abs(with.data()[i] - with.data()[first]) <= tolerance;
        }
        const bool biased = size_of(consumer.bias) == units;
        if (uniform && biased)
        {
            for (index_t u = 0; u < units; ++u)
            {
                consumer.bias.data()[u] += with.data()[u * block] - without.data()[u * block];
            }
            return;
        }
        found = biased ? "a contribution that depends on the position (zero padding)" : found;
    }
    structopt::detail::raise<argument_error>(
        "input of a removed unit, " + std::string(traits_of<L>::name()),
        "a contribution of zero, or a constant that the bias can take", found);
}

/// Walks the chain, changing the layers of `to`, a copy of `from`. `zero` is the original input of
/// layer I when all units of the last producer output zero; `kept` are the inputs that stay, if
/// `open`.
template <std::size_t I, class Flat, class FlatCopy, class T, std::size_t N>
void compact_from(const Flat& from, FlatCopy& to, const std::vector<bool>& loses,
    const kept_units& lists, std::size_t list, bool open, std::vector<index_t> kept,
    tensor<T, N> zero)
{
    if constexpr (I < std::tuple_size_v<Flat>)
    {
        const auto& layer = std::get<I>(from);
        auto& copy = std::get<I>(to);
        using L = std::remove_cvref_t<decltype(layer)>;
        const auto extents = nn::layer_traits<L>::output_shape(layer, shape_of(zero));
        if constexpr (nn::selectable<L>)
        {
            if (open && mixes(layer))
            {
                const index_t block = size_of(zero) / shape_of(zero)[1];
                for (const index_t unit : kept)
                {
                    std::fill_n(zero.data() + unit * block, block, T(0));
                }
                L smaller = copy.select_inputs(kept);
                fold_constant(layer, smaller, zero);
                copy = std::move(smaller);
                open = false;
            }
            if (loses[I])
            {
                copy = copy.select_outputs(lists[list]);
                kept = lists[list++];
                compact_from<I + 1>(from, to, loses, lists, list, true, std::move(kept),
                    structopt::zeros<T>(extents));
                return;
            }
        }
        if (open)
        {
            copy = nn::layer_traits<L>::select_units(copy, kept);
            kept = nn::layer_traits<L>::map_units(layer, kept, shape_of(zero));
            compact_from<I + 1>(
                from, to, loses, lists, list, true, std::move(kept), nn::forward(layer, zero));
        }
        else
        {
            compact_from<I + 1>(
                from, to, loses, lists, list, false, std::move(kept), structopt::zeros<T>(extents));
        }
    }
}

} // namespace detail

template <class Network, std::size_t N>
std::vector<index_t> prunable_units(const Network& network, const shape<N>& sample)
{
    std::vector<index_t> units;
    if constexpr (detail::check_removable<Network>())
    {
        nn::output_shape(network, sample);
        detail::for_each_producer(network,
            [&](const auto& layer, std::size_t)
            {
                units.push_back(layer.outputs());
            });
    }
    return units;
}

namespace detail
{

/// Scores of the units of every layer that can lose some.
template <class Network, class Criterion>
std::vector<std::vector<double>> unit_scores(const Network& network, const Criterion& criterion)
{
    std::vector<std::vector<double>> scores;
    for_each_producer(network,
        [&](const auto& layer, std::size_t list)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using T = typename nn::storage_traits<storage>::value_type;
            std::vector<T> raw(static_cast<std::size_t>(layer.outputs()));
            criterion.score_units(
                nn::storage_traits<storage>::matrix(layer.weight), std::span<T>(raw));
            check_scores("unit scores, list " + std::to_string(list), std::span<const T>(raw));
            scores.emplace_back(raw.begin(), raw.end());
        });
    return scores;
}

/// How many units each layer loses, before rounding.
inline std::vector<std::size_t> removed_units(
    const std::vector<std::vector<double>>& scores, const unit_options& options)
{
    std::vector<std::size_t> removed;
    if (options.scope == scope::per_layer)
    {
        for (const auto& list : scores)
        {
            removed.push_back(share_of(options.sparsity, list.size()));
        }
        return removed;
    }
    std::vector<double> all;
    for (const auto& list : scores)
    {
        all.insert(all.end(), list.begin(), list.end());
    }
    removed.assign(scores.size(), 0);
    std::size_t p = 0;
    std::size_t before = 0;
    for (const std::size_t i :
        lowest(std::span<const double>(all), share_of(options.sparsity, all.size())))
    {
        while (i >= before + scores[p].size())
        {
            before += scores[p++].size();
        }
        ++removed[p];
    }
    return removed;
}

} // namespace detail

template <class Network, std::size_t N, unit_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options)
{
    kept_units kept;
    if constexpr (detail::check_removable<Network>())
    {
        nn::output_shape(network, sample);
        detail::check_share("unit sparsity", options.sparsity);
        if (options.round_to < 1 || options.minimum < 1)
        {
            structopt::detail::raise<argument_error>("unit options",
                "round_to and minimum of at least 1",
                std::to_string(options.round_to) + " and " + std::to_string(options.minimum));
        }
        const auto scores = detail::unit_scores(network, criterion);
        const auto removed = detail::removed_units(scores, options);
        for (std::size_t p = 0; p < scores.size(); ++p)
        {
            const auto n = static_cast<index_t>(scores[p].size());
            const index_t stay =
                std::max(n - static_cast<index_t>(removed[p]), std::min(n, options.minimum));
            // Not (stay + round_to - 1) / round_to: any round_to is allowed.
            const index_t over = stay % options.round_to;
            const index_t more = over == 0 ? 0 : options.round_to - over;
            const index_t rounded = more > n - stay ? n : stay + more;
            const auto out = detail::lowest(
                std::span<const double>(scores[p]), static_cast<std::size_t>(n - rounded));
            std::vector<index_t> units;
            std::size_t next = 0;
            for (index_t unit = 0; unit < n; ++unit)
            {
                if (next < out.size() && out[next] == static_cast<std::size_t>(unit))
                {
                    ++next;
                }
                else
                {
                    units.push_back(unit);
                }
            }
            kept.push_back(std::move(units));
        }
    }
    return kept;
}

template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept)
{
    if constexpr (detail::check_removable<Network>())
    {
        nn::output_shape(network, sample);
        detail::check_kept(network, kept);
        detail::for_each_producer(network,
            [&](auto& layer, std::size_t list)
            {
                const index_t units = layer.outputs();
                const index_t columns = static_cast<index_t>(layer.weight.size()) / units;
                std::size_t next = 0;
                for (index_t u = 0; u < units; ++u)
                {
                    if (next < kept[list].size() && kept[list][next] == u)
                    {
                        ++next;
                        continue;
                    }
                    std::fill_n(layer.weight.data() + u * columns, columns, 0);
                    if constexpr (requires { layer.bias.data(); })
                    {
                        if (layer.bias.size() != 0)
                        {
                            layer.bias.data()[u] = 0;
                        }
                    }
                }
            });
    }
}

template <class Network, std::size_t N>
Network compact(const Network& network, const shape<N>& sample, const kept_units& kept)
{
    Network smaller = network;
    if constexpr (detail::check_removable<Network>())
    {
        using T = nn::value_type<Network>;
        shape<N> one = sample;
        one[0] = 1;
        nn::output_shape(network, one);
        detail::check_kept(network, kept);
        const auto from = nn::flat_layers(network);
        auto to = nn::flat_layers(smaller);
        detail::compact_from<0>(
            from, to, detail::producers(from), kept, 0, false, {}, structopt::zeros<T>(one));
    }
    return smaller;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
