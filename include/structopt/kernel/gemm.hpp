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
#include <structopt/kernel/cblas.hpp>
#include <structopt/kernel/gemm_dot.hpp>
#include <structopt/kernel/gemm_turned.hpp>
#include <structopt/kernel/pack.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch that `gemm` needs at these extents, whatever the strides. Any alignment will do.
template <class T, class Arch = simd::default_arch>
std::size_t gemm_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// C[m, n] = act((accumulate ? C : 0) + A[m, k] B[k, n] + bias), C's rows `c_row_stride` apart.
///
/// With `STRUCTOPT_USE_CBLAS` the product is CBLAS's, whose order of sums is its own.
///
/// Any extent may be 0: with k == 0 the product is zero. C must not overlap the operands.
template <class T, class Arch = simd::default_arch>
void gemm(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

/// Bytes of scratch that `gemm_packed` needs.
template <class T, class Arch = simd::default_arch>
std::size_t gemm_packed_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// C[m, n] = act((accumulate ? C : 0) + A[m, k] W^T + bias), with W[n, k] packed by `pack_b` into T,
/// or float's into bfloat16: then the result has the bits of the rounded weights packed as float.
template <class T, class Arch = simd::default_arch, class W>
void gemm_packed(index_t m, index_t n, index_t k, matrix_operand<T> a, const W* packed, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Most rows of A that are multiplied along k with B = W^T in place.
inline constexpr index_t dot_rows = 16;

/// How a product is cut up; a function of the extents alone.
template <class T, class Arch>
struct gemm_plan
{
    using shape = gemm_shape<T, Arch>;

    /// Panels of C, and how many of them one part of a parallel loop takes.
    index_t panels = 0;
    index_t chunk_panels = 0;
    index_t chunks = 0;
    /// Length of the blocks of k.
    index_t depth = 0;
    /// Rows per block of A.
    index_t block_rows = 0;
    /// Panels that are packed at a time.
    index_t group_panels = 0;
    /// Few rows: A is read in place.
    bool direct = false;
    bool packs_b = false;

    gemm_plan(index_t m, index_t n, index_t k, bool pack_b) noexcept
        : direct(m <= shape::direct_rows)
        , packs_b(pack_b)
    {
        panels = (n + shape::panel - 1) / shape::panel;
        const index_t parts = worthwhile_parts(m, n, k);
        chunk_panels = ((panels + parts - 1) / parts + 3) / 4 * 4;
        chunks = (panels + chunk_panels - 1) / chunk_panels;
        const index_t longest = packs_b ? shape::packing_depth : shape::depth;
        const index_t pieces = direct && !packs_b ? 1 : (k + longest - 1) / longest;
        depth = pieces <= 1 ? (k > 0 ? k : 1) : (k + pieces - 1) / pieces;
        const index_t group = shape::packing_elements / (shape::panel * depth);
        group_panels = direct || group < 1 ? 1 : group < chunk_panels ? group : chunk_panels;
        const index_t most =
            packs_b ? shape::packing_rows * shape::packing_depth / depth : shape::block_rows;
        const index_t blocks = (m + most - 1) / most;
        block_rows = (m + blocks - 1) / blocks;
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
        return m > dot_rows && full - m < 12;
    }

    /// Elements of scratch: interleaved A, then room for packed panels, one place per chunk.
    index_t a_elements() const noexcept
    {
        return direct ? 0 : (block_rows * depth + 15) / 16 * 16;
    }
    index_t slot_elements() const noexcept
    {
        return packs_b ? shape::panel * depth * group_panels : 0;
    }
    index_t elements() const noexcept
    {
        return a_elements() + chunks * slot_elements();
    }
};

template <class T>
T* aligned_scratch(std::byte* scratch) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    return reinterpret_cast<T*>(scratch + ((64 - address % 64) % 64));
}

/// The product of at most `direct_rows` rows; `packed` is B in panels, or null: then `b` is read in
/// place where its rows are contiguous, and packed on the way elsewhere.
template <class T, class Arch, class W = T>
void gemm_direct(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const W* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

/// True if B, with contiguous rows, had better be read in place by every few rows of A: it is small,
/// or there are not enough rows for a copy to pay.
template <class T, class Arch>
constexpr bool fits_in_place(index_t m, index_t n, index_t k) noexcept
{
    using shape = gemm_shape<T, Arch>;
    return (k <= 128 && n * k <= shape::packing_elements / 2) ||
           (k <= shape::packing_depth && m <= 2 * shape::direct_rows);
}

/// The product of more rows with a small B, `fits_in_place`, whose rows are contiguous: nothing but
/// the last columns is copied.
template <class T, class Arch>
void gemm_in_place(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T* c,
    index_t c_row_stride, const epilogue<T>& e, T* scratch) noexcept;

/// The product of any number of rows; `packed` is B in panels, or null to pack `b` on the way.
template <class T, class Arch, class W = T>
void gemm_blocked(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const W* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept;

} // namespace detail

template <class T, class Arch>
std::size_t gemm_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const detail::gemm_plan<T, Arch> plan(m, n, k, true);
    index_t elements = plan.elements();
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
#ifdef STRUCTOPT_USE_CBLAS
    if (detail::fits_cblas(m, n, k, a, b, c_row_stride))
    {
        detail::gemm_cblas(m, n, k, a, b, c, c_row_stride, e);
        return;
    }
#endif
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
    if (m > plan::shape::direct_rows && b.col_stride == 1 &&
        detail::fits_in_place<T, Arch>(m, n, k))
    {
        detail::gemm_in_place<T, Arch>(
            m, n, k, a, b, c, c_row_stride, e, detail::aligned_scratch<T>(scratch));
        return;
    }
    (m <= detail::gemm_plan<T, Arch>::shape::direct_rows
            ? &detail::gemm_direct<T, Arch>
            : &detail::gemm_blocked<T, Arch>)(m, n, k, a, b, nullptr, c, c_row_stride, e, scratch);
}

template <class T, class Arch>
std::size_t gemm_packed_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const detail::gemm_plan<T, Arch> plan(m, n, k, false);
    return plan.direct ? 0 : static_cast<std::size_t>(plan.elements()) * sizeof(T) + 64;
}

