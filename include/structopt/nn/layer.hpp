/// @file
/// The contract of a layer: what a type must offer to be composed, trained, pruned, quantized,
/// saved and reported. Everything in the library reaches a layer through `layer_traits`.
///
/// A layer is a plain value. What it must have:
///
/// | member | meaning |
/// |---|---|
/// | `output_shape(in)` | `shape<M>` for a batch of `shape<N>`; throws `shape_error` if it does not fit |
/// | `forward(x, y, scratch) const noexcept` | inference, no allocation, nothing checked, safe from many threads |
///
/// and what it may have:
///
/// | member | for | default |
/// |---|---|---|
/// | `static constexpr std::string_view name` | reports, errors | "layer" |
/// | `template <T, N> scratch_bytes(in)` | scratch of `forward` | 0 |
/// | `static constexpr bool in_place` | `forward` may get the same memory as x and y, which have equally many elements | false |
/// | `template <T, N> struct cache` | what training keeps between the passes | empty |
/// | `forward(x, y, cache) const` | training; x and y live until `backward` | inference |
/// | `backward(x, y, dy, dx, cache, gradients) const` | adds to `gradients` (a layer of the same type), writes dx unless it is empty | not trainable |
/// | `update_statistics(cache)` | running averages, after a training step | nothing |
/// | `parameters(self, visit)`, `children(self, visit)` | see nn/parameters.hpp | none |
/// | `cost(in)` | multiply-adds | 0 |
/// | `unit_coupling()` | how outputs depend on inputs | `coupling::blocks` |
/// | `inputs()`, `outputs()`, `select_inputs(i)`, `select_outputs(i)` | removal of units (mixes) | |
/// | `unit_groups()` | groups that see a part of the inputs each: unit j of every group goes at once (mixes) | 1 |
/// | `select_units(i)` | removal of units (passes, normalizes, with parameters per unit) | unchanged |
/// | `map_units(i, in)` | new numbering of units (flatten) | unchanged |
/// | `walk_units(walk, in)` | removal of units inside a container: how units flow through its children | `coupling::blocks` |
/// | `weight`, `with_weight(storage)` | exchange of the weight's storage | |
/// | `refresh()` | parameters were replaced by others of other extents (a file): takes the extents from them, throws `format_error` if they disagree | extents are fixed |
///
/// An activation function needs only `value(x)` and `derivative(x, y)`: see `pointwise`.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/scratch.hpp>
#include <structopt/nn/storage.hpp>

#include <algorithm>
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// How the units (features, channels) of a layer's output depend on those of its input.
enum class coupling
{
    mixes,      ///< every output on every input (of its group): dense, convolution
    passes,     ///< output i on input i alone: activations, pooling, batch norm
    normalizes, ///< output i on input i and on sums in which a zero counts nothing: layer norm
    blocks      ///< otherwise: units on neither side can be removed without changing the rest
};

/// A function applied to every element: one small struct is a layer.
///
/// `value(x)` is the function and `derivative(x, y)` its derivative, where y = value(x) is at hand.
template <class F>
concept pointwise = requires(const F& f, float x, double z)
{
    {
        f.value(x)
        } -> std::same_as<float>;
    {
        f.value(z)
        } -> std::same_as<double>;
    {
        f.derivative(x, x)
        } -> std::same_as<float>;
    {
        f.derivative(z, z)
        } -> std::same_as<double>;
};

namespace detail
{

struct no_cache
{
};

template <class L, class T, std::size_t N>
struct cache_of
{
    using type = no_cache;
};

template <class L, class T, std::size_t N>
    requires requires
    {
        typename L::template cache<T, N>;
    }
struct cache_of<L, T, N>
{
    using type = typename L::template cache<T, N>;
};

/// Elements per chunk when a pointwise function runs on several threads.
inline constexpr index_t pointwise_grain = 1 << 15;

} // namespace detail

