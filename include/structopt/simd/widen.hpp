/// @file
/// Conversions between int8 and int32 that xsimd does by way of the stack.
#pragma once

#include <structopt/simd/tail.hpp>

#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

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

} // namespace simd
STRUCTOPT_END_NAMESPACE
