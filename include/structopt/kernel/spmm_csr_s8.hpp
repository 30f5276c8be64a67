/// @file
/// Integer product with sparse int8 weights: y = dequantize(x W^T), exact sums.
///
/// Layout and method are those of spmm_tile.hpp. The codes of the tile stand there as floats: a
/// product of two codes is at most 2^14, so fused multiply-adds of float add integers exactly as long
/// as a sum stays below 2^24; every 1,024 non-zeros of a row it is moved into int32. The reason is
/// speed: processors multiply int32 at half the rate or less.
#pragma once

#include <structopt/kernel/operand_s8.hpp>
#include <structopt/kernel/spmm_tile.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/widen.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `spmm_csr_s8`.
template <class Arch = simd::default_arch>
std::size_t spmm_csr_s8_scratch_bytes(index_t batch, index_t columns) noexcept;

/// Y[batch, rows] = X[batch, columns] W^T, converted as `dequantize` says (w_scale and bias per row
/// of W): the same bits as `gemm_s8` gives for the same matrix. X's rows are `x_row` apart; W is as
/// in `spmm_csr`, with codes for values. Scratch of any alignment.
///
/// Sums are exact while a row has at most 132,000 non-zeros.
template <class Arch = simd::default_arch, class Index, class Offset>
void spmm_csr_s8(index_t batch, index_t rows, index_t columns, const std::int8_t* values,
    const Index* indices, const Offset* offsets, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Non-zeros whose products add up exactly in float: 128 * 127 * 1,024 < 2^24.
inline constexpr index_t spmm_s8_exact = 1024;

/// Every code as float, at position code + 128: one load with broadcast instead of a conversion.
inline constexpr auto float_codes = []
{
    std::array<float, 256> table{};
    for (int code = -128; code < 128; ++code)
    {
        table[static_cast<std::size_t>(code + 128)] = static_cast<float>(code);
    }
    return table;
}();

/// A sparse int8 matrix.
template <class Index, class Offset>
struct csr_s8_operand
{
    index_t rows;
    const std::int8_t* values;
    const Index* indices;
    const Offset* offsets;
};

/// Exact sums of row r, as float.
template <class Arch, index_t Registers, class Index, class Offset, class Feature>
STRUCTOPT_ALWAYS_INLINE void spmm_s8_row(const csr_s8_operand<Index, Offset>& w, index_t r,
    const Feature& feature,
    simd::batch<float, Arch> (&sums)[static_cast<std::size_t>(Registers)]) noexcept
{
    using real = simd::batch<float, Arch>;
    using word = simd::batch<std::int32_t, Arch>;
    const float* const codes = float_codes.data() + 128;
    const auto value = [&](index_t i)
    {
        return simd::broadcast<Arch>(codes[w.values[i]]);
    };
    auto first = static_cast<index_t>(w.offsets[r]);
    const auto last = static_cast<index_t>(w.offsets[r + 1]);
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        sums[j] = real(0.0f);
    }
    if (last - first <= spmm_s8_exact)
    {
        spmm_row<float, Arch, Registers>(first, last, w.indices, value, feature, sums);
        return;
    }
    word totals[static_cast<std::size_t>(Registers)];
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        totals[j] = word(std::int32_t{0});
    }
    for (; first < last; first += spmm_s8_exact)
    {
        const index_t end = last - first < spmm_s8_exact ? last : first + spmm_s8_exact;
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            sums[j] = real(0.0f);
        }
        spmm_row<float, Arch, Registers>(first, end, w.indices, value, feature, sums);
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            totals[j] = totals[j] + simd::to_int(sums[j]);
        }
    }
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        sums[j] = simd::to_float(totals[j]);
    }
}

/// sum * (x_scale * w_scale) + bias, each operation rounded: see `dequantize`.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<float, Arch> dequantized(const simd::batch<float, Arch>& sum,
    const simd::batch<float, Arch>& x_scale, const dequantize& e, index_t r) noexcept
{
    const auto scale = simd::rounded(x_scale * simd::broadcast<Arch>(e.w_scale[r]));
    auto result = simd::rounded(sum * scale);
    if (e.bias != nullptr)
    {
        result = result + simd::broadcast<Arch>(e.bias[r]);
    }
    return e.act == activation::relu ? simd::relu(result) : result;
}

