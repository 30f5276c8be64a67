/// @file
/// Networks out of networks: the same layers with other weight storage.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/packed.hpp>

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
                return transform_weights(child, change);
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

/// The network with dense weights laid out for the kernels of this machine (`packed_matrix`).
///
/// Packed once, multiplied many times: fastest for inference at every batch size, costs the padding
/// of rows to the panel, does not train and is not saved (`unpack` gives the canonical weights
/// back). Weights in other formats stay as they are.
template <class L>
auto pack(const L& network)
{
    return transform_weights(network,
        [](const auto& layer)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using traits = storage_traits<storage>;
            if constexpr (requires { traits::matrix(layer.weight); })
            {
                return packed_matrix<typename traits::value_type>(traits::matrix(layer.weight));
            }
            else
            {
                return layer.weight;
            }
        });
}

/// The network with canonical dense weights [rows, columns], whatever format they were in.
template <class L>
auto unpack(const L& network)
{
    return transform_weights(network,
        [](const auto& layer)
        {
            return storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::unpack(
                layer.weight);
        });
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
