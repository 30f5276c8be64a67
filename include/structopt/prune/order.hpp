/// @file
/// Scores as integers of the same order: what selection compares.
#pragma once

#include <structopt/core/finite.hpp>

#include <bit>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// A number whose order among others is the order of the scores; 0.0 and -0.0 are equal. Integers:
/// the order holds under -ffast-math and with denormal numbers flushed to zero.
template <std::floating_point T>
constexpr structopt::detail::bits_of<T> order_of(T score) noexcept
{
    using bits_type = structopt::detail::bits_of<T>;
    constexpr auto sign = static_cast<bits_type>(bits_type{1} << (8 * sizeof(T) - 1));
    const auto bits = std::bit_cast<bits_type>(score);
    const auto turned = (bits & sign) != 0 ? static_cast<bits_type>(~bits) : bits | sign;
    return static_cast<bits_type>(bits << 1) == 0 ? sign : turned;
}

/// The order of |x|.
template <std::floating_point T>
constexpr structopt::detail::bits_of<T> order_of_size(T x) noexcept
{
    using bits_type = structopt::detail::bits_of<T>;
    constexpr auto sign = static_cast<bits_type>(bits_type{1} << (8 * sizeof(T) - 1));
    return std::bit_cast<bits_type>(x) | sign;
}

/// `order_of` or `order_of_size` as a function object. A float asked for its 64-bit order gets that of
/// the double it equals, so that lists of both types compare.
template <class Order, bool Sizes>
struct order_function
{
    template <std::floating_point T>
    constexpr Order operator()(T score) const noexcept
    {
        static_assert(sizeof(T) <= sizeof(Order));
        using compared = std::conditional_t<sizeof(Order) == 4, float, double>;
        if constexpr (Sizes)
        {
            return order_of_size(static_cast<compared>(score));
        }
        else
        {
            return order_of(static_cast<compared>(score));
        }
    }
};

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
