/// @file
/// Products with a matrix in compressed sparse rows: y = x W^T + bias.
///
/// Layout. W [rows, columns] is three arrays: `offsets[rows + 1]`, and for the non-zeros of row r,
/// positions offsets[r] .. offsets[r + 1] of `indices` (columns, ascending) and `values`. x is
/// [batch, columns] and y [batch, rows], with any strides of which one is 1.
///
/// Method. Samples are taken `lanes` at a time: their features stand side by side in a tile
/// X^T [columns][lanes] (copied into scratch when x is batch-major), so that one non-zero costs a
/// broadcast, one load and one fused multiply-add per register, with the accumulators of a row in
/// registers. Bound: 2 x lanes flops per non-zero against lanes x sizeof(T) bytes of the tile, read
/// from L1 or L2. Fewer than four samples walk the rows one sample at a time instead.
#pragma once

#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Samples side by side in one tile.
template <class T, class Arch>
inline constexpr index_t spmm_lanes = 2 * simd::width<T, Arch>;

/// Batches below this are multiplied sample by sample.
inline constexpr index_t spmm_tile_batch = 4;

/// Bytes of scratch for a batch: the tile of X^T, or nothing.
template <class T, class Arch = simd::default_arch>
std::size_t spmm_csr_scratch_bytes(index_t batch, index_t columns) noexcept;

/// y = x W^T + bias. `bias` has one number per row of W or is null; `scratch` is aligned to 64.
///
/// The sum of a row runs over its non-zeros in order; the two methods (see the file's comment) add
/// in different order, so a sample alone may differ from the same sample in a batch by rounding.
template <class T, class Index, class Offset, class Arch = simd::default_arch>
void spmm_csr(index_t batch, index_t rows, index_t columns, const T* values, const Index* indices,
    const Offset* offsets, const T* x, index_t x_row, index_t x_column, const T* bias, T* y,
    index_t y_row, index_t y_column, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// One sample: four partial sums per row hide the latency of the multiply-add.
template <class Arch, class T, class Index, class Offset>
void spmv_csr(index_t rows, const T* values, const Index* indices, const Offset* offsets,
    const T* x, index_t x_column, const T* bias, T* y, index_t y_column) noexcept
{
    for (index_t r = 0; r < rows; ++r)
    {
        const auto last = static_cast<index_t>(offsets[r + 1]);
        auto i = static_cast<index_t>(offsets[r]);
        T sum[4] = {bias != nullptr ? bias[r] : T(0), T(0), T(0), T(0)};
        for (; i + 4 <= last; i += 4)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < 4; ++j)
            {
                sum[j] += values[i + j] * x[static_cast<index_t>(indices[i + j]) * x_column];
            }
        }
        for (; i < last; ++i)
        {
            sum[0] += values[i] * x[static_cast<index_t>(indices[i]) * x_column];
        }
        y[r * y_column] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
}

/// `count` <= lanes samples whose features stand side by side: feature c of sample l is
/// tile[c * stride + l], and all lanes may be read.
template <class Arch, class T, class Index, class Offset>
void spmm_csr_tile(index_t count, index_t rows, const T* values, const Index* indices,
    const Offset* offsets, const T* tile, index_t stride, const T* bias, T* y, index_t y_row,
    index_t y_column) noexcept
{
    constexpr index_t width = simd::width<T, Arch>;
    using batch = simd::batch<T, Arch>;
    for (index_t r = 0; r < rows; ++r)
    {
        const auto first = static_cast<index_t>(offsets[r]);
        const auto last = static_cast<index_t>(offsets[r + 1]);
        batch low = simd::broadcast<Arch>(bias != nullptr ? bias[r] : T(0));
        batch high = low;
        for (index_t i = first; i < last; ++i)
        {
            const batch value = simd::broadcast<Arch>(values[i]);
            const T* const feature = tile + static_cast<index_t>(indices[i]) * stride;
            low = simd::fma(value, simd::load<Arch>(feature), low);
            high = simd::fma(value, simd::load<Arch>(feature + width), high);
        }
        T* const out = y + r * y_column;
        if (y_row == 1 && count == 2 * width)
        {
            simd::store(out, low);
            simd::store(out + width, high);
        }
        else
        {
            alignas(64) T lanes[static_cast<std::size_t>(2 * width)];
            simd::store(lanes, low);
            simd::store(lanes + width, high);
            for (index_t l = 0; l < count; ++l)
            {
                out[l * y_row] = lanes[l];
            }
        }
    }
}

} // namespace detail

template <class T, class Arch>
std::size_t spmm_csr_scratch_bytes(index_t batch, index_t columns) noexcept
{
    return batch < spmm_tile_batch
               ? 0
               : static_cast<std::size_t>(columns * spmm_lanes<T, Arch>) * sizeof(T);
}

template <class T, class Index, class Offset, class Arch>
void spmm_csr(index_t batch, index_t rows, index_t columns, const T* values, const Index* indices,
    const Offset* offsets, const T* x, index_t x_row, index_t x_column, const T* bias, T* y,
    index_t y_row, index_t y_column, std::byte* scratch) noexcept
{
    constexpr index_t lanes = spmm_lanes<T, Arch>;
    if (batch < spmm_tile_batch)
    {
        for (index_t b = 0; b < batch; ++b)
        {
            detail::spmv_csr<Arch>(rows, values, indices, offsets, x + b * x_row, x_column, bias,
                y + b * y_row, y_column);
        }
        return;
    }
    T* const tile = reinterpret_cast<T*>(scratch);
    for (index_t b = 0; b < batch; b += lanes)
    {
        const index_t count = batch - b < lanes ? batch - b : lanes;
        const T* const from = x + b * x_row;
        T* const to = y + b * y_row;
        if (x_row == 1 && count == lanes)
        {
            detail::spmm_csr_tile<Arch>(
                count, rows, values, indices, offsets, from, x_column, bias, to, y_row, y_column);
            continue;
        }
        for (index_t l = 0; l < lanes; ++l)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                tile[c * lanes + l] = l < count ? from[l * x_row + c * x_column] : T(0);
            }
        }
        detail::spmm_csr_tile<Arch>(
            count, rows, values, indices, offsets, tile, lanes, bias, to, y_row, y_column);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE
