/// @file
/// Products with an N:M sparse matrix, N numbers in every M columns of a row: y = x W^T.
///
/// Layout. The rows of W are cut into slices of 16, and its columns into groups of M and chunks of
/// as many groups as have their places in one word: 8 groups for 2:4, 16 for 1:4, 2 for 4:8. A
/// chunk of a slice is 16 words, one for each row, with the place of each slot within its group, 2
/// bits (M = 4) or 4 (M = 8) each, the first slot lowest; and for each slot 16 values, one for each
/// row. Up to 128 columns are a tile. The chunks of a tile come slice by slice, and the tiles one
/// after the other; rows and groups that do not exist have the value 0 at place 0. Spare slots are
/// multiplied like all others.
///
/// Method. One sample: lanes are rows; M elements of x are repeated through a register, from which
/// every lane picks by a permutation, then one multiply-add; up to eight samples share what is read
/// of W. Larger batches: as in spmm_tiled.hpp, four rows of accumulators over a tile of X^T that
/// fits L1; but rows need no order and no padding.
///
/// Order of summation: for each tile of columns one chain (batches) or four (one sample) over the
/// slots; the tiles are added in order. A sample gives the same bits in every batch of at least
/// `nm_tile_batch`, and for every number of threads.
///
/// Bound: one sample, reading 4.25 bytes per number for 2:4, so 0.53 of dense; batches, as
/// spmm_tiled.hpp.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_finish.hpp>
#include <structopt/kernel/spmm_lines.hpp>
#include <structopt/simd/broadcast.hpp>
#include <structopt/simd/pick.hpp>
#include <structopt/simd/prefetch.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// An N:M sparse matrix; see the top of the file.
template <class T>
struct nm_operand
{
    index_t rows = 0;
    index_t columns = 0;
    /// 16 words of each chunk of each slice.
    const std::uint32_t* places = nullptr;
    /// slots x 16 values of each chunk of each slice.
    const T* values = nullptr;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::nm_operand;

/// Sizes of the layout of N:M; 1, 2 or 4 of 4, up to 8 of 8 where N is a power of two.
template <index_t N, index_t M>
struct nm_layout
{
    static_assert((M == 4 || M == 8) && N >= 1 && N <= M && (N & (N - 1)) == 0);

    /// Rows of a slice.
    static constexpr index_t rows = 16;
    /// Bits of a place.
    static constexpr index_t bits = M == 4 ? 2 : 4;
    /// Slots, groups and columns of a chunk.
    static constexpr index_t slots = 32 / bits;
    static constexpr index_t groups = slots / N;
    static constexpr index_t columns = groups * M;
    /// Chunks of a tile; four registers of samples of its columns fit in L1.
    static constexpr index_t tile = 128 / columns;

    static constexpr index_t slices(index_t matrix_rows) noexcept
    {
        return (matrix_rows + rows - 1) / rows;
    }

    static constexpr index_t chunks(index_t matrix_columns) noexcept
    {
        return (matrix_columns + columns - 1) / columns;
    }

    /// Chunks of the tile that begins with chunk `first`.
    static constexpr index_t tile_chunks(index_t all, index_t first) noexcept
    {
        return all - first < tile ? all - first : tile;
    }

