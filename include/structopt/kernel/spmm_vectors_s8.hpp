/// @file
/// Integer product with int8 weights in vectors of 16 rows x 1 column: y = dequantize(x W^T), exact
/// sums.
///
/// Layout. W [rows, columns] in block rows of 16. A block row lists its columns that are not all zero,
/// ascending, in quads: `offsets`, one more than block rows, counts quads; quad q has four columns
/// indices[4 q] .. and 64 codes, the four of row 0, of row 1, ...: one 32-bit lane per row. The last
/// quad of a block row is filled up with zeros at its last column. Rows past the end are zeros.
/// `corrections` holds, per row of all block rows, -128 times the sum of its codes.
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

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/prefetch.hpp>
#include <structopt/simd/transpose.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A sparse int8 matrix in vectors; see the top of the file.
template <class Index>
struct vectors_s8_operand
{
    index_t rows = 0;
    index_t columns = 0;
    const std::uint32_t* offsets = nullptr;
    const Index* indices = nullptr;
    const std::int8_t* values = nullptr;
    const std::int32_t* corrections = nullptr;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::vectors_s8_operand;

/// Rows of one vector.
inline constexpr index_t vector_s8_rows = 16;

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

/// Sizes that the product is built from.
template <class Arch, simd::dot_kind Kind>
struct vectors_s8_shape
{
    static constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    /// Registers of lanes of one vector.
    static constexpr index_t parts = vector_s8_rows / lanes;
    /// Most samples that are multiplied with rows as lanes.
    static constexpr index_t few = lanes / 2;
    /// Registers of samples of a tile, and those that are multiplied at once.
    static constexpr index_t registers = simd::interleave_registers<Arch>;
    static constexpr index_t at_once(index_t of) noexcept
    {
        constexpr bool wide = simd::dot<Arch, Kind>::weight_registers > 1;
        constexpr index_t most = Kind == simd::dot_kind::scalar              ? 1
                                 : simd::register_count<Arch> >= 32 && !wide ? 4
                                                                             : 2;
        return of < most ? of : most;
    }
    /// Most rows that so many registers of samples are multiplied by at once.
    static constexpr index_t rows(index_t vectors) noexcept
    {
        constexpr index_t needed = simd::dot<Arch, Kind>::weight_registers;
        const index_t left = simd::register_count<Arch> - needed * (vectors + 1) - 1;
        return Kind == simd::dot_kind::scalar ? 2 : left / vectors < 16 ? left / vectors : 16;
    }
    /// Quads of so many samples whose words are kept at once: 16 KiB.
    static constexpr index_t quads(index_t samples) noexcept
    {
        return (index_t{1} << 12) / samples;
    }
};

/// The architecture whose registers hold one line of X^T for a few samples: 16 bytes.
template <class Arch>
using vectors_s8_short = std::conditional_t<simd::register_bytes<Arch> == 16, Arch, xsimd::sse2>;

/// lines[c * bytes of a register of Lines + s] = x[s * x_row + c] + offset; `offset` where there is
/// no sample.
template <class Arch, class Lines, simd::dot_kind Kind>
void turn_codes(index_t count, index_t columns, const std::int8_t* x, index_t x_row,
    std::uint8_t* lines) noexcept
{
    using word = simd::batch<std::int32_t, Lines>;
    using real = simd::batch<float, Lines>;
    constexpr index_t lanes = simd::width<std::int32_t, Lines>;
    constexpr index_t bytes = simd::interleave_width<Lines>;
    constexpr index_t registers = simd::interleave_registers<Lines>;
    static_assert(registers == 4);
    const word flip(simd::dot<Arch, Kind>::offset == 0 ? 0 : -0x7f7f7f80);
    alignas(64) std::uint8_t rest[4][static_cast<std::size_t>(bytes)] = {};
    for (index_t c = 0; c < columns; c += bytes)
    {
        const index_t left = columns - c < bytes ? columns - c : bytes;
        // Four samples as words of a register of columns; groups of four samples are the rows of
        // squares.
        alignas(64) std::int32_t words[registers][static_cast<std::size_t>(lanes)]
                                      [static_cast<std::size_t>(lanes)];
        for (index_t g = 0; g < lanes; ++g)
        {
            word four[registers] = {};
            if (4 * g < count)
            {
                const std::uint8_t* from[4];
                for (index_t j = 0; j < 4; ++j)
                {
                    const bool there = 4 * g + j < count;
                    from[j] = rest[j];
                    if (there && left == bytes)
                    {
                        from[j] =
                            reinterpret_cast<const std::uint8_t*>(x + (4 * g + j) * x_row + c);
                    }
                    else
                    {
                        std::memset(rest[j], 0, sizeof rest[j]);
                        if (there)
                        {
                            std::memcpy(rest[j], x + (4 * g + j) * x_row + c,
                                static_cast<std::size_t>(left));
                        }
                    }
                }
                simd::interleave<Lines>(from[0], from[1], from[2], from[3], four);
            }
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < registers; ++v)
            {
                four[v].store_aligned(words[v][g]);
            }
        }
        for (index_t v = 0; v < registers && v * lanes < left; ++v)
        {
            real square[static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (index_t g = 0; g < lanes; ++g)
            {
                square[g] = simd::bit_cast<float>(word::load_aligned(words[v][g]));
            }
            simd::transpose<float, Lines>(square);
            std::uint8_t* const to = lines + (c + v * lanes) * bytes;
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < lanes; ++i)
            {
                if (v * lanes + i < left)
                {
                    simd::store_bytes(reinterpret_cast<std::int8_t*>(to + i * bytes),
                        simd::bit_cast<std::int32_t>(square[i]) ^ flip);
                }
            }
        }
    }
}

/// Calls `body(first, last)` over runs of block rows, of about 2^21 multiply-adds each.
template <class Index, class Body>
void vectors_s8_for_blocks(
    const vectors_s8_operand<Index>& w, index_t samples, const Body& body) noexcept
{
    const index_t blocks = (w.rows + vector_s8_rows - 1) / vector_s8_rows;
    const double work = static_cast<double>(w.offsets[blocks]) * 64.0 *
                        static_cast<double>(samples) / static_cast<double>(index_t{1} << 21);
    const index_t parts = work < 2.0 ? 1 : work > 32.0 ? 32 : static_cast<index_t>(work);
    parallel_for(blocks, (blocks + parts - 1) / parts, body);
}

/// What the sums of a block row start from.
template <class Arch, simd::dot_kind Kind, class Index>
STRUCTOPT_ALWAYS_INLINE std::int32_t vectors_s8_start(
    const vectors_s8_operand<Index>& w, index_t row) noexcept
{
    return simd::dot<Arch, Kind>::offset == 0 ? 0 : w.corrections[row];
}

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
