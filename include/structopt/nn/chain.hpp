/// @file
/// A network as one chain of layers: those of nested `sequential`s in their place.
#pragma once

#include <structopt/nn/sequential.hpp>

#include <tuple>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

template <class L>
inline constexpr bool is_sequential = false;

template <class... Layers>
inline constexpr bool is_sequential<sequential<Layers...>> = true;

/// References to the layers of a chain. A network that is no `sequential` is a chain of itself.
template <class L>
auto flat_layers(L& layer)
{
    if constexpr (is_sequential<std::remove_const_t<L>>)
    {
        return std::apply(
            [](auto&... each)
            {
                return std::tuple_cat(nn::flat_layers(each)...);
            },
            layer.layers);
    }
    else
    {
        return std::tuple<L&>(layer);
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