    /// Place of a slice's first chunk of the tile that begins with chunk `first`.
    static constexpr index_t at(index_t slices, index_t all, index_t first, index_t slice) noexcept
    {
        return slices * first + slice * tile_chunks(all, first);
    }
};

/// Batches below this are multiplied sample by sample.
inline constexpr index_t nm_tile_batch = 4;

/// Bytes of scratch of `spmm_nm`.
template <index_t N, index_t M, class T, class Arch = simd::default_arch>
std::size_t spmm_nm_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept;

/// y[batch, rows] = act(x[batch, columns] W^T + bias), x and y of any strides; unit strides are
/// fast. Scratch of any alignment. y must not overlap x.
template <index_t N, index_t M, class Arch = simd::default_arch, class T>
void spmm_nm(index_t batch, const nm_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// What `simd::picker` and `simd::repeat` do, for every architecture.
template <class T, class Arch, index_t M>
class nm_plain_picker
{
public:
    explicit nm_plain_picker(const std::uint32_t* words) noexcept
        : m_words(words)
    {
    }

    template <int Number>
    simd::batch<T, Arch> from(const T* run) const noexcept
    {
        constexpr int bits = M == 4 ? 2 : 4;
        alignas(64) T chosen[static_cast<std::size_t>(simd::width<T, Arch>)];
        for (index_t i = 0; i < simd::width<T, Arch>; ++i)
        {
            chosen[i] = run[(m_words[i] >> (bits * Number)) & static_cast<std::uint32_t>(M - 1)];
        }
        return simd::load<Arch>(chosen);
    }

private:
    const std::uint32_t* m_words;
};

/// Chains of sums of one sample.
inline constexpr index_t nm_chains = 4;

/// The slots of one group, whose columns begin at `run`.
template <index_t N, index_t M, index_t Group, class Arch, class Picker, class T, int... Slots>
STRUCTOPT_ALWAYS_INLINE void nm_group(const Picker& pick, const T* run, const T* values,
    simd::batch<T, Arch> (&sums)[nm_chains], std::integer_sequence<int, Slots...>) noexcept
{
    constexpr index_t rows = nm_layout<N, M>::rows;
    const auto add = [&](simd::batch<T, Arch>& sum, const simd::batch<T, Arch>& chosen,
                         const T* from) STRUCTOPT_LAMBDA_INLINE
    {
        sum = simd::fma(chosen, simd::load<Arch>(from), sum);
    };
    if constexpr (simd::has_picker<T, Arch, M>)
    {
        const auto runs = simd::repeat<M, Arch>(run);
        (add(sums[(Group * N + Slots) % nm_chains], pick.template from<Group * N + Slots>(runs),
             values + (Group * N + Slots) * rows),
            ...);
    }
    else
    {
        (add(sums[(Group * N + Slots) % nm_chains], pick.template from<Group * N + Slots>(run),
             values + (Group * N + Slots) * rows),
            ...);
    }
}

template <index_t N, index_t M, class Arch, class Picker, class T, int... Groups>
STRUCTOPT_ALWAYS_INLINE void nm_chunk(const Picker& pick, const T* x, const T* values,
    simd::batch<T, Arch> (&sums)[nm_chains], std::integer_sequence<int, Groups...>) noexcept
{
    (nm_group<N, M, Groups, Arch>(pick, x + Groups * M, values, sums,
         std::make_integer_sequence<int, static_cast<int>(N)>{}),
        ...);
}

/// Chunks that are asked for in advance.
inline constexpr index_t nm_ahead = 8;

/// A slice of one tile for one sample, `count` chunks: its 16 sums are set, or added to.
template <index_t N, index_t M, class Arch, class T>
void nm_slice(const std::uint32_t* words, const T* values, index_t count, const T* x, T* sums,
    bool resume) noexcept
{
    using layout = nm_layout<N, M>;
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    using picker = std::conditional_t<simd::has_picker<T, Arch, M>, simd::picker<T, Arch, M>,
        nm_plain_picker<T, Arch, M>>;
    constexpr index_t chunk_values = layout::slots * layout::rows;
    STRUCTOPT_UNROLL
    for (index_t l = 0; l < layout::rows; l += lanes)
    {
        vector sum[nm_chains] = {vector(T(0)), vector(T(0)), vector(T(0)), vector(T(0))};
        for (index_t c = 0; c < count; ++c)
        {
            const std::uint32_t* const word = words + c * layout::rows + l;
            const T* const value = values + c * chunk_values + l;
            simd::prefetch_near(word + nm_ahead * layout::rows);
            STRUCTOPT_UNROLL
            for (index_t s = 0; s < layout::slots; ++s)
            {
                simd::prefetch_near(value + nm_ahead * chunk_values + s * layout::rows);
            }
            const picker pick(word);
            nm_chunk<N, M, Arch>(pick, x + c * layout::columns, value, sum,
                std::make_integer_sequence<int, static_cast<int>(layout::groups)>{});
        }
        const vector all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        simd::store(sums + l, resume ? simd::load<Arch>(sums + l) + all : all);
    }
}

/// Chunks [first, first + count) of one slice for a few registers of samples; `lines` are the
/// tile's.
template <index_t N, index_t M, index_t Registers, class Arch, class T>
void nm_slice_tile(const std::uint32_t* words, const T* values, index_t count, const T* lines,
    T* sums, bool resume) noexcept
{
    using layout = nm_layout<N, M>;
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    for (index_t r = 0; r < layout::rows; r += 4)
    {
        vector sum[4][Registers];
        STRUCTOPT_UNROLL
        for (index_t q = 0; q < 4; ++q)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                sum[q][j] = vector(T(0));
            }
        }
        const T* value = count > 0 ? values + r : values; // null without columns
        const T* group = lines;
        for (index_t c = 0; c < count; ++c)
        {
            // A quarter of the next slice's values.
            STRUCTOPT_UNROLL
            for (index_t s = 0; s < layout::slots; s += 4)
            {
                simd::prefetch(values + (count + c) * (layout::slots * layout::rows) +
                               (s + r / 4) * layout::rows);
            }
            std::uint32_t places[4];
            STRUCTOPT_UNROLL
            for (index_t q = 0; q < 4; ++q)
            {
                places[q] = words[c * layout::rows + r + q];
            }
            for (index_t g = 0; g < layout::groups; ++g)
            {
                STRUCTOPT_UNROLL
                for (index_t s = 0; s < N; ++s)
                {
                    vector factor[4];
                    simd::broadcast_four<Arch>(value, factor);
                    STRUCTOPT_UNROLL
                    for (index_t q = 0; q < 4; ++q)
                    {
                        const T* const from =
                            group +
                            static_cast<index_t>(places[q] & static_cast<std::uint32_t>(M - 1)) *
                                length;
                        STRUCTOPT_UNROLL
                        for (index_t j = 0; j < Registers; ++j)
                        {
                            sum[q][j] =
                                simd::fma(factor[q], simd::load<Arch>(from + j * lanes), sum[q][j]);
                        }
                        places[q] >>= layout::bits;
                    }
                    value += layout::rows;
                }
                group += M * length;
            }
        }
        STRUCTOPT_UNROLL
        for (index_t q = 0; q < 4; ++q)
        {
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                T* const to = sums + (r + q) * length + j * lanes;
                simd::store(to, resume ? simd::load<Arch>(to) + sum[q][j] : sum[q][j]);
            }
        }
    }
}

