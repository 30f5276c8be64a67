/// @file
/// Products with the transpose of a matrix in compressed sparse rows: dx = dy W.
///
/// Layout. W [rows, columns] as in spmm_csr.hpp; dy is [batch, rows] and dx [batch, columns], with
/// any strides. A tile of two registers of samples is turned into scratch, dY^T [rows][samples], and
/// collects dX^T [columns][samples] beside it: a non-zero costs a broadcast, and a load, a fused
/// multiply-add and a store per register. Element dx[b, c] adds the rows of W in ascending order, so
/// it does not depend on the batch it comes in or on the number of threads, which share the tiles.
///
/// Bound: one register read and one written per multiply-add, in L1 or L2: half of what spmm_csr
/// reaches where stores are half as many as loads.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_tile.hpp>

#include <cstddef>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `csr_transposed`: dy and dx, padded to whole registers.
template <class T, class Arch = simd::default_arch>
std::size_t csr_transposed_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept;

/// dx = dy W for W [rows, columns]; dx must not overlap dy. Scratch of any alignment.
template <class Arch = simd::default_arch, class T, class Index, class Offset>
void csr_transposed(index_t batch, index_t rows, index_t columns, const T* values,
    const Index* indices, const Offset* offsets, const T* dy, index_t dy_row, index_t dy_column,
    T* dx, index_t dx_row, index_t dx_column, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Most registers of samples in one tile.
inline constexpr index_t csr_transposed_registers = 2;

/// Adds W^T times the tile dy [rows][samples] to the tile dx [columns][samples].
template <index_t Registers, class Arch, class T, class Index, class Offset>
void csr_transposed_tile(index_t rows, const T* values, const Index* indices, const Offset* offsets,
    const T* dy, T* dx) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t samples = Registers * lanes;
    using batch = simd::batch<T, Arch>;
    for (index_t r = 0; r < rows; ++r)
    {
        batch slope[static_cast<std::size_t>(Registers)];
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            slope[j] = simd::load<Arch>(dy + r * samples + j * lanes);
        }
        const auto last = static_cast<index_t>(offsets[r + 1]);
        for (index_t i = static_cast<index_t>(offsets[r]); i < last; ++i)
        {
            const batch value = simd::broadcast<Arch>(values[i]);
            T* const to = dx + static_cast<index_t>(indices[i]) * samples;
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                simd::store(
                    to + j * lanes, simd::fma(value, slope[j], simd::load<Arch>(to + j * lanes)));
            }
        }
    }
}

/// dx[l * dx_row + c * dx_column] = tile[c * samples + l] for `count` samples l.
template <index_t Registers, class Arch, class T>
void csr_transposed_store(index_t columns, index_t count, const T* tile, T* dx, index_t dx_row,
    index_t dx_column) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t samples = Registers * lanes;
    for (index_t c = 0; c < columns; c += lanes)
    {
        const index_t block = columns - c < lanes ? columns - c : lanes;
        simd::batch<T, Arch> lines[static_cast<std::size_t>(lanes)]
                                  [static_cast<std::size_t>(Registers)];
        for (index_t i = 0; i < block; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                lines[i][j] = simd::load<Arch>(tile + (c + i) * samples + j * lanes);
            }
        }
        spmm_store<T, Arch, Registers>(lines, block, count, dx + c * dx_column, dx_row, dx_column);
    }
}

} // namespace detail

template <class T, class Arch>
std::size_t csr_transposed_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const index_t padded = (batch + lanes - 1) / lanes * lanes;
    return static_cast<std::size_t>((rows + columns) * padded) * sizeof(T) + 64;
}

template <class Arch, class T, class Index, class Offset>
void csr_transposed(index_t batch, index_t rows, index_t columns, const T* values,
    const Index* indices, const Offset* offsets, const T* dy, index_t dy_row, index_t dy_column,
    T* dx, index_t dx_row, index_t dx_column, std::byte* scratch) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t most = detail::csr_transposed_registers * lanes;
    T* const space = detail::spmm_tile_start<T>(scratch);
    const auto run = [&]<index_t Registers>(
                         index_t first, index_t count, std::integral_constant<index_t, Registers>)
    {
        constexpr index_t samples = Registers * lanes;
        T* const slopes = space + (rows + columns) * first;
        T* const sums = slopes + rows * samples;
        detail::spmm_fill_tile<T, Arch>(
            count, rows, dy + first * dy_row, dy_row, dy_column, slopes, samples);
        for (index_t i = 0; i < columns * samples; ++i)
        {
            sums[i] = T(0);
        }
        detail::csr_transposed_tile<Registers, Arch>(rows, values, indices, offsets, slopes, sums);
        detail::csr_transposed_store<Registers, Arch>(
            columns, count, sums, dx + first * dx_row, dx_row, dx_column);
    };
    // A thread is worth waking for about 2^19 multiply-adds.
    const index_t tiles = (batch + most - 1) / most;
    const double work =
        static_cast<double>(offsets[rows] - offsets[0]) * static_cast<double>(batch);
    parallel_for(tiles, work < static_cast<double>(index_t{1} << 19) && tiles > 0 ? tiles : 1,
        [&](index_t first, index_t last)
        {
            for (index_t t = first; t < last; ++t)
            {
                const index_t left = batch - t * most;
                if (left <= lanes)
                {
                    run(t * most, left, std::integral_constant<index_t, 1>{});
                }
                else
                {
                    run(t * most, left < most ? left : most,
                        std::integral_constant<index_t, detail::csr_transposed_registers>{});
                }
            }
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_CSR_TRANSPOSED(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
