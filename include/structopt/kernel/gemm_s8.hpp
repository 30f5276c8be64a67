/// @file
/// Integer products: int8 activations by packed int8 weights, exact in int32, with an optional
/// conversion to float that gives equal bits on every instruction set.
///
/// Y[m, n] = X[m, k] W[n, k]^T. Sums are exact while k <= 133,000 (k * 127 * 127 < 2^31).
///
/// Packed layout: panels of two registers of columns. A panel holds, for each group of four k, the
/// four weights of column 0, of column 1, ...: one register lane per column. k is padded to a
/// multiple of four, columns to the panel, with zeros. Behind the panels, one int32 per padded
/// column: -128 times the sum of its weights, from which a kernel that stores activations as x + 128
/// starts.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/operand.hpp>
#include <structopt/kernel/quantize_rows.hpp>
#include <structopt/simd/dot.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/transpose.hpp>
#include <structopt/simd/widen.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// A matrix that is written: element (i, j) is at data[i * row_stride + j * col_stride].
template <class T>
struct matrix_result
{
    T* data = nullptr;
    index_t row_stride = 0;
    index_t col_stride = 1;
};

/// How integer sums become floats: y = float(sum) * (x_scale[row] * w_scale[column]) + bias[column],
/// then the activation; each operation rounds to float, in this order, never fused.
///
/// `x_scale` has one value per row, or the first serves all of them if `one_x_scale`. Null `bias`
/// adds nothing.
struct dequantize
{
    const float* x_scale = nullptr;
    const float* w_scale = nullptr;
    const float* bias = nullptr;
    activation act = activation::none;
    bool one_x_scale = false;
};

/// Bytes of a packed W[n, k].
template <class Arch = simd::default_arch>
constexpr std::size_t packed_bytes_s8(index_t n, index_t k) noexcept;

/// Packs W[n, k], values in [-127, 127], rows `row_stride` apart. `packed` is 4-byte aligned.
template <class Arch = simd::default_arch>
void pack_s8(
    index_t n, index_t k, const std::int8_t* w, index_t row_stride, std::byte* packed) noexcept;

/// The inverse of `pack_s8`.
template <class Arch = simd::default_arch>
void unpack_s8(
    index_t n, index_t k, const std::byte* packed, std::int8_t* w, index_t row_stride) noexcept;

/// Bytes of scratch of both products. Any alignment will do.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// Y[m, n] = X[m, k] W^T as int32. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8_s32(index_t m, index_t n, index_t k, matrix_operand<std::int8_t> x,
    const std::byte* packed, matrix_result<std::int32_t> y, std::byte* scratch) noexcept;

/// Y[m, n] = X[m, k] W^T as float. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8(index_t m, index_t n, index_t k, matrix_operand<std::int8_t> x,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sizes that the integer product is built from.
template <class Arch, simd::dot_kind Kind>
struct gemm_s8_shape
{
    static constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    /// Most rows of a tile.
    static constexpr index_t rows = Kind == simd::dot_kind::scalar
                                        ? 2
                                        : (simd::register_count<Arch> >= 32 ? 28 : 12) / 2 -
                                              (simd::dot<Arch, Kind>::weight_registers > 1 ? 2 : 0);
    /// Panels that a tile of so many rows takes at once.
    static constexpr index_t panels(index_t tile_rows) noexcept
    {
        return tile_rows == 1 && Kind == simd::dot_kind::vnni ? 4 : tile_rows <= 3 ? 2 : 1;
    }
    static constexpr index_t block_rows = rows * 20;
};

/// One call of a tile: prepared activations, packed weights, and exactly one of the two results.
struct s8_arguments
{
    index_t groups;
    const std::uint32_t* x;
    const std::int8_t* w;
    index_t w_panel;
    const std::int32_t* corrections;
    index_t columns;
    std::int32_t* integers;
    float* floats;
    index_t row_stride;
    index_t col_stride;
    const float* x_scale;
    index_t x_scale_step;
    const float* w_scale;
    const float* bias;
    activation act;
    /// Asked for while the tile runs, `ahead_step` bytes further for each group: the next panel.
    const std::int8_t* ahead;
    index_t ahead_step;
};

template <class Arch, simd::dot_kind Kind, index_t Rows, index_t Vectors>
void gemm_s8_tile(const s8_arguments& t) noexcept;

} // namespace detail

// ---------------------------------------------------------------------------------------------

template <class Arch>
constexpr std::size_t packed_bytes_s8(index_t n, index_t k) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t columns = (n + panel - 1) / panel * panel;
    return static_cast<std::size_t>(columns * ((k + 3) / 4 * 4) + 4 * columns);
}

