/// @file
/// What a metric is.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// A number gathered over batches: `accumulate(y, target)` takes a batch of outputs (a view) and
/// what they should be, `value()` is the number so far, `reset()` begins anew, `name` is its name.
template <class M>
concept metric = std::copy_constructible<M> && requires(M& m, const M& fixed)
{
    {
        M::name
        } -> std::convertible_to<std::string_view>;
    m.reset();
    {
        fixed.value()
        } -> std::convertible_to<double>;
};

namespace detail
{

/// The class of the largest number in a row, the first of equals; -1, no answer, where there is a
/// NaN.
template <class T>
index_t largest_position(const T* row, index_t n) noexcept
{
    index_t best = 0;
    for (index_t i = 0; i < n; ++i)
    {
        if (structopt::detail::is_nan(row[i]))
        {
            return -1;
        }
        if (row[i] > row[best])
        {
            best = i;
        }
    }
    return best;
}

template <class T, std::size_t N>
void check_contiguous(const char* metric, view<const T, N> y)
{
    if (!y.contiguous())
    {
        structopt::detail::raise<shape_error>(
            metric, "contiguous row-major outputs and targets", "strides " + describe(y.strides()));
    }
}

template <class T>
void check_rows(const char* metric, view<const T, 2> y, std::size_t labels)
{
    check_contiguous(metric, y);
    if (static_cast<index_t>(labels) != y.shape(0))
    {
        structopt::detail::raise<shape_error>(
            metric, std::to_string(y.shape(0)) + " labels, one per row", std::to_string(labels));
    }
}

inline void check_classes(const char* metric, index_t classes, std::span<const std::int32_t> labels)
{
    for (std::size_t row = 0; row < labels.size(); ++row)
    {
        if (labels[row] < 0 || labels[row] >= classes)
        {
            structopt::detail::raise<argument_error>(metric,
                "classes from 0 to " + std::to_string(classes - 1),
                std::to_string(labels[row]) + " in row " + std::to_string(row));
        }
    }
}

} // namespace detail
} // namespace train
STRUCTOPT_END_NAMESPACE
