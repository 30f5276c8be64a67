/// @file
/// Biases for layers without: they take what removed units leave behind.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/parameters.hpp>

#include <concepts>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Gives every layer with a weight and an empty bias (dense, conv2d, a user's) a bias of zeros; the network
/// computes the same. Returns how many layers got one.
///
/// A unit whose constant is not zero (sigmoid(0) = 0.5) cannot leave in front of a layer without bias:
/// `choose_units` keeps it, `compact` throws. Add biases first, before a training's state is made; a value
/// of the network's type that is there already (momentum) gets its own by the same call. O(layers).
template <class Network>
index_t add_biases(Network& network)
{
    index_t added = 0;
    if constexpr (requires {
                      network.weight;
                      network.bias;
                      network.outputs();
                  })
    {
        using bias = std::remove_cvref_t<decltype(network.bias)>;
        if constexpr (requires { typename bias::value_type; })
        {
            using T = typename bias::value_type;
            if constexpr (std::same_as<bias, tensor<T, 1>>)
            {
                if (network.bias.size() == 0 && network.outputs() > 0)
                {
                    network.bias = structopt::zeros<T>(shape<1>{network.outputs()});
                    // What a layer knows about its parameters follows.
                    if constexpr (requires { network.refresh(); })
                    {
                        network.refresh();
                    }
                    ++added;
                }
            }
        }
    }
    if constexpr (nn::has_children<Network>)
    {
        Network::children(network,
            [&](std::string_view, auto& child)
            {
                added += prune::add_biases(child);
            });
    }
    return added;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
