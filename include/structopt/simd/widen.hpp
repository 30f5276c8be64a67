/// @file
/// Conversions between int8 and int32 that xsimd does by way of the stack.
#pragma once

#include <structopt/simd/tail.hpp>

#include <cstdint>
#include <cstring>

#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Reads the first `count` of `width` int8 as int32, 0 <= count <= width; the others are 0.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> load_widened(
    const std::int8_t* from, index_t count) noexcept
{
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
    if constexpr (register_bytes<Arch> == 64)
    {
        const auto mask = static_cast<__mmask16>((1u << count) - 1u);
        return _mm512_maskz_cvtepi8_epi32(mask, _mm_maskz_loadu_epi8(mask, from));
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        if (count == 8)
        {
            return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
        }
        alignas(8) std::int8_t buffer[8] = {};
        std::memcpy(buffer, from, static_cast<std::size_t>(count));
        return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(buffer)));
    }
    else
#endif
    {
        alignas(64) std::int32_t buffer[static_cast<std::size_t>(width<std::int32_t, Arch>)] = {};
        for (index_t i = 0; i < count; ++i)
        {
            buffer[i] = from[i];
        }
        return batch<std::int32_t, Arch>::load_aligned(buffer);
    }
}

/// Writes the low byte of every lane; values must lie in [-128, 127].
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_narrow(
    std::int8_t* to, const batch<std::int32_t, Arch>& x) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
            _mm512_maskz_cvtepi32_epi8(static_cast<__mmask16>(-1), x));
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        const __m256i all = x;
        const __m128i pairs =
            _mm_packs_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(pairs, pairs));
    }
    else
#endif
#if defined(__SSE2__) || defined(_M_X64)
        if constexpr (register_bytes<Arch> == 16)
    {
        const __m128i pairs = _mm_packs_epi32(x, x);
        const int word = _mm_cvtsi128_si32(_mm_packs_epi16(pairs, pairs));
        std::memcpy(to, &word, sizeof word);
    }
    else
#endif
#if defined(__ARM_NEON)
        if constexpr (register_bytes<Arch> == 16)
    {
        const int16x4_t pairs = vmovn_s32(x);
        const int8x8_t bytes = vmovn_s16(vcombine_s16(pairs, pairs));
        std::memcpy(to, &bytes, 4);
    }
    else
#endif
    {
        alignas(64) std::int32_t buffer[static_cast<std::size_t>(width<std::int32_t, Arch>)];
        x.store_aligned(buffer);
        for (index_t i = 0; i < width<std::int32_t, Arch>; ++i)
        {
            to[i] = static_cast<std::int8_t>(buffer[i]);
        }
    }
}

/// Writes the low byte of the first `count` lanes; values must lie in [-128, 127].
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_narrow(
    std::int8_t* to, const batch<std::int32_t, Arch>& x, index_t count) noexcept
{
    constexpr index_t lanes = width<std::int32_t, Arch>;
    if (count == lanes)
    {
        simd::store_narrow(to, x);
        return;
    }
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        _mm512_mask_cvtepi32_storeu_epi8(to, static_cast<__mmask16>((1u << count) - 1u), x);
        return;
    }
#endif
    std::int8_t buffer[static_cast<std::size_t>(lanes)];
    simd::store_narrow(buffer, x);
    for (index_t i = 0; i < count; ++i)
    {
        to[i] = buffer[i];
    }
}

/// One register of bytes, as 32-bit lanes; any alignment.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> load_bytes(const std::int8_t* from) noexcept
{
    alignas(64) std::int32_t words[static_cast<std::size_t>(width<std::int32_t, Arch>)];
    std::memcpy(words, from, sizeof words);
    return batch<std::int32_t, Arch>::load_aligned(words);
}

/// Writes one register of bytes; any alignment.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_bytes(
    std::int8_t* to, const batch<std::int32_t, Arch>& x) noexcept
{
    alignas(64) std::int32_t words[static_cast<std::size_t>(width<std::int32_t, Arch>)];
    x.store_aligned(words);
    std::memcpy(to, words, sizeof words);
}

/// The low bytes of four registers, one after the other; values must lie in [-128, 127].
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> narrow(const batch<std::int32_t, Arch>& a,
    const batch<std::int32_t, Arch>& b, const batch<std::int32_t, Arch>& c,
    const batch<std::int32_t, Arch>& d) noexcept
{
    // Packing works within 128-bit blocks: block i has the words i of a, b, c and d.
#if defined(__AVX512BW__)
    if constexpr (register_bytes<Arch> == 64)
    {
        const __m512i blocks =
            _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        return _mm512_maskz_permutexvar_epi32(static_cast<__mmask16>(-1),
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), blocks);
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        const __m256i blocks =
            _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        return _mm256_permutevar8x32_epi32(blocks, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
    else
#endif
#if defined(__SSE2__) || defined(_M_X64)
        if constexpr (register_bytes<Arch> == 16)
    {
        return batch<std::int32_t, Arch>(
            _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)));
    }
    else
#endif
#if defined(__ARM_NEON)
        if constexpr (register_bytes<Arch> == 16)
    {
        const int8x8_t low = vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b)));
        const int8x8_t high = vmovn_s16(vcombine_s16(vmovn_s32(c), vmovn_s32(d)));
        return batch<std::int32_t, Arch>(vreinterpretq_s32_s8(vcombine_s8(low, high)));
    }
    else
#endif
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        alignas(64) std::int8_t bytes[static_cast<std::size_t>(4 * lanes)];
        simd::store_narrow(bytes, a);
        simd::store_narrow(bytes + lanes, b);
        simd::store_narrow(bytes + 2 * lanes, c);
        simd::store_narrow(bytes + 3 * lanes, d);
        return simd::load_bytes<Arch>(bytes);
    }
}

/// x within [low, high]; none of them NaN.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<float, Arch> clamp(const batch<float, Arch>& x,
    const batch<float, Arch>& low, const batch<float, Arch>& high) noexcept
{
#if defined(__AVX512F__)
    // g++ 12 warns about the unmasked intrinsics that xsimd calls (its bug 105593).
    if constexpr (register_bytes<Arch> == 64)
    {
        const auto all = static_cast<__mmask16>(-1);
        return _mm512_maskz_min_ps(all, _mm512_maskz_max_ps(all, x, low), high);
    }
    else
#endif
    {
        return xsimd::min(xsimd::max(x, low), high);
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
