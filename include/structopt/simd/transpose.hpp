/// @file
/// The transpose of a square of registers.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Exchanges rows and columns of the square whose row i is rows[i]; float or double.
template <class T, class Arch>
void transpose(batch<T, Arch> (&rows)[static_cast<std::size_t>(width<T, Arch>)]) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

#if defined(__AVX512F__)

// Masked forms throughout: g++ 12 warns about the unmasked ones (its bug 105593).
STRUCTOPT_ALWAYS_INLINE __m512 low_words(__m512 a, __m512 b) noexcept
{
    return _mm512_maskz_unpacklo_ps(static_cast<__mmask16>(-1), a, b);
}
STRUCTOPT_ALWAYS_INLINE __m512 high_words(__m512 a, __m512 b) noexcept
{
    return _mm512_maskz_unpackhi_ps(static_cast<__mmask16>(-1), a, b);
}
STRUCTOPT_ALWAYS_INLINE __m512d low_pairs(__m512d a, __m512d b) noexcept
{
    return _mm512_maskz_unpacklo_pd(static_cast<__mmask8>(-1), a, b);
}
STRUCTOPT_ALWAYS_INLINE __m512d high_pairs(__m512d a, __m512d b) noexcept
{
    return _mm512_maskz_unpackhi_pd(static_cast<__mmask8>(-1), a, b);
}
template <int Order>
STRUCTOPT_ALWAYS_INLINE __m512d quarters(__m512d a, __m512d b) noexcept
{
    return _mm512_maskz_shuffle_f64x2(static_cast<__mmask8>(-1), a, b, Order);
}

/// Four registers of four 128-bit blocks: exchanges blocks and registers.
STRUCTOPT_ALWAYS_INLINE void transpose_blocks(
    __m512d& a, __m512d& b, __m512d& c, __m512d& d) noexcept
{
    const __m512d ab_even = quarters<0x88>(a, b);
    const __m512d ab_odd = quarters<0xdd>(a, b);
    const __m512d cd_even = quarters<0x88>(c, d);
    const __m512d cd_odd = quarters<0xdd>(c, d);
    a = quarters<0x88>(ab_even, cd_even);
    b = quarters<0x88>(ab_odd, cd_odd);
    c = quarters<0xdd>(ab_even, cd_even);
    d = quarters<0xdd>(ab_odd, cd_odd);
}

template <class Arch>
STRUCTOPT_ALWAYS_INLINE void transpose_64(batch<double, Arch> (&rows)[8]) noexcept
{
    __m512d x[8];
    STRUCTOPT_UNROLL
    for (int i = 0; i < 8; i += 2)
    {
        x[i] = low_pairs(rows[i], rows[i + 1]);
        x[i + 1] = high_pairs(rows[i], rows[i + 1]);
    }
    transpose_blocks(x[0], x[2], x[4], x[6]);
    transpose_blocks(x[1], x[3], x[5], x[7]);
    STRUCTOPT_UNROLL
    for (int i = 0; i < 8; ++i)
    {
        rows[i] = x[i];
    }
}

template <class Arch>
STRUCTOPT_ALWAYS_INLINE void transpose_64(batch<float, Arch> (&rows)[16]) noexcept
{
    __m512d x[16];
    STRUCTOPT_UNROLL
    for (int i = 0; i < 16; i += 4)
    {
        const __m512d a = _mm512_castps_pd(low_words(rows[i], rows[i + 1]));
        const __m512d b = _mm512_castps_pd(high_words(rows[i], rows[i + 1]));
        const __m512d c = _mm512_castps_pd(low_words(rows[i + 2], rows[i + 3]));
        const __m512d d = _mm512_castps_pd(high_words(rows[i + 2], rows[i + 3]));
        x[i] = low_pairs(a, c);
        x[i + 1] = high_pairs(a, c);
        x[i + 2] = low_pairs(b, d);
        x[i + 3] = high_pairs(b, d);
    }
    STRUCTOPT_UNROLL
    for (int i = 0; i < 4; ++i)
    {
        transpose_blocks(x[i], x[i + 4], x[i + 8], x[i + 12]);
    }
    STRUCTOPT_UNROLL
    for (int i = 0; i < 16; ++i)
    {
        rows[i] = _mm512_castpd_ps(x[i]);
    }
}

#endif

#if defined(__AVX__)

template <class Arch>
STRUCTOPT_ALWAYS_INLINE void transpose_32(batch<double, Arch> (&rows)[4]) noexcept
{
    const __m256d a = _mm256_unpacklo_pd(rows[0], rows[1]);
    const __m256d b = _mm256_unpackhi_pd(rows[0], rows[1]);
    const __m256d c = _mm256_unpacklo_pd(rows[2], rows[3]);
    const __m256d d = _mm256_unpackhi_pd(rows[2], rows[3]);
    rows[0] = _mm256_permute2f128_pd(a, c, 0x20);
    rows[1] = _mm256_permute2f128_pd(b, d, 0x20);
    rows[2] = _mm256_permute2f128_pd(a, c, 0x31);
    rows[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

template <class Arch>
STRUCTOPT_ALWAYS_INLINE void transpose_32(batch<float, Arch> (&rows)[8]) noexcept
{
    __m256 x[8];
    STRUCTOPT_UNROLL
    for (int i = 0; i < 8; i += 4)
    {
        const __m256 a = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        const __m256 b = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        const __m256 c = _mm256_unpacklo_ps(rows[i + 2], rows[i + 3]);
        const __m256 d = _mm256_unpackhi_ps(rows[i + 2], rows[i + 3]);
        x[i] = _mm256_shuffle_ps(a, c, 0x44);
        x[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        x[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        x[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    STRUCTOPT_UNROLL
    for (int i = 0; i < 4; ++i)
    {
        rows[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
    }
}

#endif

} // namespace detail

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void transpose(
    batch<T, Arch> (&rows)[static_cast<std::size_t>(width<T, Arch>)]) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        detail::transpose_64<Arch>(rows);
    }
    else
#endif
#if defined(__AVX__)
        if constexpr (register_bytes<Arch> == 32)
    {
        detail::transpose_32<Arch>(rows);
    }
    else
#endif
    {
        // log2(width) perfect shuffles of the rows.
        constexpr index_t n = width<T, Arch>;
        for (index_t round = 1; round < n; round *= 2)
        {
            batch<T, Arch> next[static_cast<std::size_t>(n)];
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < n / 2; ++i)
            {
                next[2 * i] = xsimd::zip_lo(rows[i], rows[i + n / 2]);
                next[2 * i + 1] = xsimd::zip_hi(rows[i], rows[i + n / 2]);
            }
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < n; ++i)
            {
                rows[i] = next[i];
            }
        }
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
