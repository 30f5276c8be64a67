/// @file
/// `sequential`: layers one after the other. Nests, and is itself a layer.
#pragma once

#include <structopt/nn/layer.hpp>

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Named in the first line of a compile error: `Producer`'s output has a higher rank than
/// `Consumer` takes, and `flatten{}` between the two turns [batch, ...] into [batch, features].
template <class Producer, class Consumer>
struct put_a_flatten_between;

/// Named in the first line of a compile error: `Consumer` cannot follow `Producer`, because their
/// ranks differ.
template <class Producer, class Consumer>
struct ranks_differ_between;

namespace detail
{

/// The declared rank of a layer's input or output; 0 for layers that take any and keep it.
template <class L>
constexpr std::size_t declared_input_rank() noexcept
{
    if constexpr (requires { L::input_rank; })
    {
        return L::input_rank;
    }
    else
    {
        return 0;
    }
}

template <class L>
constexpr std::size_t declared_output_rank() noexcept
{
    if constexpr (requires { L::output_rank; })
    {
        return L::output_rank;
    }
    else
    {
        return 0;
    }
}

/// Position of the first layer that cannot follow its predecessors, and of the layer that fixed
/// the rank before it; `count` if all is well.
struct rank_break
{
    std::size_t producer;
    std::size_t consumer;
    bool flatten;
};

/// One loop, so that the compiler's message is short.
template <class... Layers>
constexpr rank_break find_rank_break() noexcept
{
    constexpr std::size_t count = sizeof...(Layers);
    const std::array<std::size_t, count + 1> in{declared_input_rank<Layers>()..., 0};
    const std::array<std::size_t, count + 1> out{declared_output_rank<Layers>()..., 0};
    std::size_t rank = 0;
    std::size_t fixed_by = 0;
    for (std::size_t i = 0; i < count; ++i)
    {
        if (rank != 0 && in[i] != 0 && in[i] != rank)
        {
            return {fixed_by, i, rank > in[i]};
        }
        if (out[i] != 0)
        {
            rank = out[i];
            fixed_by = i;
        }
    }
    return {count, count, false};
}

template <class... Layers>
constexpr auto rank_verdict() noexcept
{
    constexpr rank_break found = find_rank_break<Layers...>();
    if constexpr (found.consumer == sizeof...(Layers))
    {
        return std::type_identity<std::true_type>{};
    }
    else
    {
        using layers = std::tuple<Layers...>;
        using producer = std::tuple_element_t<found.producer, layers>;
        using consumer = std::tuple_element_t<found.consumer, layers>;
        return std::type_identity<std::conditional_t<found.flatten,
            put_a_flatten_between<producer, consumer>, ranks_differ_between<producer, consumer>>>{};
    }
}

/// An incomplete type whose name says what is wrong, if ranks differ: `sizeof` is the check, and one
/// line of error.
template <class... Layers>
using checked_chain = typename decltype(rank_verdict<Layers...>())::type;

/// The first of the layers that has no `forward`, or `void`.
template <class T, std::size_t N, class First, class... Rest>
constexpr auto first_without_forward() noexcept
{
    using found = decltype(detail::find_without_forward<First, T, N>());
    if constexpr (sizeof...(Rest) == 0 || !std::is_void_v<typename found::type>)
    {
        return found{};
    }
    else
    {
        return detail::first_without_forward<T, rank_after<First, N>, Rest...>();
    }
}

/// The element type of the first layer that has one; `void` if none has.
template <class... Layers>
struct first_value_type
{
    using type = void;
};

template <class First, class... Rest>
struct first_value_type<First, Rest...>
    : std::conditional_t<std::is_void_v<nn::value_type<First>>, first_value_type<Rest...>,
          std::type_identity<nn::value_type<First>>>
{
};

/// "0", "1", ... as static text.
template <std::size_t I>
struct index_text
{
    static constexpr std::size_t digits = I < 10 ? 1 : I < 100 ? 2 : 3;
    static_assert(I < 1000);
    static constexpr std::array<char, 3> characters = {
        static_cast<char>('0' + (digits == 3      ? I / 100
                                    : digits == 2 ? I / 10
                                                  : I)),
        static_cast<char>('0' + (digits == 3 ? I / 10 % 10 : I % 10)),
        static_cast<char>('0' + I % 10)};
    static constexpr std::string_view value{characters.data(), digits};
};

/// What training keeps of a chain of layers: of each its own cache, its output and the gradient of
/// its output. The last layer's output and gradient belong to the caller.
template <class T, std::size_t N, class... Layers>
struct chain_cache
{
};

template <class T, std::size_t N, class Last>
struct chain_cache<T, N, Last>
{
    typename layer_traits<Last>::template cache<T, N> own;
};

template <class T, std::size_t N, class First, class Second, class... Rest>
struct chain_cache<T, N, First, Second, Rest...>
{
    static constexpr std::size_t rank = nn::output_rank<First, N>;
    typename layer_traits<First>::template cache<T, N> own;
    tensor<T, rank> y;
    tensor<T, rank> dy;
    chain_cache<T, rank, Second, Rest...> rest;
};

} // namespace detail

