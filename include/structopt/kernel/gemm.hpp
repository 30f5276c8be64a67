/// @file
/// Dense products of any shape and layout, and of a matrix that was packed once.
///
/// | product | A | B |
/// |---|---|---|
/// | Y[b, n] = X[b, k] W[n, k]^T | {x, k, 1} | {w, 1, k} |
/// | dX[b, k] = dY[b, n] W[n, k] | {dy, n, 1} | {w, k, 1} |
/// | dW[n, k] += dY[b, n]^T X[b, k] | {dy, 1, n} | {x, k, 1} |
///
/// Raw pointers of any alignment, no allocation, no exceptions. Large products are spread over
/// threads with `parallel_for`; blocks depend on the extents alone, so results are bit-equal for
/// every number of threads.
///
/// Order of summation: `gemm_packed` computes each element of C as one chain of multiply-adds over
/// k, in order, so a row of C has the same bits whatever the number of rows it came with. So does
/// `gemm`, with one exception: with B = W^T in place, a product of at most `dot_rows` rows sums as
/// `gemm_dot` says. A row then has the same bits in every batch of up to `dot_rows`, and the same
/// bits in every larger batch, but the two may differ in the last places.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/gemm_dot.hpp>
#include <structopt/kernel/gemm_turned.hpp>
#include <structopt/kernel/pack.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch that `gemm` needs at these extents, whatever the strides. Any alignment will do.
template <class T, class Arch = simd::default_arch>
std::size_t gemm_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// C[m, n] = act((accumulate ? C : 0) + A[m, k] B[k, n] + bias), C's rows `c_row_stride` apart.
///
/// Any extent may be 0: with k == 0 the product is zero. C must not overlap the operands.
template <class T, class Arch = simd::default_arch>
void gemm(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

/// Bytes of scratch that `gemm_packed` needs.
template <class T, class Arch = simd::default_arch>
std::size_t gemm_packed_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// C[m, n] = act((accumulate ? C : 0) + A[m, k] W^T + bias), with W[n, k] packed by `pack_b`.
template <class T, class Arch = simd::default_arch>
void gemm_packed(index_t m, index_t n, index_t k, matrix_operand<T> a, const T* packed, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The ways to a product. All but `dot` give the same bits.
enum class gemm_path
{
    tiles,
    dot,
    turned
};

/// Most rows of A that are multiplied along k with B = W^T in place.
inline constexpr index_t dot_rows = 16;

/// How a product is cut up; a function of the extents alone.
template <class T, class Arch>
struct gemm_plan
{
    using shape = gemm_shape<T, Arch>;

    index_t depth = 0;
    index_t block_rows = 0;
    bool direct = false;
    index_t panels = 0;
    index_t chunk_panels = 0;
    index_t chunks = 0;

    gemm_plan(index_t m, index_t n, index_t k, bool pack_b) noexcept
    {
        direct = m <= shape::direct_rows;
        const index_t pieces = direct && !pack_b ? 1 : (k + shape::depth - 1) / shape::depth;
        depth = pieces <= 1 ? k : (k + pieces - 1) / pieces;
        const index_t blocks = (m + shape::block_rows - 1) / shape::block_rows;
        block_rows = (m + blocks - 1) / blocks;
        panels = (n + shape::panel - 1) / shape::panel;
        const index_t parts = worthwhile_parts(m, n, k);
        chunk_panels = ((panels + parts - 1) / parts + 3) / 4 * 4;
        chunks = (panels + chunk_panels - 1) / chunk_panels;
    }

    /// A thread is worth waking for about 2^19 multiply-adds; at most 32 parts.
    static index_t worthwhile_parts(index_t m, index_t n, index_t k) noexcept
    {
        const double work = static_cast<double>(m) * static_cast<double>(n) *
                            static_cast<double>(k) / static_cast<double>(index_t{1} << 19);
        return work >= 32.0 ? 32 : work < 2.0 ? 1 : static_cast<index_t>(work);
    }

    /// Blocks of the turned product per part.
    static index_t turned_chunk(index_t m, index_t n, index_t k) noexcept
    {
        const index_t parts = worthwhile_parts(m, n, k);
        const index_t blocks = (n + turned_block<T, Arch> - 1) / turned_block<T, Arch>;
        return (blocks + parts - 1) / parts;
    }

    /// True if turning is expected to beat packing B: what is lost by filling up the last panel of
    /// rows must be less than what packing costs.
    static bool worth_turning(index_t m) noexcept
    {
        const index_t full = (m + shape::panel - 1) / shape::panel * shape::panel;
        return m > dot_rows && m <= 2 * turned_pass<T, Arch> && full - m < 12;
    }

    index_t a_elements() const noexcept
    {
        return direct ? 0 : (block_rows * depth + 15) / 16 * 16;
    }
    index_t slot_elements() const noexcept
    {
        return shape::panel * depth;
    }
};

template <class T>
T* aligned_scratch(std::byte* scratch) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    return reinterpret_cast<T*>(scratch + ((64 - address % 64) % 64));
}

/// The product by register tiles; `packed` is B in panels, or null to pack `b` on the way.
template <class T, class Arch>
void gemm_tiled(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const T* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

} // namespace detail

template <class T, class Arch>
std::size_t gemm_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const detail::gemm_plan<T, Arch> plan(m, n, k, true);
    index_t elements = plan.a_elements() + plan.chunks * plan.slot_elements();
    if (plan.worth_turning(m))
    {
        const index_t turned = detail::turned_elements<T, Arch>(n, k, plan.turned_chunk(m, n, k));
        elements = turned > elements ? turned : elements;
    }
    return static_cast<std::size_t>(elements) * sizeof(T) + 64;
}

