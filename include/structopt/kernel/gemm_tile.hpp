/// @file
/// The register tile of the dense product: a few rows of C by a few registers of columns.
///
/// Every element of C is one chain of multiply-adds over k, in order, that starts from 0 or from C.
/// No tile size and no blocking changes that chain, so an element's value depends only on its row
/// of A and its column of B. Packed weights may be kept in a smaller format W than the T that is
/// computed in: they are widened on the way into registers, exactly.
#pragma once

#include <structopt/kernel/operand.hpp>
#include <structopt/simd/load_pair.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>

#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Sizes that the dense product of one element type and architecture is built from.
template <class T, class Arch>
struct gemm_shape
{
    static_assert(
        !simd::is_dispatched<Arch>, "a product of packed weights needs a row in registry.hpp");

    /// Columns of one panel of B: two registers.
    static constexpr index_t panel = 2 * simd::width<T, Arch>;
    /// Most rows of a tile: 2 x rows accumulators, two registers of B, one of A.
    static constexpr index_t rows = simd::register_count<Arch> >= 32 ? 14 : 6;
    /// Up to this many rows of A are read in place; more are interleaved first.
    static constexpr index_t direct_rows = simd::register_count<Arch> >= 32 ? 8 : 6;
    /// Panels that a tile of so many rows takes at once, so that enough chains are in flight.
    static constexpr index_t panels(index_t tile_rows) noexcept
    {
        return tile_rows == 1 ? 4 : tile_rows <= 3 ? 2 : 1;
    }
    /// Rows and panels of a tile of the turned product, which reads A in place too.
    static constexpr index_t turned_rows = simd::register_count<Arch> >= 32 ? 7 : 6;
    static constexpr index_t turned_panels = simd::register_count<Arch> >= 32 ? 2 : 1;
    /// Packed B: longest block of k, and rows of A that go with it (interleaved A: a quarter of L2).
    static constexpr index_t depth = 1024;
    static constexpr index_t block_rows = rows * 5;
    /// B that is packed on the way: blocks of k, rows of A, and elements that are packed at a time.
    static constexpr index_t packing_depth = 512;
    static constexpr index_t packing_rows = rows * 20;
    static constexpr index_t packing_elements = 65536 * 4 / static_cast<index_t>(sizeof(T));
};

namespace detail
{

/// Where a tile finds its operands.
enum class tile_order
{
    /// A by both strides.
    strided,
    /// A interleaved by tiles: (i, k) at a[k * Rows + i].
    interleaved,
    /// A is columns of a panel that `pack_b` made, (i, k) at a[k * panel + i]; row k of B at
    /// b[b_rows[k]].
    by_rows
};

/// One call of a tile; B is of type W.
template <class T, class W = T>
struct tile_arguments
{
    index_t depth;
    /// (i, k) at a[i * a_row + k * a_step] where the order is strided.
    const T* a;
    index_t a_row;
    index_t a_step;
    /// (k, j) at b[k * b_step + (j / panel) * b_panel + j % panel].
    const W* b;
    index_t b_step;
    index_t b_panel;
    T* c;
    index_t c_row;
    /// Columns that exist; the rest of the last panel is read from B but not written.
    index_t columns;
    /// Start from C instead of 0.
    bool resume;
    /// The last block of k: apply bias and activation.
    bool finish;
    const T* bias;
    const T* row_bias;
    activation act;
    /// Asked for while the tile runs, `ahead_step` elements further for each k: the next panel.
    const W* ahead;
    index_t ahead_step;
    /// Where the rows of B are, in the order by_rows.
    const index_t* b_rows;
};

template <class T, class Arch, class W, index_t Rows, index_t Vectors, tile_order Order>
void gemm_tile(const tile_arguments<T, W>& t) noexcept;

} // namespace detail

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Elements of register `v` that lie in the first `columns` columns.
template <index_t Lanes>
constexpr index_t part(index_t columns, index_t v) noexcept
{
    const index_t left = columns - v * Lanes;
    return left < 0 ? 0 : left < Lanes ? left : Lanes;
}

/// Reads the first columns of a tile; registers where masks exist, else element by element.
template <class T, class Arch, std::size_t Rows, std::size_t Vectors>
STRUCTOPT_ALWAYS_INLINE void load_part(const T* from, index_t from_row, index_t columns,
    simd::batch<T, Arch> (&to)[Rows][Vectors]) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    alignas(64) T line[Vectors * static_cast<std::size_t>(lanes)] = {};
    STRUCTOPT_UNROLL
    for (std::size_t i = 0; i < Rows; ++i)
    {
        if constexpr (!simd::has_masks<Arch>)
        {
            for (index_t j = 0; j < columns; ++j)
            {
                line[j] = from[j];
            }
        }
        STRUCTOPT_UNROLL
        for (std::size_t v = 0; v < Vectors; ++v)
        {
            const auto at = static_cast<index_t>(v);
            to[i][v] = simd::has_masks<Arch>
                           ? simd::load_tail<Arch>(from + at * lanes, part<lanes>(columns, at))
                           : simd::load<Arch>(line + at * lanes);
        }
        from += from_row;
    }
}

/// Writes the first columns of a tile.
template <class T, class Arch, std::size_t Rows, std::size_t Vectors>
STRUCTOPT_ALWAYS_INLINE void store_part(const simd::batch<T, Arch> (&from)[Rows][Vectors],
    index_t columns, T* to, index_t to_row) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    STRUCTOPT_UNROLL
    for (std::size_t i = 0; i < Rows; ++i)
    {
        if constexpr (simd::has_masks<Arch>)
        {
            STRUCTOPT_UNROLL
            for (std::size_t v = 0; v < Vectors; ++v)
            {
                const auto at = static_cast<index_t>(v);
                simd::store_tail(to + at * lanes, from[i][v], part<lanes>(columns, at));
            }
        }
        else
        {
            alignas(64) T line[Vectors * static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (std::size_t v = 0; v < Vectors; ++v)
            {
                simd::store(line + static_cast<index_t>(v) * lanes, from[i][v]);
            }
            for (index_t j = 0; j < columns; ++j)
            {
                to[j] = line[j];
            }
        }
        to += to_row;
    }
}

template <class T, class Arch, class W, index_t Rows, index_t Vectors, tile_order Order>
void gemm_tile(const tile_arguments<T, W>& t) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t vectors = Vectors;

    vector sum[Rows][vectors];
    const bool whole = t.columns == vectors * lanes;
    if (!t.resume)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = vector(T(0));
            }
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; v += 64 / static_cast<index_t>(sizeof(vector)))
            {
                simd::prefetch_write(t.c + i * t.c_row + v * lanes);
            }
        }
    }
    else if (whole)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = simd::load<Arch>(t.c + i * t.c_row + v * lanes);
            }
        }
    }
    else
    {
        load_part<T, Arch>(t.c, t.c_row, t.columns, sum);
    }

    const T* a = t.a;
    const W* b = t.b;
    const index_t a_row = Order == tile_order::strided ? t.a_row : 1;
    const index_t a_step = Order == tile_order::strided       ? t.a_step
                           : Order == tile_order::interleaved ? Rows
                                                              : gemm_shape<T, Arch>::panel;
    const index_t b_step = t.b_step;
    const index_t b_panel = t.b_panel;
    const W* ahead = t.ahead;
    const index_t ahead_step = t.ahead_step;
    for (index_t k = 0; k < t.depth; ++k)
    {
        if constexpr (Order == tile_order::interleaved)
        {
            simd::prefetch(ahead);
            ahead += ahead_step;
        }
        if constexpr (Order == tile_order::by_rows)
        {
            b = t.b + t.b_rows[k];
        }
        vector right[vectors];
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < vectors; v += 2)
        {
            simd::load_pair<T, Arch>(
                b + (v / 2) * b_panel, right[v], right[v + 1 < vectors ? v + 1 : v]);
        }
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const vector left = simd::broadcast<Arch>(a[i * a_row]);
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = simd::fma(left, right[v], sum[i][v]);
            }
        }
        a += a_step;
        if constexpr (Order != tile_order::by_rows)
        {
            b += b_step;
        }
    }

    if (t.finish && t.bias != nullptr)
    {
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < vectors; ++v)
        {
            const T* const from = t.bias + v * lanes;
            const vector bias = whole ? simd::load<Arch>(from)
                                      : simd::load_tail<Arch>(from, part<lanes>(t.columns, v));
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Rows; ++i)
            {
                sum[i][v] = sum[i][v] + bias;
            }
        }
    }
    if (t.finish && t.row_bias != nullptr)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const vector bias(t.row_bias[i]);
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = sum[i][v] + bias;
            }
        }
    }
    if (t.finish && t.act == activation::relu)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = simd::relu(sum[i][v]);
            }
        }
    }
    if (whole)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                simd::store(t.c + i * t.c_row + v * lanes, sum[i][v]);
            }
        }
    }
    else
    {
        store_part<T, Arch>(sum, t.columns, t.c, t.c_row);
    }
}

