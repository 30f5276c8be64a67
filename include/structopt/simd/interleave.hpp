/// @file
/// Four rows of bytes as one row of 32-bit words, and one row as two: how patches for integer products
/// are made.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstdint>
#include <cstring>

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Bytes of each row that `interleave` takes.
template <class Arch>
inline constexpr index_t interleave_width = static_cast<index_t>(register_bytes<Arch>);

/// Registers that `interleave` gives.
template <class Arch>
inline constexpr index_t interleave_registers = interleave_width<Arch> / width<std::int32_t, Arch>;

/// Word i of the result holds a[i], b[i], c[i], d[i], in the order of memory; any alignment.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void interleave(const std::uint8_t* a, const std::uint8_t* b,
    const std::uint8_t* c, const std::uint8_t* d,
    batch<std::int32_t, Arch> (
        &words)[static_cast<std::size_t>(interleave_registers<Arch>)]) noexcept
{
    // Unpacking works within 128-bit blocks: of n blocks, block i starts with bytes 4 i, 4 (i + n), ...
#if defined(__AVX512BW__)
    if constexpr (register_bytes<Arch> == 64)
    {
        const __m512i order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const auto turned = [&](const std::uint8_t* from) STRUCTOPT_LAMBDA_INLINE
        {
            return _mm512_maskz_permutexvar_epi32(
                static_cast<__mmask16>(-1), order, _mm512_loadu_si512(from));
        };
        const __m512i wa = turned(a);
        const __m512i wb = turned(b);
        const __m512i wc = turned(c);
        const __m512i wd = turned(d);
        const __m512i low_ab = _mm512_unpacklo_epi8(wa, wb);
        const __m512i high_ab = _mm512_unpackhi_epi8(wa, wb);
        const __m512i low_cd = _mm512_unpacklo_epi8(wc, wd);
        const __m512i high_cd = _mm512_unpackhi_epi8(wc, wd);
        words[0] = _mm512_unpacklo_epi16(low_ab, low_cd);
        words[1] = _mm512_unpackhi_epi16(low_ab, low_cd);
        words[2] = _mm512_unpacklo_epi16(high_ab, high_cd);
        words[3] = _mm512_unpackhi_epi16(high_ab, high_cd);
        return;
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
        const auto turned = [&](const std::uint8_t* from) STRUCTOPT_LAMBDA_INLINE
        {
            return _mm256_permutevar8x32_epi32(
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), order);
        };
        const __m256i wa = turned(a);
        const __m256i wb = turned(b);
        const __m256i wc = turned(c);
        const __m256i wd = turned(d);
        const __m256i low_ab = _mm256_unpacklo_epi8(wa, wb);
        const __m256i high_ab = _mm256_unpackhi_epi8(wa, wb);
        const __m256i low_cd = _mm256_unpacklo_epi8(wc, wd);
        const __m256i high_cd = _mm256_unpackhi_epi8(wc, wd);
        words[0] = _mm256_unpacklo_epi16(low_ab, low_cd);
        words[1] = _mm256_unpackhi_epi16(low_ab, low_cd);
        words[2] = _mm256_unpacklo_epi16(high_ab, high_cd);
        words[3] = _mm256_unpackhi_epi16(high_ab, high_cd);
        return;
    }
    else
#endif
#if defined(__SSE2__) || defined(_M_X64)
        if constexpr (register_bytes<Arch> == 16)
    {
        const auto load = [](const std::uint8_t* from) STRUCTOPT_LAMBDA_INLINE
        {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        };
        const __m128i low_ab = _mm_unpacklo_epi8(load(a), load(b));
        const __m128i high_ab = _mm_unpackhi_epi8(load(a), load(b));
        const __m128i low_cd = _mm_unpacklo_epi8(load(c), load(d));
        const __m128i high_cd = _mm_unpackhi_epi8(load(c), load(d));
        words[0] = _mm_unpacklo_epi16(low_ab, low_cd);
        words[1] = _mm_unpackhi_epi16(low_ab, low_cd);
        words[2] = _mm_unpacklo_epi16(high_ab, high_cd);
        words[3] = _mm_unpackhi_epi16(high_ab, high_cd);
        return;
    }
    else
#endif
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        constexpr index_t bytes = interleave_width<Arch>;
        alignas(64) std::uint8_t buffer[static_cast<std::size_t>(4 * bytes)];
#if defined(__ARM_NEON)
        vst4q_u8(buffer, uint8x16x4_t{{vld1q_u8(a), vld1q_u8(b), vld1q_u8(c), vld1q_u8(d)}});
#else
        for (index_t i = 0; i < bytes; ++i)
        {
            buffer[4 * i] = a[i];
            buffer[4 * i + 1] = b[i];
            buffer[4 * i + 2] = c[i];
            buffer[4 * i + 3] = d[i];
        }
#endif
        for (index_t i = 0; i < interleave_registers<Arch>; ++i)
        {
            alignas(64) std::int32_t values[static_cast<std::size_t>(lanes)];
            std::memcpy(values, buffer + 4 * lanes * i, sizeof values);
            words[i] = batch<std::int32_t, Arch>::load_aligned(values);
        }
    }
}

/// Writes from[0], from[2], ..., from[30] to `even` and the 16 bytes between them to `odd`.
STRUCTOPT_ALWAYS_INLINE void deal_pairs(
    const std::uint8_t* from, std::uint8_t* even, std::uint8_t* odd) noexcept
{
#if defined(__SSE2__) || defined(_M_X64)
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16));
    const __m128i byte = _mm_set1_epi16(0xff);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(even),
        _mm_packus_epi16(_mm_and_si128(low, byte), _mm_and_si128(high, byte)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(odd),
        _mm_packus_epi16(_mm_srli_epi16(low, 8), _mm_srli_epi16(high, 8)));
#elif defined(__ARM_NEON)
    const uint8x16x2_t pairs = vld2q_u8(from);
    vst1q_u8(even, pairs.val[0]);
    vst1q_u8(odd, pairs.val[1]);
#else
    for (index_t i = 0; i < 16; ++i)
    {
        even[i] = from[2 * i];
        odd[i] = from[2 * i + 1];
    }
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
