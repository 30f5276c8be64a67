/// @file
/// The few vector operations the kernels use, spelled the same for xsimd 8.1, 13.2 and 14.3.
///
/// Only the files of this folder name xsimd. `Arch` is always a template argument, so that it is
/// part of every symbol's name.
#pragma once

#include <structopt/core/shape.hpp>

#include <xsimd/xsimd.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

/// After the parameters of a lambda that must become part of its caller.
#if defined(__GNUC__)
#define STRUCTOPT_LAMBDA_INLINE __attribute__((always_inline))
#else
#define STRUCTOPT_LAMBDA_INLINE
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
#if defined(__AVX512F__)
    // xsimd 8.1 multiplies and adds here, and leaves the fusing to the compiler.
    if constexpr (std::is_same_v<T, float> && sizeof(x) == 64)
    {
        return _mm512_fmadd_ps(x, y, z);
    }
    else if constexpr (std::is_same_v<T, double> && sizeof(x) == 64)
    {
        return _mm512_fmadd_pd(x, y, z);
    }
    else
#endif
    {
        return xsimd::fma(x, y, z);
    }
}

/// x where it is not negative, else 0; a NaN stays a NaN.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> relu(const batch<T, Arch>& x) noexcept
{
    const batch<T, Arch> zero(T(0));
    return xsimd::select(x < zero, zero, x);
}

/// The same bits as another element type of equal size.
template <class To, class From, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<To, Arch> bit_cast(const batch<From, Arch>& x) noexcept
{
#if XSIMD_VERSION_MAJOR >= 10
    return xsimd::bitwise_cast<To>(x);
#else
    return xsimd::bitwise_cast<batch<To, Arch>>(x);
#endif
}

/// int32 to float, rounded to nearest even.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<float, Arch> to_float(const batch<std::int32_t, Arch>& x) noexcept
{
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
    // g++ 12 warns about the unmasked intrinsic that xsimd calls (its bug 105593).
    if constexpr (sizeof(x) == 64)
    {
        return _mm512_maskz_cvtepi32_ps(static_cast<__mmask16>(-1), x);
    }
    else
#endif
    {
        return xsimd::batch_cast<float>(x);
    }
}

/// float to int32, rounded to nearest even (the default rounding mode).
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> to_int(const batch<float, Arch>& x) noexcept
{
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
    if constexpr (sizeof(x) == 64)
    {
        return _mm512_maskz_cvtps_epi32(static_cast<__mmask16>(-1), x);
    }
    else
#endif
    {
        return xsimd::nearbyint_as_int(x);
    }
}

/// y where x < y, else x.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> max(
    const batch<T, Arch>& x, const batch<T, Arch>& y) noexcept
{
#if defined(__AVX512F__)
    // xsimd 8.1's comparison does not compile for AVX-512BW without optimization, and g++ 12 warns
    // about the unmasked intrinsic.
    if constexpr (sizeof(x) == 64 && std::is_same_v<T, std::int32_t>)
    {
        return _mm512_maskz_max_epi32(static_cast<__mmask16>(-1), x, y);
    }
    else
#endif
        if constexpr (std::is_integral_v<T>)
    {
        return xsimd::max(x, y);
    }
    else
    {
        return xsimd::select(x < y, y, x);
    }
}

/// Asks for the cache line at `address`; never faults.
STRUCTOPT_ALWAYS_INLINE void prefetch(const void* address) noexcept
{
#if defined(__GNUC__)
    __builtin_prefetch(address, 0, 2);
#else
    static_cast<void>(address);
#endif
}

/// Asks for the cache line at `address` in order to write it; never faults.
STRUCTOPT_ALWAYS_INLINE void prefetch_write(const void* address) noexcept
{
#if defined(__GNUC__)
    __builtin_prefetch(address, 1, 3);
#else
    static_cast<void>(address);
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
