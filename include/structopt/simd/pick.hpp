/// @file
/// One of M neighbouring numbers, a different one for each lane.
#pragma once

#include <structopt/simd/repeat.hpp>

#include <cstdint>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Whether `picker` has instructions for M.
template <class T, class Arch, index_t M>
inline constexpr bool has_picker =
#if defined(__AVX512F__)
    register_bytes<Arch> == 64 ? (M == 4 || M == 8) :
#endif
#if defined(__AVX2__)
    register_bytes<Arch> == 32 && std::is_same_v<T, float> ? (M == 4 || M == 8)
                                                           :
#endif
                                                           false;

/// For each lane a word of places below M, `Bits` bits each, the first one lowest; Bits is 2 for M
/// = 4 and 4 for M = 8.
template <class T, class Arch, index_t M>
class picker
{
public:
    /// Reads one word for each lane.
    explicit picker(const std::uint32_t* words) noexcept;

    /// Lane i of `runs`, which repeats M numbers, at place `Number` of lane i.
    template <int Number>
    batch<T, Arch> from(const batch<T, Arch>& runs) const noexcept;

private:
    static constexpr int bits = M == 4 ? 2 : 4;

    typename batch<std::int32_t, Arch>::register_type m_words;
};

// ---------------------------------------------------------------------------------------------

template <class T, class Arch, index_t M>
STRUCTOPT_ALWAYS_INLINE picker<T, Arch, M>::picker(
    [[maybe_unused]] const std::uint32_t* words) noexcept
{
    static_assert(has_picker<T, Arch, M>);
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        m_words = _mm512_loadu_si512(words);
    }
    else if constexpr (register_bytes<Arch> == 64)
    {
        // Masked forms here and below: g++ 12 warns about the unmasked ones (its bug 105593).
        m_words = _mm512_maskz_cvtepu32_epi64(
            static_cast<__mmask8>(-1), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
    }
    else
#endif
    {
#if defined(__AVX2__)
        m_words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
#endif
    }
}

template <class T, class Arch, index_t M>
template <int Number>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> picker<T, Arch, M>::from(
    const batch<T, Arch>& runs) const noexcept
{
    static_assert(Number >= 0 && (Number + 1) * bits <= 32);
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        const auto all = static_cast<__mmask16>(-1);
        const __m512i at = _mm512_maskz_srli_epi32(all, m_words, Number * bits);
        return M == 4 ? _mm512_maskz_permutevar_ps(all, runs, at)
                      : _mm512_maskz_permutexvar_ps(all, at, runs);
    }
    else if constexpr (register_bytes<Arch> == 64)
    {
        const auto all = static_cast<__mmask8>(-1);
        return _mm512_maskz_permutexvar_pd(
            all, _mm512_maskz_srli_epi64(all, m_words, Number * bits), runs);
    }
    else
#endif
    {
#if defined(__AVX2__)
        const __m256i at = _mm256_srli_epi32(m_words, Number * bits);
        return M == 4 ? _mm256_permutevar_ps(runs, at) : _mm256_permutevar8x32_ps(runs, at);
#else
        return runs;
#endif
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