/// How the library calls a layer; fills in the defaults of the table at the top of this file.
template <class L>
struct layer_traits
{
    static constexpr std::string_view name() noexcept
    {
        if constexpr (requires { L::name; })
        {
            return L::name;
        }
        else
        {
            return "layer";
        }
    }

    /// Whether `forward` may be given the same memory for input and output.
    static constexpr bool in_place() noexcept
    {
        if constexpr (requires { L::in_place; })
        {
            return L::in_place;
        }
        else
        {
            return pointwise<L>;
        }
    }

    template <std::size_t N>
    static constexpr auto output_shape(const L& layer, const shape<N>& in)
    {
        if constexpr (pointwise<L>)
        {
            return in;
        }
        else if constexpr (in_place())
        {
            const auto out = layer.output_shape(in);
            if (count(out) != count(in))
            {
                structopt::detail::raise<shape_error>(std::string(name()),
                    "as many outputs as inputs from a layer that works in place",
                    describe(out) + " from " + describe(in));
            }
            return out;
        }
        else
        {
            return layer.output_shape(in);
        }
    }

    template <class T, std::size_t N>
    static std::size_t scratch_bytes(const L& layer, const shape<N>& in)
    {
        if constexpr (requires { layer.template scratch_bytes<T>(in); })
        {
            return layer.template scratch_bytes<T>(in);
        }
        else
        {
            return 0;
        }
    }

    template <class T, std::size_t N, std::size_t M>
    static void forward(const L& layer, view<const T, N> x, view<T, M> y, scratch space) noexcept
        requires(pointwise<L> || requires { layer.forward(x, y, space); })
    {
        if constexpr (pointwise<L>)
        {
            const T* const from = x.data();
            T* const to = y.data();
            parallel_for(x.size(), detail::pointwise_grain,
                [&](index_t first, index_t last)
                {
                    for (index_t i = first; i < last; ++i)
                    {
                        to[i] = layer.value(from[i]);
                    }
                });
        }
        else
        {
            layer.forward(x, y, space);
        }
    }

    /// What a training step keeps of this layer for inputs of element T and rank N.
    template <class T, std::size_t N>
    using cache = typename detail::cache_of<L, T, N>::type;

    /// Seeds the random engine of a cache, if it has one.
    template <class Cache>
    static void seed(Cache& kept, random_engine& rng)
    {
        if constexpr (requires { kept.seed(rng); })
        {
            kept.seed(rng);
        }
    }

    /// The forward pass of training.
    template <class T, std::size_t N, std::size_t M>
    static void forward(const L& layer, view<const T, N> x, view<T, M> y, cache<T, N>& kept)
    {
        if constexpr (requires { layer.forward(x, y, kept); })
        {
            layer.forward(x, y, kept);
        }
        else
        {
            buffer<std::byte> bytes(scratch_bytes<T>(layer, x.shape()));
            forward(layer, x, y, scratch(bytes.data(), bytes.size()));
        }
    }

    /// The backward pass: adds to `gradients`, writes `dx` unless it is empty.
    template <class T, std::size_t N, std::size_t M>
    static void backward(const L& layer, view<const T, N> x, view<const T, M> y,
        view<const T, M> dy, view<T, N> dx, cache<T, N>& kept, L& gradients)
    {
        if constexpr (pointwise<L>)
        {
            if (dx.data() == nullptr)
            {
                return;
            }
            const T* const in = x.data();
            const T* const out = y.data();
            const T* const from = dy.data();
            T* const to = dx.data();
            parallel_for(x.size(), detail::pointwise_grain,
                [&](index_t first, index_t last)
                {
                    for (index_t i = first; i < last; ++i)
                    {
                        to[i] = from[i] * layer.derivative(in[i], out[i]);
                    }
                });
        }
        else
        {
            layer.backward(x, y, dy, dx, kept, gradients);
        }
    }

    template <class Cache>
    static void update_statistics(L& layer, const Cache& kept)
    {
        if constexpr (requires { layer.update_statistics(kept); })
        {
            layer.update_statistics(kept);
        }
    }

