/// @file
/// Integer product with int8 weights in vectors of 16 rows x 1 column: y = dequantize(x W^T), exact
/// sums.
///
/// Layout: see vectors_s8.hpp.
///
/// Method. Batches: a tile X^T [columns][bytes of a register], one byte per sample. The four lines
/// of each quad are interleaved to words, four activations of a sample, once per block row, and stay
/// in L1; registers of samples are then multiplied by the weights of one row, spread, for several
/// rows at a time. Up to half a register of samples: lanes are rows, the words of a sample are
/// broadcast. One sample: its words are put together from four bytes.
///
/// Bound: batches, 64 dot products per quad and tile with AVX-512 (32 cycles), 28 loads beside them,
/// and once 12 shuffles, 4 loads and 4 stores: arithmetic. One sample: 10 loads and 10 other
/// instructions per quad, 2.5 cycles at best.
#pragma once

#include <structopt/kernel/finish_s8.hpp>
#include <structopt/kernel/operand_s8.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>
#include <structopt/kernel/spmm_vectors_s8_batch.hpp>
#include <structopt/kernel/turn_codes.hpp>
#include <structopt/kernel/vectors_s8.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/prefetch.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `spmm_vectors_s8`.
template <class Arch = simd::default_arch>
std::size_t spmm_vectors_s8_scratch_bytes(index_t batch, index_t columns) noexcept;

/// Y[batch, rows] = X[batch, columns] W^T, converted as `dequantize` says (w_scale and bias per row
/// of W, no `start`): the same bits as `gemm_s8` gives for the same matrix. X's rows are `x_row`
/// apart. Scratch of any alignment.
///
/// Sums are exact while a row has at most 132,000 codes, stored zeros included.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>, class Index>
void spmm_vectors_s8(index_t batch, const vectors_s8_operand<Index>& w, const std::int8_t* x,
    index_t x_row, const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The architecture whose registers hold one line of X^T for a few samples: 16 bytes.
template <class Arch>
using vectors_s8_short = std::conditional_t<simd::register_bytes<Arch> == 16, Arch, xsimd::sse2>;

/// Converts and writes the sums [samples][rows of a block] of one block row.
template <class Arch, simd::dot_kind Kind, class Index>
STRUCTOPT_ALWAYS_INLINE void vectors_s8_finish(const vectors_s8_operand<Index>& w, index_t row,
    index_t samples, const std::int32_t* sums, const dequantize& e, matrix_result<float> y) noexcept
{
    y.data += row * y.col_stride;
    s8_arguments t = detail::s8_float_arguments(y, e);
    t.columns = w.rows - row < vector_s8_rows ? w.rows - row : vector_s8_rows;
    t.w_scale += row;
    t.bias = e.bias == nullptr ? nullptr : e.bias + row;
    detail::finish_s8<Arch, vectors_s8_shape<Arch, Kind>::parts>(t, samples, sums);
}

/// At most `Samples` samples, whose lines are 16 bytes long; lanes are rows.
template <index_t Samples, class Arch, simd::dot_kind Kind, class Index>
void vectors_s8_few(const vectors_s8_operand<Index>& w, index_t count, const std::uint8_t* lines,
    const dequantize& e, matrix_result<float> y) noexcept
{
    using shape = vectors_s8_shape<Arch, Kind>;
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    using narrow = vectors_s8_short<Arch>;
    constexpr index_t lanes = shape::lanes;
    constexpr index_t parts = shape::parts;
    constexpr index_t length = Samples < 4 ? 4 : Samples;
    constexpr index_t bytes = simd::interleave_width<narrow>;
    // Short lists: what is written in halves of registers is soon read as words.
    constexpr index_t most = 128;
    static_assert(simd::width<std::int32_t, narrow> == 4 && length <= bytes);
    detail::vectors_s8_for_blocks(w, Samples,
        [&](index_t first_block, index_t last_block)
        {
            alignas(64) std::uint32_t words[static_cast<std::size_t>(most * length)];
            alignas(64) std::int32_t sums[static_cast<std::size_t>(Samples * vector_s8_rows)];
            for (index_t b = first_block; b < last_block; ++b)
            {
                const index_t row = b * vector_s8_rows;
                integer sum[Samples][static_cast<std::size_t>(parts)];
                STRUCTOPT_UNROLL
                for (index_t p = 0; p < parts; ++p)
                {
                    integer start(std::int32_t{0});
                    if constexpr (dot::offset != 0)
                    {
                        start = simd::load<Arch>(w.corrections + row + p * lanes);
                    }
                    STRUCTOPT_UNROLL
                    for (index_t s = 0; s < Samples; ++s)
                    {
                        sum[s][p] = start;
                    }
                }
                const auto last = static_cast<index_t>(w.offsets[b + 1]);
                for (auto q = static_cast<index_t>(w.offsets[b]); q < last; q += most)
                {
                    const index_t quads = last - q < most ? last - q : most;
                    const Index* column = w.indices + 4 * q;
                    auto* to = reinterpret_cast<std::int32_t*>(words);
                    for (index_t i = 0; i < quads; ++i)
                    {
                        const auto line = [&](index_t j) STRUCTOPT_LAMBDA_INLINE
                        {
                            return lines + static_cast<index_t>(column[j]) * bytes;
                        };
                        simd::batch<std::int32_t, narrow> four[4];
                        simd::interleave<narrow>(line(0), line(1), line(2), line(3), four);
                        STRUCTOPT_UNROLL
                        for (index_t v = 0; v < length / 4; ++v)
                        {
                            four[v].store_aligned(to + 4 * v);
                        }
                        to += length;
                        column += 4;
                    }
                    const std::int8_t* value = w.values + q * 4 * vector_s8_rows;
                    const auto* from = reinterpret_cast<const std::int8_t*>(words);
                    for (index_t i = 0; i < quads; ++i)
                    {
                        typename dot::weights own[static_cast<std::size_t>(parts)];
                        STRUCTOPT_UNROLL
                        for (index_t p = 0; p < parts; ++p)
                        {
                            simd::prefetch_near(value + 4 * lanes * p + 4096);
                            own[p] = dot::load(value + 4 * lanes * p);
                        }
                        STRUCTOPT_UNROLL
                        for (index_t s = 0; s < Samples; ++s)
                        {
                            const typename dot::activations right = dot::spread(from + 4 * s);
                            STRUCTOPT_UNROLL
                            for (index_t p = 0; p < parts; ++p)
                            {
                                sum[s][p] = dot::add(sum[s][p], own[p], right);
                            }
                        }
                        value += 4 * vector_s8_rows;
                        from += 4 * length;
                    }
                }
                STRUCTOPT_UNROLL
                for (index_t s = 0; s < Samples; ++s)
                {
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        sum[s][p].store_aligned(sums + s * vector_s8_rows + p * lanes);
                    }
                }
                detail::vectors_s8_finish<Arch, Kind>(w, row, count, sums, e, y);
            }
        });
}

