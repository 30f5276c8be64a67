/// @file
/// Two registers of neighbouring numbers, read from the format that they are kept in.
#pragma once

#include <structopt/core/small_float.hpp>
#include <structopt/simd/target.hpp>

#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// first = from[0 .. width), second = from[width .. 2 width). The two may be the same register: then
/// the first is wanted alone, and nothing past it is read.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void load_pair(
    const T* from, batch<T, Arch>& first, batch<T, Arch>& second) noexcept
{
    if (&first != &second)
    {
        second = load<Arch>(from + width<T, Arch>);
    }
    first = load<Arch>(from);
}

/// Where element i of a row of `2 * width` bfloat16 is kept for `load_pair`: next to element
/// i + width, so that both halves of each 32-bit word become a float by one operation.
template <class Arch>
constexpr index_t pair_position(index_t i) noexcept
{
    constexpr index_t lanes = width<float, Arch>;
    return i < lanes ? 2 * i : 2 * (i - lanes) + 1;
}

/// As above from bfloat16 in the order of `pair_position`, exactly. Reads both halves in any case.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void load_pair(
    const bfloat16* from, batch<float, Arch>& first, batch<float, Arch>& second) noexcept
{
    static_assert(sizeof(bfloat16) == 2);
    const auto words = load<Arch>(reinterpret_cast<const std::int32_t*>(from));
    if (&first != &second)
    {
        second = bit_cast<float>(words & batch<std::int32_t, Arch>(-0x10000));
    }
    first = bit_cast<float>(words << 16);
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