    /// Multiply-adds of one forward pass.
    template <std::size_t N>
    static index_t multiply_adds(const L& layer, const shape<N>& in)
    {
        if constexpr (requires { layer.cost(in); })
        {
            return layer.cost(in);
        }
        else
        {
            return 0;
        }
    }

    static coupling unit_coupling(const L& layer) noexcept
    {
        if constexpr (requires { layer.unit_coupling(); })
        {
            return layer.unit_coupling();
        }
        else
        {
            return pointwise<L> ? coupling::passes : coupling::blocks;
        }
    }

    /// The coupling for inputs of the given extents: a layer may answer for each rank.
    template <std::size_t N>
    static coupling unit_coupling(const L& layer, const shape<N>& in) noexcept
    {
        if constexpr (requires { layer.unit_coupling(in); })
        {
            return layer.unit_coupling(in);
        }
        else
        {
            return unit_coupling(layer);
        }
    }

    /// In how many groups a layer mixes its inputs.
    static index_t unit_groups(const L& layer) noexcept
    {
        if constexpr (requires { layer.unit_groups(); })
        {
            return layer.unit_groups();
        }
        else
        {
            return 1;
        }
    }

    /// A layer that lets units pass, without the units that are not listed.
    static L select_units(const L& layer, std::span<const index_t> indices)
    {
        if constexpr (requires { layer.select_units(indices); })
        {
            return layer.select_units(indices);
        }
        else
        {
            return layer;
        }
    }

    /// The numbers that the listed units of the input have in the output.
    template <std::size_t N>
    static std::vector<index_t> map_units(
        const L& layer, std::span<const index_t> indices, const shape<N>& in)
    {
        if constexpr (requires { layer.map_units(indices, in); })
        {
            return layer.map_units(indices, in);
        }
        else
        {
            return {indices.begin(), indices.end()};
        }
    }
};

/// A layer that takes batches of rank N.
template <class L, std::size_t N>
concept layer_on = pointwise<L> || requires(const L& l, const shape<N>& in)
{
    l.output_shape(in);
};

/// Rank of a layer's output for inputs of rank N.
template <class L, std::size_t N>
inline constexpr std::size_t output_rank = std::tuple_size_v<decltype(layer_traits<L>::output_shape(
    std::declval<const L&>(), std::declval<const shape<N>&>()))>;

/// A layer with a weight whose storage can be exchanged: `with_weight(storage)` is a layer that
/// computes the same from another format.
template <class L>
concept weighted = requires(const L& layer)
{
    layer.weight;
    layer.with_weight(layer.weight);
}
&&weight_storage<std::remove_cvref_t<decltype(std::declval<const L&>().weight)>>;

/// A layer whose units can be removed on both sides.
template <class L>
concept selectable = requires(const L& layer, std::span<const index_t> indices)
{
    {
        layer.inputs()
        } -> std::same_as<index_t>;
    {
        layer.outputs()
        } -> std::same_as<index_t>;
    {
        layer.select_inputs(indices)
        } -> std::same_as<L>;
    {
        layer.select_outputs(indices)
        } -> std::same_as<L>;
};

namespace detail
{

template <class L>
struct value_type_of
{
    using type = void;
};

template <class L>
    requires requires
    {
        typename L::value_type;
    }
struct value_type_of<L>
{
    using type = typename L::value_type;
};

} // namespace detail

/// Element type of a layer's activations; `void` for layers that take any (activations, pooling).
template <class L>
using value_type = typename detail::value_type_of<L>::type;

/// Extents of the output for a batch of the given extents; throws `shape_error`.
template <class L, std::size_t N>
auto output_shape(const L& layer, const shape<N>& in)
{
    return layer_traits<L>::output_shape(layer, in);
}

/// Scratch that `forward` needs for a batch of the given extents.
template <class T, class L, std::size_t N>
std::size_t scratch_bytes(const L& layer, const shape<N>& in)
{
    return layer_traits<L>::template scratch_bytes<T>(layer, in);
}

