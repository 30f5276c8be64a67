/// @file
/// Numbers from a short table, a different one for each lane, without gather instructions.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Entries of the table of `lookup`, two registers; 0 where the architecture has none.
template <class T, class Arch>
inline constexpr index_t lookup_length =
#if defined(__AVX512F__)
    register_bytes<Arch> == 64 ? 2 * width<T, Arch> :
#endif
#if defined(__AVX2__)
    register_bytes<Arch> == 32 && std::is_same_v<T, float> ? 16
                                                           :
#endif
                                                           0;

/// For each lane, six places in a table, 5 bits each, the first one lowest.
///
/// The last entry of a table counts as 0, whatever it is. Places are taken modulo the length of the
/// table, so 31 stands for it everywhere.
template <class T, class Arch>
class lookup
{
public:
    /// Reads one word for each lane.
    explicit lookup(const std::uint32_t* words) noexcept;

    /// Lane i is table[place `Number` of lane i]; the whole table is readable.
    template <int Number>
    batch<T, Arch> from(const T* table) const noexcept;

private:
    typename batch<std::int32_t, Arch>::register_type m_words;
};

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE lookup<T, Arch>::lookup(
    [[maybe_unused]] const std::uint32_t* words) noexcept
{
    static_assert(lookup_length<T, Arch> > 0);
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        if constexpr (std::is_same_v<T, float>)
        {
            m_words = _mm512_loadu_si512(words);
        }
        else
        {
            // A masked form: g++ 12 warns about the unmasked one (its bug 105593).
            m_words = _mm512_maskz_cvtepu32_epi64(static_cast<__mmask8>(-1),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
        }
    }
    else
#endif
    {
#if defined(__AVX2__)
        m_words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
#endif
    }
}

template <class T, class Arch>
template <int Number>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> lookup<T, Arch>::from(
    [[maybe_unused]] const T* table) const noexcept
{
    static_assert(Number >= 0 && Number < 6);
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        const __m512i at =
            Number == 0 ? m_words
                        : _mm512_maskz_srli_epi32(static_cast<__mmask16>(-1), m_words, 5 * Number);
        const __m512 upper = _mm512_maskz_loadu_ps(static_cast<__mmask16>(0x7fff), table + 16);
        return _mm512_permutex2var_ps(_mm512_loadu_ps(table), at, upper);
    }
    else if constexpr (register_bytes<Arch> == 64)
    {
        const __m512i at =
            Number == 0 ? m_words
                        : _mm512_maskz_srli_epi64(static_cast<__mmask8>(-1), m_words, 5 * Number);
        const __m512d upper = _mm512_maskz_loadu_pd(static_cast<__mmask8>(0x7f), table + 8);
        return _mm512_permutex2var_pd(_mm512_loadu_pd(table), at, upper);
    }
    else
#endif
    {
#if defined(__AVX2__)
        const __m256i at = _mm256_srli_epi32(m_words, 5 * Number);
        const __m256i but_last = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, -1, 0);
        const __m256 lower = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), at);
        const __m256 upper = _mm256_permutevar8x32_ps(_mm256_maskload_ps(table + 8, but_last), at);
        // Bit 3 of the place, as a sign, chooses.
        return _mm256_blendv_ps(lower, upper, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)));
#endif
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