/// One sample.
template <class Arch, simd::dot_kind Kind, class Index>
void vectors_s8_one(const vectors_s8_operand<Index>& w, const std::int8_t* x, const dequantize& e,
    matrix_result<float> y) noexcept
{
    using shape = vectors_s8_shape<Arch, Kind>;
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = shape::lanes;
    constexpr index_t parts = shape::parts;
    // Chains that hide the latency of a dot product.
    constexpr index_t chains = parts > 2 ? 2 : 4;
    constexpr std::uint32_t flip = dot::offset == 0 ? 0 : 0x80808080u;
    const auto* const codes = reinterpret_cast<const std::uint8_t*>(x);
    detail::vectors_s8_for_blocks(w, 1,
        [&](index_t first_block, index_t last_block)
        {
            alignas(64) std::int32_t sums[static_cast<std::size_t>(vector_s8_rows)];
            for (index_t b = first_block; b < last_block; ++b)
            {
                const index_t row = b * vector_s8_rows;
                integer sum[static_cast<std::size_t>(chains)][static_cast<std::size_t>(parts)];
                STRUCTOPT_UNROLL
                for (index_t u = 0; u < chains; ++u)
                {
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        sum[u][p] = integer(std::int32_t{0});
                    }
                }
                auto q = static_cast<index_t>(w.offsets[b]);
                const auto last = static_cast<index_t>(w.offsets[b + 1]);
                const Index* column = w.indices + 4 * q;
                const std::int8_t* value = w.values + q * 4 * vector_s8_rows;
                const auto add = [&](index_t u) STRUCTOPT_LAMBDA_INLINE
                {
                    const auto code = [&](index_t j) STRUCTOPT_LAMBDA_INLINE
                    {
                        return std::uint32_t{codes[column[4 * u + j]]} << (8 * j);
                    };
                    // By registers: bytes in memory could not be read as a word without a wait.
                    const std::uint32_t word = (code(0) | code(1) | code(2) | code(3)) ^ flip;
                    std::int8_t four[4];
                    std::memcpy(four, &word, 4);
                    const typename dot::activations right = dot::spread(four);
                    STRUCTOPT_UNROLL
                    for (index_t p = 0; p < parts; ++p)
                    {
                        const std::int8_t* const own =
                            value + u * 4 * vector_s8_rows + 4 * lanes * p;
                        simd::prefetch_near(own + 4096);
                        sum[u][p] = dot::add(sum[u][p], dot::load(own), right);
                    }
                };
                for (; q + chains <= last; q += chains)
                {
                    STRUCTOPT_UNROLL
                    for (index_t u = 0; u < chains; ++u)
                    {
                        add(u);
                    }
                    column += 4 * chains;
                    value += chains * 4 * vector_s8_rows;
                }
                for (; q < last; ++q)
                {
                    add(0);
                    column += 4;
                    value += 4 * vector_s8_rows;
                }
                STRUCTOPT_UNROLL
                for (index_t p = 0; p < parts; ++p)
                {
                    integer all = sum[0][p];
                    STRUCTOPT_UNROLL
                    for (index_t u = 1; u < chains; ++u)
                    {
                        all = all + sum[u][p];
                    }
                    if constexpr (dot::offset != 0)
                    {
                        all = all + simd::load<Arch>(w.corrections + row + p * lanes);
                    }
                    all.store_aligned(sums + p * lanes);
                }
                detail::vectors_s8_finish<Arch, Kind>(w, row, 1, sums, e, y);
            }
        });
}

