/// @file
/// Products by a matrix of low rank, kept as two factors: Y = (X V^T) U^T, with W[n, k] = U[n, r] V[r, k].
///
/// Rows of X are taken in blocks whose intermediate [rows, r] stays in the near cache, between two
/// products by packed factors. r (n + k) multiply-adds per row instead of n k: fewer for r below
/// n k / (n + k).
#pragma once

#include <structopt/kernel/gemm.hpp>

#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `low_rank_packed`. Any alignment will do.
template <class T, class Arch = simd::default_arch>
std::size_t low_rank_scratch_bytes(index_t m, index_t n, index_t k, index_t rank) noexcept;

/// C[m, n] = act((accumulate ? C : 0) + (A[m, k] V^T) U^T + bias), C's rows `c_row_stride` apart.
///
/// `v` is V[rank, k] and `u` is U[n, rank], packed by `pack_b`. The intermediate is rounded to T once
/// per element, so a row has the same bits in every batch and for every number of threads.
template <class T, class Arch = simd::default_arch, class W>
void low_rank_packed(index_t m, index_t n, index_t k, index_t rank, matrix_operand<T> a, const W* v,
    const W* u, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Rows per block: an intermediate of at most 128 KiB, in whole tiles.
template <class T, class Arch>
constexpr index_t low_rank_rows(index_t m, index_t rank) noexcept
{
    constexpr index_t tile = gemm_shape<T, Arch>::rows;
    const index_t fits = 131072 / static_cast<index_t>(sizeof(T)) / (rank > 0 ? rank : 1);
    const index_t rows = fits / tile * tile > 4 * tile ? fits / tile * tile : 4 * tile;
    return rows < m ? rows : m;
}

} // namespace detail

template <class T, class Arch>
std::size_t low_rank_scratch_bytes(index_t m, index_t n, index_t k, index_t rank) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const index_t rows = detail::low_rank_rows<T, Arch>(m, rank);
    std::size_t most = 0;
    // The last block may be smaller, and a product of few rows is made in another way.
    for (const index_t block : {rows, m % rows})
    {
        for (const std::size_t bytes : {gemm_packed_scratch_bytes<T, Arch>(block, rank, k),
                 gemm_packed_scratch_bytes<T, Arch>(block, n, rank)})
        {
            most = bytes > most ? bytes : most;
        }
    }
    return 64 + static_cast<std::size_t>((rows * rank + 15) / 16 * 16) * sizeof(T) + most;
}

template <class T, class Arch, class W>
void low_rank_packed(index_t m, index_t n, index_t k, index_t rank, matrix_operand<T> a, const W* v,
    const W* u, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return;
    }
    const index_t rows = detail::low_rank_rows<T, Arch>(m, rank);
    T* const middle = detail::aligned_scratch<T>(scratch);
    auto* const rest = reinterpret_cast<std::byte*>(middle + (rows * rank + 15) / 16 * 16);
    for (index_t row = 0; row < m; row += rows)
    {
        const index_t count = m - row < rows ? m - row : rows;
        gemm_packed<T, Arch>(
            count, rank, k, detail::shifted(a, row, 0), v, middle, rank, epilogue<T>{}, rest);
        epilogue<T> finish = e;
        finish.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row;
        gemm_packed<T, Arch>(count, n, rank, {middle, rank, 1}, u, c + row * c_row_stride,
            c_row_stride, finish, rest);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_LOW_RANK(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
