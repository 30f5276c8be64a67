/// @file
/// Dynamic symmetric quantization of activations: one scale per row.
#pragma once

#include <structopt/simd/exact.hpp>
#include <structopt/simd/widen.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Rows whose largest magnitude is below this (2^-120) have scale 0 and codes 0: 127 / x overflows
/// further down.
inline constexpr float smallest_row = 7.52316384526264005e-37f;

/// codes[i, k] = round(x[i, k] * (127 / max|x[i, :]|)), half to even, scales[i] = max|x[i, :]| / 127.
///
/// Codes lie in [-127, 127]. Two divisions per row, then one multiplication and one rounding per
/// element, each exactly rounded: equal bits on every instruction set. A row of zeros (and one below
/// `smallest_row`) has scale 0. A row with a NaN or an infinity has scale NaN and codes 0, so that
/// what is computed from it is NaN everywhere. Rows start `x_stride` and `codes_stride` elements
/// apart.
template <class Arch = simd::default_arch>
void quantize_rows(index_t rows, index_t columns, const float* x, index_t x_stride,
    std::int8_t* codes, index_t codes_stride, float* scales) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The scale of n numbers, as above; returns what they are to be multiplied by: 0 where all codes
/// are 0.
template <class Arch>
float code_scale(index_t n, const float* from, float& scale) noexcept
{
    using real = simd::batch<float, Arch>;
    using word = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = simd::width<float, Arch>;
    constexpr std::int32_t infinity = 0x7f800000;

    // Magnitudes compare like their bits read as integers, NaN above infinity above all.
    const word magnitude(std::int32_t{0x7fffffff});
    word most[2] = {word(std::int32_t{0}), word(std::int32_t{0})};
    index_t k = 0;
    for (; k + 2 * lanes <= n; k += 2 * lanes)
    {
        for (index_t v = 0; v < 2; ++v)
        {
            const real value = simd::load<Arch>(from + k + v * lanes);
            most[v] = simd::max(most[v], simd::bit_cast<std::int32_t>(value) & magnitude);
        }
    }
    for (; k < n; k += lanes)
    {
        const index_t left = n - k < lanes ? n - k : lanes;
        const real value = simd::load_tail<Arch>(from + k, left);
        most[0] = simd::max(most[0], simd::bit_cast<std::int32_t>(value) & magnitude);
    }
    most[0] = simd::max(most[0], most[1]);
    alignas(64) std::int32_t lane[static_cast<std::size_t>(lanes)];
    most[0].store_aligned(lane);
    std::int32_t bits = 0;
    for (index_t j = 0; j < lanes; ++j)
    {
        bits = lane[j] > bits ? lane[j] : bits;
    }
    float largest;
    std::memcpy(&largest, &bits, sizeof largest);
    if (bits >= infinity)
    {
        const std::int32_t nan = 0x7fc00000;
        std::memcpy(&scale, &nan, sizeof nan);
        return 0.0f;
    }
    if (largest < smallest_row)
    {
        scale = 0.0f;
        return 0.0f;
    }
    scale = largest / 127.0f;
    return 127.0f / largest;
}

/// The codes of one register of numbers, as integers.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<std::int32_t, Arch> codes_of(
    const simd::batch<float, Arch>& x, const simd::batch<float, Arch>& factor) noexcept
{
    return simd::to_int(simd::rounded(x * factor));
}

} // namespace detail

template <class Arch>
void quantize_rows(index_t rows, index_t columns, const float* x, index_t x_stride,
    std::int8_t* codes, index_t codes_stride, float* scales) noexcept
{
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<float, Arch>;
    for (index_t i = 0; i < rows; ++i)
    {
        const float* const from = x + i * x_stride;
        std::int8_t* const to = codes + i * codes_stride;
        const float inverse = detail::code_scale<Arch>(columns, from, scales[i]);
        if (inverse == 0.0f)
        {
            for (index_t k = 0; k < columns; ++k)
            {
                to[k] = 0;
            }
            continue;
        }
        const real factor(inverse);
        const auto codes_at = [&](index_t k) STRUCTOPT_LAMBDA_INLINE
        {
            return detail::codes_of(simd::load<Arch>(from + k), factor);
        };
        index_t k = 0;
        for (; k + 4 * lanes <= columns; k += 4 * lanes)
        {
            simd::store_bytes(to + k, simd::narrow(codes_at(k), codes_at(k + lanes),
                                          codes_at(k + 2 * lanes), codes_at(k + 3 * lanes)));
        }
        for (; k < columns; k += lanes)
        {
            const index_t left = columns - k < lanes ? columns - k : lanes;
            const real value =
                left == lanes ? simd::load<Arch>(from + k) : simd::load_tail<Arch>(from + k, left);
            simd::store_narrow(to + k, detail::codes_of(value, factor), left);
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_QUANTIZE_ROWS(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