/// Layers one after the other.
///
/// `sequential net{dense{{.in = 64, .out = 32}, rng}, relu{}, dense{{.in = 32, .out = 10}, rng}};`
/// A sequential of a sequential nests. Ranks that do not fit are a compile error that names the
/// two layers; extents that do not fit throw `shape_error` at the first call.
template <class... Layers>
class sequential
{
    static_assert(sizeof(detail::checked_chain<Layers...>) > 0);

    static constexpr std::size_t size = sizeof...(Layers);

    template <std::size_t I>
    using layer_type = std::tuple_element_t<I, std::tuple<Layers...>>;

    template <std::size_t I>
    using traits = layer_traits<layer_type<I>>;

public:
    static constexpr std::string_view name = "sequential";

    static constexpr std::size_t input_rank = []
    {
        const std::array<std::size_t, size + 1> in{detail::declared_input_rank<Layers>()..., 0};
        const std::array<std::size_t, size + 1> out{detail::declared_output_rank<Layers>()..., 0};
        for (std::size_t i = 0; i < size; ++i)
        {
            if (in[i] != 0 || out[i] != 0)
            {
                return in[i];
            }
        }
        return std::size_t{0};
    }();

    static constexpr std::size_t output_rank = []
    {
        const std::array<std::size_t, size + 1> out{detail::declared_output_rank<Layers>()..., 0};
        for (std::size_t i = size; i-- > 0;)
        {
            if (out[i] != 0)
            {
                return out[i];
            }
        }
        return std::size_t{0};
    }();

    /// The element type of the first layer that has one; `void` if none has.
    using value_type = typename detail::first_value_type<Layers...>::type;

    sequential() = default;

    explicit sequential(Layers... list) requires(size > 0)
        : layers(std::move(list)...)
    {
    }

    /// The layer at a position: `net.template layer<2>()`.
    template <std::size_t I>
    layer_type<I>& layer() noexcept
    {
        return std::get<I>(layers);
    }

    template <std::size_t I>
    const layer_type<I>& layer() const noexcept
    {
        return std::get<I>(layers);
    }