/// One sample: its codes are broadcast.
template <class Arch, class Index, class Offset>
void spmv_csr_s8(const csr_s8_operand<Index, Offset>& w, const std::int8_t* x, float x_scale,
    const dequantize& e, float* y, index_t y_column) noexcept
{
    const float* const codes = float_codes.data() + 128;
    const auto feature = [&](index_t column, index_t)
    {
        return simd::broadcast<Arch>(codes[x[column]]);
    };
    spmm_for_rows<Arch, float>(w.rows, w.offsets, 1,
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; ++r)
            {
                simd::batch<float, Arch> sum[1];
                spmm_s8_row<Arch, 1>(w, r, feature, sum);
                y[r * y_column] =
                    dequantized<Arch>(sum[0], simd::broadcast<Arch>(x_scale), e, r).get(0);
            }
        });
}

/// `count` samples side by side in a tile of floats; `x_scale` has one number per lane.
template <index_t Registers, class Arch, class Index, class Offset>
void spmm_csr_s8_tile(const csr_s8_operand<Index, Offset>& w, index_t count, const float* tile,
    const float* x_scale, const dequantize& e, float* y, index_t y_row, index_t y_column) noexcept
{
    constexpr index_t lanes = simd::width<float, Arch>;
    using real = simd::batch<float, Arch>;
    const auto feature = [&](index_t column, index_t j)
    {
        return simd::load<Arch>(tile + (column * Registers + j) * lanes);
    };
    spmm_for_rows<Arch, float>(w.rows, w.offsets, count,
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; r += lanes)
            {
                const index_t block = last - r < lanes ? last - r : lanes;
                real sums[static_cast<std::size_t>(lanes)][static_cast<std::size_t>(Registers)];
                for (index_t i = 0; i < block; ++i)
                {
                    real sum[static_cast<std::size_t>(Registers)];
                    spmm_s8_row<Arch, Registers>(w, r + i, feature, sum);
                    STRUCTOPT_UNROLL
                    for (index_t j = 0; j < Registers; ++j)
                    {
                        sums[i][j] = dequantized<Arch>(
                            sum[j], simd::load<Arch>(x_scale + j * lanes), e, r + i);
                    }
                }
                spmm_store<float, Arch, Registers>(
                    sums, block, count, y + r * y_column, y_row, y_column);
            }
        });
}

/// The codes of `count` samples as floats, side by side; zeros up to `stride`.
template <class Arch>
void spmm_fill_s8_tile(index_t count, index_t columns, const std::int8_t* x, index_t x_row,
    float* tile, index_t stride) noexcept
{
    constexpr index_t lanes = simd::width<float, Arch>;
    using real = simd::batch<float, Arch>;
    for (index_t c = 0; c < columns; c += lanes)
    {
        const index_t left = columns - c < lanes ? columns - c : lanes;
        for (index_t l = 0; l < stride; l += lanes)
        {
            real square[static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < lanes; ++i)
            {
                square[i] =
                    l + i < count
                        ? simd::to_float(simd::load_widened<Arch>(x + (l + i) * x_row + c, left))
                        : real(0.0f);
            }
            simd::transpose<float, Arch>(square);
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < lanes; ++i)
            {
                if (i < left)
                {
                    simd::store(tile + (c + i) * stride + l, square[i]);
                }
            }
        }
    }
}

} // namespace detail

template <class Arch>
std::size_t spmm_csr_s8_scratch_bytes(index_t batch, index_t columns) noexcept
{
    return detail::spmm_tile_bytes<float, Arch>(batch, columns);
}

template <class Arch, class Index, class Offset>
void spmm_csr_s8(index_t batch, index_t rows, index_t columns, const std::int8_t* values,
    const Index* indices, const Offset* offsets, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept
{
    constexpr index_t lanes = simd::width<float, Arch>;
    const detail::csr_s8_operand<Index, Offset> w{rows, values, indices, offsets};
    if (batch < spmm_tile_batch)
    {
        for (index_t b = 0; b < batch; ++b)
        {
            detail::spmv_csr_s8<Arch>(w, x + b * x_row, e.x_scale[e.one_x_scale ? 0 : b], e,
                y.data + b * y.row_stride, y.col_stride);
        }
        return;
    }
    auto* const tile = detail::spmm_tile_start<float>(scratch);
    detail::spmm_for_tiles<float, Arch>(batch,
        [&]<index_t Registers>(index_t b, index_t count, std::integral_constant<index_t, Registers>)
        {
            alignas(64) float x_scale[static_cast<std::size_t>(Registers * lanes)] = {};
            for (index_t l = 0; l < count; ++l)
            {
                x_scale[l] = e.x_scale[e.one_x_scale ? 0 : b + l];
            }
            detail::spmm_fill_s8_tile<Arch>(
                count, columns, x + b * x_row, x_row, tile, Registers * lanes);
            detail::spmm_csr_s8_tile<Registers, Arch>(
                w, count, tile, x_scale, e, y.data + b * y.row_stride, y.row_stride, y.col_stride);
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_CSR_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
