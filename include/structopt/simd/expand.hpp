/// @file
/// Spreading neighbouring numbers over the lanes that a mask names.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Whether `expand` is an instruction.
template <class T, class Arch>
inline constexpr bool has_expand =
#if defined(__AVX512F__)
    register_bytes<Arch> == 64 && std::is_floating_point_v<T>;
#else
    false;
#endif

/// Reads as many numbers as `mask` has bits in its low `width`: the lanes that are set take them in
/// order, the others are 0. Nothing behind them is read.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> expand(const T* from, std::uint64_t mask) noexcept
{
#if defined(__AVX512F__)
    if constexpr (has_expand<T, Arch> && std::is_same_v<T, float>)
    {
        return _mm512_maskz_expandloadu_ps(static_cast<__mmask16>(mask), from);
    }
    else if constexpr (has_expand<T, Arch>)
    {
        return _mm512_maskz_expandloadu_pd(static_cast<__mmask8>(mask), from);
    }
    else
#endif
    {
        alignas(64) T buffer[static_cast<std::size_t>(width<T, Arch>)];
        for (index_t i = 0; i < width<T, Arch>; ++i)
        {
            buffer[i] = ((mask >> i) & 1u) != 0 ? *from++ : T(0);
        }
        return batch<T, Arch>::load_aligned(buffer);
    }
}

/// The lanes that are set, each from its own place; the others are 0 and need not be there.
template <class Arch, class T>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> load_lanes(const T* from, std::uint64_t mask) noexcept
{
    static_assert(has_expand<T, Arch>);
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float>)
    {
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
    }
    else
    {
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from);
    }
#else
    static_cast<void>(mask);
    return load<Arch>(from);
#endif
}

/// The numbers of `x` in order, in the lanes that are set; the others are 0.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> expand(const batch<T, Arch>& x, std::uint64_t mask) noexcept
{
    static_assert(has_expand<T, Arch>);
#if defined(__AVX512F__)
    // The instruction waits for its old destination even where it zeroes (measured on Zen 5: 6
    // cycles instead of 1), so it gets a zero of its own that the compiler does not see through.
    typename batch<T, Arch>::register_type spread{};
#if defined(__GNUC__)
    asm("" : "+v"(spread));
#endif
    if constexpr (std::is_same_v<T, float>)
    {
        return _mm512_mask_expand_ps(spread, static_cast<__mmask16>(mask), x);
    }
    else
    {
        return _mm512_mask_expand_pd(spread, static_cast<__mmask8>(mask), x);
    }
#else
    static_cast<void>(mask);
    return x;
#endif
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
