/// @file
/// `residual`: the sum of a branch and a shortcut.
#pragma once

#include <structopt/nn/branches.hpp>
#include <structopt/nn/identity.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// y = shortcut(x) + branch(x), and `residual{branch}` is x + branch(x) (He et al., "Deep Residual
/// Learning", 2016).
///
/// Both give the same shape: `shape_error` otherwise, ranks that differ do not compile.
template <class Branch, class Shortcut = identity>
class residual
{
    static_assert(sizeof(detail::checked_branches<Branch, Shortcut>) > 0);

    static constexpr bool adds_input = std::is_same_v<Shortcut, identity>;

public:
    static constexpr std::string_view name = "residual";
    static constexpr std::size_t input_rank = detail::common_rank(
        detail::declared_input_rank<Branch>(), detail::declared_input_rank<Shortcut>());
    static constexpr std::size_t output_rank = detail::common_rank(
        detail::declared_output_rank<Branch>(), detail::declared_output_rank<Shortcut>());

    /// The element type of the first layer that has one; `void` if none has.
    using value_type = typename detail::first_value_type<Branch, Shortcut>::type;

    explicit residual(Branch b)
        : branch(std::move(b))
    {
    }

    residual(Branch b, Shortcut s)
        : branch(std::move(b))
        , shortcut(std::move(s))
    {
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        const auto sum = layer_traits<Branch>::output_shape(branch, in);
        const auto other = layer_traits<Shortcut>::output_shape(shortcut, in);
        if (sum != other)
        {
            structopt::detail::raise<shape_error>("residual",
                "branch (" + std::string(layer_traits<Branch>::name()) + ") and shortcut (" +
                    std::string(layer_traits<Shortcut>::name()) + ") of one shape",
                describe(sum) + " and " + describe(other));
        }
        return sum;
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        const std::size_t needed = layer_traits<Branch>::template scratch_bytes<T>(branch, in);
        if constexpr (adds_input)
        {
            return needed;
        }
        else
        {
            return scratch_size<T>(count(output_shape(in))) +
                   std::max(
                       needed, layer_traits<Shortcut>::template scratch_bytes<T>(shortcut, in));
        }
    }

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, scratch space) const noexcept
    {
        if constexpr (adds_input)
        {
            layer_traits<Branch>::forward(branch, x, y, space);
            detail::add_to(x.data(), y.size(), y.data());
        }
        else
        {
            const view<T, M> other(space.template take<T>(y.size()), y.shape());
            layer_traits<Branch>::forward(branch, x, y, space);
            layer_traits<Shortcut>::forward(shortcut, x, other, space);
            detail::add_to(other.data(), y.size(), y.data());
        }
    }

    template <class T, std::size_t N>
    using cache = detail::branches_cache<Branch, Shortcut, T, N>;

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y,
        detail::branches_cache<Branch, Shortcut, T, N>& kept) const
    {
        resize(kept.first_y, y.shape());
        layer_traits<Branch>::forward(branch, x, as_view(kept.first_y), kept.first);
        const T* other = x.data();
        if constexpr (!adds_input)
        {
            resize(kept.second_y, y.shape());
            layer_traits<Shortcut>::forward(shortcut, x, as_view(kept.second_y), kept.second);
            other = kept.second_y.data();
        }
        const T* const sum = kept.first_y.data();
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] = sum[i] + other[i];
        }
    }

    template <class T, std::size_t N, std::size_t M>
    void backward(view<const T, N> x, view<const T, M>, view<const T, M> dy, view<T, N> dx,
        detail::branches_cache<Branch, Shortcut, T, N>& kept, residual& gradients) const
    {
        layer_traits<Branch>::backward(
            branch, x, as_view(std::as_const(kept.first_y)), dy, dx, kept.first, gradients.branch);
        if constexpr (adds_input)
        {
            if (dx.data() != nullptr)
            {
                detail::add_to(dy.data(), dy.size(), dx.data());
            }
        }
        else
        {
            view<T, N> other;
            if (dx.data() != nullptr)
            {
                resize(kept.dx, dx.shape());
                other = as_view(kept.dx);
            }
            layer_traits<Shortcut>::backward(shortcut, x, as_view(std::as_const(kept.second_y)), dy,
                other, kept.second, gradients.shortcut);
            if (dx.data() != nullptr)
            {
                detail::add_to(other.data(), dx.size(), dx.data());
            }
        }
    }

    template <class T, std::size_t N>
    void update_statistics(const detail::branches_cache<Branch, Shortcut, T, N>& kept)
    {
        layer_traits<Branch>::update_statistics(branch, kept.first);
        layer_traits<Shortcut>::update_statistics(shortcut, kept.second);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("branch", self.branch);
        visit("shortcut", self.shortcut);
    }

    /// The same sum of `change(branch)` and `change(shortcut)`.
    template <class Change>
    auto transform(Change&& change) const
    {
        using new_branch = std::remove_cvref_t<decltype(change(branch))>;
        using new_shortcut = std::remove_cvref_t<decltype(change(shortcut))>;
        new_branch b = change(branch);
        return residual<new_branch, new_shortcut>(std::move(b), change(shortcut));
    }

    /// Unit i of the sum is unit i of both.
    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const
    {
        const auto sum = walk(branch, in);
        return walk.sum(sum, walk(shortcut, in));
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return layer_traits<Branch>::multiply_adds(branch, in) +
               layer_traits<Shortcut>::multiply_adds(shortcut, in);
    }

    /// Inference on a whole batch: `auto y = block(x);`
    template <class X>
    auto operator()(const X& x) const
    {
        return nn::forward(*this, x);
    }

    Branch branch;
    Shortcut shortcut;
};

template <class Branch>
residual(Branch) -> residual<Branch>;

template <class Branch, class Shortcut>
residual(Branch, Shortcut) -> residual<Branch, Shortcut>;

template <class Branch, class Shortcut>
residual(residual<Branch, Shortcut>) -> residual<residual<Branch, Shortcut>>;

} // namespace nn
STRUCTOPT_END_NAMESPACE
