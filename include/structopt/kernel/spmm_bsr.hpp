/// @file
/// Products with a matrix in blocks: y = x W^T. V x 1 vectors are blocks of one column.
///
/// Layout. W [rows, columns] in blocks of R x C is three arrays: `offsets`, one more than block
/// rows, and for the blocks of block row b, positions offsets[b] .. offsets[b + 1] of `indices`
/// (block columns, ascending) and of `values`, R * C numbers each, row by row. Blocks may reach
/// over the edges, where their values are 0. Zeros within blocks are multiplied like all other
/// numbers.
///
/// Method. One sample: the elements of a block are lanes, x[columns of the block] is repeated
/// through the register, four blocks run in chains of their own; lanes of one row are added at the
/// end. For 16 x 1 a step is one load, and one multiply-add that broadcasts an element of x.
/// Batches: a few registers of samples stand side by side as X^T; up to eight rows of a block have
/// their sums in registers through the whole block row, and read each line of X^T once for all of
/// them.
///
/// Up to eight samples with R x 1, R a register or two: lanes are rows, elements of X^T are
/// broadcast.
///
/// Order of summation: batches, one chain over the columns; one sample, four chains per element of
/// a block. A sample gives the same bits in every batch of at least 2, and for every number of
/// threads.
///
/// Bound: one sample, 4 bytes of W and index / (R * C) per non-zero, 2 loads per 16; batches of two
/// registers with eight rows, 10 loads at 2 per cycle against 16 multiply-adds at 2 per cycle:
/// arithmetic.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_finish.hpp>
#include <structopt/kernel/spmm_lines.hpp>
#include <structopt/simd/prefetch.hpp>
#include <structopt/simd/repeat.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A sparse matrix in blocks; see the top of the file.
template <class T, class Index>
struct bsr_operand
{
    index_t rows = 0;
    index_t columns = 0;
    const std::uint32_t* offsets = nullptr;
    const Index* indices = nullptr;
    const T* values = nullptr;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::bsr_operand;

/// Bytes of scratch of `spmm_bsr`.
template <index_t R, index_t C, class T, class Arch = simd::default_arch>
std::size_t spmm_bsr_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept;

/// y[batch, rows] = act(x[batch, columns] W^T + bias), x and y of any strides; unit strides are
/// fast. Scratch of any alignment. y must not overlap x.
template <index_t R, index_t C, class Arch = simd::default_arch, class T, class Index>
void spmm_bsr(index_t batch, const bsr_operand<T, Index>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Registers of samples, and rows, whose sums are held at once.
inline constexpr index_t bsr_registers = 3;
template <class Arch>
inline constexpr index_t bsr_most_rows = simd::register_count<Arch> >= 32 ? 8 : 4;

/// Registers of the samples that are next when `left` are left.
template <class T, class Arch>
constexpr index_t bsr_sample_registers(index_t left) noexcept
{
    const index_t registers = (left + simd::width<T, Arch> - 1) / simd::width<T, Arch>;
    const index_t parts = (registers + bsr_registers - 1) / bsr_registers;
    return parts == 0 ? 0 : (registers + parts - 1) / parts;
}

/// Block rows that a thread takes at a time, so that a part is about 2^19 multiply-adds.
constexpr index_t bsr_grain(double work, index_t block_rows) noexcept
{
    const double parts = work / static_cast<double>(index_t{1} << 19);
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : static_cast<index_t>(parts);
    return block_rows > 0 ? (block_rows + pieces - 1) / pieces : 1;
}

/// Whether the elements of a block are whole registers, in which each row is whole or a run.
template <index_t R, index_t C, class T, class Arch>
inline constexpr bool bsr_fits_registers =
    R* C % simd::width<T, Arch> == 0 && simd::width<T, Arch> % C == 0;

/// sums[0 .. R) of one block row for one sample, whose x is readable to a multiple of C.
template <index_t R, index_t C, class Arch, class T, class Index>
void bsr_row_sums(const bsr_operand<T, Index>& w, index_t block_row, const T* x, T* sums) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    auto i = static_cast<index_t>(w.offsets[block_row]);
    const auto end = static_cast<index_t>(w.offsets[block_row + 1]);
    if constexpr (bsr_fits_registers<R, C, T, Arch> && R * C / lanes <= 4)
    {
        using vector = simd::batch<T, Arch>;
        constexpr index_t parts = R * C / lanes;
        vector sum[4][parts];
        STRUCTOPT_UNROLL
        for (index_t u = 0; u < 4; ++u)
        {
            STRUCTOPT_UNROLL
            for (index_t p = 0; p < parts; ++p)
            {
                sum[u][p] = vector(T(0));
            }
        }
        const T* value = w.values + i * R * C;
        for (; i + 4 <= end; i += 4)
        {
            STRUCTOPT_UNROLL
            for (index_t u = 0; u < 4; ++u)
            {
                const vector from =
                    simd::repeat<C, Arch>(x + static_cast<index_t>(w.indices[i + u]) * C);
                STRUCTOPT_UNROLL
                for (index_t p = 0; p < parts; ++p)
                {
                    simd::prefetch_near(value + u * R * C + p * lanes + 4096 / sizeof(T));
                    sum[u][p] =
                        simd::fma(from, simd::load<Arch>(value + u * R * C + p * lanes), sum[u][p]);
                }
            }
            value += 4 * R * C;
        }
        for (; i < end; ++i)
        {
            const vector from = simd::repeat<C, Arch>(x + static_cast<index_t>(w.indices[i]) * C);
            STRUCTOPT_UNROLL
            for (index_t p = 0; p < parts; ++p)
            {
                sum[0][p] = simd::fma(from, simd::load<Arch>(value + p * lanes), sum[0][p]);
            }
            value += R * C;
        }
        alignas(64) T elements[static_cast<std::size_t>(R * C)];
        STRUCTOPT_UNROLL
        for (index_t p = 0; p < parts; ++p)
        {
            simd::store(C == 1 ? sums + p * lanes : elements + p * lanes,
                (sum[0][p] + sum[1][p]) + (sum[2][p] + sum[3][p]));
        }
        if constexpr (C > 1)
        {
            for (index_t r = 0; r < R; ++r)
            {
                T total = elements[r * C];
                for (index_t c = 1; c < C; ++c)
                {
                    total += elements[r * C + c];
                }
                sums[r] = total;
            }
        }
    }
    else
    {
        for (index_t r = 0; r < R; ++r)
        {
            sums[r] = T(0);
        }
        for (; i < end; ++i)
        {
            const T* const value = w.values + i * R * C;
            const T* const from = x + static_cast<index_t>(w.indices[i]) * C;
            for (index_t r = 0; r < R; ++r)
            {
                for (index_t c = 0; c < C; ++c)
                {
                    sums[r] += value[r * C + c] * from[c];
                }
            }
        }
    }
}

/// One sample.
template <index_t R, index_t C, class Arch, class T, class Index>
void bsr_sample(const bsr_operand<T, Index>& w, const T* x, index_t x_step, T* y, index_t y_step,
    const spmm_finish<T>& finish, T* scratch) noexcept
{
    const index_t block_rows = (w.rows + R - 1) / R;
    if (C > 1 || x_step != 1)
    {
        const index_t whole = (w.columns + C - 1) / C * C;
        for (index_t c = 0; c < whole; ++c)
        {
            scratch[c] = c < w.columns ? x[c * x_step] : T(0);
        }
        x = scratch;
    }
    const bool cut = finish.act == activation::relu;
    const double work = static_cast<double>(w.offsets[block_rows]) * static_cast<double>(R * C);
    parallel_for(block_rows, bsr_grain(work, block_rows),
        [&](index_t first, index_t last)
        {
            for (index_t b = first; b < last; ++b)
            {
                alignas(64) T sums[static_cast<std::size_t>(R)];
                bsr_row_sums<R, C, Arch>(w, b, x, sums);
                const index_t left = w.rows - b * R < R ? w.rows - b * R : R;
                for (index_t r = 0; r < left; ++r)
                {
                    T z = sums[r];
                    if (finish.bias != nullptr)
                    {
                        z += finish.bias[b * R + r];
                    }
                    y[(b * R + r) * y_step] = cut && z < T(0) ? T(0) : z;
                }
            }
        });
}

/// Rows [From, From + Rows) of one block row, for a few registers of samples.
template <index_t R, index_t C, index_t From, index_t Rows, index_t Registers, class Arch, class T,
    class Index>
STRUCTOPT_ALWAYS_INLINE void bsr_rows(
    const bsr_operand<T, Index>& w, index_t block_row, const T* lines, T* sums) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    vector sum[Rows][Registers];
    STRUCTOPT_UNROLL
    for (index_t r = 0; r < Rows; ++r)
    {
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            sum[r][j] = vector(T(0));
        }
    }
    const auto end = static_cast<index_t>(w.offsets[block_row + 1]);
    for (auto i = static_cast<index_t>(w.offsets[block_row]); i < end; ++i)
    {
        const T* const value = w.values + i * R * C + From * C;
        const T* const from = lines + static_cast<index_t>(w.indices[i]) * (C * length);
        if constexpr (From == 0)
        {
            // Of weights that come from memory: the lines that the hardware fetches alone are late.
            simd::prefetch_near(value + 8192 / sizeof(T));
        }
        STRUCTOPT_UNROLL
        for (index_t c = 0; c < C; ++c)
        {
            vector right[Registers];
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                right[j] = simd::load<Arch>(from + c * length + j * lanes);
            }
            STRUCTOPT_UNROLL
            for (index_t r = 0; r < Rows; ++r)
            {
                const vector factor = simd::broadcast<Arch>(value[r * C + c]);
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Registers; ++j)
                {
                    sum[r][j] = simd::fma(factor, right[j], sum[r][j]);
                }
            }
        }
    }
    STRUCTOPT_UNROLL
    for (index_t r = 0; r < Rows; ++r)
    {
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            simd::store(sums + (From + r) * length + j * lanes, sum[r][j]);
        }
    }
}