template <class T, class Arch>
void gemm(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    using plan = detail::gemm_plan<T, Arch>;
    if (m <= 0 || n <= 0)
    {
        return;
    }
    if (a.col_stride == 1 && b.row_stride == 1)
    {
        if (m <= detail::dot_rows)
        {
            const index_t chunk =
                (n + plan::worthwhile_parts(m, n, k) - 1) / plan::worthwhile_parts(m, n, k);
            parallel_for(n, chunk,
                [&](index_t first, index_t last)
                {
                    detail::gemm_dot<T, Arch>(m, first, last, k, a.data, a.row_stride, b.data,
                        b.col_stride, c, c_row_stride, e);
                });
            return;
        }
        if (!e.accumulate && plan::worth_turning(m))
        {
            detail::gemm_turned<T, Arch>(m, n, k, a.data, a.row_stride, b.data, b.col_stride, c,
                c_row_stride, e, plan::turned_chunk(m, n, k), detail::aligned_scratch<T>(scratch));
            return;
        }
    }
    detail::gemm_tiled<T, Arch>(m, n, k, a, b, nullptr, c, c_row_stride, e, scratch);
}

template <class T, class Arch>
std::size_t gemm_packed_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const detail::gemm_plan<T, Arch> plan(m, n, k, false);
    return plan.direct ? 0 : static_cast<std::size_t>(plan.a_elements()) * sizeof(T) + 64;
}

template <class T, class Arch>
void gemm_packed(index_t m, index_t n, index_t k, matrix_operand<T> a, const T* packed, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    detail::gemm_tiled<T, Arch>(
        m, n, k, a, matrix_operand<T>{}, packed, c, c_row_stride, e, scratch);
}

namespace detail
{

template <class T, class Arch>
void gemm_tiled(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const T* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    using shape = gemm_shape<T, Arch>;
    if (m <= 0 || n <= 0)
    {
        return;
    }
    const gemm_plan<T, Arch> plan(m, n, k, packed == nullptr);
    T* const rows_scratch = aligned_scratch<T>(scratch);
    T* const panel_scratch = rows_scratch + plan.a_elements();

    for (index_t row = 0; row < m; row += plan.block_rows)
    {
        const index_t rows = m - row < plan.block_rows ? m - row : plan.block_rows;
        const index_t tiles = plan.direct ? 1 : (rows + shape::rows - 1) / shape::rows;
        const index_t height = rows / tiles;
        const index_t higher = rows % tiles;
        const bool direct = rows <= shape::direct_rows;

        index_t from = 0;
        do
        {
            const index_t depth = k - from < plan.depth ? k - from : plan.depth;
            if (!direct)
            {
                index_t at = 0;
                for (index_t t = 0; t < tiles; ++t)
                {
                    const index_t high = height + (t < higher ? 1 : 0);
                    interleave<T, Arch>(
                        high, depth, shifted(a, row + at, from), rows_scratch + at * depth);
                    at += high;
                }
            }
            const bool last = from + depth >= k;
            parallel_for(plan.panels, plan.chunk_panels,
                [&](index_t first, index_t end)
                {
                    T* const slot =
                        panel_scratch + first / plan.chunk_panels * plan.slot_elements();
                    tile_arguments<T> t{};
                    t.depth = depth;
                    t.resume = e.accumulate || from > 0;
                    t.finish = last;
                    t.act = e.act;
                    t.c_row = c_row_stride;
                    for (index_t p = first; p < end;)
                    {
                        const index_t column = p * shape::panel;
                        index_t count = 1;
                        if (packed != nullptr)
                        {
                            t.b = packed + column * k + from * shape::panel;
                            t.b_step = shape::panel;
                            t.b_panel = shape::panel * k;
                        }
                        const index_t left = n - column;
                        if (packed == nullptr && direct && b.col_stride == 1 &&
                            left >= shape::panel)
                        {
                            t.b = b.data + from * b.row_stride + column;
                            t.b_step = b.row_stride;
                            t.b_panel = shape::panel;
                        }
                        else if (packed == nullptr)
                        {
                            pack_panel<T, Arch>(left < shape::panel ? left : shape::panel, depth,
                                shifted(b, from, column), slot);
                            t.b = slot;
                            t.b_step = shape::panel;
                            t.b_panel = 0;
                        }
                        const index_t wide = shape::panels(rows);
                        if (direct && t.b != slot && end - p >= wide &&
                            (packed != nullptr || left >= wide * shape::panel))
                        {
                            count = wide;
                        }
                        t.columns = left < count * shape::panel ? left : count * shape::panel;
                        t.bias = e.bias == nullptr ? nullptr : e.bias + column;
                        index_t at = 0;
                        for (index_t i = 0; i < tiles; ++i)
                        {
                            const index_t high = height + (i < higher ? 1 : 0);
                            t.c = c + (row + at) * c_row_stride + column;
                            t.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row + at;
                            if (direct)
                            {
                                t.a = a.data + row * a.row_stride + from * a.col_stride;
                                t.a_row = a.row_stride;
                                t.a_step = a.col_stride;
                                direct_tile<T, Arch>(high, count > 1)(t);
                            }
                            else
                            {
                                t.a = rows_scratch + at * depth;
                                if (packed != nullptr)
                                {
                                    // The tiles share out the next panel evenly.
                                    const index_t share = (shape::panel + tiles - 1) / tiles;
                                    t.ahead = t.b + shape::panel * k + i * share * depth;
                                    t.ahead_step = share;
                                }
                                interleaved_tile<T, Arch>(high, left <= shape::panel / 2)(t);
                            }
                            at += high;
                        }
                        p += count;
                    }
                });
            from += depth;
        } while (from < k);
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
