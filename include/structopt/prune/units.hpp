/// @file
/// Structured pruning: units (neurons, filters) leave the network, and its tensors get smaller.
///
/// In a chain of layers, the units of a layer that mixes its inputs (dense, convolution) can go if
/// every layer behind it lets units pass (activations, pooling, batch norm, flatten) up to the next
/// layer that mixes. That next layer loses the inputs. Nested `sequential`s are one chain.
#pragma once

#include <structopt/nn/chain.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>

#include <algorithm>
#include <numeric>
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
    prune::scope scope = prune::scope::per_layer;
    /// The number kept in each layer is rounded up to a multiple of this (the SIMD width), if there
    /// are that many.
    index_t round_to = 1;
    /// No layer keeps fewer units.
    index_t minimum = 1;
};

/// Number of units of every layer that can lose some.
///
/// `sample` is the shape of a batch of any size, for example {1, 3, 32, 32}.
template <class Network, std::size_t N>
std::vector<index_t> prunable_units(const Network& network, const shape<N>& sample);

/// Chooses by score which units stay. Throws `argument_error` for options out of range and for
/// scores that are not finite.
template <class Network, std::size_t N, unit_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options);

/// Sets weights and biases of the units that do not stay to zero; the shapes remain. A masked
/// network and the compacted one compute the same.
template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept);

/// The network without the other units. What a removed unit still contributes (its activation of
/// zero, where that is not zero) is a constant and is added to the next layer's bias.
///
/// Throws `argument_error` for a list that is empty, not ascending or out of range, and where that
/// constant is not a bias: in front of a zero-padded convolution after an activation with
/// f(0) != 0, or of a layer without bias. Nothing is changed before that.
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
    if (std::all_of(constant.begin(), constant.end(),
            [](T value)
            {
                return value == T(0);
            }))
    {
        return;
    }
    if constexpr (requires { consumer.bias.data(); })
    {
        const auto nothing = structopt::zeros<T>(shape_of(constant));
        const auto with = nn::forward(original, constant);
        const auto without = nn::forward(original, nothing);
        const index_t units = shape_of(with)[1];
        const index_t block = size_of(with) / units;
        bool uniform = size_of(consumer.bias) == units;
        for (index_t i = 0; i < size_of(with); ++i)
        {
            const index_t first = i / block * block;
            uniform = uniform && with.data()[i] == with.data()[first] &&
                      without.data()[i] == without.data()[first];
        }
        if (uniform)
        {
            for (index_t u = 0; u < units; ++u)
            {
                consumer.bias.data()[u] += with.data()[u * block] - without.data()[u * block];
            }
            return;
        }
    }
    structopt::detail::raise<argument_error>(std::string(traits_of<L>::name()),
        "removed units that contribute zero, or a constant that a bias can take",
        "a contribution that depends on the position, or no bias");
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
    nn::output_shape(network, sample);
    std::vector<index_t> units;
    detail::for_each_producer(network,
        [&](const auto& layer, std::size_t)
        {
            units.push_back(layer.outputs());
        });
    return units;
}

template <class Network, std::size_t N, unit_criterion Criterion>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_options& options)
{
    nn::output_shape(network, sample);
    detail::check_share("unit sparsity", options.sparsity);
    if (options.round_to < 1 || options.minimum < 1)
    {
        structopt::detail::raise<argument_error>("unit options",
            "round_to and minimum of at least 1",
            std::to_string(options.round_to) + " and " + std::to_string(options.minimum));
    }
    std::vector<std::vector<double>> scores;
    detail::for_each_producer(network,
        [&](const auto& layer, std::size_t list)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using T = typename nn::storage_traits<storage>::value_type;
            std::vector<T> raw(static_cast<std::size_t>(layer.outputs()));
            criterion.score_units(
                nn::storage_traits<storage>::matrix(layer.weight), std::span<T>(raw));
            detail::check_scores(
                "unit scores of layer " + std::to_string(list), std::span<const T>(raw));
            scores.emplace_back(raw.begin(), raw.end());
        });
    std::vector<double> all;
    for (const auto& list : scores)
    {
        all.insert(all.end(), list.begin(), list.end());
    }
    std::vector<bool> goes(all.size(), false);
    if (options.scope == scope::global)
    {
        for (const std::size_t i : detail::lowest(
                 std::span<const double>(all), detail::share_of(options.sparsity, all.size())))
        {
            goes[i] = true;
        }
    }
    kept_units kept;
    std::size_t before = 0;
    for (const auto& list : scores)
    {
        const std::size_t n = list.size();
        std::size_t removed = detail::share_of(options.sparsity, n);
        if (options.scope == scope::global)
        {
            removed = static_cast<std::size_t>(
                std::count(goes.begin() + static_cast<std::ptrdiff_t>(before),
                    goes.begin() + static_cast<std::ptrdiff_t>(before + n), true));
        }
        const auto step = static_cast<std::size_t>(options.round_to);
        std::size_t stay = std::max(n - removed, static_cast<std::size_t>(options.minimum));
        stay = std::min(n, (stay + step - 1) / step * step);
        std::vector<index_t> units(n);
        std::iota(units.begin(), units.end(), index_t{0});
        const auto out = detail::lowest(std::span<const double>(list), n - stay);
        for (std::size_t i = out.size(); i-- > 0;)
        {
            units.erase(units.begin() + static_cast<std::ptrdiff_t>(out[i]));
        }
        kept.push_back(std::move(units));
        before += n;
    }
    return kept;
}

template <class Network, std::size_t N>
void mask_units(Network& network, const shape<N>& sample, const kept_units& kept)
{
    nn::output_shape(network, sample);
    detail::check_kept(network, kept);
    detail::for_each_producer(network,
        [&](auto& layer, std::size_t list)
        {
            const index_t units = layer.outputs();
            std::vector<bool> stays(static_cast<std::size_t>(units), false);
            for (const index_t unit : kept[list])
            {
                stays[static_cast<std::size_t>(unit)] = true;
            }
            const index_t columns = static_cast<index_t>(layer.weight.size()) / units;
            for (index_t u = 0; u < units; ++u)
            {
                if (!stays[static_cast<std::size_t>(u)])
                {
                    std::fill_n(layer.weight.data() + u * columns, columns, 0);
                    if (layer.bias.size() != 0)
                    {
                        layer.bias.data()[u] = 0;
                    }
                }
            }
        });
}

template <class Network, std::size_t N>
Network compact(const Network& network, const shape<N>& sample, const kept_units& kept)
{
    using T = nn::value_type<Network>;
    shape<N> one = sample;
    one[0] = 1;
    nn::output_shape(network, one);
    detail::check_kept(network, kept);
    Network smaller = network;
    const auto from = nn::flat_layers(network);
    auto to = nn::flat_layers(smaller);
    detail::compact_from<0>(
        from, to, detail::producers(from), kept, 0, false, {}, structopt::zeros<T>(one));
    return smaller;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
