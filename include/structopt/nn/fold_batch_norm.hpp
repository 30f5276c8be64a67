/// @file
/// Batch norms that vanish into the layers in front of them.
#pragma once

#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/chain.hpp>
#include <structopt/nn/transform.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// A layer that takes over a batch norm behind it: row i of its canonical dense `weight` makes
/// channel i of its output, and its `bias` has one number per channel or none.
template <class L>
concept takes_batch_norm = weighted<L> && requires(L& layer)
{
    storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::matrix(layer.weight);
    requires std::same_as<std::remove_cvref_t<decltype(layer.bias)>,
        tensor<typename L::value_type, 1>>;
};

namespace detail
{

template <class L>
inline constexpr bool is_batch_norm = false;

template <class T>
inline constexpr bool is_batch_norm<batch_norm<T>> = true;

/// `layer` and the batch norm behind it as one layer.
template <class L, class T>
L fold_into(L layer, const batch_norm<T>& norm)
{
    const index_t channels = norm.options().features;
    const index_t columns = size_of(layer.weight) / channels;
    const bool affine = norm.options().affine;
    auto bias = structopt::zeros<T>(shape<1>{channels});
    for (index_t c = 0; c < channels; ++c)
    {
        const double scale = (affine ? double{norm.weight.data()[c]} : 1.0) /
                             std::sqrt(double{norm.running_var.data()[c]} + norm.options().eps);
        for (index_t i = 0; i < columns; ++i)
        {
            T& w = layer.weight.data()[c * columns + i];
            w = static_cast<T>(w * scale);
        }
        const double before = layer.bias.size() == 0 ? 0.0 : double{layer.bias.data()[c]};
        bias.data()[c] = static_cast<T>((before - norm.running_mean.data()[c]) * scale +
                                        (affine ? double{norm.bias.data()[c]} : 0.0));
    }
    layer.bias = std::move(bias);
    if constexpr (requires { layer.refresh(); })
    {
        layer.refresh();
    }
    return layer;
}

template <class First, class Second>
constexpr bool folds() noexcept
{
    if constexpr (takes_batch_norm<First> && is_batch_norm<Second>)
    {
        return std::same_as<typename First::value_type, typename Second::value_type>;
    }
    else
    {
        return false;
    }
}

/// The layers from position I on as a tuple, pairs folded.
template <std::size_t I, class... Layers>
auto fold_from(const std::tuple<Layers...>& layers)
{
    constexpr std::size_t size = sizeof...(Layers);
    if constexpr (I == size)
    {
        return std::tuple<>{};
    }
    else if constexpr (I + 1 == size)
    {
        return std::make_tuple(std::get<I>(layers));
    }
    else
    {
        using first = std::tuple_element_t<I, std::tuple<Layers...>>;
        using second = std::tuple_element_t<I + 1, std::tuple<Layers...>>;
        if constexpr (folds<first, second>())
        {
            return std::tuple_cat(
                std::make_tuple(detail::fold_into(std::get<I>(layers), std::get<I + 1>(layers))),
                detail::fold_from<I + 2>(layers));
        }
        else
        {
            return std::tuple_cat(
                std::make_tuple(std::get<I>(layers)), detail::fold_from<I + 1>(layers));
        }
    }
}

} // namespace detail

/// The network without the batch norms that directly follow a dense layer or a convolution in a
/// `sequential`, whose weight and bias compute the same at inference: with a = weight /
/// sqrt(running variance + eps), W' = a W and b' = (b - running mean) a + bias, one a per channel.
///
/// Equal to the network up to the rounding of the new weights (products in double, rounded once).
/// Other batch norms stay, such as those behind an activation, at the beginning of a branch, or behind
/// weights in another format than the canonical dense one. Types change: layers have fewer positions,
/// and names of parameters in files count them. The result has nothing of batch norm's training.
template <class L>
auto fold_batch_norm(const L& network)
{
    if constexpr (transformable<L>)
    {
        const auto inner = network.transform(
            [](const auto& child)
            {
                return nn::fold_batch_norm(child);
            });
        if constexpr (is_sequential<std::remove_cvref_t<decltype(inner)>>)
        {
            return std::apply(
                [](auto... each)
                {
                    return sequential<decltype(each)...>(std::move(each)...);
                },
                detail::fold_from<0>(inner.layers));
        }
        else
        {
            return inner;
        }
    }
    else
    {
        return network;
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