template <class T, class W>
using tile_function = void (*)(const tile_arguments<T, W>&) noexcept;

template <class T, class Arch, class W, index_t... Rows>
tile_function<T, W> pick_direct(
    index_t rows, bool wide, std::integer_sequence<index_t, Rows...>) noexcept
{
    using shape = gemm_shape<T, Arch>;
    static constexpr tile_function<T, W> single[] = {
        &gemm_tile<T, Arch, W, Rows + 1, 2, tile_order::strided>...};
    static constexpr tile_function<T, W> many[] = {
        &gemm_tile<T, Arch, W, Rows + 1, 2 * shape::panels(Rows + 1), tile_order::strided>...};
    return (wide ? many : single)[rows - 1];
}

template <class T, class Arch, class W, index_t... Rows>
tile_function<T, W> pick_interleaved(
    index_t rows, bool half, std::integer_sequence<index_t, Rows...>) noexcept
{
    constexpr index_t least = gemm_shape<T, Arch>::rows / 2;
    static constexpr tile_function<T, W> whole[] = {
        &gemm_tile<T, Arch, W, Rows + least, 2, tile_order::interleaved>...};
    static constexpr tile_function<T, W> halves[] = {
        &gemm_tile<T, Arch, W, Rows + least, 1, tile_order::interleaved>...};
    return (half ? halves : whole)[rows - least];
}

template <class T, class Arch, index_t... Rows>
tile_function<T, T> pick_by_rows(
    index_t rows, bool half, std::integer_sequence<index_t, Rows...>) noexcept
{
    static constexpr tile_function<T, T> whole[] = {
        &gemm_tile<T, Arch, T, Rows + 1, 2, tile_order::by_rows>...};
    static constexpr tile_function<T, T> halves[] = {
        &gemm_tile<T, Arch, T, Rows + 1, 1, tile_order::by_rows>...};
    return (half ? halves : whole)[rows - 1];
}

/// The tile that reads A in place: 1 to `direct_rows` rows, one panel or (`wide`) `panels(rows)`.
template <class T, class Arch, class W = T>
tile_function<T, W> direct_tile(index_t rows, bool wide) noexcept
{
    return pick_direct<T, Arch, W>(
        rows, wide, std::make_integer_sequence<index_t, gemm_shape<T, Arch>::direct_rows>{});
}

/// The tile whose rows are columns of a panel, and whose rows of B lie anywhere: 1 to rows rows, one
/// panel of B or the first half of one.
template <class T, class Arch>
tile_function<T, T> by_rows_tile(index_t rows, bool half) noexcept
{
    return pick_by_rows<T, Arch>(
        rows, half, std::make_integer_sequence<index_t, gemm_shape<T, Arch>::rows>{});
}

/// The tile that reads interleaved A: rows / 2 to rows rows, one panel or the first half of one.
template <class T, class Arch, class W = T>
tile_function<T, W> interleaved_tile(index_t rows, bool half) noexcept
{
    constexpr index_t most = gemm_shape<T, Arch>::rows;
    return pick_interleaved<T, Arch, W>(
        rows, half, std::make_integer_sequence<index_t, most - most / 2 + 1>{});
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
