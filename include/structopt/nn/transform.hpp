/// @file
/// Networks out of networks: the same layers with other weight storage.
#pragma once

#include <structopt/nn/any_weight.hpp>
#include <structopt/nn/every_weight.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/packed.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// A layer made of layers that can be rebuilt: `transform(change)` returns the same composition of
/// `change(child)`.
template <class L>
concept transformable = requires(const L& layer)
{
    layer.transform(
        [](const auto& child)
        {
            return child;
        });
};

/// The network with the weight of every layer replaced by `change(layer)`, a weight storage of the
/// same extents. Layers without a weight are copied; types change, shapes do not.
template <class L, class Change>
auto transform_weights(const L& network, const Change& change)
{
    if constexpr (transformable<L>)
    {
        return network.transform(
            [&](const auto& child)
            {
                return nn::transform_weights(child, change);
            });
    }
    else if constexpr (weighted<L>)
    {
        return network.with_weight(change(network));
    }
    else
    {
        return network;
    }
}

/// The network with dense weights, those of convolutions too, laid out for the kernels of this machine
/// (`packed_matrix`).
///
/// Packed once, multiplied many times: fastest for inference at every batch size, costs the padding
/// of rows to the panel, and does not train (`unpack` gives the canonical weights back). Weights in
/// other formats stay as they are.
template <class L>
auto pack(const L& network)
{
    return nn::transform_weights(network,
        []<class Layer>(const Layer& layer)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using T = typename storage_traits<storage>::value_type;
            if constexpr (std::same_as<storage, tensor<T, 2>>)
            {
                return packed_matrix<T>(as_view(layer.weight));
            }
            else if constexpr (requires { storage_traits<storage>::matrix(layer.weight); })
            {
                return packed_matrix<T>(storage_traits<storage>::matrix(layer.weight));
            }
            else
            {
                return layer.weight;
            }
        });
}

/// The network with canonical dense weights, whatever format they were in: it trains, prunes and
/// converts like any other. Weights that were quantized stay the rounded numbers.
template <class L>
auto unpack(const L& network)
{
    return nn::transform_weights(network,
        []<class Layer>(const Layer& layer)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using traits = storage_traits<storage>;
            if constexpr (requires { traits::matrix(layer.weight); })
            {
                return layer.weight;
            }
            else
            {
                return traits::unpack(layer.weight);
            }
        });
}

namespace detail
{

/// Whether formats may be built from a network's weights; says why not.
template <class L, class... Formats>
constexpr bool check_conversion() noexcept
{
    constexpr bool exact = every_weight<L, is_exact>;
    static_assert(exact,
        "the weights are quantized already: convert the float network, or nn::unpack(net) to go on "
        "from the rounded weights");
    return exact;
}

} // namespace detail

/// The network with every weight in one format: `nn::convert<sparse::csr<float>>(net)`.
///
/// Throws what the format throws for a matrix that it cannot hold. Weights that are quantized
/// already are refused at compile time: codes are not rounded twice, and not turned back in passing.
template <packable_storage Format, class L>
auto convert(const L& network)
{
    if constexpr (detail::check_conversion<L, Format>())
    {
        return nn::transform_weights(network,
            []<class Layer>(const Layer& layer)
            {
                using storage = std::remove_cvref_t<decltype(layer.weight)>;
                const auto w = storage_traits<storage>::unpack(layer.weight);
                return storage_traits<Format>::pack(as_view(w));
            });
    }
}

/// The network with every weight in whichever of the formats takes the fewest bytes (the first of
/// equals), decided layer by layer: `any_weight` storage.
///
/// A format that cannot hold a weight (8-bit indices for more than 256 columns) is passed over
/// where it says so through `storage_traits<Format>::fits(w)`. Throws `argument_error` where none
/// can. Quantized weights are refused as in `convert`.
template <packable_storage... Formats, class L>
auto convert_smallest(const L& network)
{
    if constexpr (detail::check_conversion<L, Formats...>())
    {
        return nn::transform_weights(network,
            []<class Layer>(const Layer& layer)
            {
                using storage = std::remove_cvref_t<decltype(layer.weight)>;
                using T = typename storage_traits<storage>::value_type;
                using choice = any_weight<T, Formats...>;
                const tensor<T, 2> w = storage_traits<storage>::unpack(layer.weight);
                std::optional<choice> best;
                std::size_t fewest = 0;
                const auto attempt = [&]<class S>(std::type_identity<S>)
                {
                    if constexpr (requires { storage_traits<S>::fits(as_view(w)); })
                    {
                        if (!storage_traits<S>::fits(as_view(w)))
                        {
                            return;
                        }
                    }
                    S candidate = storage_traits<S>::pack(as_view(w));
                    const std::size_t bytes = storage_traits<S>::bytes(candidate);
                    if (!best || bytes < fewest)
                    {
                        fewest = bytes;
                        best.emplace(std::move(candidate));
                    }
                };
                (attempt(std::type_identity<Formats>{}), ...);
                if (!best)
                {
                    structopt::detail::raise<argument_error>("convert_smallest",
                        "a format that holds the weight", describe(shape_of(w)));
                }
                return std::move(*best);
            });
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
