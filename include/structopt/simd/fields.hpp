/// @file
/// Fields of a few bits within bytes: shifted into place, and looked up in a table of 16 bytes.
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

/// Every 32-bit lane shifted down by `Bits`, copies of its sign following.
template <int Bits, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> shift_down(
    const batch<std::int32_t, Arch>& x) noexcept
{
    if constexpr (Bits == 0)
    {
        return x;
    }
#if defined(__AVX512F__)
    // A masked form: g++ 12 warns about the unmasked one (its bug 105593).
    else if constexpr (register_bytes<Arch> == 64)
    {
        return _mm512_maskz_srai_epi32(static_cast<__mmask16>(-1), x, Bits);
    }
#endif
    else
    {
        return x >> Bits;
    }
}

/// Every 32-bit lane shifted up by `Bits`, zeros following.
template <int Bits, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> shift_up(
    const batch<std::int32_t, Arch>& x) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        return _mm512_maskz_slli_epi32(static_cast<__mmask16>(-1), x, Bits);
    }
    else
#endif
    {
        return x << Bits;
    }
}

/// For each byte, the entry that its lowest four bits name; `table` holds the 16 entries in each of
/// its 128-bit blocks.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE batch<std::int32_t, Arch> lookup_nibbles(
    const batch<std::int32_t, Arch>& table, const batch<std::int32_t, Arch>& places) noexcept
{
    [[maybe_unused]] const batch<std::int32_t, Arch> low(0x0f0f0f0f);
#if defined(__AVX512BW__)
    if constexpr (register_bytes<Arch> == 64)
    {
#if defined(__AVX512VBMI__)
        // Takes six bits, of which the upper two choose between equal blocks.
        return _mm512_maskz_permutexvar_epi8(static_cast<__mmask64>(-1), places, table);
#else
        return _mm512_shuffle_epi8(table, places & low);
#endif
    }
    else
#endif
#if defined(__AVX2__)
        if constexpr (register_bytes<Arch> == 32)
    {
        return _mm256_shuffle_epi8(table, places & low);
    }
    else
#endif
#if defined(__SSSE3__)
        if constexpr (register_bytes<Arch> == 16)
    {
        return batch<std::int32_t, Arch>(_mm_shuffle_epi8(table, places & low));
    }
    else
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
        if constexpr (register_bytes<Arch> == 16)
    {
        return batch<std::int32_t, Arch>(vreinterpretq_s32_u8(
            vqtbl1q_u8(vreinterpretq_u8_s32(table), vreinterpretq_u8_s32(places & low))));
    }
    else
#endif
    {
        constexpr auto lanes = static_cast<std::size_t>(width<std::int32_t, Arch>);
        alignas(64) std::int32_t words[lanes];
        std::uint8_t entries[4 * lanes];
        std::uint8_t at[4 * lanes];
        table.store_aligned(words);
        std::memcpy(entries, words, sizeof words);
        places.store_aligned(words);
        std::memcpy(at, words, sizeof words);
        for (std::uint8_t& byte : at)
        {
            byte = entries[byte & 15];
        }
        std::memcpy(words, at, sizeof words);
        return batch<std::int32_t, Arch>::load_aligned(words);
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
