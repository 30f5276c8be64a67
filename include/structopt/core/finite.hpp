/// @file
/// What kind of number it is, by its bits: right under -ffast-math, where comparisons need not be.
#pragma once

#include <structopt/config.hpp>

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace detail
{

template <std::floating_point T>
using bits_of = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// Neither NaN nor infinite.
template <std::floating_point T>
constexpr bool is_finite(T x) noexcept
{
    using bits = bits_of<T>;
    constexpr bits exponent =
        sizeof(T) == 4 ? bits{0x7f800000u} : static_cast<bits>(0x7ffull << 52);
    return (std::bit_cast<bits>(x) & exponent) != exponent;
}

template <std::floating_point T>
constexpr bool is_nan(T x) noexcept
{
    using bits = bits_of<T>;
    constexpr bits infinity =
        sizeof(T) == 4 ? bits{0x7f800000u} : static_cast<bits>(0x7ffull << 52);
    return (std::bit_cast<bits>(x) << 1) > (infinity << 1);
}

/// 0.0 or -0.0.
template <std::floating_point T>
constexpr bool is_zero(T x) noexcept
{
    return (std::bit_cast<bits_of<T>>(x) << 1) == 0;
}

template <std::integral T>
constexpr bool is_zero(T x) noexcept
{
    return x == 0;
}

} // namespace detail
STRUCTOPT_END_NAMESPACE
