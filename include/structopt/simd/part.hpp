/// @file
/// Reading and writing some neighbouring elements in the middle of a register.
#pragma once

#include <structopt/simd/tail.hpp>

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

    /// Writes element i to to[i] for the elements of the part alone.
    void store(T* to, const batch<T, Arch>& x) const noexcept;

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

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void part<T, Arch>::store(T* to, const batch<T, Arch>& x) const noexcept
{
#if defined(__AVX512F__)
    if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, float>)
    {
        _mm512_mask_storeu_ps(to, m_mask, x);
    }
    else if constexpr (register_bytes<Arch> == 64 && std::is_same_v<T, double>)
    {
        _mm512_mask_storeu_pd(to, m_mask, x);
    }
    else
#endif
    {
        alignas(64) T buffer[static_cast<std::size_t>(width<T, Arch>)];
        x.store_aligned(buffer);
        for (index_t i = m_first; i < m_last; ++i)
        {
            to[i] = buffer[i];
        }
    }
}

} // namespace simd
STRUCTOPT_END_NAMESPACE