/// Multiply-adds of one forward pass over a batch of the given extents.
template <class L, std::size_t N>
index_t multiply_adds(const L& layer, const shape<N>& in)
{
    return layer_traits<L>::multiply_adds(layer, in);
}

/// Inference without allocation: writes y from x.
///
/// x and y are contiguous, y has `output_shape(layer, x.shape())`, and `space` holds at least
/// `scratch_bytes<T>(layer, x.shape())`. Nothing is checked: this is the hot path.
template <class L, class T, std::size_t N, std::size_t M>
void forward(const L& layer, view<const T, N> x, view<T, M> y, scratch space) noexcept
{
    layer_traits<L>::forward(layer, x, y, space);
}

namespace detail
{

/// The rank of a layer's output.
template <class L, std::size_t N>
inline constexpr std::size_t rank_after = std::tuple_size_v<decltype(layer_traits<L>::output_shape(
    std::declval<const L&>(), std::declval<const shape<N>&>()))>;

/// The first layer in `L` that has no `forward` for a batch of rank N, or `void`. A container says so
/// itself, by its member `without_forward<T, N>`.
template <class L, class T, std::size_t N>
constexpr auto find_without_forward() noexcept
{
    if constexpr (requires { typename L::template without_forward<T, N>; })
    {
        return std::type_identity<typename L::template without_forward<T, N>>{};
    }
    else
    {
        constexpr bool there =
            requires(const L& layer, view<const T, N> x, view<T, rank_after<L, N>> y, scratch space)
        {
            layer_traits<L>::forward(layer, x, y, space);
        };
        return std::type_identity<std::conditional_t<there, void, L>>{};
    }
}

/// Never defined: its name is the message.
template <class L>
struct no_forward_in;

/// `void`, or what is wrong with inference by `L`.
template <class L, class T, std::size_t N>
using inference_error = std::conditional_t<
    std::is_void_v<typename decltype(detail::find_without_forward<L, T, N>())::type>, void,
    no_forward_in<typename decltype(detail::find_without_forward<L, T, N>())::type>>;

template <class T, std::size_t N, class L>
auto infer(const L& layer, view<const T, N> x)
{
    if (!x.contiguous())
    {
        structopt::detail::raise<shape_error>(std::string(layer_traits<L>::name()),
            "a contiguous row-major input", "strides " + describe(x.strides()));
    }
    const auto extents = layer_traits<L>::output_shape(layer, x.shape());
    auto y = make_tensor<std::remove_const_t<T>>(extents);
    buffer<std::byte> bytes(layer_traits<L>::template scratch_bytes<T>(layer, x.shape()));
    layer_traits<L>::forward(layer, x, as_view(y), scratch(bytes.data(), bytes.size()));
    return y;
}

} // namespace detail

/// Inference: the network's output for a batch (any contiguous tensor of static rank).
///
/// Throws `shape_error` if the batch does not fit the network.
template <class L, class X>
    requires requires(const X& x)
    {
        shape_of(x);
    }
auto forward(const L& network, const X& x)
{
    using T = std::remove_cvref_t<decltype(*x.data())>;
    constexpr std::size_t n = std::tuple_size_v<decltype(shape_of(x))>;
    static_assert(tensor_like<const X, const T, n>, "the input must be row-major, of static rank");
    if constexpr (std::is_void_v<detail::inference_error<L, T, n>>)
    {
        return detail::infer<T, n>(network, view<const T, n>(x));
    }
    else
    {
        return detail::inference_error<L, T, n>{};
    }
}

template <class L, class T, std::size_t N>
auto forward(const L& network, view<T, N> x)
{
    using element = std::remove_const_t<T>;
    if constexpr (std::is_void_v<detail::inference_error<L, element, N>>)
    {
        return detail::infer<element, N>(network, view<const element, N>(x));
    }
    else
    {
        return detail::inference_error<L, element, N>{};
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
