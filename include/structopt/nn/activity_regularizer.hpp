/// @file
/// Penalties on activations: a layer that lets its input pass and pulls it towards zero.
#pragma once

#include <structopt/nn/cache.hpp>

#include <algorithm>
#include <string>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// y = x, with the penalty sum(l1 |x| + l2 / 2 x^2) / batch on the loss. The backward pass adds its
/// gradient (l1 sign(x) + l2 x) / batch, with sign(0) = 0.
///
/// Put it behind the layer whose outputs are to be small or sparse (Glorot et al., "Deep Sparse
/// Rectifier Neural Networks", 2011, section 3). Costs nothing in inference; `activity_penalty`
/// reads the penalty, and `train::fit` reports it.
struct activity_regularizer
{
    static constexpr std::string_view name = "activity_regularizer";
    static constexpr bool in_place = true;

    double l1 = 0.0;
    double l2 = 0.0;

    /// The penalty of the last forward pass.
    template <class T, std::size_t N>
    struct cache
    {
        double penalty = 0.0;
    };

    /// @throws argument_error for a strength that is negative or NaN.
    template <std::size_t N>
    shape<N> output_shape(const shape<N>& in) const
    {
        if (!(l1 >= 0) || !(l2 >= 0))
        {
            structopt::detail::raise<argument_error>("activity_regularizer",
                "l1 and l2 that are not negative",
                "l1 " + std::to_string(l1) + ", l2 " + std::to_string(l2));
        }
        return in;
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch) const noexcept
    {
        if (y.data() != x.data())
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, cache<T, N>& kept) const noexcept
    {
        double absolute = 0;
        double squared = 0;
        for (index_t i = 0; i < x.size(); ++i)
        {
            const auto v = static_cast<double>(x.data()[i]);
            absolute += v < 0 ? -v : v;
            squared += v * v;
            y.data()[i] = x.data()[i];
        }
        kept.penalty =
            x.empty() ? 0.0 : (l1 * absolute + l2 / 2 * squared) / static_cast<double>(x.shape(0));
    }

    template <class T, std::size_t N>
    void backward(view<const T, N> x, view<const T, N>, view<const T, N> dy, view<T, N> dx,
        cache<T, N>&, activity_regularizer&) const noexcept
    {
        if (dx.data() == nullptr || x.empty())
        {
            return;
        }
        const auto batch = static_cast<double>(x.shape(0));
        const T absolute = static_cast<T>(l1 / batch);
        const T squared = static_cast<T>(l2 / batch);
        for (index_t i = 0; i < x.size(); ++i)
        {
            const T v = x.data()[i];
            dx.data()[i] =
                dy.data()[i] + squared * v + absolute * static_cast<T>((v > 0) - (v < 0));
        }
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    friend bool operator==(const activity_regularizer&, const activity_regularizer&) = default;
};

/// The sum of the penalties on activations that the last forward pass left in a cache.
///
/// Caches are searched through the members that the library's containers give them; a container of
/// one's own is found if its cache offers `template <class F> void for_each(const F& f) const`,
/// calling f with the cache of every layer.
template <class Cache>
double activity_penalty(const Cache& kept)
{
    double total = 0;
    if constexpr (requires { static_cast<double>(kept.penalty); })
    {
        total += static_cast<double>(kept.penalty);
    }
    if constexpr (requires { kept.layers; })
    {
        total += nn::activity_penalty(kept.layers);
    }
    if constexpr (requires { kept.own; })
    {
        total += nn::activity_penalty(kept.own);
    }
    if constexpr (requires { kept.rest; })
    {
        total += nn::activity_penalty(kept.rest);
    }
    if constexpr (requires {
                      kept.first;
                      kept.second;
                  })
    {
        total += nn::activity_penalty(kept.first) + nn::activity_penalty(kept.second);
    }
    if constexpr (requires { kept.for_each(any_visitor{}); })
    {
        kept.for_each(
            [&](const auto& part)
            {
                total += nn::activity_penalty(part);
            });
    }
    return total;
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