/// `count` samples.
template <index_t N, index_t M, index_t Registers, class Arch, class T>
void nm_samples(index_t count, const nm_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, T* scratch) noexcept
{
    using layout = nm_layout<N, M>;
    constexpr index_t length = Registers * simd::width<T, Arch>;
    const index_t slices = layout::slices(w.rows);
    const index_t chunks = layout::chunks(w.columns);
    T* const lines = scratch;
    T* const sums = scratch + chunks * layout::columns * length;
    spmm_fill_lines<Arch, Registers>(count, w.columns, x, lines);
    for (index_t i = w.columns * length; i < chunks * layout::columns * length; ++i)
    {
        lines[i] = T(0);
    }
    const double work = static_cast<double>(slices * chunks) *
                        static_cast<double>(layout::slots * layout::rows * length);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    // Blocks of up to 512 rows, whose sums stay in L2 while the tiles go by.
    index_t grain = slices / (parts < 1 ? 1 : parts > 8 ? 8 : parts) + 1;
    grain = grain < 32 ? grain : 32;
    parallel_for(slices, parts < 1 ? 32 : grain,
        [&](index_t first, index_t last)
        {
            for (index_t c = 0; c == 0 || c < chunks; c += layout::tile)
            {
                const index_t here = layout::tile_chunks(chunks, c);
                for (index_t s = first; s < last; ++s)
                {
                    const index_t at = layout::at(slices, chunks, c, s);
                    nm_slice_tile<N, M, Registers, Arch>(w.places + at * layout::rows,
                        w.values + at * (layout::slots * layout::rows), here,
                        lines + c * layout::columns * length, sums + s * layout::rows * length,
                        c > 0);
                }
            }
            const index_t row = first * layout::rows;
            const index_t end = last * layout::rows;
            spmm_store_lines<Arch, Registers>(
                count, (end < w.rows ? end : w.rows) - row, sums + row * length, row, y, finish);
        });
}

/// Elements between the copies of samples, which would share lines of L1 where they are a power of
/// two apart.
inline constexpr index_t nm_gap = 16;

/// Most samples that are multiplied with rows as lanes.
template <class Arch>
inline constexpr index_t nm_most_few = simd::register_count<Arch> >= 32 ? 8 : 4;