/// All rows of one block row, as many at a time as fit in registers.
template <index_t R, index_t C, index_t From, index_t Registers, class Arch, class T, class Index>
STRUCTOPT_ALWAYS_INLINE void bsr_all_rows(
    const bsr_operand<T, Index>& w, index_t block_row, const T* lines, T* sums) noexcept
{
    constexpr index_t rows = R - From < bsr_most_rows<Arch> ? R - From : bsr_most_rows<Arch>;
    bsr_rows<R, C, From, rows, Registers, Arch>(w, block_row, lines, sums);
    if constexpr (From + rows < R)
    {
        bsr_all_rows<R, C, From + rows, Registers, Arch>(w, block_row, lines, sums);
    }
}

/// Whether a few samples are multiplied with rows as lanes: vectors of one or two registers.
template <index_t R, index_t C, class T, class Arch>
inline constexpr bool bsr_takes_few =
    C == 1 && R % simd::width<T, Arch> == 0 && R / simd::width<T, Arch> <= 2;

/// Most samples of `bsr_few`, and a line of X^T holds them.
template <class T, class Arch>
inline constexpr index_t bsr_most_few = simd::width<T, Arch> < 8 ? simd::width<T, Arch> : 8;

/// At most `Samples` samples, with the rows of a vector as lanes: half a register of samples would
/// be idle otherwise. Sums are the chains of `bsr_samples`.
template <index_t R, index_t Samples, class Arch, class T, class Index>
void bsr_few(index_t count, const bsr_operand<T, Index>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, T* lines) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t parts = R / lanes;
    spmm_fill_lines<Arch, 1>(count, w.columns, x, lines);
    const index_t block_rows = (w.rows + R - 1) / R;
    const bool cut = finish.act == activation::relu;
    const double work =
        static_cast<double>(w.offsets[block_rows]) * static_cast<double>(R * Samples);
    parallel_for(block_rows, bsr_grain(work, block_rows),
        [&](index_t first, index_t last)
        {
            for (index_t b = first; b < last; ++b)
            {
                vector sum[Samples][parts];
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < Samples; ++i)
                {
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        sum[i][p] = vector(T(0));
                    }
                }
                const auto end = static_cast<index_t>(w.offsets[b + 1]);
                for (auto v = static_cast<index_t>(w.offsets[b]); v < end; ++v)
                {
                    const T* const line = lines + static_cast<index_t>(w.indices[v]) * lanes;
                    const T* const value = w.values + v * R;
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        simd::prefetch_near(value + p * lanes + 4096 / sizeof(T));
                        const vector own = simd::load<Arch>(value + p * lanes);
                        STRUCTOPT_UNROLL
                        for (index_t i = 0; i < Samples; ++i)
                        {
                            sum[i][p] = simd::fma(simd::broadcast<Arch>(line[i]), own, sum[i][p]);
                        }
                    }
                }
                const index_t row = b * R;
                const index_t left = w.rows - row < R ? w.rows - row : R;
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < Samples; ++i)
                {
                    if (i >= count)
                    {
                        break;
                    }
                    T* const to = y.data + i * y.row_stride + row * y.col_stride;
                    if (left == R && y.col_stride == 1)
                    {
                        STRUCTOPT_UNROLL
                        for (index_t p = 0; p < parts; ++p)
                        {
                            vector z = sum[i][p];
                            if (finish.bias != nullptr)
                            {
                                z = z + simd::load<Arch>(finish.bias + row + p * lanes);
                            }
                            simd::store(to + p * lanes, cut ? simd::relu(z) : z);
                        }
                        continue;
                    }
                    alignas(64) T sums[static_cast<std::size_t>(R)];
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        simd::store(sums + p * lanes, sum[i][p]);
                    }
                    for (index_t r = 0; r < left; ++r)
                    {
                        T z = sums[r];
                        if (finish.bias != nullptr)
                        {
                            z += finish.bias[row + r];
                        }
                        to[r * y.col_stride] = cut && z < T(0) ? T(0) : z;
                    }
                }
            }
        });
}

