/// @file
/// Four bytes out of eight for each 32-bit lane, by a shuffle of bytes where there is one.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Reads one byte per lane: four places of two bits, the lowest first. The first two are among the
/// lower four bytes of eight, the others among the upper four. The result is for `pick_bytes`.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> byte_places(const std::uint8_t* from) noexcept
{
    // Shifted by 0, 6, 12 and 18, each place stands lowest in a byte of its own.
#if defined(__AVX512BW__)
    if constexpr (register_bytes<Arch> == 64)
    {
        // Masked forms: g++ 12 warns about the unmasked ones (its bug 105593).
        constexpr auto all = static_cast<__mmask16>(-1);
        const __m512i lanes = _mm512_maskz_cvtepu8_epi32(
            all, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#if defined(__AVX512VBMI__)
        const __m512i apart = _mm512_maskz_multishift_epi64_epi8(
            static_cast<__mmask64>(-1), _mm512_set1_epi64(0x2624222006040200), lanes);
#else
        const __m512i two = _mm512_or_si512(lanes, _mm512_maskz_slli_epi32(all, lanes, 6));
        const __m512i apart = _mm512_or_si512(two, _mm512_maskz_slli_epi32(all, two, 12));
#endif
        // (a & b) | c
        return _mm512_ternarylogic_epi32(
            apart, _mm512_set1_epi32(0x03030303), _mm512_set1_epi32(0x04040000), 0xea);
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        const __m256i lanes =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
        const __m256i two = _mm256_or_si256(lanes, _mm256_slli_epi32(lanes, 6));
        const __m256i apart = _mm256_or_si256(two, _mm256_slli_epi32(two, 12));
        return _mm256_or_si256(
            _mm256_and_si256(apart, _mm256_set1_epi32(0x03030303)), _mm256_set1_epi32(0x04040000));
    }
    else
#endif
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        alignas(64) std::int32_t words[static_cast<std::size_t>(lanes)];
        for (index_t i = 0; i < lanes; ++i)
        {
            const auto byte = static_cast<std::int32_t>(from[i]);
            words[i] = ((byte | byte << 6 | byte << 12 | byte << 18) & 0x03030303) | 0x04040000;
        }
        return batch<std::int32_t, Arch>::load_aligned(words);
    }
}

/// For each lane the four of the eight bytes that its places name.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> pick_bytes(
    const std::int8_t* eight, const batch<std::int32_t, Arch>& places) noexcept
{
#if defined(__AVX512BW__)
    if constexpr (register_bytes<Arch> == 64)
    {
        long long word;
        std::memcpy(&word, eight, 8);
        return _mm512_shuffle_epi8(_mm512_set1_epi64(word), places);
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        long long word;
        std::memcpy(&word, eight, 8);
        return _mm256_shuffle_epi8(_mm256_set1_epi64x(word), places);
    }
    else
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
        if constexpr (register_bytes<Arch> == 16)
    {
        std::uint64_t word;
        std::memcpy(&word, eight, 8);
        return batch<std::int32_t, Arch>(vreinterpretq_s32_u8(
            vqtbl1q_u8(vreinterpretq_u8_u64(vdupq_n_u64(word)), vreinterpretq_u8_s32(places))));
    }
    else
#endif
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        alignas(64) std::int32_t words[static_cast<std::size_t>(lanes)];
        std::uint8_t at[static_cast<std::size_t>(4 * lanes)];
        std::int8_t picked[static_cast<std::size_t>(4 * lanes)];
        places.store_aligned(words);
        std::memcpy(at, words, sizeof at);
        for (index_t i = 0; i < 4 * lanes; ++i)
        {
            picked[i] = eight[at[i]];
        }
        std::memcpy(words, picked, sizeof words);
        return batch<std::int32_t, Arch>::load_aligned(words);
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