template <class Arch>
void pack_s8(
    index_t n, index_t k, const std::int8_t* w, index_t row_stride, std::byte* packed) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t columns = (n + panel - 1) / panel * panel;
    const index_t depth = (k + 3) / 4 * 4;
    auto* const to = reinterpret_cast<std::int8_t*>(packed);
    auto* const corrections = reinterpret_cast<std::int32_t*>(packed + columns * depth);
    for (index_t j = 0; j < columns; ++j)
    {
        std::int8_t* const column = to + j / panel * panel * depth + j % panel * 4;
        std::int32_t sum = 0;
        for (index_t i = 0; i < depth; ++i)
        {
            const std::int8_t value = j < n && i < k ? w[j * row_stride + i] : std::int8_t{0};
            column[i / 4 * 4 * panel + i % 4] = value;
            sum += value;
        }
        corrections[j] = -128 * sum;
    }
}

template <class Arch>
void unpack_s8(
    index_t n, index_t k, const std::byte* packed, std::int8_t* w, index_t row_stride) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t depth = (k + 3) / 4 * 4;
    const auto* const from = reinterpret_cast<const std::int8_t*>(packed);
    for (index_t j = 0; j < n; ++j)
    {
        const std::int8_t* const column = from + j / panel * panel * depth + j % panel * 4;
        for (index_t i = 0; i < k; ++i)
        {
            w[j * row_stride + i] = column[i / 4 * 4 * panel + i % 4];
        }
    }
}

namespace detail
{

template <class Arch, simd::dot_kind Kind, index_t Rows, index_t Vectors>
void gemm_s8_tile(const s8_arguments& t) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t vectors = Vectors;

    integer sum[Rows][vectors];
    STRUCTOPT_UNROLL
    for (index_t v = 0; v < vectors; ++v)
    {
        integer start(std::int32_t{0});
        if constexpr (dot::offset != 0)
        {
            // sum w (x + 128) - 128 sum w; wraps modulo 2^32 on the way, exact at the end.
            static_assert(dot::offset == 128);
            start = simd::load<Arch>(t.corrections + v * lanes);
        }
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            sum[i][v] = start;
        }
    }
    const std::uint32_t* x = t.x;
    const std::int8_t* w = t.w;
    const std::int8_t* ahead = t.ahead;
    const index_t ahead_step = t.ahead_step;
    for (index_t k = 0; k < t.groups; ++k)
    {
        simd::prefetch(ahead);
        ahead += ahead_step;
        typename dot::weights right[vectors];
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < vectors; ++v)
        {
            right[v] = dot::load(w + (v / 2) * t.w_panel + (v % 2) * 4 * lanes);
        }
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const typename dot::activations left = dot::broadcast(x + i * dot::words);
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                sum[i][v] = dot::add(sum[i][v], right[v], left);
            }
        }
        x += Rows * dot::words;
        w += 8 * lanes;
    }

    if (t.integers != nullptr && t.col_stride == 1)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                const index_t left = t.columns - v * lanes;
                std::int32_t* const to = t.integers + i * t.row_stride + v * lanes;
                if (left >= lanes)
                {
                    simd::store(to, sum[i][v]);
                }
                else if (left > 0)
                {
                    simd::store_tail(to, sum[i][v], left);
                }
            }
        }
        return;
    }
    if (t.integers != nullptr)
    {
        alignas(64) std::int32_t buffer[static_cast<std::size_t>(vectors * lanes)];
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                simd::store(buffer + v * lanes, sum[i][v]);
            }
            for (index_t j = 0; j < t.columns; ++j)
            {
                t.integers[i * t.row_stride + j * t.col_stride] = buffer[j];
            }
        }
        return;
    }

    STRUCTOPT_UNROLL
    for (index_t v = 0; v < vectors; ++v)
    {
        const index_t left = t.columns - v * lanes;
        if (left <= 0)
        {
            continue;
        }
        const index_t count = left < lanes ? left : lanes;
        const real w_scale = simd::load_tail<Arch>(t.w_scale + v * lanes, count);
        const real bias =
            t.bias == nullptr ? real(0.0f) : simd::load_tail<Arch>(t.bias + v * lanes, count);
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const real x_scale(t.x_scale[i * t.x_scale_step]);
            const real scale = simd::rounded(x_scale * w_scale);
            real value = simd::rounded(simd::to_float(sum[i][v]) * scale);
            if (t.bias != nullptr)
            {
                value = simd::rounded(value + bias);
            }
            if (t.act == activation::relu)
            {
                value = simd::relu(value);
            }
            float* const to = t.floats + i * t.row_stride + v * lanes * t.col_stride;
            if (t.col_stride != 1)
            {
                alignas(64) float buffer[static_cast<std::size_t>(lanes)];
                value.store_aligned(buffer);
                for (index_t j = 0; j < count; ++j)
                {
                    to[j * t.col_stride] = buffer[j];
                }
            }
            else if (count == lanes)
            {
                simd::store(to, value);
            }
            else
            {
                simd::store_tail(to, value, count);
            }
        }
    }
}

