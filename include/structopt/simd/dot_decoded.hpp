/// @file
/// Sums of four products per 32-bit lane where the weights were decoded in registers and lie in
/// [0, 127], and activations are plain int8.
///
/// `dot` (dot.hpp) takes int8 weights from memory, and where the instruction multiplies unsigned by
/// signed bytes it raises the activations. Decoded weights are not negative, so here they are the
/// unsigned bytes, and activations stay as they are.
#pragma once

#include <structopt/simd/dot.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace simd
{

/// `prepare` lays out four activations as `words` words, `broadcast` reads them for all lanes, `add` adds
/// to each lane its four products. `lanes` makes activations of a register with four of its own in
/// each lane. `unsigned_bytes`: weights may be up to 255.
template <class Arch, dot_kind Kind = best_dot<Arch>>
struct decoded_dot;

template <class Arch>
struct decoded_dot<Arch, dot_kind::scalar>
{
    static constexpr bool unsigned_bytes = false;
    static constexpr index_t words = 1;

    using accumulator = batch<std::int32_t, Arch>;
    using weights = accumulator;
    using activations = accumulator;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        std::memcpy(to, x, 4);
    }
    static STRUCTOPT_ALWAYS_INLINE weights from(const accumulator& bytes) noexcept
    {
        return bytes;
    }
    static STRUCTOPT_ALWAYS_INLINE activations lanes(const accumulator& bytes) noexcept
    {
        return bytes;
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return accumulator(static_cast<std::int32_t>(*from));
    }
    static accumulator add(const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        constexpr index_t count = width<std::int32_t, Arch>;
        alignas(64) std::int32_t value[static_cast<std::size_t>(count)];
        alignas(64) std::int32_t left[static_cast<std::size_t>(count)];
        alignas(64) std::int32_t right[static_cast<std::size_t>(count)];
        sum.store_aligned(value);
        w.store_aligned(left);
        x.store_aligned(right);
        for (index_t i = 0; i < count; ++i)
        {
            std::int8_t a[4];
            std::int8_t b[4];
            std::memcpy(a, left + i, 4);
            std::memcpy(b, right + i, 4);
            for (index_t j = 0; j < 4; ++j)
            {
                value[i] += a[j] * b[j];
            }
        }
        return accumulator::load_aligned(value);
    }
};

#if defined(__SSE2__) || defined(_M_X64)

template <class Arch>
struct decoded_dot<Arch, dot_kind::pairs>
{
    using base = dot<Arch, dot_kind::pairs>;
    static constexpr bool unsigned_bytes = false;
    static constexpr index_t words = base::words;

    using accumulator = typename base::accumulator;
    using weights = typename base::weights;
    using activations = typename base::activations;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        base::prepare(x, to);
    }
    static STRUCTOPT_ALWAYS_INLINE weights from(const accumulator& bytes) noexcept
    {
        return base::template widen<weights>(bytes);
    }
    static STRUCTOPT_ALWAYS_INLINE activations lanes(const accumulator& bytes) noexcept
    {
        return base::template widen<activations>(bytes);
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return base::broadcast(from);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        return base::add(sum, w, x);
    }
};

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

template <class Arch>
struct decoded_dot<Arch, dot_kind::vnni>
{
    using base = dot<Arch, dot_kind::vnni>;
    static constexpr bool unsigned_bytes = true;
    static constexpr index_t words = 1;

    using accumulator = typename base::accumulator;
    using weights = typename base::weights;
    using activations = typename base::activations;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        std::memcpy(to, x, 4);
    }
    static STRUCTOPT_ALWAYS_INLINE weights from(const accumulator& bytes) noexcept
    {
        return bytes;
    }
    static STRUCTOPT_ALWAYS_INLINE activations lanes(const accumulator& bytes) noexcept
    {
        return bytes;
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return base::broadcast(from);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        // Its second operand is the signed one.
        return base::add(sum, x, w);
    }
};

#endif

#if defined(__ARM_FEATURE_DOTPROD)

template <class Arch>
struct decoded_dot<Arch, dot_kind::neon>
{
    using base = dot<Arch, dot_kind::neon>;
    static constexpr bool unsigned_bytes = false;
    static constexpr index_t words = 1;

    using accumulator = typename base::accumulator;
    using weights = typename base::weights;
    using activations = typename base::activations;

    static void prepare(const std::int8_t* x, std::uint32_t* to) noexcept
    {
        base::prepare(x, to);
    }
    static STRUCTOPT_ALWAYS_INLINE weights from(const accumulator& bytes) noexcept
    {
        return vreinterpretq_s8_s32(bytes);
    }
    static STRUCTOPT_ALWAYS_INLINE activations lanes(const accumulator& bytes) noexcept
    {
        return vreinterpretq_s8_s32(bytes);
    }
    static STRUCTOPT_ALWAYS_INLINE activations broadcast(const std::uint32_t* from) noexcept
    {
        return base::broadcast(from);
    }
    static STRUCTOPT_ALWAYS_INLINE accumulator add(
        const accumulator& sum, const weights& w, const activations& x) noexcept
    {
        return base::add(sum, w, x);
    }
};

#endif

} // namespace simd
STRUCTOPT_END_NAMESPACE
