/// @file
/// Products of int8 activations with weights of 4, 2 or 1 bits that have a scale (and a zero point) per
/// group of columns or per row; results are float, with equal bits on every instruction set.
///
/// Y[m, n] = act((sum over groups g, ascending, of float(S[m, n, g]) * scale[n, g]) * x_scale[m] +
/// bias[n]), where S is the exact integer sum of the group's products of activations and values
/// (code - zero point, or table[code] - zero point). The total starts from 0; each operation rounds
/// to float, in this order, never fused. S is exact for up to 66,000 columns in a group.
///
/// Weights are packed by `pack_low_bit`. Lanes are rows of W, so no sum crosses lanes: the integer sums
/// of a group are converted, multiplied by a register of scales and added to the totals. Per group of
/// 32 columns, row of X and register of rows of W: 8 dot products where an instruction sums four
/// products, and 3 instructions for the scales.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/gemm_low_bit_tile.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of both products. Any alignment will do.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
std::size_t gemm_low_bit_scratch_bytes(index_t m, const low_bit_shape& w) noexcept;

/// Y[m, w.rows] from codes X[m, w.columns], rows `x_row` apart. Of `e`, `x_scale`, `bias` and `act` are
/// read.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_low_bit(index_t m, const low_bit_shape& w, const std::int8_t* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept;

/// The same for X of floats, quantized on the way: the same bits as `quantize_rows` and
/// `gemm_low_bit` give. What `e` has for `x_scale` is not read.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_low_bit_dynamic(index_t m, const low_bit_shape& w, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

using low_bit_function = void (*)(const low_bit_arguments&) noexcept;

/// The tile of so many rows (`low_bit_tiles::height`); a single row may take two panels at once.
template <class Arch, simd::dot_kind Kind, low_bit Codes>
low_bit_function pick_low_bit(index_t height, bool wide) noexcept
{
    constexpr index_t most = low_bit_tiles<Arch, Kind>::rows;
    if (height == 1)
    {
        return wide ? &low_bit_tile<Arch, Kind, Codes, 1, 4>
                    : &low_bit_tile<Arch, Kind, Codes, 1, 2>;
    }
    if constexpr (most >= 4)
    {
        if (height == 3)
        {
            return &low_bit_tile<Arch, Kind, Codes, 3, 2>;
        }
        if (height == 4)
        {
            return &low_bit_tile<Arch, Kind, Codes, 4, 2>;
        }
    }
    if constexpr (most >= 8)
    {
        if (height == 6)
        {
            return &low_bit_tile<Arch, Kind, Codes, 6, 2>;
        }
        if (height == 8)
        {
            return &low_bit_tile<Arch, Kind, Codes, 8, 2>;
        }
    }
    return &low_bit_tile<Arch, Kind, Codes, 2, 2>;
}

template <class Arch, simd::dot_kind Kind>
low_bit_function pick_low_bit(low_bit codes, index_t height, bool wide) noexcept
{
    switch (codes)
    {
    case low_bit::int2:
        return detail::pick_low_bit<Arch, Kind, low_bit::int2>(height, wide);
    case low_bit::binary:
        return detail::pick_low_bit<Arch, Kind, low_bit::binary>(height, wide);
    case low_bit::table4:
        return detail::pick_low_bit<Arch, Kind, low_bit::table4>(height, wide);
    default:
        return detail::pick_low_bit<Arch, Kind, low_bit::int4>(height, wide);
    }
}

/// How a batch is cut into tiles, and where the parts of scratch lie, in bytes.
template <class Arch, simd::dot_kind Kind>
struct low_bit_space
{
    using tiles = low_bit_tiles<Arch, Kind>;
    static constexpr index_t block_rows = 16 * tiles::rows;
    /// Rows of a tile as laid out, at most.
    index_t height;
    index_t prepared;
    index_t group_sums;
    index_t start;
    index_t sums;
    index_t scales;
    index_t codes;
    index_t all;

    low_bit_space(index_t m, const low_bit_layout<Arch>& at) noexcept
    {
        const index_t rows = m < block_rows ? m : block_rows;
        const index_t count = (rows + tiles::rows - 1) / tiles::rows;
        height = count == 0 ? 0 : tiles::height((rows + count - 1) / count);
        prepared = (4 * height * at.blocks * tiles::words + 63) / 64 * 64;
        group_sums = (4 * height * at.groups + 63) / 64 * 64;
        start = count * prepared;
        sums = start + count * group_sums;
        scales = sums + count * group_sums;
        codes = scales + (4 * rows + 63) / 64 * 64;
        all = codes + height * at.blocks * at.block + 128;
    }
};

/// X as it comes, one of the two.
struct low_bit_input
{
    const std::int8_t* codes;
    const float* floats;
    index_t x_row;
};