using s8_tile_function = void (*)(const s8_arguments&) noexcept;

/// The tile of so many rows: one panel, several next to each other, or the first half of one.
enum class s8_width
{
    half,
    panel,
    wide
};

template <class Arch, simd::dot_kind Kind, index_t... Rows>
s8_tile_function pick_s8(
    index_t rows, s8_width width, std::integer_sequence<index_t, Rows...>) noexcept
{
    using shape = gemm_s8_shape<Arch, Kind>;
    static constexpr s8_tile_function halves[] = {&gemm_s8_tile<Arch, Kind, Rows + 1, 1>...};
    static constexpr s8_tile_function panels[] = {&gemm_s8_tile<Arch, Kind, Rows + 1, 2>...};
    static constexpr s8_tile_function wides[] = {
        &gemm_s8_tile<Arch, Kind, Rows + 1, 2 * shape::panels(Rows + 1)>...};
    return (width == s8_width::half ? halves : width == s8_width::panel ? panels : wides)[rows - 1];
}

/// to[(g * rows + i) * words] = the four activations x(i, 4 g ...) as the kernel wants them.
template <class Arch, simd::dot_kind Kind>
void prepare_rows(
    index_t rows, index_t depth, matrix_operand<std::int8_t> x, std::uint32_t* to) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    // Whole squares of groups by register transposes, where a group is one word.
    index_t done = 0;
    constexpr index_t lanes = simd::width<float, Arch>;
    if constexpr (dot::words == 1 && Kind != simd::dot_kind::scalar)
    {
        if (x.col_stride == 1 && rows <= lanes)
        {
            const simd::batch<std::int32_t, Arch> flip(dot::offset == 0 ? 0 : -0x7f7f7f80);
            for (; (done + lanes) * 4 <= depth; done += lanes)
            {
                simd::batch<float, Arch> square[static_cast<std::size_t>(lanes)];
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < lanes; ++i)
                {
                    const index_t row = i < rows ? i : 0;
                    square[i] = simd::bit_cast<float>(
                        simd::load_bytes<Arch>(x.data + row * x.row_stride + done * 4));
                }
                simd::transpose<float, Arch>(square);
                std::uint32_t* const first = to + done * rows;
                const bool whole = (done + lanes) * rows + lanes <= depth / 4 * rows;
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < lanes; ++i)
                {
                    const auto words = simd::bit_cast<std::int32_t>(square[i]) ^ flip;
                    auto* const place = reinterpret_cast<std::int32_t*>(first + i * rows);
                    if (whole)
                    {
                        // What is written past the rows is written again by the next group.
                        simd::store(place, words);
                    }
                    else
                    {
                        simd::store_tail(place, words, rows);
                    }
                }
            }
        }
    }
    for (index_t i = 0; i < rows; ++i)
    {
        const std::int8_t* const from = x.data + i * x.row_stride;
        index_t k = done * 4;
        for (; k + 4 <= depth; k += 4)
        {
            std::uint32_t* const group = to + (k / 4 * rows + i) * dot::words;
            if (x.col_stride == 1)
            {
                dot::prepare(from + k, group);
            }
            else
            {
                const std::int8_t four[4] = {from[k * x.col_stride], from[(k + 1) * x.col_stride],
                    from[(k + 2) * x.col_stride], from[(k + 3) * x.col_stride]};
                dot::prepare(four, group);
            }
        }
        if (k < depth)
        {
            std::int8_t four[4] = {};
            for (index_t j = 0; k + j < depth; ++j)
            {
                four[j] = from[(k + j) * x.col_stride];
            }
            dot::prepare(four, to + (k / 4 * rows + i) * dot::words);
        }
    }
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_tiled(index_t m, index_t n, index_t k, matrix_operand<std::int8_t> x,
    const std::byte* packed, s8_arguments t, std::byte* scratch) noexcept
{
    using shape = gemm_s8_shape<Arch, Kind>;
    using dot = simd::dot<Arch, Kind>;
    if (m <= 0 || n <= 0)
    {
        return;
    }
    const index_t groups = (k + 3) / 4;
    const index_t panels = (n + shape::panel - 1) / shape::panel;
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    auto* const prepared = reinterpret_cast<std::uint32_t*>(scratch + (64 - address % 64) % 64);
    const auto* const weights = reinterpret_cast<const std::int8_t*>(packed);
    const auto* const corrections =
        reinterpret_cast<const std::int32_t*>(packed + panels * shape::panel * groups * 4);
    const index_t blocks = (m + shape::block_rows - 1) / shape::block_rows;
    const index_t block_rows = (m + blocks - 1) / blocks;
    // A thread is worth waking for about 2^21 multiply-adds.
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) /
                        static_cast<double>(index_t{1} << 21);
    const index_t parts = work >= 32.0 ? 32 : work < 2.0 ? 1 : static_cast<index_t>(work);
    const index_t chunk = ((panels + parts - 1) / parts + 3) / 4 * 4;

    for (index_t row = 0; row < m; row += block_rows)
    {
        const index_t rows = m - row < block_rows ? m - row : block_rows;
        const index_t tiles = (rows + shape::rows - 1) / shape::rows;
        const index_t height = rows / tiles;
        const index_t higher = rows % tiles;
        index_t done = 0;
        for (index_t i = 0; i < tiles; ++i)
        {
            const index_t high = height + (i < higher ? 1 : 0);
            prepare_rows<Arch, Kind>(high, k,
                {x.data + (row + done) * x.row_stride, x.row_stride, x.col_stride},
                prepared + done * groups * dot::words);
            done += high;
        }
        parallel_for(panels, chunk,
            [&](index_t first, index_t last)
            {
                s8_arguments tile = t;
                tile.groups = groups;
                tile.w_panel = groups * 4 * shape::panel;
                for (index_t p = first; p < last;)
                {
                    const index_t wide = tiles == 1 ? shape::panels(height) : 1;
                    const index_t count = last - p >= wide ? wide : 1;
                    const index_t column = p * shape::panel;
                    const index_t left = n - column;
                    const s8_width width = count > 1                 ? s8_width::wide
                                           : left > shape::panel / 2 ? s8_width::panel
                                                                     : s8_width::half;
                    tile.columns = left < count * shape::panel ? left : count * shape::panel;
                    tile.w = weights + p * tile.w_panel;
                    tile.corrections = corrections + column;
                    // The tiles share out the next panel; a single one reads it soon enough.
                    const index_t share = tiles == 1 ? 0 : 4 * shape::panel / tiles + 1;
                    tile.ahead_step = share;
                    if (t.floats != nullptr)
                    {
                        tile.w_scale = t.w_scale + column;
                        tile.bias = t.bias == nullptr ? nullptr : t.bias + column;
                    }
                    index_t at = 0;
                    for (index_t i = 0; i < tiles; ++i)
                    {
                        const index_t high = height + (i < higher ? 1 : 0);
                        const index_t offset = (row + at) * t.row_stride + column * t.col_stride;
                        tile.x = prepared + at * groups * dot::words;
                        tile.ahead = tile.w + (tiles == 1 ? 0 : tile.w_panel + i * share * groups);
                        if (t.floats != nullptr)
                        {
                            tile.floats = t.floats + offset;
                            tile.x_scale = t.x_scale + (row + at) * t.x_scale_step;
                        }
                        else
                        {
                            tile.integers = t.integers + offset;
                        }
                        pick_s8<Arch, Kind>(
                            high, width, std::make_integer_sequence<index_t, shape::rows>{})(tile);
                        at += high;
                    }
                    p += count;
                }
            });
    }
}

} // namespace detail

template <class Arch, simd::dot_kind Kind>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    using shape = detail::gemm_s8_shape<Arch, Kind>;
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    const index_t blocks = (m + shape::block_rows - 1) / shape::block_rows;
    const index_t rows = (m + blocks - 1) / blocks;
    return static_cast<std::size_t>(rows * ((k + 3) / 4) * simd::dot<Arch, Kind>::words) * 4 + 64;
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_s32(index_t m, index_t n, index_t k, matrix_operand<std::int8_t> x,
    const std::byte* packed, matrix_result<std::int32_t> y, std::byte* scratch) noexcept
{
    detail::s8_arguments t{};
    t.integers = y.data;
    t.row_stride = y.row_stride;
    t.col_stride = y.col_stride;
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, x, packed, t, scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8(index_t m, index_t n, index_t k, matrix_operand<std::int8_t> x,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    detail::s8_arguments t{};
    t.floats = y.data;
    t.row_stride = y.row_stride;
    t.col_stride = y.col_stride;
    t.x_scale = e.x_scale;
    t.x_scale_step = e.one_x_scale ? 0 : 1;
    t.w_scale = e.w_scale;
    t.bias = e.bias;
    t.act = e.act;
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, x, packed, t, scratch);
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE
