/// @file
/// Products with a matrix in compressed sparse rows: y = x W^T + bias.
///
/// Layout. W [rows, columns] is three arrays: `offsets[rows + 1]`, and for the non-zeros of row r,
/// positions offsets[r] .. offsets[r + 1] of `indices` (columns, ascending) and `values`. x is
/// [batch, columns] and y [batch, rows], with any strides; unit strides are fast.
///
/// Method: see spmm_tile.hpp. Where the features of a tile's samples stand side by side already
/// (x_row == 1), x is read in place; otherwise the tile is turned into scratch. A sample
/// alone walks the rows without scratch.
#pragma once

#include <structopt/kernel/spmm_tile.hpp>

#include <cstddef>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `spmm_csr`: a tile of X^T, or nothing.
template <class T, class Arch = simd::default_arch>
std::size_t spmm_csr_scratch_bytes(index_t batch, index_t columns) noexcept;

/// y = x W^T + bias. `bias` has one number per row of W or is null; scratch of any alignment.
///
/// Bit-equal for every number of threads, and a sample's result for every batch it comes in.
template <class Arch = simd::default_arch, class T, class Index, class Offset>
void spmm_csr(index_t batch, index_t rows, index_t columns, const T* values, const Index* indices,
    const Offset* offsets, const T* x, index_t x_row, index_t x_column, const T* bias, T* y,
    index_t y_row, index_t y_column, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// A matrix in compressed sparse rows, and its bias or null.
template <class T, class Index, class Offset>
struct csr_operand
{
    index_t rows;
    const T* values;
    const Index* indices;
    const Offset* offsets;
    const T* bias;

    T start(index_t row) const noexcept
    {
        return bias != nullptr ? bias[row] : T(0);
    }
};

/// One sample: its features are broadcast.
template <class Arch, class T, class Index, class Offset>
void spmv_csr(const csr_operand<T, Index, Offset>& w, const T* x, index_t x_column, T* y,
    index_t y_column) noexcept
{
    using batch = simd::batch<T, Arch>;
    const auto value = [&](index_t i)
    {
        return simd::broadcast<Arch>(w.values[i]);
    };
    const auto feature = [&](index_t column, index_t)
    {
        return simd::broadcast<Arch>(x[column * x_column]);
    };
    spmm_for_rows<Arch, T>(w.rows, w.offsets, 1,
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; ++r)
            {
                batch sum[1] = {simd::broadcast<Arch>(w.start(r))};
                spmm_row<T, Arch, 1>(static_cast<index_t>(w.offsets[r]),
                    static_cast<index_t>(w.offsets[r + 1]), w.indices, value, feature, sum);
                y[r * y_column] = sum[0].get(0);
            }
        });
}

/// `count` samples side by side: feature c of sample l is tile[c * stride + l], and whole registers
/// may be read.
template <index_t Registers, class Arch, class T, class Index, class Offset>
void spmm_csr_tile(const csr_operand<T, Index, Offset>& w, index_t count, const T* tile,
    index_t stride, T* y, index_t y_row, index_t y_column) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    using batch = simd::batch<T, Arch>;
    const auto value = [&](index_t i)
    {
        return simd::broadcast<Arch>(w.values[i]);
    };
    const auto feature = [&](index_t column, index_t j)
    {
        return simd::load<Arch>(tile + column * stride + j * lanes);
    };
    spmm_for_rows<Arch, T>(w.rows, w.offsets, count,
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; r += lanes)
            {
                const index_t block = last - r < lanes ? last - r : lanes;
                batch sums[static_cast<std::size_t>(lanes)][static_cast<std::size_t>(Registers)];
                for (index_t i = 0; i < block; ++i)
                {
                    batch sum[static_cast<std::size_t>(Registers)];
                    STRUCTOPT_UNROLL
                    for (index_t j = 0; j < Registers; ++j)
                    {
                        sum[j] = simd::broadcast<Arch>(w.start(r + i));
                    }
                    spmm_row<T, Arch, Registers>(static_cast<index_t>(w.offsets[r + i]),
                        static_cast<index_t>(w.offsets[r + i + 1]), w.indices, value, feature, sum);
                    STRUCTOPT_UNROLL
                    for (index_t j = 0; j < Registers; ++j)
                    {
                        sums[i][j] = sum[j];
                    }
                }
                spmm_store<T, Arch, Registers>(
                    sums, block, count, y + r * y_column, y_row, y_column);
            }
        });
}

} // namespace detail

template <class T, class Arch>
std::size_t spmm_csr_scratch_bytes(index_t batch, index_t columns) noexcept
{
    return detail::spmm_tile_bytes<T, Arch>(batch, columns);
}

template <class Arch, class T, class Index, class Offset>
void spmm_csr(index_t batch, index_t rows, index_t columns, const T* values, const Index* indices,
    const Offset* offsets, const T* x, index_t x_row, index_t x_column, const T* bias, T* y,
    index_t y_row, index_t y_column, std::byte* scratch) noexcept
{
    const detail::csr_operand<T, Index, Offset> w{rows, values, indices, offsets, bias};
    if (batch < spmm_tile_batch)
    {
        for (index_t b = 0; b < batch; ++b)
        {
            detail::spmv_csr<Arch>(w, x + b * x_row, x_column, y + b * y_row, y_column);
        }
        return;
    }
    auto* const tile = detail::spmm_tile_start<T>(scratch);
    detail::spmm_for_tiles<T, Arch>(batch,
        [&]<index_t Registers>(index_t b, index_t count, std::integral_constant<index_t, Registers>)
        {
            constexpr index_t stride = Registers * simd::width<T, Arch>;
            const T* const from = x + b * x_row;
            T* const to = y + b * y_row;
            if (x_row == 1 && count == stride)
            {
                detail::spmm_csr_tile<Registers, Arch>(
                    w, count, from, x_column, to, y_row, y_column);
                return;
            }
            detail::spmm_fill_tile<T, Arch>(count, columns, from, x_row, x_column, tile, stride);
            detail::spmm_csr_tile<Registers, Arch>(w, count, tile, stride, to, y_row, y_column);
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_CSR(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
