/// @file
/// Integer product with 2:4 sparse int8 weights, at most two codes in every four columns of a row:
/// y = dequantize(x W^T), exact sums.
///
/// Layout. Slices of 32 rows; columns in groups of eight. For each slice and group, `codes` has four
/// codes of row 0, of row 1, ...: one 32-bit lane per row, two codes of the lower and two of the upper
/// four columns; `places` has one byte per row, the four columns of these codes, two bits each, lowest
/// first. A code that is not there is 0 at any place. `corrections` holds, per row of all slices, -128
/// times the sum of its codes. 5 bytes per row and 8 columns, where dense weights take 8.
///
/// Method. Lanes are rows. Places are turned into the control of a byte shuffle, once for all samples
/// of a tile; the shuffle picks the four activations of each lane from the eight of the group, repeated
/// through the register, and a dot product takes them. A tile is 12 samples by two registers of rows
/// where there are 32 registers. Activations are laid out as in `gemm_s8`: 64 bytes of a sample, then
/// of the next.
///
/// Bound: per group, sample and register of rows one shuffle and one dot product, where dense weights
/// take two dot products. Zen 5 does two dot products per cycle, and a shuffle beside each in 1.6 times
/// that time: at best 1.25 times dense. One sample: reading the weights, 1.6 times.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/simd/pick_bytes.hpp>
#include <structopt/simd/prefetch.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A 2:4 int8 matrix; see the top of the file.
struct nm_s8_operand
{
    index_t rows = 0;
    index_t columns = 0;
    const std::int8_t* codes = nullptr;
    const std::uint8_t* places = nullptr;
    const std::int32_t* corrections = nullptr;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::nm_s8_operand;

/// Rows of one slice, and columns of one group, of the layout.
inline constexpr index_t nm_s8_rows = 32;
inline constexpr index_t nm_s8_columns = 8;

/// Bytes of scratch of `spmm_nm_s8`.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
std::size_t spmm_nm_s8_scratch_bytes(index_t batch, index_t columns) noexcept;

/// Y[batch, rows] = X[batch, columns] W^T, converted as `dequantize` says (w_scale and bias per row
/// of W, no `start`): the same bits as `gemm_s8` gives for the same matrix. X's rows are `x_row`
/// apart. Scratch of any alignment.
///
/// Sums are exact while a row has at most 132,000 codes.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void spmm_nm_s8(index_t batch, const nm_s8_operand& w, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sizes that the product is built from.
template <class Arch, simd::dot_kind Kind>
struct nm_s8_shape
{
    static constexpr bool wide = simd::dot<Arch, Kind>::weight_registers > 1;
    /// Most samples of a tile: sums in two registers each.
    static constexpr index_t samples = Kind == simd::dot_kind::scalar     ? 2
                                       : simd::register_count<Arch> >= 32 ? (wide ? 10 : 12)
                                                                          : (wide ? 3 : 5);
    static constexpr index_t block = samples * 20;
    /// Bytes of one sample that lie next to each other.
    static constexpr index_t run = 64;
    /// Bytes of so many samples.
    static constexpr index_t bytes(index_t count, index_t columns) noexcept
    {
        return count * ((columns + run - 1) / run * run);
    }
    /// Samples that are laid out at once.
    static constexpr index_t block_samples(index_t batch) noexcept
    {
        const index_t blocks = (batch + block - 1) / block;
        return blocks == 0 ? 0 : (batch + blocks - 1) / blocks;
    }
};

/// Lays out samples in runs, sample by sample, `offset` added; zeros follow the last column.
template <class Arch, simd::dot_kind Kind>
void nm_s8_prepare(
    index_t count, index_t columns, const std::int8_t* x, index_t x_row, std::int8_t* to) noexcept
{
    constexpr index_t run = nm_s8_shape<Arch, Kind>::run;
    constexpr index_t bytes = 4 * simd::width<std::int32_t, Arch>;
    const simd::batch<std::int32_t, Arch> flip(
        simd::dot<Arch, Kind>::offset == 0 ? 0 : -0x7f7f7f80);
    for (index_t first = 0; first < columns; first += run)
    {
        const index_t left = columns - first;
        for (index_t i = 0; i < count; ++i)
        {
            const std::int8_t* from = x + i * x_row + first;
            std::int8_t rest[static_cast<std::size_t>(run)] = {};
            if (left < run)
            {
                std::memcpy(rest, from, static_cast<std::size_t>(left));
                from = rest;
            }
            for (index_t k = 0; k < run; k += bytes)
            {
                simd::store_bytes(to + k, simd::load_bytes<Arch>(from + k) ^ flip);
            }
            to += run;
        }
    }
}

/// One call of a tile: two registers of rows.
struct nm_s8_tile_arguments
{
    index_t groups;
    const std::int8_t* x;
    const std::int8_t* codes;
    const std::uint8_t* places;
    /// Asked for while the tile runs, `ahead_step` bytes further for each group.
    const std::int8_t* ahead;
    index_t ahead_step;
    /// Null: sums start from 0.
    const std::int32_t* start;
};

/// Sums [Samples][two registers] of a tile.
template <class Arch, simd::dot_kind Kind, index_t Samples>
void nm_s8_tile(const nm_s8_tile_arguments& t, std::int32_t* sums) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t run = nm_s8_shape<Arch, Kind>::run;
    // Chains that hide the latency of a dot product.
    constexpr index_t chains = Samples == 1 ? 2 : 1;
    integer sum[chains][Samples][2];
    STRUCTOPT_UNROLL
    for (index_t v = 0; v < 2; ++v)
    {
        integer start(std::int32_t{0});
        if (t.start != nullptr)
        {
            start = simd::load<Arch>(t.start + v * lanes);
        }
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Samples; ++i)
        {
            sum[0][i][v] = start;
            if constexpr (chains > 1)
            {
                sum[1][i][v] = integer(std::int32_t{0});
            }
        }
    }
    const std::int8_t* x = t.x;
    const std::int8_t* codes = t.codes;
    const std::uint8_t* places = t.places;
    const std::int8_t* ahead = t.ahead;
    const index_t ahead_step = t.ahead_step;
    const auto add = [&](index_t chain) STRUCTOPT_LAMBDA_INLINE
    {
        simd::prefetch(ahead);
        if constexpr (Samples <= 4)
        {
            simd::prefetch(ahead + 64);
            simd::prefetch(places + 4096);
        }
        ahead += ahead_step;
        const integer at[2] = {
            simd::byte_places<Arch>(places), simd::byte_places<Arch>(places + lanes)};
        const typename dot::weights own[2] = {dot::load(codes), dot::load(codes + 4 * lanes)};
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Samples; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < 2; ++v)
            {
                sum[chain][i][v] = dot::add_lanes(
                    sum[chain][i][v], own[v], simd::pick_bytes<Arch>(x + i * run, at[v]));
            }
        }
        x += nm_s8_columns;
        codes += 4 * nm_s8_rows;
        places += nm_s8_rows;
    };
    constexpr index_t in_run = run / nm_s8_columns;
    for (index_t left = t.groups; left > 0; left -= in_run)
    {
        index_t n = left < in_run ? left : in_run;
        if constexpr (chains > 1)
        {
            for (; n >= 2; n -= 2)
            {
                add(0);
                add(1);
            }
        }
        for (; n > 0; --n)
        {
            add(0);
        }
        x += (Samples - 1) * run;
    }
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Samples; ++i)
    {
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < 2; ++v)
        {
            integer all = sum[0][i][v];
            if constexpr (chains > 1)
            {
                all = all + sum[1][i][v];
            }
            all.store_aligned(sums + (2 * i + v) * lanes);
        }
    }
}

using nm_s8_function = void (*)(const nm_s8_tile_arguments&, std::int32_t*) noexcept;

template <class Arch, simd::dot_kind Kind, index_t... Samples>
nm_s8_function pick_nm_s8(index_t samples, std::integer_sequence<index_t, Samples...>) noexcept
{
    static constexpr nm_s8_function tiles[] = {&nm_s8_tile<Arch, Kind, Samples + 1>...};
    return tiles[samples - 1];
}

} // namespace detail

template <class Arch, simd::dot_kind Kind>
std::size_t spmm_nm_s8_scratch_bytes(index_t batch, index_t columns) noexcept
{
    using shape = detail::nm_s8_shape<Arch, Kind>;
    return batch <= 0
               ? 0
               : static_cast<std::size_t>(shape::bytes(shape::block_samples(batch), columns)) + 64;
}

template <class Arch, simd::dot_kind Kind>
void spmm_nm_s8(index_t batch, const nm_s8_operand& w, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept
{
    using shape = detail::nm_s8_shape<Arch, Kind>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    auto* const prepared = reinterpret_cast<std::int8_t*>(scratch + (64 - address % 64) % 64);
    const index_t groups = (w.columns + nm_s8_columns - 1) / nm_s8_columns;
    const index_t slices = (w.rows + nm_s8_rows - 1) / nm_s8_rows;
    const index_t slice_bytes = groups * 4 * nm_s8_rows;
    // A thread is worth waking for about 2^21 multiply-adds of a dense matrix.
    const double work = static_cast<double>(batch) * static_cast<double>(w.rows) *
                        static_cast<double>(w.columns) / static_cast<double>(index_t{1} << 21);
    const index_t parts = work < 2.0 ? 1 : work > 32.0 ? 32 : static_cast<index_t>(work);
    const index_t block = shape::block_samples(batch);
    for (index_t b = 0; b < batch; b += block)
    {
        const index_t count = batch - b < block ? batch - b : block;
        const index_t tiles = (count + shape::samples - 1) / shape::samples;
        const index_t height = count / tiles;
        const index_t higher = count % tiles;
        const auto high = [&](index_t tile)
        {
            return height + (tile < higher ? 1 : 0);
        };
        index_t done = 0;
        for (index_t i = 0; i < tiles; ++i)
        {
            detail::nm_s8_prepare<Arch, Kind>(high(i), w.columns, x + (b + done) * x_row, x_row,
                prepared + shape::bytes(done, w.columns));
            done += high(i);
        }
        parallel_for(slices, (slices + parts - 1) / parts,
            [&](index_t first, index_t last)
            {
                alignas(64) std::int32_t sums[static_cast<std::size_t>(2 * lanes * shape::samples)];
                for (index_t u = first * nm_s8_rows; u < last * nm_s8_rows && u < w.rows;
                     u += 2 * lanes)
                {
                    const index_t slice = u / nm_s8_rows;
                    const index_t row = u % nm_s8_rows;
                    detail::nm_s8_tile_arguments t{};
                    t.groups = groups;
                    if (groups > 0)
                    {
                        t.codes = w.codes + slice * slice_bytes + 4 * row;
                        t.places = w.places + slice * groups * nm_s8_rows + row;
                    }
                    t.start = simd::dot<Arch, Kind>::offset == 0 ? nullptr : w.corrections + u;
                    // The tiles share out the next slice; a single one reads on soon enough.
                    t.ahead_step = 4 * nm_s8_rows / tiles + (tiles > 1 ? 1 : 0);
                    matrix_result<float> to = y;
                    to.data += b * y.row_stride + u * y.col_stride;
                    detail::s8_arguments finish = detail::s8_float_arguments(to, e);
                    finish.columns = w.rows - u < 2 * lanes ? w.rows - u : 2 * lanes;
                    finish.w_scale += u;
                    finish.bias = e.bias == nullptr ? nullptr : e.bias + u;
                    finish.x_scale += b * finish.x_scale_step;
                    index_t at = 0;
                    for (index_t i = 0; i < tiles; ++i)
                    {
                        t.x = prepared + shape::bytes(at, w.columns);
                        t.ahead = groups == 0 ? nullptr
                                  : tiles > 1 ? t.codes + slice_bytes + i * t.ahead_step * groups
                                              : t.codes + 16384;
                        detail::pick_nm_s8<Arch, Kind>(high(i),
                            std::make_integer_sequence<index_t, shape::samples>{})(t, sums);
                        detail::finish_s8<Arch, 2>(finish, high(i), sums);
                        finish.y = static_cast<float*>(finish.y) + high(i) * y.row_stride;
                        finish.x_scale += high(i) * finish.x_scale_step;
                        at += high(i);
                    }
                }
            });
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_NM_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
