/// @file
/// Products of a batch with an unstructured sparse matrix that was cut into tiles: y = x W^T.
///
/// Layout. W [rows, columns] is cut into blocks of `block_rows` rows and tiles of `tile_columns`
/// columns; a cell is where a block and a tile meet. The rows of a cell are ordered by their number
/// of non-zeros and taken four at a time: a group. A group is padded to the longest of its four
/// rows, which is hardly longer than the others, and stored step by step: four values, and four
/// columns within the tile, one for each row. What is padded, and rows that do not exist, have the
/// value 0 and the column `tile_columns`. The first and the last tile hold every row, the others
/// only rows with non-zeros.
///
/// Method. A few registers of samples stand side by side as X^T, tile by tile, with a line of zeros
/// behind each tile, which is the column that padding reads. A tile stays in L1 while the block's
/// rows run over it; four rows have their accumulators in registers, and a non-zero costs one
/// broadcast and, per register of samples, one multiply-add that reads L1. Rows of equal length
/// follow each other, so that the processor foresees where their loops end.
///
/// Order of summation: one chain of multiply-adds for each tile, in the order of columns; the
/// tiles' sums are added in order, then the bias. A sample gives the same bits in every batch, and
/// for every number of threads.
///
/// Bound, per non-zero and four registers of samples: 5 loads at 2 per cycle against 4
/// multiply-adds at 2 per cycle, so 80 % of the peak of arithmetic; about 5 bytes of W per
/// non-zero.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_finish.hpp>
#include <structopt/kernel/spmm_lines.hpp>
#include <structopt/simd/broadcast.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A sparse matrix cut into tiles; see the top of the file. Cell (block b, tile t) is number
/// b * tiles() + t.
template <class T>
struct tiled_operand
{
    index_t rows = 0;
    index_t columns = 0;
    index_t block_rows = 1;
    index_t tile_columns = 1;
    /// Position of a cell's first group in `steps`; one more than cells.
    const std::uint32_t* groups = nullptr;
    /// Position of a cell's first step; one more than cells.
    const std::uint64_t* first_steps = nullptr;
    /// Steps of each group.
    const std::uint16_t* steps = nullptr;
    /// Four rows of each group, counted within the block; `block_rows` where there is none.
    const std::uint16_t* group_rows = nullptr;
    /// Four columns of each step, counted within the tile.
    const std::uint8_t* places = nullptr;
    /// Four values of each step.
    const T* values = nullptr;

    STRUCTOPT_ALWAYS_INLINE constexpr index_t blocks() const noexcept
    {
        return (rows + block_rows - 1) / block_rows;
    }

    /// At least one.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t tiles() const noexcept
    {
        return columns > tile_columns ? (columns + tile_columns - 1) / tile_columns : 1;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::tiled_operand;

/// Rows of one group.
inline constexpr index_t tiled_group = 4;

/// Most columns of a tile: a column, or none, has to fit in a byte.
inline constexpr index_t tiled_most_columns = 255;

/// Bytes of scratch of `spmm_tiled`: X^T and Y^T of a few registers of samples.
template <class T, class Arch = simd::default_arch>
std::size_t spmm_tiled_scratch_bytes(index_t batch, const tiled_operand<T>& w) noexcept;

/// y[batch, rows] = act(x[batch, columns] W^T + bias), x and y of any strides; unit strides are
/// fast. Scratch of any alignment. y must not overlap x.
template <class Arch = simd::default_arch, class T>
void spmm_tiled(index_t batch, const tiled_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Byte q, in memory, of four that were read as one word.
constexpr index_t tiled_place(std::uint32_t four, index_t q) noexcept
{
    return static_cast<index_t>(
        (four >> (8 * (std::endian::native == std::endian::little ? q : 3 - q))) & 0xffu);
}

/// Where a cell stands among those of its block, as bits.
enum tiled_position
{
    tiled_middle = 0,
    tiled_first = 1,
    tiled_last = 2
};

/// One cell for a few registers of samples: `lines` is the tile of X^T, `sums` the block of Y^T;
/// lines of both are `Registers` registers long. The first cell sets the sums, the others add to
/// them. The last one, if it is told so, writes the results straight to y(l, row + r) for l <
/// count, where samples are neighbours.
template <class Arch, index_t Registers, int Position, class T>
void spmm_cell(const tiled_operand<T>& w, index_t cell, const T* lines, T* sums, index_t count,
    index_t row, spmm_result<T> y, const spmm_finish<T>& finish) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    const bool cut = finish.act == activation::relu;
    const index_t left = w.rows - row;
    const index_t rows = left < w.block_rows ? left : w.block_rows;
    const auto start = static_cast<index_t>(w.first_steps[cell]);
    const T* value = w.values + start * tiled_group;
    const std::uint8_t* place = w.places + start * tiled_group;
    const auto last = static_cast<index_t>(w.groups[cell + 1]);
    for (auto g = static_cast<index_t>(w.groups[cell]); g < last; ++g)
    {
        vector sum[tiled_group][Registers];
        STRUCTOPT_UNROLL
        for (index_t q = 0; q < tiled_group; ++q)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                sum[q][j] = vector(T(0));
            }
        }
        for (index_t steps = w.steps[g]; steps > 0; --steps)
        {
            std::uint32_t places = 0;
            std::memcpy(&places, place, sizeof places);
            vector factor[tiled_group];
            simd::broadcast_four<Arch>(value, factor);
            STRUCTOPT_UNROLL
            for (index_t q = 0; q < tiled_group; ++q)
            {
                const T* const from = lines + tiled_place(places, q) * length;
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Registers; ++j)
                {
                    sum[q][j] = simd::fma(factor[q], simd::load<Arch>(from + j * lanes), sum[q][j]);
                }
            }
            value += tiled_group;
            place += tiled_group;
        }
        STRUCTOPT_UNROLL
        for (index_t q = 0; q < tiled_group; ++q)
        {
            const index_t r = w.group_rows[g * tiled_group + q];
            T* const line = sums + r * length;
            if constexpr ((Position & tiled_first) == 0)
            {
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Registers; ++j)
                {
                    sum[q][j] = simd::load<Arch>(line + j * lanes) + sum[q][j];
                }
            }
            if constexpr ((Position & tiled_last) == 0)
            {
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Registers; ++j)
                {
                    simd::store(line + j * lanes, sum[q][j]);
                }
            }
            else if (r < rows)
            {
                T* const to = y.data + (row + r) * y.col_stride;
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Registers; ++j)
                {
                    const vector z = spmm_finished<Arch>(sum[q][j], finish.bias, row + r, cut);
                    if (j + 1 < Registers || count == length)
                    {
                        simd::store(to + j * lanes, z);
                    }
                    else
                    {
                        simd::store_tail(to + j * lanes, z, count - j * lanes);
                    }
                }
            }
        }
    }
}

