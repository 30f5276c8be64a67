/// @file
/// A dense product sampled at the non-zeros of a matrix in compressed sparse rows: the gradient of a
/// sparse weight, g += dy^T x at stored positions only.
///
/// Layout. g [rows, columns] as W in spmm_csr.hpp; dy is [batch, rows] and x [batch, columns], with
/// any strides. Up to 256 samples at a time are turned into scratch, dY^T [rows][samples] and
/// X^T [columns][samples], so that a non-zero is the product of two contiguous lines. One register
/// collects each of `width` non-zeros; their square is turned and summed at the end. The order
/// within an element depends on the architecture alone.
///
/// Bound: one register read per multiply-add, and for each non-zero the turning of one register.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/spmm_tile.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/transpose.hpp>

#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `sddmm_csr`: dy and x of at most 256 samples, padded to whole registers.
template <class T, class Arch = simd::default_arch>
std::size_t sddmm_csr_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept;

/// g[r, c] += sum over b of dy[b, r] x[b, c] for the stored (r, c). Scratch of any alignment.
template <class Arch = simd::default_arch, class T, class Index, class Offset>
void sddmm_csr(index_t batch, index_t rows, index_t columns, T* g, const Index* indices,
    const Offset* offsets, const T* dy, index_t dy_row, index_t dy_column, const T* x,
    index_t x_row, index_t x_column, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Samples that are turned at once.
inline constexpr index_t sddmm_samples = 256;

template <class T, class Arch>
constexpr index_t sddmm_padded(index_t batch) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const index_t samples = batch < sddmm_samples ? batch : sddmm_samples;
    return (samples + lanes - 1) / lanes * lanes;
}

/// lines[c * stride + l] = x[l * x_row + c * x_column] for `count` samples l, zeros up to `stride`.
template <class Arch, class T>
void sddmm_turn(index_t count, index_t columns, const T* x, index_t x_row, index_t x_column,
    T* lines, index_t stride) noexcept
{
    // A thread is worth waking for about 2^17 elements; whole registers of columns.
    const index_t grain = (index_t{1} << 17) / stride / 64 * 64 + 64;
    parallel_for(columns, grain,
        [&](index_t first, index_t last)
        {
            spmm_fill_tile<T, Arch>(count, last - first, x + first * x_column, x_row, x_column,
                lines + first * stride, stride);
        });
}

/// Non-zeros [first, last) of one row: `line` is that row of dY^T, `x` is X^T, both of `stride`
/// samples.
template <class Arch, class T, class Index>
void sddmm_row(index_t first, index_t last, T* g, const Index* indices, const T* line, const T* x,
    index_t stride) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    using batch = simd::batch<T, Arch>;
    for (index_t i = first; i < last; i += lanes)
    {
        const index_t count = last - i < lanes ? last - i : lanes;
        batch square[static_cast<std::size_t>(lanes)];
        STRUCTOPT_UNROLL
        for (index_t k = 0; k < lanes; ++k)
        {
            // Past the end the last non-zero is computed again, and dropped.
            const index_t at = k < count ? i + k : last - 1;
            const T* const column = x + static_cast<index_t>(indices[at]) * stride;
            batch sum = simd::load<Arch>(line) * simd::load<Arch>(column);
            for (index_t j = lanes; j < stride; j += lanes)
            {
                sum = simd::fma(simd::load<Arch>(line + j), simd::load<Arch>(column + j), sum);
            }
            square[k] = sum;
        }
        simd::transpose<T, Arch>(square);
        STRUCTOPT_UNROLL
        for (index_t half = lanes / 2; half > 0; half /= 2)
        {
            STRUCTOPT_UNROLL
            for (index_t k = 0; k < half; ++k)
            {
                square[k] = square[k] + square[k + half];
            }
        }
        if (count == lanes)
        {
            simd::store(g + i, simd::load<Arch>(g + i) + square[0]);
        }
        else
        {
            simd::store_tail(g + i, simd::load_tail<Arch>(g + i, count) + square[0], count);
        }
    }
}

} // namespace detail

template <class T, class Arch>
std::size_t sddmm_csr_scratch_bytes(index_t batch, index_t rows, index_t columns) noexcept
{
    return static_cast<std::size_t>((rows + columns) * detail::sddmm_padded<T, Arch>(batch)) *
               sizeof(T) +
           64;
}

template <class Arch, class T, class Index, class Offset>
void sddmm_csr(index_t batch, index_t rows, index_t columns, T* g, const Index* indices,
    const Offset* offsets, const T* dy, index_t dy_row, index_t dy_column, const T* x,
    index_t x_row, index_t x_column, std::byte* scratch) noexcept
{
    const index_t stride = detail::sddmm_padded<T, Arch>(batch);
    T* const slopes = detail::spmm_tile_start<T>(scratch);
    T* const features = slopes + rows * stride;
    for (index_t first = 0; first < batch; first += detail::sddmm_samples)
    {
        const index_t count =
            batch - first < detail::sddmm_samples ? batch - first : detail::sddmm_samples;
        detail::sddmm_turn<Arch>(
            count, rows, dy + first * dy_row, dy_row, dy_column, slopes, stride);
        detail::sddmm_turn<Arch>(
            count, columns, x + first * x_row, x_row, x_column, features, stride);
        detail::spmm_for_rows<Arch, T>(rows, offsets, count,
            [&](index_t from, index_t to)
            {
                for (index_t r = from; r < to; ++r)
                {
                    detail::sddmm_row<Arch>(static_cast<index_t>(offsets[r]),
                        static_cast<index_t>(offsets[r + 1]), g, indices, slopes + r * stride,
                        features, stride);
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
STRUCTOPT_KERNELS_SDDMM_CSR(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