/// The slots of one group for some samples, `x_step` apart.
template <index_t N, index_t M, index_t Group, index_t Samples, class Arch, class T, int... Slots>
STRUCTOPT_ALWAYS_INLINE void nm_few_group(const simd::picker<T, Arch, M>& pick, const T* x,
    index_t x_step, const T* values, simd::batch<T, Arch> (&sums)[Samples],
    std::integer_sequence<int, Slots...>) noexcept
{
    using vector = simd::batch<T, Arch>;
    vector runs[Samples];
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Samples; ++i)
    {
        runs[i] = simd::repeat<M, Arch>(x + i * x_step + Group * M);
    }
    const auto add = [&]<int Slot>(std::integral_constant<int, Slot>) STRUCTOPT_LAMBDA_INLINE
    {
        const vector value = simd::load<Arch>(values + Slot * nm_layout<N, M>::rows);
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Samples; ++i)
        {
            sums[i] = simd::fma(pick.template from<Slot>(runs[i]), value, sums[i]);
        }
    };
    (add(std::integral_constant<int, static_cast<int>(Group * N) + Slots>{}), ...);
}

template <index_t N, index_t M, index_t Samples, class Arch, class T, int... Groups>
STRUCTOPT_ALWAYS_INLINE void nm_few_chunk(const simd::picker<T, Arch, M>& pick, const T* x,
    index_t x_step, const T* values, simd::batch<T, Arch> (&sums)[Samples],
    std::integer_sequence<int, Groups...>) noexcept
{
    (nm_few_group<N, M, Groups, Samples, Arch>(
         pick, x, x_step, values, sums, std::make_integer_sequence<int, static_cast<int>(N)>{}),
        ...);
}

/// At most `nm_most_few` samples, with rows as lanes: half a register of samples would be idle
/// otherwise. Sums are the chains of `nm_samples`.
template <index_t N, index_t M, index_t Samples, class Arch, class T>
void nm_few(index_t count, const nm_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, T* scratch) noexcept
{
    using layout = nm_layout<N, M>;
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t chunk_values = layout::slots * layout::rows;
    const index_t slices = layout::slices(w.rows);
    const index_t chunks = layout::chunks(w.columns);
    const index_t whole = chunks * layout::columns;
    const index_t step = whole + nm_gap;
    T* const sums = scratch + Samples * step;
    for (index_t i = 0; i < Samples; ++i)
    {
        for (index_t c = 0; c < whole; ++c)
        {
            scratch[i * step + c] =
                i < count && c < w.columns ? x.data[i * x.row_stride + c * x.col_stride] : T(0);
        }
    }
    const bool cut = finish.act == activation::relu;
    const double work =
        static_cast<double>(slices * chunks) * static_cast<double>(chunk_values * Samples);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : parts;
    parallel_for(slices, (slices + pieces - 1) / pieces + (slices == 0 ? 1 : 0),
        [&](index_t first, index_t last)
        {
            for (index_t c = 0; c == 0 || c < chunks; c += layout::tile)
            {
                const index_t here = layout::tile_chunks(chunks, c);
                for (index_t s = first; s < last; ++s)
                {
                    const index_t at = layout::at(slices, chunks, c, s);
                    for (index_t l = 0; l < layout::rows; l += lanes)
                    {
                        vector sum[Samples];
                        STRUCTOPT_UNROLL
                        for (index_t i = 0; i < Samples; ++i)
                        {
                            sum[i] = vector(T(0));
                        }
                        for (index_t k = 0; k < here; ++k)
                        {
                            const T* const value = w.values + (at + k) * chunk_values + l;
                            STRUCTOPT_UNROLL
                            for (index_t v = 0; v < layout::slots; ++v)
                            {
                                simd::prefetch_near(
                                    value + nm_ahead * chunk_values + v * layout::rows);
                            }
                            const simd::picker<T, Arch, M> pick(
                                w.places + (at + k) * layout::rows + l);
                            nm_few_chunk<N, M, Samples, Arch>(pick,
                                scratch + (c + k) * layout::columns, step, value, sum,
                                std::make_integer_sequence<int,
                                    static_cast<int>(layout::groups)>{});
                        }
                        STRUCTOPT_UNROLL
                        for (index_t i = 0; i < Samples; ++i)
                        {
                            T* const to = sums + (i * slices + s) * layout::rows + l;
                            simd::store(to, c > 0 ? simd::load<Arch>(to) + sum[i] : sum[i]);
                        }
                    }
                }
            }
            const index_t end = last * layout::rows < w.rows ? last * layout::rows : w.rows;
            for (index_t i = 0; i < count; ++i)
            {
                for (index_t r = first * layout::rows; r < end; ++r)
                {
                    T z = sums[i * slices * layout::rows + r];
                    if (finish.bias != nullptr)
                    {
                        z += finish.bias[r];
                    }
                    y.data[i * y.row_stride + r * y.col_stride] = cut && z < T(0) ? T(0) : z;
                }
            }
        });
}

