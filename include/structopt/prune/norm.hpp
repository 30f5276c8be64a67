/// @file
/// Norms of groups of numbers, as means: groups of different size compare.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/nn/reduction.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// Throws `argument_error` for a p that is not above 0; infinity is allowed, and means the largest.
inline void check_norm(const char* where, double p)
{
    if (structopt::detail::is_nan(p) || !(p > 0))
    {
        structopt::detail::raise<argument_error>(where, "a p above 0", std::to_string(p));
    }
}

/// (sum |x|^p / n)^(1/p), in double; 0 of nothing. NaN and infinity come through.
template <class T>
double mean_norm(std::span<const T> values, double p)
{
    const double n = std::max(1.0, static_cast<double>(values.size()));
    // In several sums at a time: scoring a network is to take no longer than reading it.
    const auto sum_over = [&](const auto& term)
    {
        return nn::detail::sum_of<double>(static_cast<index_t>(values.size()),
            [&](index_t i)
            {
                return term(static_cast<double>(values[static_cast<std::size_t>(i)]));
            });
    };
    if (structopt::detail::is_zero(p - 1))
    {
        return sum_over(
                   [](double value)
                   {
                       return std::abs(value);
                   }) /
               n;
    }
    if (sizeof(T) < sizeof(double) && structopt::detail::is_zero(p - 2))
    {
        return std::sqrt(sum_over(
                             [](double value)
                             {
                                 return value * value;
                             }) /
                         n);
    }
    // Relative to the largest, so that no power overflows.
    double largest = 0;
    for (const T value : values)
    {
        const double size = std::abs(static_cast<double>(value));
        if (!structopt::detail::is_finite(size))
        {
            return size;
        }
        largest = std::max(largest, size);
    }
    if (!structopt::detail::is_finite(p) || structopt::detail::is_zero(largest))
    {
        return largest;
    }
    double sum = 0;
    for (const T value : values)
    {
        sum += std::pow(std::abs(static_cast<double>(value)) / largest, p);
    }
    return largest * std::pow(sum / n, 1 / p);
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
