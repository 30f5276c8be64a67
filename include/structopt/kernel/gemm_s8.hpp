/// @file
/// Integer products: 8-bit activations by packed int8 weights, exact in int32; results are int32,
/// float or 8-bit codes, with equal bits on every instruction set.
///
/// Y[m, n] = (X[m, k] - zero point) W[n, k]^T. X is int8 or uint8. Sums are exact while they fit int32:
/// for every X if k <= 66,000 (k * 255 * 127 < 2^31), and k <= 132,000 without a zero point.
/// Weights are packed by `pack_s8`.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/gemm_s8_tile.hpp>
#include <structopt/kernel/operand_s8.hpp>
#include <structopt/kernel/pack_s8.hpp>
#include <structopt/simd/dot.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of all products. Any alignment will do.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// Y[m, n] = (X[m, k] - x_zero) W^T + bias as int32. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8_s32(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<std::int32_t> y, std::byte* scratch, const integer_start& start = {}) noexcept;

/// Y[m, n] = X[m, k] W^T as float. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<float> y, const dequantize& e, std::byte* scratch) noexcept;

/// Y[m, n] = X[m, k] W^T as codes. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    code_result y, const requantize& e, std::byte* scratch) noexcept;

/// Y[m, n] = X[m, k] W^T for X of floats, rows `x_row` apart, quantized on the way: the same bits as
/// `quantize_rows` and `gemm_s8` give. What `e` has for `x_scale` and `start` is not read.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8_dynamic(index_t m, index_t n, index_t k, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// A product as a whole: X as it comes, one of the two.
struct s8_product
{
    /// Unsigned ones are turned to int8, which takes 128 off them.
    code_operand codes{};
    const float* floats = nullptr;
    index_t x_row = 0;
    integer_start start{};
};

/// Where the parts of scratch lie, in bytes: prepared rows, starts, scales, codes of one tile.
template <class Arch, simd::dot_kind Kind>
struct s8_space
{
    using shape = gemm_s8_shape<Arch, Kind>;
    index_t block_rows;
    index_t starts;
    index_t scales;
    index_t codes;
    index_t all;

    s8_space(index_t m, index_t n, index_t k) noexcept
    {
        const index_t blocks = (m + shape::block_rows - 1) / shape::block_rows;
        block_rows = (m + blocks - 1) / blocks;
        starts = (4 * shape::words(block_rows, (k + 3) / 4) + 63) / 64 * 64;
        scales = starts + 4 * ((n + shape::panel - 1) / shape::panel * shape::panel);
        codes = scales + 4 * block_rows;
        all = codes + (block_rows < shape::rows ? block_rows : shape::rows) * k + 64;
    }
};