    template <class T, std::size_t N>
        requires(size > 0)
    using without_forward =
        typename decltype(detail::first_without_forward<T, N, Layers...>())::type;

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        return shape_after<0>(in);
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        plan needed;
        measure<T, 0, 0>(in, needed);
        return scratch_size<T>(needed.elements[0]) + scratch_size<T>(needed.elements[1]) +
               needed.bytes;
    }

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, scratch space) const noexcept
    {
        if constexpr (size == 0)
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
        else
        {
            plan needed;
            measure<T, 0, 0>(x.shape(), needed);
            T* const buffers[2] = {space.template take<T>(needed.elements[0]),
                space.template take<T>(needed.elements[1])};
            run<0, 0>(x, y, buffers, space);
        }
    }

    /// Inference on a whole batch: `auto y = net(x);`
    template <class X>
    auto operator()(const X& x) const
    {
        // Here as well as in nn::forward: the message is one instantiation shorter.
        using T = std::remove_cvref_t<decltype(*x.data())>;
        constexpr std::size_t n = std::tuple_size_v<decltype(shape_of(x))>;
        if constexpr (std::is_void_v<detail::inference_error<sequential, T, n>>)
        {
            return nn::forward(*this, x);
        }
        else
        {
            return detail::inference_error<sequential, T, n>{};
        }
    }

    template <class T, std::size_t N>
    struct cache : detail::chain_cache<T, N, Layers...>
    {
        void seed(random_engine& rng)
        {
            seed_all(static_cast<detail::chain_cache<T, N, Layers...>&>(*this), rng);
        }

    private:
        template <std::size_t R, class First, class... Rest>
        static void seed_all(detail::chain_cache<T, R, First, Rest...>& kept, random_engine& rng)
        {
            layer_traits<First>::seed(kept.own, rng);
            if constexpr (sizeof...(Rest) > 0)
            {
                seed_all(kept.rest, rng);
            }
        }

        template <std::size_t R>
        static void seed_all(detail::chain_cache<T, R>&, random_engine&)
        {
        }
    };

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, cache<T, N>& kept) const
    {
        if constexpr (size == 0)
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
        else
        {
            train_forward<0>(x, y, kept);
        }
    }

    template <class T, std::size_t N, std::size_t M>
    void backward(view<const T, N> x, view<const T, M> y, view<const T, M> dy, view<T, N> dx,
        cache<T, N>& kept, sequential& gradients) const
    {
        if constexpr (size == 0)
        {
            std::copy_n(dy.data(), dx.size(), dx.data());
        }
        else
        {
            train_backward<0>(x, y, dy, dx, kept, gradients);
        }
    }

    template <class T, std::size_t N>
    void update_statistics(const cache<T, N>& kept)
    {
        if constexpr (size > 0)
        {
            update_from<0>(kept);
        }
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            (visit(detail::index_text<I>::value, std::get<I>(self.layers)), ...);
        }
        (std::make_index_sequence<size>{});
    }

    /// The same chain with every layer replaced by `change(layer)`.
    template <class Change>
    auto transform(Change&& change) const
    {
        return [&]<std::size_t... I>(std::index_sequence<I...>)
        {
            return sequential<std::remove_cvref_t<decltype(change(std::get<I>(layers)))>...>(
                change(std::get<I>(layers))...);
        }
        (std::make_index_sequence<size>{});
    }

    /// The units of the input go through the layers in turn.
    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const
    {
        return walk_from<0>(walk, in);
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return cost_from<0>(in);
    }

    std::tuple<Layers...> layers;

