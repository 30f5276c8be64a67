/// @file
/// Networks of int8 codes out of networks of floats: what is observed on the way, and the layers that
/// are made of it.
#pragma once

#include <structopt/nn/chain.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/quantize/integer/form.hpp>
#include <structopt/quantize/integer/int8_rescale.hpp>
#include <structopt/quantize/integer/residual.hpp>
#include <structopt/quantize/observer/min_max.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{
namespace detail
{

template <class L>
inline constexpr bool is_residual = false;

template <class Branch, class Shortcut>
inline constexpr bool is_residual<nn::residual<Branch, Shortcut>> = true;

template <class L>
inline constexpr bool is_concat = false;

template <class First, class Second>
inline constexpr bool is_concat<nn::concat<First, Second>> = true;

/// Places where a network of this type is observed: behind every leaf and every sum.
template <class L>
struct places
{
    static constexpr std::size_t count = 1;
};

template <class... Layers>
struct places<nn::sequential<Layers...>>
{
    static constexpr std::size_t count = (std::size_t{0} + ... + places<Layers>::count);
};

template <class Branch, class Shortcut>
struct places<nn::residual<Branch, Shortcut>>
{
    static constexpr std::size_t count = places<Branch>::count + places<Shortcut>::count + 1;
};

template <class First, class Second>
struct places<nn::concat<First, Second>>
{
    static constexpr std::size_t count = places<First>::count + places<Second>::count;
};

/// Whether a layer can apply a ReLU that follows it.
template <class L>
constexpr bool fuses_relu() noexcept
{
    if constexpr (is_residual<L>)
    {
        return true;
    }
    else if constexpr (nn::is_sequential<L> || is_concat<L>)
    {
        return false;
    }
    else
    {
        return integer_form<L>::fuses_relu;
    }
}

/// Shows every sample of a batch to an observer.
template <class Observer, class T, std::size_t N>
void observe_samples(Observer& observer, const tensor<T, N>& x)
{
    const index_t samples = shape_of(x)[0];
    const index_t size = samples == 0 ? 0 : size_of(x) / samples;
    for (index_t i = 0; i < samples; ++i)
    {
        observer.observe(
            std::span<const float>(x.data() + i * size, static_cast<std::size_t>(size)));
    }
}

template <class L, class X, class Observer>
auto observed_forward(const L& layer, const X& x, Observer*& at);

template <std::size_t I, class L, class X, class Observer>
auto observed_from(const L& chain, const X& x, Observer*& at)
{
    if constexpr (I == std::tuple_size_v<decltype(chain.layers)>)
    {
        return x;
    }
    else
    {
        return detail::observed_from<I + 1>(
            chain, detail::observed_forward(std::get<I>(chain.layers), x, at), at);
    }
}

/// The output of a layer for a batch; `at` are the observers of its places, in order.
template <class L, class X, class Observer>
auto observed_forward(const L& layer, const X& x, Observer*& at)
{
    if constexpr (nn::is_sequential<L>)
    {
        return detail::observed_from<0>(layer, x, at);
    }
    else if constexpr (is_residual<L>)
    {
        auto y = detail::observed_forward(layer.branch, x, at);
        const auto other = detail::observed_forward(layer.shortcut, x, at);
        for (index_t i = 0; i < size_of(y); ++i)
        {
            y.data()[i] += other.data()[i];
        }
        detail::observe_samples(*at++, y);
        return y;
    }
    else if constexpr (is_concat<L>)
    {
        detail::observed_forward(layer.first, x, at);
        detail::observed_forward(layer.second, x, at);
        return nn::forward(layer, x);
    }
    else
    {
        auto y = nn::forward(layer, x);
        detail::observe_samples(*at++, y);
        return y;
    }
}

template <class L>
auto build(const L& layer, const scale_and_zero& input, const value_range*& range, bool relu);

template <std::size_t I, class L, class... Done>
auto build_from(const L& chain, const scale_and_zero& input, const value_range*& range,
    std::tuple<Done...> done)
{
    constexpr std::size_t size = std::tuple_size_v<decltype(chain.layers)>;
    if constexpr (I == size)
    {
        return std::apply(
            [&](auto&... layers)
            {
                return integer_layer{
                    nn::sequential<std::remove_cvref_t<decltype(layers)>...>(std::move(layers)...),
                    input};
            },
            done);
    }
    else
    {
        const auto& layer = std::get<I>(chain.layers);
        using current = std::remove_cvref_t<decltype(layer)>;
        constexpr bool fused = []
        {
            if constexpr (I + 1 < size)
            {
                using next =
                    std::tuple_element_t<I + 1, std::remove_cvref_t<decltype(chain.layers)>>;
                return std::is_same_v<next, nn::relu> && detail::fuses_relu<current>();
            }
            else
            {
                return false;
            }
        }();
        auto built = detail::build(layer, input, range, fused);
        const scale_and_zero output = built.output;
        return detail::build_from<I + (fused ? 2 : 1)>(chain, output, range,
            std::tuple_cat(std::move(done), std::make_tuple(std::move(built.layer))));
    }
}

/// The layer between int8 codes; `range` are those of its places, in order, and with `relu` that of a
/// ReLU behind it.
template <class L>
auto build(const L& layer, const scale_and_zero& input, const value_range*& range, bool relu)
{
    if constexpr (nn::is_sequential<L>)
    {
        return detail::build_from<0>(layer, input, range, std::tuple<>{});
    }
    else if constexpr (is_residual<L>)
    {
        auto branch = detail::build(layer.branch, input, range, false);
        auto shortcut = detail::build(layer.shortcut, input, range, false);
        range += relu ? 1 : 0;
        const scale_and_zero output = activation_scheme{}.fit(*range++);
        using sum = int8_residual<decltype(branch.layer), decltype(shortcut.layer)>;
        return integer_layer{sum(std::move(branch.layer), branch.output, std::move(shortcut.layer),
                                 shortcut.output, output, relu),
            output};
    }
    else if constexpr (is_concat<L>)
    {
        auto first = detail::build(layer.first, input, range, false);
        auto second = detail::build(layer.second, input, range, false);
        // The range of both together.
        const auto end = [](const scale_and_zero& p, std::int8_t code)
        {
            return from_code(code, p);
        };
        const value_range both{std::min(end(first.output, -128), end(second.output, -128)),
            std::max(end(first.output, 127), end(second.output, 127))};
        const scale_and_zero output = activation_scheme{}.fit(both);
        nn::sequential a{std::move(first.layer), int8_rescale(first.output, output)};
        nn::sequential b{std::move(second.layer), int8_rescale(second.output, output)};
        return integer_layer{
            nn::concat<decltype(a), decltype(b)>(std::move(a), std::move(b)), output};
    }
    else
    {
        range += relu ? 1 : 0;
        return integer_form<L>::make(layer, input, *range++, relu);
    }
}

} // namespace detail
} // namespace quantize
STRUCTOPT_END_NAMESPACE
