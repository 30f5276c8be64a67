/// @file
/// What the products with compressed sparse rows share: a few samples side by side, and the rows of
/// the matrix run over them.
///
/// Layout. The features of `registers x width` samples stand side by side in a tile
/// X^T [columns][registers x width], so that one non-zero costs a broadcast, and one load and one
/// fused multiply-add per register. A row has four accumulators per register, which take its
/// non-zeros in turn and hide the latency of the multiply-add. That order is the same for every
/// tile, and for the sample that is multiplied alone, so a sample gives the same bits whatever the
/// batch it comes in.
///
/// Bound: 2 flops per sample and non-zero, against sizeof(T) bytes of the tile read from L1 or L2.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/pack.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Batches below this are multiplied sample by sample.
inline constexpr index_t spmm_tile_batch = 2;

namespace detail
{

/// Most registers of samples in one tile: their accumulators fit in the register file.
template <class Arch>
inline constexpr index_t spmm_registers = simd::register_count<Arch> >= 32 ? 4 : 2;

/// Registers of the tile that takes the next samples of a batch of which so many are left.
template <class T, class Arch>
constexpr index_t spmm_tile_registers(index_t left) noexcept
{
    const index_t needed = (left + simd::width<T, Arch> - 1) / simd::width<T, Arch>;
    return needed < spmm_registers<Arch> ? needed : spmm_registers<Arch>;
}

/// Bytes of scratch for the tiles of a batch.
template <class T, class Arch>
constexpr std::size_t spmm_tile_bytes(index_t batch, index_t columns) noexcept
{
    return batch < spmm_tile_batch
               ? 0
               : static_cast<std::size_t>(
                     columns * spmm_tile_registers<T, Arch>(batch) * simd::width<T, Arch>) *
                         sizeof(T) +
                     64;
}

/// `scratch`, moved up to the next multiple of 64 bytes.
template <class T>
T* spmm_tile_start(std::byte* scratch) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    return reinterpret_cast<T*>(scratch + (64 - address % 64) % 64);
}

/// Calls `body(first sample, samples, registers)` for the tiles of a batch; the registers are an
/// `std::integral_constant`.
template <class T, class Arch, class Body>
void spmm_for_tiles(index_t batch, const Body& body) noexcept
{
    index_t samples = 0;
    for (index_t b = 0; b < batch; b += samples)
    {
        const index_t registers = spmm_tile_registers<T, Arch>(batch - b);
        samples = registers * simd::width<T, Arch>;
        const index_t count = batch - b < samples ? batch - b : samples;
        if (registers == 1)
        {
            body(b, count, std::integral_constant<index_t, 1>{});
        }
        else if (registers == 2)
        {
            body(b, count, std::integral_constant<index_t, 2>{});
        }
        else if constexpr (spmm_registers<Arch> > 2)
        {
            if (registers == 3)
            {
                body(b, count, std::integral_constant<index_t, 3>{});
            }
            else
            {
                body(b, count, std::integral_constant<index_t, 4>{});
            }
        }
    }
}

/// tile[c * stride + l] = x[l * x_row + c * x_column] for `count` samples l, zeros up to `stride`, a
/// multiple of the register.
template <class T, class Arch>
void spmm_fill_tile(index_t count, index_t columns, const T* x, index_t x_row, index_t x_column,
    T* tile, index_t stride) noexcept;

/// Sums of row r for the samples of a tile: `value(i)` is non-zero i, `feature(c, j)` register j of
/// column c.
template <class T, class Arch, index_t Registers, class Index, class Value, class Feature>
void spmm_row(index_t first, index_t last, const Index* indices, const Value& value,
    const Feature& feature,
    simd::batch<T, Arch> (&sums)[static_cast<std::size_t>(Registers)]) noexcept;

/// Calls `body(first, last)` over blocks of rows of about equal work, on several threads where there
/// is enough of it. The blocks depend on the extents and non-zeros alone.
template <class Arch, class T, class Offset, class Body>
void spmm_for_rows(index_t rows, const Offset* offsets, index_t samples, const Body& body) noexcept;

/// Writes what was computed for `rows` <= width rows of W and `count` samples: sums[r][j] is
/// register j of row r, and goes to y[sample * y_row + r * y_column].
template <class T, class Arch, index_t Registers>
void spmm_store(
    simd::batch<T, Arch> (
        &sums)[static_cast<std::size_t>(simd::width<T, Arch>)][static_cast<std::size_t>(Registers)],
    index_t rows, index_t count, T* y, index_t y_row, index_t y_column) noexcept;

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
void spmm_fill_tile(index_t count, index_t columns, const T* x, index_t x_row, index_t x_column,
    T* tile, index_t stride) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    if (x_column == 1)
    {
        for (index_t c = 0; c < columns; c += lanes)
        {
            const index_t left = columns - c < lanes ? columns - c : lanes;
            for (index_t l = 0; l < stride; l += lanes)
            {
                simd::batch<T, Arch> square[static_cast<std::size_t>(lanes)];
                const index_t lines = count - l < lanes ? (count > l ? count - l : 0) : lanes;
                load_turned<T, Arch>(x + l * x_row + c, x_row, lines, left, square);
                T* const to = tile + c * stride + l;
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < lanes; ++i)
                {
                    if (i < left)
                    {
                        simd::store(to + i * stride, square[i]);
                    }
                }
            }
        }
        return;
    }
    for (index_t c = 0; c < columns; ++c)
    {
        const T* const from = x + c * x_column;
        T* const to = tile + c * stride;
        for (index_t l = 0; l < stride; ++l)
        {
            to[l] = l < count ? from[l * x_row] : T(0);
        }
    }
}