private:
    /// Elements of the two buffers that intermediate results alternate between, and the largest
    /// scratch of a layer.
    struct plan
    {
        index_t elements[2] = {0, 0};
        std::size_t bytes = 0;
    };

    /// Whether the layers after I all work in place: then I writes the caller's y.
    template <std::size_t I>
    static constexpr bool reaches_output() noexcept
    {
        const std::array<bool, size> in_place{layer_traits<Layers>::in_place()...};
        for (std::size_t i = I + 1; i < size; ++i)
        {
            if (!in_place[i])
            {
                return false;
            }
        }
        return true;
    }

    /// Whether layer I overwrites its input (one of the two buffers).
    template <std::size_t I>
    static constexpr bool overwrites() noexcept
    {
        return I > 0 && !reaches_output<I>() && traits<I>::in_place();
    }

    template <std::size_t I, std::size_t N>
    auto shape_after(const shape<N>& in) const
    {
        if constexpr (I == size)
        {
            return in;
        }
        else
        {
            return shape_after<I + 1>(traits<I>::output_shape(std::get<I>(layers), in));
        }
    }

    template <class T, std::size_t I, std::size_t Side, std::size_t N>
    void measure(const shape<N>& in, plan& needed) const
    {
        if constexpr (I < size)
        {
            const auto& layer = std::get<I>(layers);
            const auto out = traits<I>::output_shape(layer, in);
            needed.bytes = std::max(needed.bytes, traits<I>::template scratch_bytes<T>(layer, in));
            if constexpr (reaches_output<I>() || overwrites<I>())
            {
                measure<T, I + 1, Side>(out, needed);
            }
            else
            {
                needed.elements[Side] = std::max(needed.elements[Side], count(out));
                measure<T, I + 1, 1 - Side>(out, needed);
            }
        }
    }

    template <std::size_t I, std::size_t Side, class T, std::size_t N, std::size_t M>
    void run(view<const T, N> x, view<T, M> y, T* const (&buffers)[2], scratch space) const noexcept
    {
        const auto& layer = std::get<I>(layers);
        const auto out = traits<I>::output_shape(layer, x.shape());
        if constexpr (I + 1 == size)
        {
            traits<I>::forward(layer, x, y, space);
        }
        else
        {
            constexpr bool same_side = reaches_output<I>() || overwrites<I>();
            T* const to = reaches_output<I>() ? y.data()
                          : overwrites<I>()   ? const_cast<T*>(x.data())
                                              : buffers[Side];
            using out_view = view<T, std::tuple_size_v<decltype(out)>>;
            const out_view target(to, out);
            traits<I>::forward(layer, x, target, space);
            run<I + 1, same_side ? Side : 1 - Side>(
                view<const T, out_view::rank>(target), y, buffers, space);
        }
    }

    template <std::size_t I, class T, std::size_t N, std::size_t M, class Cache>
    void train_forward(view<const T, N> x, view<T, M> y, Cache& kept) const
    {
        const auto& layer = std::get<I>(layers);
        if constexpr (I + 1 == size)
        {
            traits<I>::forward(layer, x, y, kept.own);
        }
        else
        {
            resize(kept.y, traits<I>::output_shape(layer, x.shape()));
            traits<I>::forward(layer, x, as_view(kept.y), kept.own);
            train_forward<I + 1>(as_view(std::as_const(kept.y)), y, kept.rest);
        }
    }

    template <std::size_t I, class T, std::size_t N, std::size_t M, class Cache>
    void train_backward(view<const T, N> x, view<const T, M> y, view<const T, M> dy, view<T, N> dx,
        Cache& kept, sequential& gradients) const
    {
        const auto& layer = std::get<I>(layers);
        auto& gradient = std::get<I>(gradients.layers);
        if constexpr (I + 1 == size)
        {
            traits<I>::backward(layer, x, y, dy, dx, kept.own, gradient);
        }
        else
        {
            constexpr std::size_t rank = std::remove_reference_t<Cache>::rank;
            const auto middle = as_view(std::as_const(kept.y));
            resize(kept.dy, middle.shape());
            // The first layers of a network need no input gradient: neither do layers without
            // parameters that follow nothing but such layers.
            const bool needed = dx.data() != nullptr || prefix_has_parameters<I>();
            train_backward<I + 1>(
                middle, y, dy, needed ? as_view(kept.dy) : view<T, rank>(), kept.rest, gradients);
            if (needed)
            {
                traits<I>::backward(
                    layer, x, middle, as_view(std::as_const(kept.dy)), dx, kept.own, gradient);
            }
        }
    }

    /// Whether one of the layers 0 .. I has parameters.
    template <std::size_t I>
    static constexpr bool prefix_has_parameters() noexcept
    {
        const std::array<bool, size> has{(has_parameters<Layers> || has_children<Layers>)...};
        for (std::size_t i = 0; i <= I; ++i)
        {
            if (has[i])
            {
                return true;
            }
        }
        return false;
    }

    template <std::size_t I, class Cache>
    void update_from(const Cache& kept)
    {
        traits<I>::update_statistics(std::get<I>(layers), kept.own);
        if constexpr (I + 1 < size)
        {
            update_from<I + 1>(kept.rest);
        }
    }

    template <std::size_t I, class Walk, class Units>
    auto walk_from(Walk& walk, const Units& in) const
    {
        if constexpr (I == size)
        {
            return in;
        }
        else
        {
            return walk_from<I + 1>(walk, walk(std::get<I>(layers), in));
        }
    }

    template <std::size_t I, std::size_t N>
    index_t cost_from(const shape<N>& in) const
    {
        if constexpr (I == size)
        {
            return 0;
        }
        else
        {
            const auto& layer = std::get<I>(layers);
            return traits<I>::multiply_adds(layer, in) +
                   cost_from<I + 1>(traits<I>::output_shape(layer, in));
        }
    }
};

template <class... Layers>
sequential(Layers...) -> sequential<Layers...>;

template <class... Layers>
sequential(sequential<Layers...>) -> sequential<sequential<Layers...>>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
