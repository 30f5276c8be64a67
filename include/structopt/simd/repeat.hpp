/// @file
/// A short run of numbers, repeated through a register.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Lane i is from[i % Count]; any alignment. `Count` divides the width of the register.
template <index_t Count, class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> repeat(const T* from) noexcept
{
    constexpr index_t lanes = width<T, Arch>;
    static_assert(Count >= 1 && lanes % Count == 0);
    if constexpr (Count == lanes)
    {
        return load<Arch>(from);
    }
    else if constexpr (Count == 1)
    {
        return broadcast<Arch>(*from);
    }
    else if constexpr (Count == 2 && std::is_same_v<T, float>)
    {
        double pair = 0;
        std::memcpy(&pair, from, sizeof pair);
        return bit_cast<float>(broadcast<Arch>(pair));
    }
#if defined(__AVX512F__)
    // Masked forms: g++ 12 warns about the unmasked ones (its bug 105593).
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float> && Count == 4)
    {
        return _mm512_maskz_broadcast_f32x4(static_cast<__mmask16>(-1), _mm_loadu_ps(from));
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float> && Count == 8)
    {
        double words[4];
        std::memcpy(words, from, sizeof words);
        return _mm512_castpd_ps(
            _mm512_maskz_broadcast_f64x4(static_cast<__mmask8>(-1), _mm256_loadu_pd(words)));
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double> && Count == 4)
    {
        return _mm512_maskz_broadcast_f64x4(static_cast<__mmask8>(-1), _mm256_loadu_pd(from));
    }
#endif
#if defined(__AVX__)
    else if constexpr (register_bytes<Arch> == 32 && std::is_same_v<T, float> && Count == 4)
    {
        const __m128 four = _mm_loadu_ps(from);
        return _mm256_set_m128(four, four);
    }
#endif
    else
    {
        alignas(64) T buffer[static_cast<std::size_t>(lanes)];
        for (index_t i = 0; i < lanes; ++i)
        {
            buffer[i] = from[i % Count];
        }
        return batch<T, Arch>::load_aligned(buffer);
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
