/// @file
/// Training passes of a whole network: `forward(net, x, cache)`, then `backward(net, dy, cache, gradients)`.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/nn/every_weight.hpp>
#include <structopt/nn/layer.hpp>

#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// Whether a network can be trained; says why not.
template <class L>
constexpr bool check_trainable() noexcept
{
    constexpr bool trainable = every_weight<L, is_trainable>;
    static_assert(trainable, "packed and quantized weights do not train: train before nn::pack or "
                             "quantize::convert, or go on from nn::unpack(net)");
    return trainable;
}

} // namespace detail

/// What one forward pass of training keeps for its backward pass: activations, scratch, the random
/// engines of dropout. Reusable: buffers are allocated once per batch size.
///
/// One cache serves one thread; several caches on one network run at once.
template <class L, class T, std::size_t N>
struct network_cache
{
    static constexpr std::size_t rank = nn::output_rank<L, N>;

    view<const T, N> x;
    tensor<T, rank> y;
    typename layer_traits<L>::template cache<T, N> layers;
};

/// A cache for training `network` on batches like `x` (element type and rank count, not extents).
/// Dropout and other random layers draw from engines split off `rng`.
template <class L, class T, std::size_t N>
auto make_cache(const L&, view<T, N>, random_engine& rng)
{
    network_cache<L, std::remove_const_t<T>, N> kept;
    layer_traits<L>::seed(kept.layers, rng);
    return kept;
}

template <class L, class T, std::size_t N>
auto make_cache(const L& network, const tensor<T, N>& x, random_engine& rng)
{
    return make_cache(network, as_view(x), rng);
}

/// The forward pass of training: the output, which stays in the cache. `x` must live until
/// `backward` has run. Throws `shape_error` if the batch does not fit the network.
template <class L, class T, std::size_t N>
const auto& forward(
    const L& network, std::type_identity_t<view<const T, N>> x, network_cache<L, T, N>& kept)
{
    if constexpr (detail::check_trainable<L>())
    {
        if (!x.contiguous())
        {
            structopt::detail::raise<shape_error>(std::string(layer_traits<L>::name()),
                "a contiguous row-major input", "strides " + describe(x.strides()));
        }
        resize(kept.y, layer_traits<L>::output_shape(network, x.shape()));
        kept.x = x;
        layer_traits<L>::forward(network, x, as_view(kept.y), kept.layers);
    }
    return kept.y;
}

/// A temporary would be gone before `backward`.
template <class L, class T, std::size_t N>
void forward(const L& network, const tensor<T, N>&& x, network_cache<L, T, N>& kept) = delete;

/// The backward pass: adds the gradients of the parameters to `gradients` (`zeros_like(network)`,
/// or what an earlier pass left) for the gradient `dy` of the loss with respect to the output.
///
/// `dx`, if given, receives the gradient with respect to the input.
template <class L, class T, std::size_t N>
void backward(const L& network, std::type_identity_t<view<const T, nn::output_rank<L, N>>> dy,
    network_cache<L, T, N>& kept, L& gradients, std::type_identity_t<view<T, N>> dx = {})
{
    if constexpr (detail::check_trainable<L>())
    {
        const auto y = as_view(std::as_const(kept.y));
        check_shape("gradient of the output", y.shape(), dy.shape());
        if (dx.data() != nullptr)
        {
            check_shape("gradient of the input", kept.x.shape(), dx.shape());
        }
        layer_traits<L>::backward(network, kept.x, y, dy, dx, kept.layers, gradients);
    }
}

/// Lets layers with running averages (batch norm) take in the batch the cache has seen.
template <class L, class T, std::size_t N>
void update_statistics(L& network, const network_cache<L, T, N>& kept)
{
    layer_traits<L>::update_statistics(network, kept.layers);
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
