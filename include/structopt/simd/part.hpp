/// @file
/// Reading and writing some neighbouring elements in the middle of a register.
#pragma once

#include <structopt/simd/tail.hpp>

#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// Whether `part` costs no more than a whole register.
template <class Arch>
inline constexpr bool has_cheap_parts = register_bytes<Arch> == 64;

/// The elements [first, last) of a register, 0 <= first <= last <= width.
template <class T, class Arch>
class part
{
public:
    part() noexcept = default;

    part(index_t first, index_t last) noexcept;

    /// Reads element i from from[i] for the elements of the part alone; the others are 0.
    batch<T, Arch> load(const T* from) const noexcept;

private:
#if defined(__AVX512F__)
    using bits = std::conditional_t<sizeof(T) == 4, __mmask16, __mmask8>;
    bits m_mask = 0;
#endif
    index_t m_first = 0;
    index_t m_last = 0;
};

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE part<T, Arch>::part(index_t first, index_t last) noexcept
    : m_first(first)
    , m_last(last)
{
#if defined(__AVX512F__)
    m_mask = static_cast<bits>(((1u << last) - 1u) & ~((1u << first) - 1u));
#endif
}

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE batch<T, Arch> part<T, Arch>::load(const T* from) const noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        return _mm512_maskz_loadu_ps(m_mask, from);
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        return _mm512_maskz_loadu_pd(m_mask, from);
    }
    else
#endif
    {
        alignas(64) T buffer[static_cast<std::size_t>(width<T, Arch>)] = {};
        for (index_t i = m_first; i < m_last; ++i)
        {
            buffer[i] = from[i];
        }
        return batch<T, Arch>::load_aligned(buffer);
    }
}

#if defined(__AVX2__)

namespace detail
{

/// For each choice of eight elements, the positions of those that are chosen, in order.
struct choice_table
{
    std::uint8_t position[256][8] = {};

    constexpr choice_table() noexcept
    {
        for (unsigned chosen = 0; chosen < 256; ++chosen)
        {
            unsigned count = 0;
            for (unsigned i = 0; i < 8; ++i)
            {
                if ((chosen >> i & 1u) != 0)
                {
                    position[chosen][count++] = static_cast<std::uint8_t>(i);
                }
            }
        }
    }
};

inline constexpr choice_table choices{};

} // namespace detail

#endif

/// Writes the elements whose bit is set in `chosen`, `count` in number, next to each other. Of the
/// `room` elements at `to` those behind them may be overwritten.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_chosen(float* to, const batch<float, Arch>& x,
    std::uint32_t chosen, index_t count, index_t room) noexcept
{
    constexpr index_t lanes = width<float, Arch>;
    if (count == lanes)
    {
        simd::store(to, x);
        return;
    }
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64)
    {
        simd::store_tail(to,
            batch<float, Arch>(_mm512_maskz_compress_ps(static_cast<__mmask16>(chosen), x)), count);
        return;
    }
#endif
#if defined(__AVX2__)
    if constexpr (register_bytes<Arch> == 32)
    {
        const __m256i order = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(detail::choices.position[chosen])));
        const batch<float, Arch> packed(_mm256_permutevar8x32_ps(x, order));
        if (room >= lanes)
        {
            simd::store(to, packed);
        }
        else
        {
            simd::store_tail(to, packed, count);
        }
        return;
    }
#endif
    static_cast<void>(room);
    alignas(64) float buffer[static_cast<std::size_t>(lanes)];
    x.store_aligned(buffer);
    for (index_t i = 0; i < lanes; ++i)
    {
        if ((chosen >> i & 1u) != 0)
        {
            *to++ = buffer[i];
        }
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