/// `count` samples.
template <index_t R, index_t C, index_t Registers, class Arch, class T, class Index>
void bsr_samples(index_t count, const bsr_operand<T, Index>& w, matrix_operand<T> x,
    spmm_result<T> y, const spmm_finish<T>& finish, T* scratch) noexcept
{
    constexpr index_t length = Registers * simd::width<T, Arch>;
    constexpr index_t run = R >= 128 ? 1 : 128 / R;
    const index_t block_rows = (w.rows + R - 1) / R;
    const index_t whole = (w.columns + C - 1) / C * C;
    T* const lines = scratch;
    T* const sums = scratch + whole * length;
    spmm_fill_lines<Arch, Registers>(count, w.columns, x, lines);
    for (index_t i = w.columns * length; i < whole * length; ++i)
    {
        lines[i] = T(0);
    }
    const double work =
        static_cast<double>(w.offsets[block_rows]) * static_cast<double>(R * C * length);
    const index_t grain = bsr_grain(work, block_rows);
    parallel_for(block_rows, (grain + run - 1) / run * run,
        [&](index_t first, index_t last)
        {
            for (index_t b = first; b < last; b += run)
            {
                const index_t here = last - b < run ? last - b : run;
                T* const own = sums + b * R * length;
                for (index_t i = 0; i < here; ++i)
                {
                    bsr_all_rows<R, C, 0, Registers, Arch>(w, b + i, lines, own + i * R * length);
                }
                const index_t left = w.rows - b * R;
                spmm_store_lines<Arch, Registers>(
                    count, left < here * R ? left : here * R, own, b * R, y, finish);
            }
        });
}

} // namespace detail

