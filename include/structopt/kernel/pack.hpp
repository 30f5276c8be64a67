/// @file
/// Copies of operands in the order that the dense kernels read them.
///
/// A is interleaved: for each k, the rows of one tile next to each other. B is cut into panels of
/// `gemm_shape::panel` columns: panel p holds, for each k, the columns p * panel ... as one row of
/// `panel` elements; columns past the end are zeros. A packed matrix is its panels in order, each
/// over the whole of k.
#pragma once

#include <structopt/kernel/gemm_tile.hpp>
#include <structopt/simd/transpose.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Elements of a packed W[n, k] (columns of B = W^T are the rows of W).
template <class T, class Arch = simd::default_arch>
constexpr index_t packed_size(index_t n, index_t k) noexcept;

/// Packs W[n, k], whose rows start `row_stride` elements apart, into `packed_size(n, k)` elements: of
/// type T, or float's rounded to bfloat16.
template <class T, class Arch = simd::default_arch>
void pack_b(index_t n, index_t k, const T* w, index_t row_stride, T* packed) noexcept;

template <class T, class Arch = simd::default_arch>
void pack_b(index_t n, index_t k, const float* w, index_t row_stride, bfloat16* packed) noexcept;

/// The inverse of `pack_b`: the canonical W[n, k] again, bit for bit what was packed.
template <class T, class Arch = simd::default_arch>
void unpack_b(index_t n, index_t k, const T* packed, T* w, index_t row_stride) noexcept;

template <class T, class Arch = simd::default_arch>
void unpack_b(index_t n, index_t k, const bfloat16* packed, float* w, index_t row_stride) noexcept;

namespace detail
{

/// to[k * rows + i] = a(i, k).
template <class T, class Arch>
void interleave(index_t rows, index_t depth, matrix_operand<T> a, T* to) noexcept;

/// `tiles` tiles of rows, one behind the other: the first `higher` of them have `height` + 1 rows,
/// the others `height`.
template <class T, class Arch>
void interleave_tiles(index_t tiles, index_t height, index_t higher, index_t depth,
    matrix_operand<T> a, T* to) noexcept;

/// One panel: to[k * panel + j] = b(k, j) for j < columns, else 0.
template <class T, class Arch>
void pack_panel(index_t columns, index_t depth, matrix_operand<T> b, T* to) noexcept;

/// Consecutive panels, each over the whole of `depth`.
template <class T, class Arch>
void pack_panels(index_t columns, index_t depth, matrix_operand<T> b, T* to) noexcept;

/// Start of the operand at (i, j).
template <class T>
constexpr matrix_operand<T> shifted(matrix_operand<T> x, index_t i, index_t j) noexcept
{
    return {x.data + i * x.row_stride + j * x.col_stride, x.row_stride, x.col_stride};
}

} // namespace detail

// ---------------------------------------------------------------------------------------------

template <class T, class Arch>
constexpr index_t packed_size(index_t n, index_t k) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    return (n + panel - 1) / panel * panel * k;
}

template <class T, class Arch>
void pack_b(index_t n, index_t k, const T* w, index_t row_stride, T* packed) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    for (index_t j = 0; k > 0 && j < n; j += panel)
    {
        detail::pack_panel<T, Arch>(n - j < panel ? n - j : panel, k,
            matrix_operand<T>{w + j * row_stride, 1, row_stride}, packed + j * k);
    }
}

template <class T, class Arch>
void pack_b(index_t n, index_t k, const float* w, index_t row_stride, bfloat16* packed) noexcept
{
    constexpr index_t panel = gemm_shape<float, Arch>::panel;
    for (index_t j = 0; k > 0 && j < n; j += panel)
    {
        for (index_t i = 0; i < k; ++i)
        {
            bfloat16* const row = packed + j * k + i * panel;
            for (index_t c = 0; c < panel; ++c)
            {
                row[simd::pair_position<Arch>(c)] =
                    bfloat16(j + c < n ? w[(j + c) * row_stride + i] : 0.0f);
            }
        }
    }
}

template <class T, class Arch>
void unpack_b(index_t n, index_t k, const bfloat16* packed, float* w, index_t row_stride) noexcept
{
    constexpr index_t panel = gemm_shape<float, Arch>::panel;
    for (index_t j = 0; j < n && k > 0; ++j)
    {
        const bfloat16* from =
            packed + j / panel * panel * k + simd::pair_position<Arch>(j % panel);
        for (index_t i = 0; i < k; ++i)
        {
            w[j * row_stride + i] = static_cast<float>(from[i * panel]);
        }
    }
}

template <class T, class Arch>
void unpack_b(index_t n, index_t k, const T* packed, T* w, index_t row_stride) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    for (index_t j = 0; j < n && k > 0; ++j)
    {
        const T* from = packed + j / panel * panel * k + j % panel;
        for (index_t i = 0; i < k; ++i)
        {
            w[j * row_stride + i] = from[i * panel];
        }
    }
}

namespace detail
{

/// Loads `count` registers, one per line of `stride` elements, `left` elements of each, and turns
/// them; lines that do not exist are zeros.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void load_turned(const T* from, index_t stride, index_t count, index_t left,
    simd::batch<T, Arch> (&square)[static_cast<std::size_t>(simd::width<T, Arch>)]) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    if (count == lanes && left >= lanes)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < lanes; ++i)
        {
            square[i] = simd::load<Arch>(from + i * stride);
        }
    }
    else
    {
        const index_t length = left < lanes ? left : lanes;
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < lanes; ++i)
        {
            square[i] = i < count ? simd::load_tail<Arch>(from + i * stride, length)
                                  : simd::batch<T, Arch>(T(0));
        }
    }
    simd::transpose<T, Arch>(square);
}

