/// @file
/// Reading and writing the first few elements of a register: never touches memory beyond them.
#pragma once

#include <structopt/simd/target.hpp>

#if defined(__AVX__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Reads `count` elements, 0 <= count <= width; the others are 0.
template <class Arch, class T>
batch<T, Arch> load_tail(const T* from, index_t count) noexcept;

/// Writes the first `count` elements, 0 <= count <= width.
template <class T, class Arch>
void store_tail(T* to, const batch<T, Arch>& x, index_t count) noexcept;

// ---------------------------------------------------------------------------------------------

template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> load_tail(const T* from, index_t count) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && sizeof(T) == 4)
    {
        const auto mask = static_cast<__mmask16>((1u << count) - 1u);
        if constexpr (std::is_same_v<T, float>)
        {
            return _mm512_maskz_loadu_ps(mask, from);
        }
        else
        {
            return _mm512_maskz_loadu_epi32(mask, from);
        }
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), from);
    }
    else
#endif
    {
        alignas(64) T buffer[static_cast<std::size_t>(width<T, Arch>)] = {};
        for (index_t i = 0; i < count; ++i)
        {
            buffer[i] = from[i];
        }
        return batch<T, Arch>::load_aligned(buffer);
    }
}

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void store_tail(T* to, const batch<T, Arch>& x, index_t count) noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && sizeof(T) == 4)
    {
        const auto mask = static_cast<__mmask16>((1u << count) - 1u);
        if constexpr (std::is_same_v<T, float>)
        {
            _mm512_mask_storeu_ps(to, mask, x);
        }
        else
        {
            _mm512_mask_storeu_epi32(to, mask, x);
        }
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1u), x);
    }
    else
#endif
    {
        alignas(64) T buffer[static_cast<std::size_t>(width<T, Arch>)];
        x.store_aligned(buffer);
        for (index_t i = 0; i < count; ++i)
        {
            to[i] = buffer[i];
        }
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