template <class T, class Arch, index_t Registers, class Index, class Value, class Feature>
STRUCTOPT_ALWAYS_INLINE void spmm_row(index_t first, index_t last, const Index* indices,
    const Value& value, const Feature& feature,
    simd::batch<T, Arch> (&sums)[static_cast<std::size_t>(Registers)]) noexcept
{
    using batch = simd::batch<T, Arch>;
    batch others[3][static_cast<std::size_t>(Registers)];
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        others[0][j] = others[1][j] = others[2][j] = batch(T(0));
    }
    index_t i = first;
    for (; i + 4 <= last; i += 4)
    {
        const batch a = value(i);
        const batch b = value(i + 1);
        const batch c = value(i + 2);
        const batch d = value(i + 3);
        const auto column_a = static_cast<index_t>(indices[i]);
        const auto column_b = static_cast<index_t>(indices[i + 1]);
        const auto column_c = static_cast<index_t>(indices[i + 2]);
        const auto column_d = static_cast<index_t>(indices[i + 3]);
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            sums[j] = simd::fma(a, feature(column_a, j), sums[j]);
            others[0][j] = simd::fma(b, feature(column_b, j), others[0][j]);
            others[1][j] = simd::fma(c, feature(column_c, j), others[1][j]);
            others[2][j] = simd::fma(d, feature(column_d, j), others[2][j]);
        }
    }
    for (; i < last; ++i)
    {
        const batch a = value(i);
        const auto column_a = static_cast<index_t>(indices[i]);
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Registers; ++j)
        {
            sums[j] = simd::fma(a, feature(column_a, j), sums[j]);
        }
    }
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        sums[j] = (sums[j] + others[0][j]) + (others[1][j] + others[2][j]);
    }
}

template <class Arch, class T, class Offset, class Body>
void spmm_for_rows(index_t rows, const Offset* offsets, index_t samples, const Body& body) noexcept
{
    // A thread is worth waking for about 2^19 multiply-adds.
    constexpr index_t block = simd::width<T, Arch>;
    const double work =
        static_cast<double>(offsets[rows] - offsets[0]) * static_cast<double>(samples);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : parts;
    const index_t grain = ((rows + pieces - 1) / pieces + block - 1) / block * block;
    parallel_for(rows, grain > 0 ? grain : 1, body);
}

template <class T, class Arch, index_t Registers>
STRUCTOPT_ALWAYS_INLINE void spmm_store(
    simd::batch<T, Arch> (
        &sums)[static_cast<std::size_t>(simd::width<T, Arch>)][static_cast<std::size_t>(Registers)],
    index_t rows, index_t count, T* y, index_t y_row, index_t y_column) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    for (index_t j = 0; j < Registers && j * lanes < count; ++j)
    {
        const index_t samples = count - j * lanes < lanes ? count - j * lanes : lanes;
        T* const to = y + j * lanes * y_row;
        if (y_row == 1)
        {
            for (index_t r = 0; r < rows; ++r)
            {
                if (samples == lanes)
                {
                    simd::store(to + r * y_column, sums[r][j]);
                }
                else
                {
                    simd::store_tail(to + r * y_column, sums[r][j], samples);
                }
            }
        }
        else if (y_column == 1)
        {
            simd::batch<T, Arch> square[static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (index_t r = 0; r < lanes; ++r)
            {
                square[r] = r < rows ? sums[r][j] : simd::batch<T, Arch>(T(0));
            }
            simd::transpose<T, Arch>(square);
            alignas(64) T buffer[static_cast<std::size_t>(lanes * lanes)];
            if (rows == lanes && samples == lanes)
            {
                STRUCTOPT_UNROLL
                for (index_t l = 0; l < lanes; ++l)
                {
                    simd::store(to + l * y_row, square[l]);
                }
                continue;
            }
            STRUCTOPT_UNROLL
            for (index_t l = 0; l < lanes; ++l)
            {
                simd::store(buffer + l * lanes, square[l]);
            }
            for (index_t l = 0; l < samples; ++l)
            {
                for (index_t r = 0; r < rows; ++r)
                {
                    to[l * y_row + r] = buffer[l * lanes + r];
                }
            }
        }
        else
        {
            for (index_t r = 0; r < rows; ++r)
            {
                alignas(64) T buffer[static_cast<std::size_t>(lanes)];
                simd::store(buffer, sums[r][j]);
                for (index_t l = 0; l < samples; ++l)
                {
                    to[l * y_row + r * y_column] = buffer[l];
                }
            }
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
