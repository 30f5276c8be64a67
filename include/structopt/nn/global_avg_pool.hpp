/// @file
/// The average over height and width: [batch, channels, ...] to [batch, channels].
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// y [batch, channels] is the average of x [batch, channels, ...] over all further axes.
struct global_avg_pool
{
    static constexpr std::string_view name = "global_avg_pool";
    static constexpr std::size_t output_rank = 2;

    /// Throws `shape_error` where there is nothing to average.
    template <std::size_t N>
        requires(N >= 3)
    shape<2> output_shape(const shape<N>& in)
    const
    {
        if (count(tail(tail(in))) < 1)
        {
            structopt::detail::raise<shape_error>(
                "global_avg_pool input", "at least one element per channel", describe(in));
        }
        return {in[0], in[1]};
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, 2> y, scratch) const noexcept
    {
        const index_t n = count(tail(tail(x.shape())));
        parallel_for(y.size(), grain(n),
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    y.data()[i] = detail::sum(x.data() + i * n, n) / static_cast<T>(n);
                }
            });
    }

    template <class T, std::size_t N>
    void backward(view<const T, N> x, view<const T, 2>, view<const T, 2> dy, view<T, N> dx, auto&,
        global_avg_pool&) const noexcept
    {
        if (dx.data() == nullptr)
        {
            return;
        }
        const index_t n = count(tail(tail(x.shape())));
        parallel_for(dy.size(), grain(n),
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    std::fill_n(dx.data() + i * n, n, dy.data()[i] / static_cast<T>(n));
                }
            });
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    friend bool operator==(const global_avg_pool&, const global_avg_pool&) = default;

private:
    static constexpr index_t grain(index_t n) noexcept
    {
        return std::max<index_t>(detail::pointwise_grain / n, 1);
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