/// Bytes of one line of X^T for the next samples, of which so many are left.
template <class Arch>
constexpr index_t vectors_s8_line(index_t left) noexcept
{
    return left <= 1                                     ? 0
           : left <= simd::width<std::int32_t, Arch> / 2 ? 16
                                                         : simd::interleave_width<Arch>;
}

} // namespace detail

template <class Arch>
std::size_t spmm_vectors_s8_scratch_bytes(index_t batch, index_t columns) noexcept
{
    return batch <= 1
               ? 0
               : static_cast<std::size_t>(columns * detail::vectors_s8_line<Arch>(batch)) + 64;
}

template <class Arch, simd::dot_kind Kind, class Index>
void spmm_vectors_s8(index_t batch, const vectors_s8_operand<Index>& w, const std::int8_t* x,
    index_t x_row, const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept
{
    using shape = detail::vectors_s8_shape<Arch, Kind>;
    constexpr index_t lanes = shape::lanes;
    auto* const lines = detail::spmm_tile_start<std::uint8_t>(scratch);
    index_t count = 0;
    for (index_t b = 0; b < batch && w.rows > 0; b += count)
    {
        const index_t left = batch - b;
        const std::int8_t* const from = x + b * x_row;
        const matrix_result<float> to{y.data + b * y.row_stride, y.row_stride, y.col_stride};
        dequantize own = e;
        own.x_scale = e.x_scale + (e.one_x_scale ? 0 : b);
        if (left == 1)
        {
            count = 1;
            detail::vectors_s8_one<Arch, Kind>(w, from, own, to);
            continue;
        }
        if (left <= shape::few)
        {
            count = left;
            detail::turn_codes<Arch, detail::vectors_s8_short<Arch>, Kind>(
                count, w.columns, from, x_row, lines);
            if (count == 2)
            {
                detail::vectors_s8_few<2, Arch, Kind>(w, count, lines, own, to);
            }
            else if constexpr (shape::few >= 4)
            {
                if (count <= 4)
                {
                    detail::vectors_s8_few<4, Arch, Kind>(w, count, lines, own, to);
                }
                else if constexpr (shape::few >= 8)
                {
                    detail::vectors_s8_few<8, Arch, Kind>(w, count, lines, own, to);
                }
            }
            continue;
        }
        const index_t needed = (left + lanes - 1) / lanes;
        const index_t registers = needed < shape::registers ? needed : shape::registers;
        count = left < registers * lanes ? left : registers * lanes;
        alignas(64) float x_scale[static_cast<std::size_t>(shape::registers * lanes)] = {};
        for (index_t s = 0; s < count; ++s)
        {
            x_scale[s] = own.x_scale[e.one_x_scale ? 0 : s];
        }
        detail::turn_codes<Arch, Arch, Kind>(count, w.columns, from, x_row, lines);
        if (registers == 1)
        {
            detail::vectors_s8_tile<1, Arch, Kind>(w, count, lines, x_scale, own, to);
        }
        else if (registers == 2)
        {
            detail::vectors_s8_tile<2, Arch, Kind>(w, count, lines, x_scale, own, to);
        }
        else if (registers == 3)
        {
            detail::vectors_s8_tile<3, Arch, Kind>(w, count, lines, x_scale, own, to);
        }
        else
        {
            detail::vectors_s8_tile<4, Arch, Kind>(w, count, lines, x_scale, own, to);
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_VECTORS_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
