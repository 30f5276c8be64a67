/// @file
/// The product with int8 vectors for a tile of samples; lanes are samples.
#pragma once

#include <structopt/kernel/operand_s8.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>
#include <structopt/kernel/vectors_s8.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/prefetch.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Adds, to the sums of `Rows` rows, the products of some quads with `Vectors` registers of samples;
/// words and sums have lines of `Length` samples.
template <class Arch, simd::dot_kind Kind, index_t Rows, index_t Vectors, index_t Length>
void vectors_s8_pass(index_t quads, const std::uint32_t* words, const std::int8_t* values,
    std::int32_t* sums) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    integer sum[Rows][Vectors];
    STRUCTOPT_UNROLL
    for (index_t r = 0; r < Rows; ++r)
    {
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < Vectors; ++v)
        {
            sum[r][v] = integer::load_aligned(sums + r * Length + v * lanes);
        }
    }
    // The quads after these are asked for meanwhile.
    const index_t ahead = quads * 4 * vector_s8_rows;
    const auto* x = reinterpret_cast<const std::int8_t*>(words);
    for (index_t q = 0; q < quads; ++q)
    {
        simd::prefetch(values + ahead);
        typename dot::weights left[Vectors];
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < Vectors; ++v)
        {
            left[v] = dot::load(x + 4 * lanes * v);
        }
        STRUCTOPT_UNROLL
        for (index_t r = 0; r < Rows; ++r)
        {
            const typename dot::activations right = dot::spread(values + 4 * r);
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < Vectors; ++v)
            {
                sum[r][v] = dot::add_turned(sum[r][v], left[v], right);
            }
        }
        x += 4 * Length;
        values += 4 * vector_s8_rows;
    }
    STRUCTOPT_UNROLL
    for (index_t r = 0; r < Rows; ++r)
    {
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < Vectors; ++v)
        {
            sum[r][v].store_aligned(sums + r * Length + v * lanes);
        }
    }
}

/// The rows of a block from `From` on, as many at a time as fit in registers, in passes of nearly
/// equal height; `before()` is called before each.
template <class Arch, simd::dot_kind Kind, index_t From, index_t Vectors, index_t Length,
    class Before>
STRUCTOPT_ALWAYS_INLINE void vectors_s8_rows(index_t quads, const std::uint32_t* words,
    const std::int8_t* values, std::int32_t* sums, const Before& before) noexcept
{
    constexpr index_t most = vectors_s8_shape<Arch, Kind>::rows(Vectors);
    constexpr index_t left = vector_s8_rows - From;
    constexpr index_t passes = (left + most - 1) / most;
    constexpr index_t rows = (left + passes - 1) / passes;
    before();
    detail::vectors_s8_pass<Arch, Kind, rows, Vectors, Length>(
        quads, words, values + 4 * From, sums + From * Length);
    if constexpr (From + rows < vector_s8_rows)
    {
        detail::vectors_s8_rows<Arch, Kind, From + rows, Vectors, Length>(
            quads, words, values, sums, before);
    }
}

/// All rows, for the registers of samples from `From` on.
template <class Arch, simd::dot_kind Kind, index_t From, index_t Registers, class Before>
STRUCTOPT_ALWAYS_INLINE void vectors_s8_samples(index_t quads, const std::uint32_t* words,
    const std::int8_t* values, std::int32_t* sums, const Before& before) noexcept
{
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t vectors = vectors_s8_shape<Arch, Kind>::at_once(Registers - From);
    detail::vectors_s8_rows<Arch, Kind, 0, vectors, Registers * lanes>(
        quads, words + From * lanes, values, sums + From * lanes, before);
    if constexpr (From + vectors < Registers)
    {
        detail::vectors_s8_samples<Arch, Kind, From + vectors, Registers>(
            quads, words, values, sums, before);
    }
}

/// Converts and writes one register of samples, `count` at most, of the sums of a block row, which
/// are `length` apart.
template <class Arch, class Index>
void vectors_s8_write(const vectors_s8_operand<Index>& w, index_t row, index_t count,
    const std::int32_t* sums, index_t length, const float* x_scale, const dequantize& e,
    matrix_result<float> y) noexcept
{
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const real scale = simd::load<Arch>(x_scale);
    for (index_t r = row; r < row + vector_s8_rows && r < w.rows; r += lanes)
    {
        const index_t left = w.rows - r < lanes ? w.rows - r : lanes;
        real results[static_cast<std::size_t>(lanes)][1];
        for (index_t i = 0; i < left; ++i)
        {
            results[i][0] = detail::dequantized<Arch>(
                simd::to_float(integer::load_aligned(sums)), scale, e, r + i);
            sums += length;
        }
        spmm_store<float, Arch, 1>(
            results, left, count, y.data + r * y.col_stride, y.row_stride, y.col_stride);
    }
}

/// A tile of samples, whose lines are a register long; `x_scale` has one number per lane.
template <index_t Registers, class Arch, simd::dot_kind Kind, class Index>
void vectors_s8_tile(const vectors_s8_operand<Index>& w, index_t count, const std::uint8_t* lines,
    const float* x_scale, const dequantize& e, matrix_result<float> y) noexcept
{
    using shape = vectors_s8_shape<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = shape::lanes;
    constexpr index_t length = Registers * lanes;
    constexpr index_t bytes = simd::interleave_width<Arch>;
    constexpr index_t most = shape::quads(length);
    detail::vectors_s8_for_blocks(w, length,
        [&](index_t first_block, index_t last_block)
        {
            alignas(64) std::uint32_t words[static_cast<std::size_t>(most * length)];
            alignas(64) std::int32_t sums[2][static_cast<std::size_t>(vector_s8_rows * length)];
            // Results go out while the next block row is computed, one register of samples before
            // each loop that only reads: rows of y that are a power of two apart share a place in
            // the cache, and more of them would wait for each other.
            index_t written = Registers;
            index_t pending = 0;
            const auto write = [&]
            {
                if (written < Registers && written * lanes < count)
                {
                    const index_t s = written * lanes;
                    detail::vectors_s8_write<Arch>(w, pending * vector_s8_rows,
                        count - s < lanes ? count - s : lanes, sums[pending % 2] + s, length,
                        x_scale + s, e, {y.data + s * y.row_stride, y.row_stride, y.col_stride});
                }
                ++written;
            };
            for (index_t b = first_block; b < last_block; ++b)
            {
                std::int32_t* const own = sums[b % 2];
                for (index_t r = 0; r < vector_s8_rows; ++r)
                {
                    const integer start(
                        detail::vectors_s8_start<Arch, Kind>(w, b * vector_s8_rows + r));
                    for (index_t v = 0; v < Registers; ++v)
                    {
                        start.store_aligned(own + r * length + v * lanes);
                    }
                }
                const auto first = static_cast<index_t>(w.offsets[b]);
                const auto last = static_cast<index_t>(w.offsets[b + 1]);
                write();
                for (index_t q = first; q < last; q += most)
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
                        integer four[static_cast<std::size_t>(shape::registers)];
                        simd::interleave<Arch>(line(0), line(1), line(2), line(3), four);
                        STRUCTOPT_UNROLL
                        for (index_t v = 0; v < Registers; ++v)
                        {
                            four[v].store_aligned(to + v * lanes);
                        }
                        to += length;
                        column += 4;
                    }
                    detail::vectors_s8_samples<Arch, Kind, 0, Registers>(
                        quads, words, w.values + q * 4 * vector_s8_rows, own, write);
                }
                while (written < Registers)
                {
                    write();
                }
                pending = b;
                written = 0;
            }
            while (written < Registers)
            {
                write();
            }
        });
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
