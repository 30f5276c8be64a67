/// @file
/// Sums over contiguous elements that compilers turn into vector code without -ffast-math.
#pragma once

#include <structopt/core/shape.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn::detail
{

/// Sum of term(0) ... term(n - 1) in Sum, over sixteen partial sums in a fixed order.
template <class Sum, class Term>
constexpr Sum sum_of(index_t n, const Term& term) noexcept
{
    constexpr index_t lanes = 16;
    Sum partial[lanes] = {};
    index_t i = 0;
    for (; i + lanes <= n; i += lanes)
    {
        for (index_t j = 0; j < lanes; ++j)
        {
            partial[j] += static_cast<Sum>(term(i + j));
        }
    }
    for (; i < n; ++i)
    {
        partial[i % lanes] += static_cast<Sum>(term(i));
    }
    for (index_t half = lanes / 2; half > 0; half /= 2)
    {
        for (index_t j = 0; j < half; ++j)
        {
            partial[j] += partial[j + half];
        }
    }
    return partial[0];
}

template <class T>
constexpr T sum(const T* x, index_t n) noexcept
{
    return sum_of<T>(n,
        [x](index_t i)
        {
            return x[i];
        });
}

/// to[i] += from[i]
template <class T>
constexpr void add_to(const T* from, index_t n, T* to) noexcept
{
    for (index_t i = 0; i < n; ++i)
    {
        to[i] += from[i];
    }
}

} // namespace nn::detail
STRUCTOPT_END_NAMESPACE