/// Rows whose sums, for the most registers of samples, take a quarter of a usual L2.
inline constexpr index_t tiled_near_rows = 1024;

/// `count` samples, from x to y.
template <class Arch, index_t Registers, class T>
void spmm_tiled_samples(index_t count, const tiled_operand<T>& w, matrix_operand<T> x,
    spmm_result<T> y, const spmm_finish<T>& finish, T* scratch) noexcept
{
    constexpr index_t length = Registers * simd::width<T, Arch>;
    const index_t tiles = w.tiles();
    const index_t blocks = w.blocks();
    const index_t tile_length = (w.tile_columns + 1) * length;
    T* const lines = scratch;
    T* const sums = scratch + tiles * tile_length;
    // A thread is worth waking for about 2^19 multiply-adds.
    const double work = static_cast<double>(w.first_steps[blocks * tiles]) *
                        static_cast<double>(tiled_group * length);
    const bool spread = work > static_cast<double>(index_t{1} << 20);
    const auto fill = [&](index_t t, T* to)
    {
        const index_t column = t * w.tile_columns;
        const index_t left = w.columns - column;
        spmm_fill_lines<Arch, Registers>(count, left < w.tile_columns ? left : w.tile_columns,
            matrix_operand<T>{x.data + column * x.col_stride, x.row_stride, x.col_stride}, to);
        for (index_t i = tile_length - length; i < tile_length; ++i)
        {
            to[i] = T(0);
        }
    };
    const bool direct = y.row_stride == 1;
    const auto run = [&](index_t b, index_t t, const T* tile)
    {
        const bool last = direct && t == tiles - 1;
        (t == 0 && last ? &spmm_cell<Arch, Registers, tiled_first | tiled_last, T>
            : t == 0    ? &spmm_cell<Arch, Registers, tiled_first, T>
            : last      ? &spmm_cell<Arch, Registers, tiled_last, T>
                        : &spmm_cell<Arch, Registers, tiled_middle, T>)(w, b * tiles + t, tile,
            sums + b * (w.block_rows + 1) * length, count, b * w.block_rows, y, finish);
    };
    const auto store = [&](index_t b)
    {
        const index_t left = w.rows - b * w.block_rows;
        if (!direct)
        {
            spmm_store_lines<Arch, Registers>(count, left < w.block_rows ? left : w.block_rows,
                sums + b * (w.block_rows + 1) * length, b * w.block_rows, y, finish);
        }
    };
    if (w.rows <= tiled_near_rows && (!spread || thread_count() == 1))
    {
        // One tile in L1 and all sums in L2: each tile is used while it is near, then overwritten.
        for (index_t t = 0; t < tiles; ++t)
        {
            fill(t, lines);
            for (index_t b = 0; b < blocks; ++b)
            {
                run(b, t, lines);
            }
        }
        for (index_t b = 0; b < blocks; ++b)
        {
            store(b);
        }
        return;
    }
    parallel_for(tiles, spread ? 2 : tiles,
        [&](index_t first, index_t last)
        {
            for (index_t t = first; t < last; ++t)
            {
                fill(t, lines + t * tile_length);
            }
        });
    parallel_for(blocks, spread ? 1 : blocks,
        [&](index_t first, index_t last)
        {
            for (index_t b = first; b < last; ++b)
            {
                for (index_t t = 0; t < tiles; ++t)
                {
                    run(b, t, lines + t * tile_length);
                }
                store(b);
            }
        });
}

} // namespace detail

template <class T, class Arch>
std::size_t spmm_tiled_scratch_bytes(index_t batch, const tiled_operand<T>& w) noexcept
{
    const index_t lines = w.tiles() * (w.tile_columns + 1) + w.blocks() * (w.block_rows + 1);
    return static_cast<std::size_t>(
               lines * detail::spmm_most_registers<T, Arch>(batch) * simd::width<T, Arch>) *
               sizeof(T) +
           alignment;
}

template <class Arch, class T>
void spmm_tiled(index_t batch, const tiled_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept
{
    T* const aligned = detail::spmm_aligned<T>(scratch);
    detail::spmm_for_samples<T, Arch>(batch,
        [&]<index_t Registers>(
            index_t first, index_t count, std::integral_constant<index_t, Registers>)
        {
            detail::spmm_tiled_samples<Arch, Registers>(count, w,
                {x.data + first * x.row_stride, x.row_stride, x.col_stride},
                {y.data + first * y.row_stride, y.row_stride, y.col_stride}, finish, aligned);
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_TILED(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