template <index_t R, index_t C, class T, class Arch>
std::size_t spmm_bsr_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept
{
    const index_t whole = (columns + C - 1) / C * C;
    const index_t lines = whole + (rows + R - 1) / R * R;
    const index_t elements =
        batch <= 1 ? whole
                   : lines * detail::bsr_sample_registers<T, Arch>(batch) * simd::width<T, Arch>;
    return static_cast<std::size_t>(elements) * sizeof(T) + alignment;
}

template <index_t R, index_t C, class Arch, class T, class Index>
void spmm_bsr(index_t batch, const bsr_operand<T, Index>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept
{
    T* const aligned = detail::spmm_aligned<T>(scratch);
    if (batch == 1)
    {
        detail::bsr_sample<R, C, Arch>(
            w, x.data, x.col_stride, y.data, y.col_stride, finish, aligned);
        return;
    }
    index_t count = 0;
    for (index_t b = 0; b < batch; b += count)
    {
        const index_t registers = detail::bsr_sample_registers<T, Arch>(batch - b);
        count = registers * simd::width<T, Arch>;
        count = count < batch - b ? count : batch - b;
        const matrix_operand<T> from{x.data + b * x.row_stride, x.row_stride, x.col_stride};
        const spmm_result<T> to{y.data + b * y.row_stride, y.row_stride, y.col_stride};
        if constexpr (detail::bsr_takes_few<R, C, T, Arch>)
        {
            if (count <= detail::bsr_most_few<T, Arch>)
            {
                (count <= 4
                        ? &detail::bsr_few<R, 4, Arch, T, Index>
                        : &detail::bsr_few<R, detail::bsr_most_few<T, Arch>, Arch, T, Index>)(count,
                    w, from, to, finish, aligned);
                continue;
            }
        }
        (registers == 1      ? &detail::bsr_samples<R, C, 1, Arch, T, Index>
            : registers == 2 ? &detail::bsr_samples<R, C, 2, Arch, T, Index>
                             : &detail::bsr_samples<R, C, 3, Arch, T, Index>)(count, w, from, to,
            finish, aligned);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_BSR(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