/// One sample.
template <index_t N, index_t M, class Arch, class T>
void nm_sample(const nm_operand<T>& w, const T* x, index_t x_step, T* y, index_t y_step,
    const spmm_finish<T>& finish, T* sample) noexcept
{
    using layout = nm_layout<N, M>;
    const index_t slices = layout::slices(w.rows);
    const index_t chunks = layout::chunks(w.columns);
    const index_t whole = chunks * layout::columns;
    T* const sums = sample + whole;
    for (index_t c = 0; c < w.columns; ++c)
    {
        sample[c] = x[c * x_step];
    }
    for (index_t c = w.columns; c < whole; ++c)
    {
        sample[c] = T(0);
    }
    const bool cut = finish.act == activation::relu;
    const double work = static_cast<double>(slices * whole) *
                        static_cast<double>(layout::rows * N) / static_cast<double>(M);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : parts;
    parallel_for(slices, (slices + pieces - 1) / pieces + (slices == 0 ? 1 : 0),
        [&](index_t first, index_t last)
        {
            for (index_t c = 0; c == 0 || c < chunks; c += layout::tile)
            {
                const index_t here = layout::tile_chunks(chunks, c);
                for (index_t s = first; s < last; ++s)
                {
                    const index_t at = layout::at(slices, chunks, c, s);
                    nm_slice<N, M, Arch>(w.places + at * layout::rows,
                        w.values + at * (layout::slots * layout::rows), here,
                        sample + c * layout::columns, sums + s * layout::rows, c > 0);
                }
            }
            const index_t end = last * layout::rows < w.rows ? last * layout::rows : w.rows;
            for (index_t r = first * layout::rows; r < end; ++r)
            {
                T z = sums[r];
                if (finish.bias != nullptr)
                {
                    z += finish.bias[r];
                }
                y[r * y_step] = cut && z < T(0) ? T(0) : z;
            }
        });
}

} // namespace detail

template <index_t N, index_t M, class T, class Arch>
std::size_t spmm_nm_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept
{
    using layout = nm_layout<N, M>;
    const index_t whole = layout::chunks(columns) * layout::columns;
    const index_t lines = whole + layout::slices(rows) * layout::rows;
    const index_t samples =
        batch < nm_tile_batch ? 1
                              : detail::spmm_most_registers<T, Arch>(batch) * simd::width<T, Arch>;
    const index_t gaps = batch < nm_tile_batch ? 0 : 8 * detail::nm_gap;
    return static_cast<std::size_t>(lines * samples + gaps) * sizeof(T) + alignment;
}

template <index_t N, index_t M, class Arch, class T>
void spmm_nm(index_t batch, const nm_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept
{
    T* const aligned = detail::spmm_aligned<T>(scratch);
    if (batch < nm_tile_batch)
    {
        for (index_t b = 0; b < batch; ++b)
        {
            detail::nm_sample<N, M, Arch>(w, x.data + b * x.row_stride, x.col_stride,
                y.data + b * y.row_stride, y.col_stride, finish, aligned);
        }
        return;
    }
    if constexpr (simd::has_picker<T, Arch, M>)
    {
        constexpr index_t most = detail::nm_most_few<Arch>;
        if (batch <= 8)
        {
            for (index_t b = 0; b < batch; b += most)
            {
                const index_t count = batch - b < most ? batch - b : most;
                (count <= 4 ? &detail::nm_few<N, M, 4, Arch, T>
                            : &detail::nm_few<N, M, most, Arch, T>)(count, w,
                    {x.data + b * x.row_stride, x.row_stride, x.col_stride},
                    {y.data + b * y.row_stride, y.row_stride, y.col_stride}, finish, aligned);
            }
            return;
        }
    }
    detail::spmm_for_samples<T, Arch>(batch,
        [&]<index_t Registers>(
            index_t first, index_t count, std::integral_constant<index_t, Registers>)
        {
            detail::nm_samples<N, M, Registers, Arch>(count, w,
                matrix_operand<T>{x.data + first * x.row_stride, x.row_stride, x.col_stride},
                spmm_result<T>{y.data + first * y.row_stride, y.row_stride, y.col_stride}, finish,
                aligned);
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_SPMM_NM(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
