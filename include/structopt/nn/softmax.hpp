/// @file
/// Softmax and its logarithm over the feature axis.
#pragma once

#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// What `softmax` and `log_softmax` share: Function works on the features of one position, `step`
/// elements apart.
template <class Function>
struct over_features
{
    static constexpr bool in_place = true;

    /// Throws `shape_error` without features.
    template <std::size_t N>
        requires(N >= 2)
    shape<N> output_shape(const shape<N>& in)
    const
    {
        if (in[1] < 1)
        {
            structopt::detail::raise<shape_error>(
                std::string(Function::name) + " input", "at least one feature", describe(in));
        }
        return in;
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch) const noexcept
    {
        each(x.shape(),
            [=](index_t at, index_t n, index_t step)
            {
                Function::row(x.data() + at, y.data() + at, n, step);
            });
    }

    template <class T, std::size_t N>
    void backward(view<const T, N>, view<const T, N> y, view<const T, N> dy, view<T, N> dx, auto&,
        Function&) const noexcept
    {
        if (dx.data() == nullptr)
        {
            return;
        }
        each(y.shape(),
            [=](index_t at, index_t n, index_t step)
            {
                Function::row_backward(y.data() + at, dy.data() + at, dx.data() + at, n, step);
            });
    }

    friend bool operator==(const over_features&, const over_features&) = default;

protected:
    /// The largest of n elements; NaN is passed over here and shows in the sum.
    template <class T>
    static T largest(const T* x, index_t n, index_t step) noexcept
    {
        T m = x[0];
        for (index_t i = 1; i < n; ++i)
        {
            m = x[i * step] > m ? x[i * step] : m;
        }
        return m;
    }

private:
    template <std::size_t N, class Body>
    static void each(const shape<N>& in, const Body& body) noexcept
    {
        const index_t n = in[1];
        const index_t inner = count(tail(tail(in)));
        parallel_for(in[0] * inner, std::max<index_t>(pointwise_grain / (8 * n), 1),
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    body(i / inner * n * inner + i % inner, n, inner);
                }
            });
    }
};

} // namespace detail

/// y_i = exp(x_i) / sum_j exp(x_j) over axis 1 of x [batch, features, ...].
struct softmax : detail::over_features<softmax>
{
    static constexpr std::string_view name = "softmax";

    template <class T>
    static void row(const T* x, T* y, index_t n, index_t step) noexcept
    {
        const T top = largest(x, n, step);
        T total = 0;
        for (index_t i = 0; i < n; ++i)
        {
            y[i * step] = std::exp(x[i * step] - top);
            total += y[i * step];
        }
        for (index_t i = 0; i < n; ++i)
        {
            y[i * step] /= total;
        }
    }

    /// dx = y (dy - sum(dy y))
    template <class T>
    static void row_backward(const T* y, const T* dy, T* dx, index_t n, index_t step) noexcept
    {
        T total = 0;
        for (index_t i = 0; i < n; ++i)
        {
            total += dy[i * step] * y[i * step];
        }
        for (index_t i = 0; i < n; ++i)
        {
            dx[i * step] = y[i * step] * (dy[i * step] - total);
        }
    }

    friend bool operator==(const softmax&, const softmax&) = default;
};

/// y_i = x_i - log sum_j exp(x_j) over axis 1 of x [batch, features, ...].
struct log_softmax : detail::over_features<log_softmax>
{
    static constexpr std::string_view name = "log_softmax";

    template <class T>
    static void row(const T* x, T* y, index_t n, index_t step) noexcept
    {
        const T top = largest(x, n, step);
        T total = 0;
        for (index_t i = 0; i < n; ++i)
        {
            total += std::exp(x[i * step] - top);
        }
        const T shift = std::log(total);
        for (index_t i = 0; i < n; ++i)
        {
            y[i * step] = x[i * step] - top - shift;
        }
    }

    /// dx = dy - exp(y) sum(dy)
    template <class T>
    static void row_backward(const T* y, const T* dy, T* dx, index_t n, index_t step) noexcept
    {
        T total = 0;
        for (index_t i = 0; i < n; ++i)
        {
            total += dy[i * step];
        }
        for (index_t i = 0; i < n; ++i)
        {
            dx[i * step] = dy[i * step] - std::exp(y[i * step]) * total;
        }
    }

    friend bool operator==(const log_softmax&, const log_softmax&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