template <class T, class Arch>
void interleave(index_t rows, index_t depth, matrix_operand<T> a, T* to) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    using vector = simd::batch<T, Arch>;
    if (a.col_stride == 1)
    {
        for (index_t i = 0; i < rows; i += lanes)
        {
            const index_t count = rows - i < lanes ? rows - i : lanes;
            for (index_t k = 0; k < depth; k += lanes)
            {
                vector square[static_cast<std::size_t>(lanes)];
                const index_t left = depth - k < lanes ? depth - k : lanes;
                load_turned<T, Arch>(
                    a.data + i * a.row_stride + k, a.row_stride, count, left, square);
                T* const first = to + k * rows + i;
                // What a whole register writes past the rows is written again by the next k.
                if (count == lanes ||
                    (rows <= lanes && (k + lanes - 1) * rows + lanes <= depth * rows))
                {
                    STRUCTOPT_UNROLL
                    for (index_t j = 0; j < lanes; ++j)
                    {
                        if (j < left)
                        {
                            simd::store(first + j * rows, square[j]);
                        }
                    }
                }
                else
                {
                    STRUCTOPT_UNROLL
                    for (index_t j = 0; j < lanes; ++j)
                    {
                        if (j < left)
                        {
                            simd::store_tail(first + j * rows, square[j], count);
                        }
                    }
                }
            }
        }
        return;
    }
    if (a.row_stride == 1)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            const T* const from = a.data + k * a.col_stride;
            T* const first = to + k * rows;
            index_t i = 0;
            for (; i + lanes <= rows; i += lanes)
            {
                simd::store(first + i, simd::load<Arch>(from + i));
            }
            if (i < rows)
            {
                simd::store_tail(first + i, simd::load_tail<Arch>(from + i, rows - i), rows - i);
            }
        }
        return;
    }
    for (index_t i = 0; i < rows; ++i)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            to[k * rows + i] = a.data[i * a.row_stride + k * a.col_stride];
        }
    }
}

template <class T, class Arch>
void interleave_tiles(index_t tiles, index_t height, index_t higher, index_t depth,
    matrix_operand<T> a, T* to) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    if (a.row_stride != 1 || a.col_stride == 1 || height + 1 > lanes)
    {
        for (index_t i = 0, at = 0; i < tiles; ++i)
        {
            const index_t rows = height + (i < higher ? 1 : 0);
            interleave<T, Arch>(rows, depth,
                {a.data + at * a.row_stride, a.row_stride, a.col_stride}, to + at * depth);
            at += rows;
        }
        return;
    }
    // Along the lines of A, which run across the tiles.
    for (index_t k = 0; k < depth; ++k)
    {
        const T* from = a.data + k * a.col_stride;
        T* place = to;
        for (index_t i = 0; i < tiles; ++i)
        {
            const index_t rows = height + (i < higher ? 1 : 0);
            simd::store_tail(place + k * rows, simd::load_tail<Arch>(from, rows), rows);
            from += rows;
            place += rows * depth;
        }
    }
}

template <class T, class Arch>
void pack_panel(index_t columns, index_t depth, matrix_operand<T> b, T* to) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    constexpr index_t lanes = simd::width<T, Arch>;
    using vector = simd::batch<T, Arch>;
    if (b.col_stride == 1)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            const T* const from = b.data + k * b.row_stride;
            T* const row = to + k * panel;
            if (columns == panel)
            {
                simd::store(row, simd::load<Arch>(from));
                simd::store(row + lanes, simd::load<Arch>(from + lanes));
            }
            else
            {
                const index_t first = columns < lanes ? columns : lanes;
                simd::store(row, simd::load_tail<Arch>(from, first));
                simd::store(row + lanes, simd::load_tail<Arch>(from + first, columns - first));
            }
        }
        return;
    }
    if (b.row_stride == 1)
    {
        for (index_t k = 0; k < depth; k += lanes)
        {
            const index_t left = depth - k < lanes ? depth - k : lanes;
            for (index_t j = 0; j < panel; j += lanes)
            {
                vector square[static_cast<std::size_t>(lanes)];
                const index_t count = columns - j < lanes ? columns - j : lanes;
                load_turned<T, Arch>(
                    b.data + k + j * b.col_stride, b.col_stride, count, left, square);
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < lanes; ++i)
                {
                    if (i < left)
                    {
                        simd::store(to + (k + i) * panel + j, square[i]);
                    }
                }
            }
        }
        return;
    }
    for (index_t j = 0; j < panel; ++j)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            to[k * panel + j] = j < columns ? b.data[k * b.row_stride + j * b.col_stride] : T(0);
        }
    }
}

template <class T, class Arch>
void pack_panels(index_t columns, index_t depth, matrix_operand<T> b, T* to) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    constexpr index_t lanes = simd::width<T, Arch>;
    index_t first = 0;
    if (b.col_stride == 1)
    {
        // A few panels at a time along B's rows: read in long runs, written to few places.
        for (; first + 4 * panel <= columns; first += 4 * panel)
        {
            for (index_t k = 0; k < depth; ++k)
            {
                const T* const from = b.data + k * b.row_stride + first;
                T* const row = to + first * depth + k * panel;
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < 4; ++j)
                {
                    T* const place = row + j * panel * depth;
                    simd::store(place, simd::load<Arch>(from + j * panel));
                    simd::store(place + lanes, simd::load<Arch>(from + j * panel + lanes));
                }
            }
        }
    }
    for (index_t j = first; j < columns; j += panel)
    {
        pack_panel<T, Arch>(
            columns - j < panel ? columns - j : panel, depth, shifted(b, 0, j), to + j * depth);
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
STRUCTOPT_KERNELS_PACK(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
