/// @file
/// Sums of four int8 products per 32-bit lane: what xsimd does not have.
///
/// A lane of weights holds four consecutive k of one column; the four activations of one row are
/// the same in every lane. `dot<Arch, Kind>` says how activations are stored for the kernel
/// (`prepare`), and adds four products to each lane, exactly (modulo 2^32).
///
/// Turned, a lane holds four activations of one position (int8 codes, `offset` added), and the four
/// weights of one output are the same in every lane: `load`, `spread` and `add_turned`.
///
/// Where every lane has activations of its own (int8 codes, `offset` added): `add_lanes`.
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

/// How int8 products are summed.
///
/// | kind | instruction | activations as | products per instruction |
/// |---|---|---|---|
/// | `scalar` | plain C++ | int8 | 1 |
/// | `pairs` | `pmaddwd` on even and odd bytes widened to int16: exact, never saturates | 2 x int16 pairs | 2 per lane |
/// | `vnni` | `vpdpbusd` (AVX512-VNNI, AVX-VNNI) | uint8 = x + 128; column sums correct it | 4 per lane |
/// | `neon` | `sdot` | int8 | 4 per lane |
enum class dot_kind
{
    scalar,
    pairs,
    vnni,
    neon
};

namespace detail
{

template <class Arch>
constexpr dot_kind pick_dot() noexcept
{
    // The compiler's macros, not xsimd's tags: tags for VNNI differ between versions.
#if defined(__AVX512VNNI__)
    if (register_bytes<Arch> == 64)
    {
        return dot_kind::vnni;
    }
#endif
#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))
    if (register_bytes<Arch> == 32 && std::is_base_of_v<xsimd::avx2, Arch>)
    {
        return dot_kind::vnni;
    }
#endif
#if defined(__ARM_FEATURE_DOTPROD)
    if (std::is_base_of_v<xsimd::neon, Arch>)
    {
        return dot_kind::neon;
    }
#endif
#if defined(__AVX512BW__)
    if (register_bytes<Arch> == 64)
    {
        return dot_kind::pairs;
    }
#endif
#if defined(__AVX2__)
    if (std::is_base_of_v<xsimd::avx2, Arch>)
    {
        return dot_kind::pairs;
    }
#endif
#if defined(__SSE2__) || defined(_M_X64)
    if (std::is_base_of_v<xsimd::sse2, Arch> && register_bytes<Arch> == 16)
    {
        return dot_kind::pairs;
    }
#endif
    return dot_kind::scalar;
}

} // namespace detail

/// The fastest kind that this architecture and the compiler's flags offer.
template <class Arch>
inline constexpr dot_kind best_dot = detail::pick_dot<Arch>();

/// See the file's head. `add` adds to each lane the four products of its weights and `x`.
template <class Arch, dot_kind Kind = best_dot<Arch>>
struct dot;

template <class Arch>
struct dot<Arch, dot_kind::scalar>
{
    /// Added to every activation by `prepare`.
    static constexpr std::int32_t offset = 0;
    /// 32-bit words of four prepared activations.
    static constexpr index_t words = 1;
    /// Registers that one register of weights takes once loaded.
    static constexpr index_t weight_registers = 1;

    using accumulator = batch<std::int32_t, Arch>;
    struct weights
    {
        const std::int8_t* from;
    };
    struct activations
    {
        std::int8_t value[4];
    };

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        std::memcpy(to, x, 4);
    }
    static weights load(const std::int8_t* from) noexcept
    {
        return {from};
    }
    static activations broadcast(const std::uint32_t* from) noexcept
    {
        activations x;
        std::memcpy(x.value, from, 4);
        return x;
    }
    static accumulator add(const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        alignas(64) std::int32_t value[static_cast<std::size_t>(lanes)];
        sum.store_aligned(value);
        for (index_t i = 0; i < lanes; ++i)
        {
            for (index_t j = 0; j < 4; ++j)
            {
                value[i] += w.from[4 * i + j] * x.value[j];
            }
        }
        return accumulator::load_aligned(value);
    }
    static activations spread(const std::int8_t* four) noexcept
    {
        activations w;
        std::memcpy(w.value, four, 4);
        return w;
    }
    static accumulator add_turned(
        const accumulator& sum, const weights& x, const activations& w) noexcept
    {
        return add(sum, x, w);
    }
    static accumulator add_lanes(
        const accumulator& sum, const weights& w, const accumulator& x) noexcept
    {
        constexpr index_t lanes = width<std::int32_t, Arch>;
        alignas(64) std::int32_t value[static_cast<std::size_t>(lanes)];
        alignas(64) std::int32_t bytes[static_cast<std::size_t>(lanes)];
        sum.store_aligned(value);
        x.store_aligned(bytes);
        for (index_t i = 0; i < lanes; ++i)
        {
            std::int8_t codes[4];
            std::memcpy(codes, bytes + i, 4);
            for (index_t j = 0; j < 4; ++j)
            {
                value[i] += w.from[4 * i + j] * codes[j];
            }
        }
        return accumulator::load_aligned(value);
    }
};

#if defined(__SSE2__) || defined(_M_X64)

/// Bytes as int16: the odd ones by an arithmetic shift, the even ones shifted up first. Lanes then
/// hold k = (1, 3) and k = (0, 2), and so do the activations.
template <class Arch>
struct dot<Arch, dot_kind::pairs>
{
    static constexpr std::int32_t offset = 0;
    static constexpr index_t words = 2;
    static constexpr index_t weight_registers = 2;