/// What the sums of each column start from, or null for zeros.
template <class Arch, simd::dot_kind Kind>
const std::int32_t* list_starts(index_t n, index_t columns, const integer_start& start,
    bool is_unsigned, const std::int32_t* corrections, std::int32_t* to) noexcept
{
    // Activations stand there as x + offset - (128 if unsigned); x - x_zero is meant.
    const std::int32_t excess =
        start.x_zero + simd::dot<Arch, Kind>::offset - (is_unsigned ? 128 : 0);
    if (start.bias == nullptr && (excess == 0 || excess == 128))
    {
        return excess == 0 ? nullptr : corrections;
    }
    for (index_t j = 0; j < columns; ++j)
    {
        to[j] = corrections[j] / 128 * excess;
    }
    for (index_t j = 0; start.bias != nullptr && j < n; ++j)
    {
        to[j] += start.bias[j];
    }
    return to;
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_tiled(index_t m, index_t n, index_t k, const s8_product& product,
    const std::byte* packed, s8_arguments t, std::byte* scratch) noexcept
{
    using shape = gemm_s8_shape<Arch, Kind>;
    if (m <= 0 || n <= 0)
    {
        return;
    }
    const index_t groups = (k + 3) / 4;
    const index_t panels = (n + shape::panel - 1) / shape::panel;
    const s8_space<Arch, Kind> space(m, n, k);
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    scratch += (64 - address % 64) % 64;
    auto* const prepared = reinterpret_cast<std::uint32_t*>(scratch);
    auto* const scales = reinterpret_cast<float*>(scratch + space.scales);
    auto* const codes = reinterpret_cast<std::int8_t*>(scratch + space.codes);
    const auto* const weights = reinterpret_cast<const std::int8_t*>(packed);
    const std::int32_t* const starts = detail::list_starts<Arch, Kind>(n, panels * shape::panel,
        product.start, product.codes.is_unsigned,
        reinterpret_cast<const std::int32_t*>(packed + panels * shape::panel * groups * 4),
        reinterpret_cast<std::int32_t*>(scratch + space.starts));
    const index_t block_rows = space.block_rows;
    const index_t t_size = t.kind == s8_result::codes ? 1 : 4;
    // A thread is worth waking for about 2^21 multiply-adds.
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) /
                        static_cast<double>(index_t{1} << 21);
    const index_t parts = work >= 32.0 ? 32 : work < 2.0 ? 1 : static_cast<index_t>(work);
    const index_t chunk = ((panels + parts - 1) / parts + 3) / 4 * 4;

    for (index_t row = 0; row < m; row += block_rows)
    {
        const index_t rows = m - row < block_rows ? m - row : block_rows;
        const index_t tiles = (rows + shape::rows - 1) / shape::rows;
        const index_t height = rows / tiles;
        const index_t higher = rows % tiles;
        index_t done = 0;
        for (index_t i = 0; i < tiles; ++i)
        {
            const index_t high = height + (i < higher ? 1 : 0);
            std::uint32_t* const to = prepared + shape::words(done, groups);
            if (product.floats != nullptr)
            {
                detail::prepare_floats<Arch, Kind>(high, k,
                    product.floats + (row + done) * product.x_row, product.x_row, scales + done,
                    codes, to);
            }
            else
            {
                const auto& x = product.codes;
                code_operand part = x;
                part.data += (row + done) * x.row_stride;
                detail::prepare_rows<Arch, Kind>(high, k, part, to);
            }
            done += high;
        }
        parallel_for(panels, chunk,
            [&](index_t first, index_t last)
            {
                s8_arguments tile = t;
                tile.groups = groups;
                tile.w_panel = groups * 4 * shape::panel;
                for (index_t p = first; p < last;)
                {
                    const index_t wide = tiles == 1 ? shape::panels(height) : 1;
                    const index_t count = last - p >= wide ? wide : 1;
                    const index_t column = p * shape::panel;
                    const index_t left = n - column;
                    const s8_width width = count > 1                 ? s8_width::wide
                                           : left > shape::panel / 2 ? s8_width::panel
                                                                     : s8_width::half;
                    tile.columns = left < count * shape::panel ? left : count * shape::panel;
                    tile.w = weights + p * tile.w_panel;
                    tile.start = starts == nullptr ? nullptr : starts + column;
                    // The tiles share out the next panel; a single one reads it soon enough.
                    const index_t share = tiles == 1 ? 0 : 4 * shape::panel / tiles + 1;
                    tile.ahead_step = share;
                    tile.w_scale = t.w_scale == nullptr ? nullptr : t.w_scale + column;
                    tile.bias = t.bias == nullptr ? nullptr : t.bias + column;
                    index_t at = 0;
                    for (index_t i = 0; i < tiles; ++i)
                    {
                        const index_t high = height + (i < higher ? 1 : 0);
                        const index_t offset = (row + at) * t.row_stride + column * t.col_stride;
                        tile.x = prepared + shape::words(at, groups);
                        tile.ahead = tile.w + (tiles == 1 ? 0 : tile.w_panel + i * share * groups);
                        if (product.floats != nullptr)
                        {
                            tile.x_scale = scales + at;
                        }
                        else if (t.x_scale != nullptr)
                        {
                            tile.x_scale = t.x_scale + (row + at) * t.x_scale_step;
                        }
                        tile.y = static_cast<std::byte*>(t.y) + offset * t_size;
                        pick_s8<Arch, Kind>(
                            high, width, std::make_integer_sequence<index_t, shape::rows>{})(tile);
                        at += high;
                    }
                    p += count;
                }
            });
    }
}

inline s8_product s8_product_of(const code_operand& x, const integer_start& start) noexcept
{
    s8_product product;
    product.codes = x;
    product.start = start;
    return product;
}

} // namespace detail

template <class Arch, simd::dot_kind Kind>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    return static_cast<std::size_t>(detail::s8_space<Arch, Kind>(m, n, k).all);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_s32(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<std::int32_t> y, std::byte* scratch, const integer_start& start) noexcept
{
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, detail::s8_product_of(x, start), packed,
        detail::s8_result_arguments(y, detail::s8_result::integers), scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<float> y, const dequantize& e, std::byte* scratch) noexcept
{
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, detail::s8_product_of(x, e.start), packed,
        detail::s8_float_arguments(y, e), scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    code_result y, const requantize& e, std::byte* scratch) noexcept
{
    // Unsigned codes are made as signed ones, 128 less, and turned when they are written.
    const std::int32_t less = y.is_unsigned ? 128 : 0;
    detail::s8_arguments t = detail::s8_result_arguments(y, detail::s8_result::codes);
    const std::int32_t zero = e.y_zero - less;
    t.w_scale = e.multiplier;
    t.lowest = static_cast<float>(e.act == activation::relu ? 0 : -128 - zero);
    t.highest = static_cast<float>(127 - zero);
    t.y_zero = zero;
    t.y_flip = less == 0 ? 0 : -128;
    detail::gemm_s8_tiled<Arch, Kind>(
        m, n, k, detail::s8_product_of(x, e.start), packed, t, scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_dynamic(index_t m, index_t n, index_t k, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    detail::s8_product product;
    product.floats = x;
    product.x_row = x_row;
    detail::s8_arguments t = detail::s8_float_arguments(y, e);
    t.x_scale_step = 1;
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, product, packed, t, scratch);
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_GEMM_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
