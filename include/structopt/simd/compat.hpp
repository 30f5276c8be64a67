/// @file
/// The few vector operations the kernels use, spelled the same for xsimd 8.1, 13.2 and 14.3.
///
/// Only the files of this folder name xsimd. `Arch` is always a template argument, so that it is
/// part of every symbol's name.
#pragma once

#include <structopt/core/shape.hpp>

#include <xsimd/xsimd.hpp>

#include <cstddef>
#include <type_traits>

#if defined(__GNUC__)
#define STRUCTOPT_ALWAYS_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define STRUCTOPT_ALWAYS_INLINE __forceinline
#else
#define STRUCTOPT_ALWAYS_INLINE inline
#endif

/// Before a loop of constant length over registers: unroll it completely, so that they stay registers.
#if defined(__clang__)
#define STRUCTOPT_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define STRUCTOPT_UNROLL _Pragma("GCC unroll 64")
#else
#define STRUCTOPT_UNROLL
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// One register of the architecture.
template <class T, class Arch>
using batch = xsimd::batch<T, Arch>;

/// Elements of one register.
template <class T, class Arch>
inline constexpr index_t width = static_cast<index_t>(batch<T, Arch>::size);

/// Reads one register; any alignment.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> load(const T* from) noexcept
{
    return batch<T, Arch>::load_unaligned(from);
}

/// Writes one register; any alignment.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void store(T* to, const batch<T, Arch>& x) noexcept
{
    x.store_unaligned(to);
}

/// A register filled with one value.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> broadcast(T value) noexcept
{
    return batch<T, Arch>(value);
}

/// x * y + z; one rounding where the architecture has a fused multiply-add, two elsewhere.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> fma(
    const batch<T, Arch>& x, const batch<T, Arch>& y, const batch<T, Arch>& z) noexcept
{
    return xsimd::fma(x, y, z);
}

/// x where it is not negative, else 0; a NaN stays a NaN.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> relu(const batch<T, Arch>& x) noexcept
{
    const batch<T, Arch> zero(T(0));
    return xsimd::select(x < zero, zero, x);
}

/// Asks for the cache line at `address`; never faults.
STRUCTOPT_ALWAYS_INLINE void prefetch(const void* address) noexcept
{
#if defined(__GNUC__)
    __builtin_prefetch(address, 0, 3);
#else
    static_cast<void>(address);
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