    using accumulator = batch<std::int32_t, Arch>;
    using vector = typename accumulator::register_type;
    struct weights
    {
        vector even;
        vector odd;
    };
    struct activations
    {
        vector even;
        vector odd;
    };

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        const std::int16_t pairs[4] = {x[0], x[2], x[1], x[3]};
        std::memcpy(to, pairs, 8);
    }
    static STRUCTOPT_ALWAYS_INLINE weights load(const std::int8_t* from) noexcept
    {
#if defined(__AVX512BW__)
        if constexpr (register_bytes<Arch> == 64)
        {
            return widen<weights>(_mm512_loadu_si512(from));
        }
        else
#endif
#if defined(__AVX2__)
            if constexpr (register_bytes<Arch> == 32)
        {
            return widen<weights>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
        }
        else
#endif
        {
            return widen<weights>(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
        }
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return {accumulator(static_cast<std::int32_t>(from[0])),
            accumulator(static_cast<std::int32_t>(from[1]))};
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        return sum + accumulator(multiply(w.even, x.even)) + accumulator(multiply(w.odd, x.odd));
    }
    static STRUCTOPT_ALWAYS_INLINE activations spread(const std::int8_t* four) noexcept
    {
        std::int32_t word;
        std::memcpy(&word, four, 4);
        return widen<activations>(accumulator(word));
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_turned(
        const accumulator& sum, const weights& x, const activations& w) noexcept
    {
        return add(sum, x, w);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_lanes(
        const accumulator& sum, const weights& w, const accumulator& x) noexcept
    {
        return add(sum, w, widen<activations>(x));
    }

    /// The even and the odd bytes of a register as int16.
    template <class Halves>
    static STRUCTOPT_ALWAYS_INLINE Halves widen(const vector& w) noexcept
    {
#if defined(__AVX512BW__)
        if constexpr (register_bytes<Arch> == 64)
        {
            return {_mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), _mm512_srai_epi16(w, 8)};
        }
        else
#endif
#if defined(__AVX2__)
            if constexpr (register_bytes<Arch> == 32)
        {
            return {_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
        }
        else
#endif
        {
            return {_mm_srai_epi16(_mm_slli_epi16(w, 8), 8), _mm_srai_epi16(w, 8)};
        }
    }

private:
    static STRUCTOPT_ALWAYS_INLINE vector multiply(const vector& a, const vector& b) noexcept
    {
#if defined(__AVX512BW__)
        if constexpr (register_bytes<Arch> == 64)
        {
            return _mm512_madd_epi16(a, b);
        }
        else
#endif
#if defined(__AVX2__)
            if constexpr (register_bytes<Arch> == 32)
        {
            return _mm256_madd_epi16(a, b);
        }
        else
#endif
        {
            return _mm_madd_epi16(a, b);
        }
    }
};

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

template <class Arch>
struct dot<Arch, dot_kind::vnni>
{
    static constexpr std::int32_t offset = 128;
    static constexpr index_t words = 1;
    static constexpr index_t weight_registers = 1;

    using accumulator = batch<std::int32_t, Arch>;
    using vector = typename accumulator::register_type;
    using weights = vector;
    using activations = vector;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        std::memcpy(to, x, 4);
        *to ^= 0x80808080u;
    }
    static STRUCTOPT_ALWAYS_INLINE weights load(const std::int8_t* from) noexcept
    {
#if defined(__AVX512VNNI__)
        if constexpr (register_bytes<Arch> == 64)
        {
            return _mm512_loadu_si512(from);
        }
        else
#endif
        {
            return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
        }
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return accumulator(static_cast<std::int32_t>(*from));
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
#if defined(__AVX512VNNI__)
        if constexpr (register_bytes<Arch> == 64)
        {
            return _mm512_dpbusd_epi32(sum, x, w);
        }
        else
#endif
        {
#if defined(__AVXVNNI__)
            return _mm256_dpbusd_avx_epi32(sum, x, w);
#else
            return _mm256_dpbusd_epi32(sum, x, w);
#endif
        }
    }
    static STRUCTOPT_ALWAYS_INLINE activations spread(const std::int8_t* four) noexcept
    {
        std::int32_t word;
        std::memcpy(&word, four, 4);
        return accumulator(word);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_turned(
        const accumulator& sum, const weights& x, const activations& w) noexcept
    {
        return add(sum, w, x);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_lanes(
        const accumulator& sum, const weights& w, const accumulator& x) noexcept
    {
        return add(sum, w, x);
    }
};

#endif

#if defined(__ARM_FEATURE_DOTPROD)

template <class Arch>
struct dot<Arch, dot_kind::neon>
{
    static constexpr std::int32_t offset = 0;
    static constexpr index_t words = 1;
    static constexpr index_t weight_registers = 1;

    using accumulator = batch<std::int32_t, Arch>;
    using weights = int8x16_t;
    using activations = int8x16_t;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        std::memcpy(to, x, 4);
    }
    static STRUCTOPT_ALWAYS_INLINE weights load(const std::int8_t* from) noexcept
    {
        return vld1q_s8(from);
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return vreinterpretq_s8_u32(vdupq_n_u32(*from));
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        return accumulator(vdotq_s32(sum, w, x));
    }
    static STRUCTOPT_ALWAYS_INLINE activations spread(const std::int8_t* four) noexcept
    {
        std::uint32_t word;
        std::memcpy(&word, four, 4);
        return vreinterpretq_s8_u32(vdupq_n_u32(word));
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_turned(
        const accumulator& sum, const weights& x, const activations& w) noexcept
    {
        return add(sum, x, w);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add_lanes(
        const accumulator& sum, const weights& w, const accumulator& x) noexcept
    {
        return add(sum, w, vreinterpretq_s8_s32(x));
    }
};

#endif

} // namespace simd
STRUCTOPT_END_NAMESPACE
