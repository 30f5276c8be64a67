/// @file
/// Element types of sparse matrices, and the types in which they are summed.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/small_float.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// What a sparse matrix may hold: float, double, bfloat16 and signed integers (int8 codes).
template <class T>
concept element = std::floating_point<T> || std::signed_integral<T> || std::same_as<T, bfloat16>;

namespace detail
{

template <class T>
struct accumulator_of
{
    using type = T;
};

template <>
struct accumulator_of<bfloat16>
{
    using type = float;
};

template <std::signed_integral T>
    requires(sizeof(T) < 4)
struct accumulator_of<T>
{
    using type = std::int32_t;
};

} // namespace detail

/// The type in which products and sums of `T` are formed: float for bfloat16, int32 for int8.
template <element T>
using accumulator = typename detail::accumulator_of<T>::type;

/// The element type of a product of `T` and `U`.
template <element T, element U>
using product_type = std::common_type_t<accumulator<T>, accumulator<U>>;

namespace detail
{

/// The type in which entries of one place are summed: integers do not overflow on the way.
template <element T>
using wide_accumulator = std::conditional_t<std::integral<T>, std::int64_t, sparse::accumulator<T>>;

/// Exact.
template <element T>
constexpr sparse::accumulator<T> widen(T value) noexcept
{
    return static_cast<sparse::accumulator<T>>(value);
}

/// Back to the element type: rounded to nearest; a sum of integers that does not fit is an
/// `argument_error` at (row, column).
template <element T, class Wide>
T narrow(Wide value, std::ptrdiff_t row, std::ptrdiff_t column)
{
    if constexpr (std::integral<T>)
    {
        if (!std::in_range<T>(value))
        {
            structopt::detail::raise<argument_error>(
                "sparse sum, row " + std::to_string(row) + ", column " + std::to_string(column),
                "a number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                    std::to_string(std::numeric_limits<T>::max()),
                std::to_string(value));
        }
    }
    else
    {
        static_cast<void>(row);
        static_cast<void>(column);
    }
    return static_cast<T>(value);
}

/// One element type as another.
template <element To, element From>
To cast_element(From value, std::ptrdiff_t row, std::ptrdiff_t column)
{
    if constexpr (std::same_as<To, From>)
    {
        return value;
    }
    else
    {
        return narrow<To>(widen(value), row, column);
    }
}

} // namespace detail
} // namespace sparse
STRUCTOPT_END_NAMESPACE
