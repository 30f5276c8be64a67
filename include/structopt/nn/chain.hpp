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

namespace detail
{

template <class L, std::size_t N, class Visitor>
auto walk(const L& layer, const parameter_name* path, const shape<N>& in, Visitor& visit);

template <std::size_t I, class L, std::size_t N, class Visitor>
auto walk_from(const L& chain, const parameter_name* path, const shape<N>& in, Visitor& visit)
{
    if constexpr (I == std::tuple_size_v<decltype(chain.layers)>)
    {
        return in;
    }
    else
    {
        const parameter_name name(index_text<I>::value, path);
        const auto out = walk(std::get<I>(chain.layers), &name, in, visit);
        return walk_from<I + 1>(chain, path, out, visit);
    }
}

template <class L, std::size_t N, class Visitor>
auto walk(const L& layer, const parameter_name* path, const shape<N>& in, Visitor& visit)
{
    if constexpr (is_sequential<L>)
    {
        return walk_from<0>(layer, path, in, visit);
    }
    else
    {
        const auto out = layer_traits<L>::output_shape(layer, in);
        visit(path != nullptr ? path->text() : std::string(), layer, in, out);
        return out;
    }
}

} // namespace detail

/// Calls `visit(name, layer, in, out)` for every layer of a chain, with its name ("0.2") and the
/// shapes of its input and output for a batch of shape `in`. Throws `shape_error` if that does not
/// fit. Containers other than `sequential` are visited as one layer.
template <class Network, std::size_t N, class Visitor>
void walk_layers(const Network& network, const shape<N>& in, Visitor&& visit)
{
    detail::walk(network, nullptr, in, visit);
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