template <class T, class Arch, class W>
void gemm_packed(index_t m, index_t n, index_t k, matrix_operand<T> a, const W* packed, T* c,
    index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return;
    }
    (m <= gemm_shape<T, Arch>::direct_rows ? &detail::gemm_direct<T, Arch, W>
                                           : &detail::gemm_blocked<T, Arch, W>)(m, n, k, a,
        matrix_operand<T>{}, packed, c, c_row_stride, e, scratch);
}

namespace detail
{

template <class T, class Arch, class W>
void gemm_direct(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const W* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    using shape = gemm_shape<T, Arch>;
    const gemm_plan<T, Arch> plan(m, n, k, packed == nullptr);
    T* const slots = packed == nullptr ? aligned_scratch<T>(scratch) : nullptr;
    const index_t wide = shape::panels(m);
    parallel_for(plan.panels, plan.chunk_panels,
        [&](index_t first, index_t end)
        {
            tile_arguments<T, W> t{};
            t.a_row = a.row_stride;
            t.a_step = a.col_stride;
            t.c_row = c_row_stride;
            t.row_bias = e.row_bias;
            t.act = e.act;
            for (index_t p = first; p < end;)
            {
                const index_t column = p * shape::panel;
                const index_t left = n - column;
                const bool many = end - p >= wide;
                index_t count = many ? wide : 1;
                t.a = a.data;
                t.c = c + column;
                t.bias = e.bias == nullptr ? nullptr : e.bias + column;
                if (packed != nullptr)
                {
                    t.b = packed + column * k;
                    t.b_step = shape::panel;
                    t.b_panel = shape::panel * k;
                }
                else if constexpr (!std::is_same_v<T, W>)
                {
                    STRUCTOPT_ASSERT(packed != nullptr);
                }
                else if (b.col_stride == 1 && left >= shape::panel)
                {
                    count = left >= count * shape::panel ? count : 1;
                    t.b = b.data + column;
                    t.b_step = b.row_stride;
                    t.b_panel = shape::panel;
                }
                else
                {
                    // Through a slot, one block of k after the other.
                    T* const slot = slots + first / plan.chunk_panels * plan.slot_elements();
                    t.b = slot;
                    t.b_step = shape::panel;
                    t.columns = left < shape::panel ? left : shape::panel;
                    for (index_t from = 0; from == 0 || from < k; from += plan.depth)
                    {
                        t.depth = k - from < plan.depth ? k - from : plan.depth;
                        t.a = a.data + from * a.col_stride;
                        t.resume = e.accumulate || from > 0;
                        t.finish = from + t.depth >= k;
                        pack_panel<T, Arch>(t.columns, t.depth, shifted(b, from, column), slot);
                        direct_tile<T, Arch>(m, false)(t);
                    }
                    ++p;
                    continue;
                }
                t.depth = k;
                t.resume = e.accumulate;
                t.finish = true;
                t.columns = left < count * shape::panel ? left : count * shape::panel;
                direct_tile<T, Arch, W>(m, count > 1)(t);
                p += count;
            }
        });
}

template <class T, class Arch>
void gemm_in_place(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b, T* c,
    index_t c_row_stride, const epilogue<T>& e, T* scratch) noexcept
{
    using shape = gemm_shape<T, Arch>;
    const index_t groups = (m + shape::direct_rows - 1) / shape::direct_rows;
    const index_t low = m / groups;
    const index_t higher = m % groups;
    tile_arguments<T> t{};
    t.depth = k;
    t.a_row = a.row_stride;
    t.a_step = a.col_stride;
    t.c_row = c_row_stride;
    t.resume = e.accumulate;
    t.finish = true;
    t.act = e.act;
    for (index_t column = 0; column < n; column += shape::panel)
    {
        t.columns = n - column < shape::panel ? n - column : shape::panel;
        t.b = b.data + column;
        t.b_step = b.row_stride;
        if (t.columns < shape::panel)
        {
            pack_panel<T, Arch>(t.columns, k, shifted(b, 0, column), scratch);
            t.b = scratch;
            t.b_step = shape::panel;
        }
        t.bias = e.bias == nullptr ? nullptr : e.bias + column;
        index_t row = 0;
        for (index_t i = 0; i < groups; ++i)
        {
            const index_t rows = low + (i < higher ? 1 : 0);
            t.a = a.data + row * a.row_stride;
            t.c = c + row * c_row_stride + column;
            t.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row;
            direct_tile<T, Arch>(rows, false)(t);
            row += rows;
        }
    }
}

template <class T, class Arch, class W>
void gemm_blocked(index_t m, index_t n, index_t k, matrix_operand<T> a, matrix_operand<T> b,
    const W* packed, T* c, index_t c_row_stride, const epilogue<T>& e, std::byte* scratch) noexcept
{
    using shape = gemm_shape<T, Arch>;
    const gemm_plan<T, Arch> plan(m, n, k, packed == nullptr);
    T* const interleaved = aligned_scratch<T>(scratch);
    T* const slots = interleaved + plan.a_elements();

    for (index_t row = 0; row < m; row += plan.block_rows)
    {
        // Tiles of nearly equal height: none is so low that it cannot keep the units busy.
        const index_t rows = m - row < plan.block_rows ? m - row : plan.block_rows;
        const index_t tiles = (rows + shape::rows - 1) / shape::rows;
        const index_t low = rows / tiles;
        const index_t higher = rows % tiles;
        const auto height = [low, higher](index_t tile) noexcept
        {
            return low + (tile < higher ? 1 : 0);
        };
        for (index_t from = 0; from == 0 || from < k; from += plan.depth)
        {
            const index_t depth = k - from < plan.depth ? k - from : plan.depth;
            interleave_tiles<T, Arch>(
                tiles, low, higher, depth, shifted(a, row, from), interleaved);
            parallel_for(plan.panels, plan.chunk_panels,
                [&](index_t first, index_t end)
                {
                    T* const slot = slots + first / plan.chunk_panels * plan.slot_elements();
                    tile_arguments<T, W> t{};
                    t.depth = depth;
                    t.b_step = shape::panel;
                    t.c_row = c_row_stride;
                    t.resume = e.accumulate || from > 0;
                    t.finish = from + depth >= k;
                    t.act = e.act;
                    const auto run = [&](index_t p, index_t tile, index_t at)
                    {
                        const index_t column = p * shape::panel;
                        const index_t left = n - column;
                        t.columns = left < shape::panel ? left : shape::panel;
                        t.bias = e.bias == nullptr ? nullptr : e.bias + column;
                        t.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row + at;
                        t.a = interleaved + at * depth;
                        t.c = c + (row + at) * c_row_stride + column;
                        interleaved_tile<T, Arch, W>(height(tile), left <= shape::panel / 2)(t);
                    };
                    if (packed != nullptr)
                    {
                        // A panel serves all tiles; each asks for its share of the next panel.
                        const index_t share = (shape::panel + tiles - 1) / tiles;
                        t.ahead_step = share;
                        for (index_t p = first; p < end; ++p)
                        {
                            t.b = packed + p * shape::panel * k + from * shape::panel;
                            for (index_t i = 0, at = 0; i < tiles; at += height(i), ++i)
                            {
                                t.ahead = t.b + shape::panel * k + i * share * depth;
                                run(p, i, at);
                            }
                        }
                        return;
                    }
                    if constexpr (std::is_same_v<T, W>)
                    {
                        // As many panels as a near cache holds are packed; a tile of A serves them all,
                        // and C is written along its rows.
                        for (index_t group = first; group < end; group += plan.group_panels)
                        {
                            const index_t last =
                                end - group < plan.group_panels ? end : group + plan.group_panels;
                            const index_t left = n - group * shape::panel;
                            const index_t whole = (last - group) * shape::panel;
                            pack_panels<T, Arch>(left < whole ? left : whole, depth,
                                shifted(b, from, group * shape::panel), slot);
                            for (index_t i = 0, at = 0; i < tiles; at += height(i), ++i)
                            {
                                for (index_t p = group; p < last; ++p)
                                {
                                    t.b = slot + (p - group) * shape::panel * depth;
                                    t.ahead = t.b;
                                    run(p, i, at);
                                }
                            }
                        }
                    }
                });
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_GEMM(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
