/// @file
/// Products with a matrix that has one bit per element and the values of those that are set: y = x
/// W^T.
///
/// Layout. A row of W [rows, columns] has ceil(columns / 64) words of 64 bits, bit c % 64 of word c
/// / 64 for column c, none behind the last column, and the values offsets[r] .. offsets[r + 1], in
/// order.
///
/// Method. One sample: a register of x at a time, multiplied by the values that the bits of its
/// columns spread over the lanes (an instruction with AVX-512); rows are summed over lanes at the
/// end. Batches: a few registers of samples stand side by side as X^T; the bits of a row are run
/// over tile by tile, so that the tile stays in L1.
///
/// Order of summation: one sample, four parts of lanes, then over the lanes; batches, even and odd
/// non-zeros of a tile, then the tiles in order. A sample gives the same bits in every batch of at
/// least 2, and for every number of threads.
///
/// Bound: one sample with AVX-512, a register of columns per 1 to 2 cycles whatever the density, so
/// the format saves bytes rather than time: 4 bytes per non-zero and an eighth per element.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_finish.hpp>
#include <structopt/kernel/spmm_lines.hpp>
#include <structopt/simd/expand.hpp>
#include <structopt/simd/prefetch.hpp>
#include <structopt/simd/reduce.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A sparse matrix as bits and values; see the top of the file.
template <class T>
struct bitmask_operand
{
    index_t rows = 0;
    index_t columns = 0;
    const std::uint64_t* words = nullptr;
    const std::uint32_t* offsets = nullptr;
    const T* values = nullptr;

    STRUCTOPT_ALWAYS_INLINE constexpr index_t row_words() const noexcept
    {
        return (columns + 63) / 64;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::bitmask_operand;

/// Bytes of scratch of `spmm_bitmask`.
template <class T, class Arch = simd::default_arch>
std::size_t spmm_bitmask_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept;

/// y[batch, rows] = act(x[batch, columns] W^T + bias), x and y of any strides; unit strides are
/// fast. Scratch of any alignment. y must not overlap x.
template <class Arch = simd::default_arch, class T>
void spmm_bitmask(index_t batch, const bitmask_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Words of a tile of X^T: 128 columns.
inline constexpr index_t bitmask_tile = 2;

/// Rows that a thread takes at a time, so that a part is about 2^19 multiply-adds.
template <class T>
index_t bitmask_grain(const bitmask_operand<T>& w, index_t samples) noexcept
{
    const double work = static_cast<double>(w.offsets[w.rows]) * static_cast<double>(samples);
    const index_t parts = static_cast<index_t>(work / static_cast<double>(index_t{1} << 19));
    const index_t pieces = parts < 1 ? 1 : parts > 32 ? 32 : parts;
    return w.rows > 0 ? (w.rows + pieces - 1) / pieces : 1;
}

/// One row and one sample, x readable to a whole word; `end` is behind the values of all rows.
template <class Arch, class T>
T bitmask_dot(
    const std::uint64_t* words, index_t count, const T* values, const T* end, const T* x) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    if constexpr (simd::has_expand<T, Arch>)
    {
        constexpr index_t parts = 64 / lanes;
        vector sum[4] = {vector(T(0)), vector(T(0)), vector(T(0)), vector(T(0))};
        for (index_t i = 0; i < count; ++i)
        {
            const std::uint64_t word = words[i];
            const T* const own = x + i * 64;
            // Lanes without an entry count for nothing, also where x is infinite there.
            const auto add = [&](index_t p, const vector& spread, std::uint64_t mask)
                                 STRUCTOPT_LAMBDA_INLINE
            {
                sum[p % 4] =
                    simd::fma(spread, simd::load_lanes<Arch>(own + p * lanes, mask), sum[p % 4]);
            };
            constexpr std::uint64_t part = (std::uint64_t{1} << lanes) - 1;
            if (end - values >= 64)
            {
                // Whole registers are read: what is too much is not used.
                STRUCTOPT_UNROLL
                for (index_t p = 0; p < parts; ++p)
                {
                    const std::uint64_t mask = word >> (p * lanes);
                    add(p, simd::expand(simd::load<Arch>(values), mask), mask);
                    values += std::popcount(mask & part);
                }
            }
            else
            {
                STRUCTOPT_UNROLL
                for (index_t p = 0; p < parts; ++p)
                {
                    const std::uint64_t mask = (word >> (p * lanes)) & part;
                    add(p, simd::expand<Arch>(values, mask), mask);
                    values += std::popcount(mask);
                }
            }
            // A word has up to 64 values. By numbers: where there are none, they are null.
            const std::uintptr_t ahead = reinterpret_cast<std::uintptr_t>(values) + 512 * sizeof(T);
            STRUCTOPT_UNROLL
            for (std::uintptr_t p = 0; p < 64 * sizeof(T); p += 64)
            {
                simd::prefetch_near(reinterpret_cast<const T*>(ahead + p));
            }
        }
        return simd::reduce_add<T, Arch>((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    else
    {
        static_cast<void>(end);
        T even = 0;
        T odd = 0;
        for (index_t i = 0; i < count; ++i)
        {
            const T* const own = x + i * 64;
            for (std::uint64_t word = words[i]; word != 0; word &= word - 1)
            {
                even += *values++ * own[std::countr_zero(word)];
                word &= word - 1;
                if (word == 0)
                {
                    break;
                }
                odd += *values++ * own[std::countr_zero(word)];
            }
        }
        return even + odd;
    }
}

/// One sample.
template <class Arch, class T>
void bitmask_sample(const bitmask_operand<T>& w, const T* x, index_t x_step, T* y, index_t y_step,
    const spmm_finish<T>& finish, T* sample) noexcept
{
    const index_t row_words = w.row_words();
    for (index_t c = 0; c < row_words * 64; ++c)
    {
        sample[c] = c < w.columns ? x[c * x_step] : T(0);
    }
    const bool cut = finish.act == activation::relu;
    parallel_for(w.rows, bitmask_grain(w, 1),
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; ++r)
            {
                T z = bitmask_dot<Arch>(w.words + r * row_words, row_words, w.values + w.offsets[r],
                    w.values + w.offsets[w.rows], sample);
                if (finish.bias != nullptr)
                {
                    z += finish.bias[r];
                }
                y[r * y_step] = cut && z < T(0) ? T(0) : z;
            }
        });
}

/// The non-zeros of one row within a tile, for a few registers of samples; returns how many.
template <class Arch, index_t Registers, class T>
index_t bitmask_row_tile(const std::uint64_t* words, index_t count, const T* values, const T* lines,
    T* sums, bool resume) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t length = Registers * lanes;
    vector even[Registers];
    vector odd[Registers];
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        even[j] = odd[j] = vector(T(0));
    }
    const T* value = values;
    for (index_t i = 0; i < count; ++i)
    {
        std::uint64_t word = words[i];
        const T* const own = lines + i * 64 * length;
        for (index_t left = std::popcount(word) / 2; left > 0; --left)
        {
            const T* const first = own + std::countr_zero(word) * length;
            word &= word - 1;
            const T* const second = own + std::countr_zero(word) * length;
            word &= word - 1;
            const vector a = simd::broadcast<Arch>(value[0]);
            const vector b = simd::broadcast<Arch>(value[1]);
            value += 2;
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                even[j] = simd::fma(a, simd::load<Arch>(first + j * lanes), even[j]);
                odd[j] = simd::fma(b, simd::load<Arch>(second + j * lanes), odd[j]);
            }
        }
        if (word != 0)
        {
            const T* const first = own + std::countr_zero(word) * length;
            const vector a = simd::broadcast<Arch>(*value++);
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Registers; ++j)
            {
                even[j] = simd::fma(a, simd::load<Arch>(first + j * lanes), even[j]);
            }
        }
    }
    STRUCTOPT_UNROLL
    for (index_t j = 0; j < Registers; ++j)
    {
        const vector all = even[j] + odd[j];
        simd::store(sums + j * lanes, resume ? simd::load<Arch>(sums + j * lanes) + all : all);
    }
    return static_cast<index_t>(value - values);
}

