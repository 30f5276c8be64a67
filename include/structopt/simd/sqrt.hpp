/// @file
/// The square root and the larger of two registers, for floating-point kernels.
///
/// The AVX-512 forms are spelled with a mask of ones: g++ 12 warns of an uninitialised register
/// inside the plain intrinsics.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// The square root of every element, correctly rounded; NaN for negative numbers.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> sqrt(const batch<T, Arch>& x) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        return _mm512_maskz_sqrt_ps(static_cast<__mmask16>(0xffff), x);
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        return _mm512_maskz_sqrt_pd(static_cast<__mmask8>(0xff), x);
    }
    else
#endif
    {
        return xsimd::sqrt(x);
    }
}

/// x where it is not below y, else y. With a NaN on either side: x.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> larger(
    const batch<T, Arch>& x, const batch<T, Arch>& y) noexcept
{
    return xsimd::select(x < y, y, x);
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
