/// @file
/// Two registers of neighbouring elements, dealt out to one of even and one of odd positions.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Of a[0], a[1], ..., b[0], b[1], ...: `even` gets the first, third, ..., `odd` the others.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void deal(const batch<T, Arch>& a, const batch<T, Arch>& b,
    batch<T, Arch>& even, batch<T, Arch>& odd) noexcept
{
    using vector = batch<T, Arch>;
#if defined(__AVX512F__)
    if constexpr (sizeof(vector) == 64 && std::is_same_v<T, float>)
    {
        const __m512i first =
            _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i second =
            _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        const __m512 low = a;
        const __m512 high = b;
        even = _mm512_permutex2var_ps(low, first, high);
        odd = _mm512_permutex2var_ps(low, second, high);
        return;
    }
    else if constexpr (sizeof(vector) == 64 && std::is_same_v<T, double>)
    {
        const __m512i first = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
        const __m512i second = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
        const __m512d low = a;
        const __m512d high = b;
        even = _mm512_permutex2var_pd(low, first, high);
        odd = _mm512_permutex2var_pd(low, second, high);
        return;
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (sizeof(vector) == 32 && std::is_same_v<T, float>)
    {
        const auto in_order = [](const __m256& x) STRUCTOPT_LAMBDA_INLINE
        {
            return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
        };
        const __m256 low = a;
        const __m256 high = b;
        even = in_order(_mm256_shuffle_ps(low, high, 0x88));
        odd = in_order(_mm256_shuffle_ps(low, high, 0xdd));
        return;
    }
    else
#endif
#if defined(__SSE2__) || defined(_M_X64)
        if constexpr (sizeof(vector) == 16 && std::is_same_v<T, float>)
    {
        const __m128 low = a;
        const __m128 high = b;
        even = _mm_shuffle_ps(low, high, 0x88);
        odd = _mm_shuffle_ps(low, high, 0xdd);
        return;
    }
    else
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
        if constexpr (sizeof(vector) == 16 && std::is_same_v<T, float>)
    {
        const float32x4_t low = a;
        const float32x4_t high = b;
        even = vuzp1q_f32(low, high);
        odd = vuzp2q_f32(low, high);
        return;
    }
    else
#endif
    {
        constexpr index_t lanes = width<T, Arch>;
        alignas(64) T from[static_cast<std::size_t>(2 * lanes)];
        alignas(64) T to[static_cast<std::size_t>(2 * lanes)];
        a.store_aligned(from);
        b.store_aligned(from + lanes);
        for (index_t i = 0; i < lanes; ++i)
        {
            to[i] = from[2 * i];
            to[lanes + i] = from[2 * i + 1];
        }
        even = vector::load_aligned(to);
        odd = vector::load_aligned(to + lanes);
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
