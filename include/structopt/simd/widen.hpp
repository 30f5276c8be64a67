/// @file
/// Conversions between int8 and int32 that xsimd does by way of the stack.
#pragma once

#include <structopt/simd/tail.hpp>

#include <cstdint>
#include <cstring>

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

/// Writes the low byte of the first `count` lanes; values must lie in [-128, 127].
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_narrow(
    std::int8_t* to, const batch<std::int32_t, Arch>& x, index_t count) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        _mm512_mask_cvtepi32_storeu_epi8(to, static_cast<__mmask16>((1u << count) - 1u), x);
    }
    else
#endif
    {
        alignas(64) std::int32_t buffer[static_cast<std::size_t>(width<std::int32_t, Arch>)];
        x.store_aligned(buffer);
        for (index_t i = 0; i < count; ++i)
        {
            to[i] = static_cast<std::int8_t>(buffer[i]);
        }
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

} // namespace simd
STRUCTOPT_END_NAMESPACE