template <class Arch, simd::dot_kind Kind>
void gemm_low_bit_tiled(index_t m, const low_bit_shape& w, const low_bit_input& input,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    using tiles = low_bit_tiles<Arch, Kind>;
    using space = low_bit_space<Arch, Kind>;
    if (m <= 0 || w.rows <= 0)
    {
        return;
    }
    const low_bit_layout<Arch> at(w);
    const space part(m, at);
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    scratch += (64 - address % 64) % 64;
    const auto prepared = [&](index_t tile)
    {
        return reinterpret_cast<std::uint32_t*>(scratch + tile * part.prepared);
    };
    const auto starts = [&](index_t tile)
    {
        return reinterpret_cast<std::int32_t*>(scratch + part.start + tile * part.group_sums);
    };
    const auto sums = [&](index_t tile)
    {
        return reinterpret_cast<std::int32_t*>(scratch + part.sums + tile * part.group_sums);
    };
    auto* const scales = reinterpret_cast<float*>(scratch + part.scales);
    auto* const codes = reinterpret_cast<std::int8_t*>(scratch + part.codes);
    const std::int32_t offset = w.codes == low_bit::table4
                                    ? low_bit_fields<low_bit::table4, Kind>::offset
                                : w.codes == low_bit::binary ? 1
                                                             : detail::low_bit_raise(w.codes);
    alignas(64) std::int8_t table[64];
    for (index_t i = 0; w.codes == low_bit::table4 && i < 64; ++i)
    {
        table[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(packed[i % 16]) + offset);
    }
    const index_t depth = at.blocks * at.block;
    // A thread is worth waking for about 2^21 multiply-adds.
    const double work = static_cast<double>(m) * static_cast<double>(w.rows) *
                        static_cast<double>(w.columns) / static_cast<double>(index_t{1} << 21);
    const index_t parts = work >= 32.0 ? 32 : work < 2.0 ? 1 : static_cast<index_t>(work);
    const index_t chunk = (at.panels + parts - 1) / parts;

    for (index_t row = 0; row < m; row += space::block_rows)
    {
        const index_t rows = m - row < space::block_rows ? m - row : space::block_rows;
        const index_t count = (rows + tiles::rows - 1) / tiles::rows;
        const auto first_row = [&](index_t tile)
        {
            return tile * (rows / count) + (tile < rows % count ? tile : rows % count);
        };
        for (index_t i = 0; i < count; ++i)
        {
            const index_t first = first_row(i);
            const index_t high = first_row(i + 1) - first;
            const index_t from = (row + first) * input.x_row;
            if (input.floats != nullptr)
            {
                quantize_rows<Arch>(high, w.columns, input.floats + from, input.x_row, codes, depth,
                    scales + first);
            }
            for (index_t r = 0; r < high; ++r)
            {
                std::int8_t* const to = codes + r * depth;
                if (input.floats == nullptr && w.columns > 0)
                {
                    std::memcpy(to, input.codes + from + r * input.x_row,
                        static_cast<std::size_t>(w.columns));
                }
                std::memset(to + w.columns, 0, static_cast<std::size_t>(depth - w.columns));
            }
            detail::prepare_low_bit<Arch, Kind>(
                high, tiles::height(high), at, offset, codes, prepared(i), starts(i), sums(i));
        }
        // A single row takes two panels at once, half the matrix apart: two long streams are read
        // faster than many short ones.
        const index_t far = rows == 1 ? at.panels / 2 : 0;
        parallel_for(at.panels - far, chunk,
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    const bool wide = i < far;
                    const index_t p = i < far ? i : i + far;
                    low_bit_arguments t;
                    t.groups = at.groups;
                    t.blocks = at.blocks;
                    t.group_blocks = at.group_blocks;
                    t.w = packed + at.table + p * at.panel_bytes;
                    t.w_panel = far * at.panel_bytes;
                    t.y_panel = far * at.panel;
                    t.header = at.header;
                    t.zeros_at = at.zeros_at;
                    t.half = w.bfloat16_scales;
                    t.zeros = w.zeros;
                    t.table = reinterpret_cast<const std::int32_t*>(table);
                    const index_t column = p * at.panel;
                    t.columns = w.rows - column;
                    t.row_stride = y.row_stride;
                    t.col_stride = y.col_stride;
                    t.bias = e.bias == nullptr ? nullptr : e.bias + column;
                    t.act = e.act;
                    float one_scale[static_cast<std::size_t>(tiles::rows)];
                    for (index_t j = 0; j < count; ++j)
                    {
                        const index_t at_row = first_row(j);
                        t.rows = first_row(j + 1) - at_row;
                        t.x = prepared(j);
                        t.start = starts(j);
                        t.sums = sums(j);
                        t.y = y.data + (row + at_row) * y.row_stride + column * y.col_stride;
                        t.x_scale = input.floats != nullptr ? scales + at_row
                                    : e.one_x_scale         ? one_scale
                                                            : e.x_scale + row + at_row;
                        if (t.x_scale == one_scale)
                        {
                            for (index_t r = 0; r < t.rows; ++r)
                            {
                                one_scale[r] = *e.x_scale;
                            }
                        }
                        detail::pick_low_bit<Arch, Kind>(w.codes, tiles::height(t.rows), wide)(t);
                    }
                }
            });
    }
}

} // namespace detail

template <class Arch, simd::dot_kind Kind>
std::size_t gemm_low_bit_scratch_bytes(index_t m, const low_bit_shape& w) noexcept
{
    if (m <= 0 || w.rows <= 0)
    {
        return 0;
    }
    return static_cast<std::size_t>(
        detail::low_bit_space<Arch, Kind>(m, detail::low_bit_layout<Arch>(w)).all);
}

template <class Arch, simd::dot_kind Kind>
void gemm_low_bit(index_t m, const low_bit_shape& w, const std::int8_t* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    detail::gemm_low_bit_tiled<Arch, Kind>(m, w, {x, nullptr, x_row}, packed, y, e, scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_low_bit_dynamic(index_t m, const low_bit_shape& w, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    detail::gemm_low_bit_tiled<Arch, Kind>(m, w, {nullptr, x, x_row}, packed, y, e, scratch);
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_GEMM_LOW_BIT(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
