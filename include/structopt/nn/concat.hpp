/// @file
/// `concat`: the features of two layers side by side.
#pragma once

#include <structopt/nn/branches.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// y = [first(x), second(x)] along axis 1: the features or channels of the first, then those of the
/// second.
///
/// All other extents agree: `shape_error` otherwise, ranks that differ do not compile. More than two
/// branches nest.
template <class First, class Second>
class concat
{
    static_assert(sizeof(detail::checked_branches<First, Second>) > 0);

public:
    static constexpr std::string_view name = "concat";
    static constexpr std::size_t input_rank = detail::common_rank(
        detail::declared_input_rank<First>(), detail::declared_input_rank<Second>());
    static constexpr std::size_t output_rank = detail::common_rank(
        detail::declared_output_rank<First>(), detail::declared_output_rank<Second>());

    /// The element type of the first layer that has one; `void` if none has.
    using value_type = typename detail::first_value_type<First, Second>::type;

    concat(First a, Second b)
        : first(std::move(a))
        , second(std::move(b))
    {
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        auto out = layer_traits<First>::output_shape(first, in);
        const auto other = layer_traits<Second>::output_shape(second, in);
        static_assert(std::tuple_size_v<decltype(out)> >= 2);
        bool fits = true;
        for (std::size_t i = 0; i < out.size(); ++i)
        {
            fits = fits && (i == 1 || out[i] == other[i]);
        }
        if (!fits)
        {
            structopt::detail::raise<shape_error>("concat",
                "branches (" + std::string(layer_traits<First>::name()) + " and " +
                    std::string(layer_traits<Second>::name()) + ") of one shape but for axis 1",
                describe(out) + " and " + describe(other));
        }
        out[1] += other[1];
        return out;
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return scratch_size<T>(count(layer_traits<First>::output_shape(first, in))) +
               scratch_size<T>(count(layer_traits<Second>::output_shape(second, in))) +
               std::max(layer_traits<First>::template scratch_bytes<T>(first, in),
                   layer_traits<Second>::template scratch_bytes<T>(second, in));
    }

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, scratch space) const noexcept
    {
        const auto first_shape = layer_traits<First>::output_shape(first, x.shape());
        const auto second_shape = layer_traits<Second>::output_shape(second, x.shape());
        const view<T, M> a(space.template take<T>(count(first_shape)), first_shape);
        const view<T, M> b(space.template take<T>(count(second_shape)), second_shape);
        layer_traits<First>::forward(first, x, a, space);
        layer_traits<Second>::forward(second, x, b, space);
        join<T, M>(a, b, y);
    }

    template <class T, std::size_t N>
    using cache = detail::branches_cache<First, Second, T, N>;

    template <class T, std::size_t N, std::size_t M>
    void forward(
        view<const T, N> x, view<T, M> y, detail::branches_cache<First, Second, T, N>& kept) const
    {
        resize(kept.first_y, layer_traits<First>::output_shape(first, x.shape()));
        resize(kept.second_y, layer_traits<Second>::output_shape(second, x.shape()));
        layer_traits<First>::forward(first, x, as_view(kept.first_y), kept.first);
        layer_traits<Second>::forward(second, x, as_view(kept.second_y), kept.second);
        join<T, M>(as_view(std::as_const(kept.first_y)), as_view(std::as_const(kept.second_y)), y);
    }

    template <class T, std::size_t N, std::size_t M>
    void backward(view<const T, N> x, view<const T, M>, view<const T, M> dy, view<T, N> dx,
        detail::branches_cache<First, Second, T, N>& kept, concat& gradients) const
    {
        resize(kept.first_dy, shape_of(kept.first_y));
        resize(kept.second_dy, shape_of(kept.second_y));
        split<T, M>(dy, as_view(kept.first_dy), as_view(kept.second_dy));
        view<T, N> other;
        if (dx.data() != nullptr)
        {
            resize(kept.dx, dx.shape());
            other = as_view(kept.dx);
        }
        layer_traits<First>::backward(first, x, as_view(std::as_const(kept.first_y)),
            as_view(std::as_const(kept.first_dy)), dx, kept.first, gradients.first);
        layer_traits<Second>::backward(second, x, as_view(std::as_const(kept.second_y)),
            as_view(std::as_const(kept.second_dy)), other, kept.second, gradients.second);
        if (dx.data() != nullptr)
        {
            detail::add_to(other.data(), dx.size(), dx.data());
        }
    }

    template <class T, std::size_t N>
    void update_statistics(const detail::branches_cache<First, Second, T, N>& kept)
    {
        layer_traits<First>::update_statistics(first, kept.first);
        layer_traits<Second>::update_statistics(second, kept.second);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("0", self.first);
        visit("1", self.second);
    }

    /// The same of `change(first)` and `change(second)`.
    template <class Change>
    auto transform(Change&& change) const
    {
        using new_first = std::remove_cvref_t<decltype(change(first))>;
        using new_second = std::remove_cvref_t<decltype(change(second))>;
        new_first a = change(first);
        return concat<new_first, new_second>(std::move(a), change(second));
    }

    /// The units of the first, then those of the second.
    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const
    {
        const auto left = walk(first, in);
        return walk.join(left, walk(second, in));
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return layer_traits<First>::multiply_adds(first, in) +
               layer_traits<Second>::multiply_adds(second, in);
    }

    /// Inference on a whole batch: `auto y = block(x);`
    template <class X>
    auto operator()(const X& x) const
    {
        return nn::forward(*this, x);
    }

    First first;
    Second second;

private:
    template <class T, std::size_t M>
    static void join(view<const T, M> a, view<const T, M> b, view<T, M> y) noexcept
    {
        const index_t wide = count(tail(a.shape()));
        const index_t rest = count(tail(b.shape()));
        T* to = y.data();
        for (index_t i = 0; i < y.shape(0); ++i)
        {
            to = std::copy_n(a.data() + i * wide, wide, to);
            to = std::copy_n(b.data() + i * rest, rest, to);
        }
    }

    template <class T, std::size_t M>
    static void split(view<const T, M> y, view<T, M> a, view<T, M> b) noexcept
    {
        const index_t wide = count(tail(a.shape()));
        const index_t rest = count(tail(b.shape()));
        const T* from = y.data();
        for (index_t i = 0; i < y.shape(0); ++i)
        {
            std::copy_n(from, wide, a.data() + i * wide);
            std::copy_n(from + wide, rest, b.data() + i * rest);
            from += wide + rest;
        }
    }
};

template <class First, class Second>
concat(First, Second) -> concat<First, Second>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
