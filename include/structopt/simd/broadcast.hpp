/// @file
/// Four neighbouring numbers, each in a register of its own.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// to[i] is filled with from[i]; any alignment.
///
/// With AVX-512 one load and shuffles instead of four loads, for loops that are bound by loads.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE void broadcast_four(const T* from, batch<T, Arch> (&to)[4]) noexcept
{
#if defined(__AVX512F__)
    // Masked forms: g++ 12 warns about the unmasked ones (its bug 105593).
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        const auto all = static_cast<__mmask16>(-1);
        const __m512 four = _mm512_maskz_broadcast_f32x4(all, _mm_loadu_ps(from));
        to[0] = _mm512_maskz_permute_ps(all, four, 0x00);
        to[1] = _mm512_maskz_permute_ps(all, four, 0x55);
        to[2] = _mm512_maskz_permute_ps(all, four, 0xaa);
        to[3] = _mm512_maskz_permute_ps(all, four, 0xff);
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        const auto all = static_cast<__mmask8>(-1);
        const __m512d four = _mm512_maskz_broadcast_f64x4(all, _mm256_loadu_pd(from));
        to[0] = _mm512_maskz_permutex_pd(all, four, 0x00);
        to[1] = _mm512_maskz_permutex_pd(all, four, 0x55);
        to[2] = _mm512_maskz_permutex_pd(all, four, 0xaa);
        to[3] = _mm512_maskz_permutex_pd(all, four, 0xff);
    }
    else
#endif
    {
        STRUCTOPT_UNROLL
        for (int i = 0; i < 4; ++i)
        {
            to[i] = broadcast<Arch>(from[i]);
        }
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