/// `count` samples.
template <class Arch, index_t Registers, class T>
void bitmask_samples(index_t count, const bitmask_operand<T>& w, matrix_operand<T> x,
    spmm_result<T> y, const spmm_finish<T>& finish, T* scratch) noexcept
{
    constexpr index_t length = Registers * simd::width<T, Arch>;
    const index_t row_words = w.row_words();
    T* const lines = scratch;
    T* const sums = scratch + row_words * 64 * length;
    auto* const next = reinterpret_cast<std::uint32_t*>(sums + w.rows * length);
    spmm_fill_lines<Arch, Registers>(count, w.columns, x, lines);
    // Blocks whose sums stay in L2 while the tiles go by.
    const index_t grain = bitmask_grain(w, length);
    parallel_for(w.rows, grain < 512 ? grain : 512,
        [&](index_t first, index_t last)
        {
            for (index_t r = first; r < last; ++r)
            {
                next[r] = w.offsets[r];
            }
            for (index_t i = 0; i == 0 || i < row_words; i += bitmask_tile)
            {
                const index_t left = row_words - i;
                for (index_t r = first; r < last; ++r)
                {
                    next[r] += static_cast<std::uint32_t>(bitmask_row_tile<Arch, Registers>(
                        w.words + r * row_words + i, left < bitmask_tile ? left : bitmask_tile,
                        w.values + next[r], lines + i * 64 * length, sums + r * length, i > 0));
                }
            }
            spmm_store_lines<Arch, Registers>(
                count, last - first, sums + first * length, first, y, finish);
        });
}

} // namespace detail

template <class T, class Arch>
std::size_t spmm_bitmask_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept
{
    const index_t whole = (columns + 63) / 64 * 64;
    if (batch <= 1)
    {
        return static_cast<std::size_t>(whole) * sizeof(T) + alignment;
    }
    return static_cast<std::size_t>((whole + rows) * simd::width<T, Arch> *
                                    detail::spmm_most_registers<T, Arch>(batch)) *
               sizeof(T) +
           static_cast<std::size_t>(rows) * sizeof(std::uint32_t) + alignment;
}

template <class Arch, class T>
void spmm_bitmask(index_t batch, const bitmask_operand<T>& w, matrix_operand<T> x, spmm_result<T> y,
    const spmm_finish<T>& finish, std::byte* scratch) noexcept
{
    T* const aligned = detail::spmm_aligned<T>(scratch);
    if (batch == 1)
    {
        detail::bitmask_sample<Arch>(
            w, x.data, x.col_stride, y.data, y.col_stride, finish, aligned);
        return;
    }
    detail::spmm_for_samples<T, Arch>(batch,
        [&]<index_t Registers>(
            index_t first, index_t count, std::integral_constant<index_t, Registers>)
        {
            detail::bitmask_samples<Arch, Registers>(count, w,
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
STRUCTOPT_KERNELS_SPMM_BITMASK(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
