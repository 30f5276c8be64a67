/// @file
/// The tile of the integer product: the layout of its activations and the loop over k.
#pragma once

#include <structopt/kernel/finish_s8.hpp>
#include <structopt/kernel/quantize_rows.hpp>
#include <structopt/simd/dot.hpp>
#include <structopt/simd/tail.hpp>

#include <cstdint>
#include <cstring>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Sizes that the integer product is built from.
template <class Arch, simd::dot_kind Kind>
struct gemm_s8_shape
{
    static_assert(!simd::is_dispatched<Arch>,
        "a dot_kind of one's own needs an architecture of one's own: weights are packed for both");

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
    /// Groups of one row of activations that lie next to each other; then comes the next row.
    static constexpr index_t run = 16;
    /// Words of so many prepared rows.
    static constexpr index_t words(index_t tile_rows, index_t groups) noexcept
    {
        return tile_rows * ((groups + run - 1) / run * run) * simd::dot<Arch, Kind>::words;
    }
};

/// Four activations as the kernel wants them; unsigned ones lose 128 first.
template <class Dot>
STRUCTOPT_ALWAYS_INLINE void prepare_four(
    std::int8_t (&four)[4], bool is_unsigned, std::uint32_t* to) noexcept
{
    if (is_unsigned)
    {
        for (std::int8_t& value : four)
        {
            value = static_cast<std::int8_t>(value ^ -128);
        }
    }
    Dot::prepare(four, to);
}

/// Lays out rows of activations as the kernel wants them: runs of groups, row by row.
template <class Arch, simd::dot_kind Kind>
void prepare_rows(index_t rows, index_t depth, const code_operand& x, std::uint32_t* to) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    constexpr index_t run = gemm_s8_shape<Arch, Kind>::run;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    for (index_t first = 0; first < depth; first += 4 * run)
    {
        const index_t left = depth - first < 4 * run ? depth - first : 4 * run;
        for (index_t i = 0; i < rows; ++i)
        {
            const std::int8_t* const from = x.data + i * x.row_stride + first * x.col_stride;
            index_t k = 0;
            if constexpr (dot::words == 1 && Kind != simd::dot_kind::scalar)
            {
                const simd::batch<std::int32_t, Arch> flip(
                    (dot::offset != 0) != x.is_unsigned ? -0x7f7f7f80 : 0);
                for (; x.col_stride == 1 && k + 4 * lanes <= left; k += 4 * lanes)
                {
                    simd::store(reinterpret_cast<std::int32_t*>(to + k / 4),
                        simd::load_bytes<Arch>(from + k) ^ flip);
                }
            }
            for (; k < left; k += 4)
            {
                std::int8_t four[4] = {};
                const index_t count = left - k < 4 ? left - k : 4;
                if (x.col_stride == 1 && count == 4)
                {
                    std::memcpy(four, from + k, 4);
                }
                else
                {
                    for (index_t j = 0; j < count; ++j)
                    {
                        four[j] = from[(k + j) * x.col_stride];
                    }
                }
                detail::prepare_four<dot>(four, x.is_unsigned, to + k / 4 * dot::words);
            }
            to += run * dot::words;
        }
    }
}

/// The same for rows of floats, which are quantized on the way; `scales` takes their scales, `codes`
/// has room for the codes of these rows, which stay in the first cache level.
template <class Arch, simd::dot_kind Kind>
void prepare_floats(index_t rows, index_t depth, const float* x, index_t x_row, float* scales,
    std::int8_t* codes, std::uint32_t* to) noexcept
{
    quantize_rows<Arch>(rows, depth, x, x_row, codes, depth, scales);
    detail::prepare_rows<Arch, Kind>(rows, depth, {codes, depth, 1}, to);
}

template <class Arch, simd::dot_kind Kind, index_t Rows, index_t Vectors>
void gemm_s8_tile(const s8_arguments& t) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t vectors = Vectors;

    integer sum[Rows][vectors];
    STRUCTOPT_UNROLL
    for (index_t v = 0; v < vectors; ++v)
    {
        integer start(std::int32_t{0});
        if (t.start != nullptr)
        {
            start = simd::load<Arch>(t.start + v * lanes);
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
    constexpr index_t run = gemm_s8_shape<Arch, Kind>::run;
    for (index_t left_groups = t.groups; left_groups > 0; left_groups -= run)
    {
        const std::uint32_t* const end = x + (left_groups < run ? left_groups : run) * dot::words;
        while (x != end)
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
                const typename dot::activations left = dot::broadcast(x + i * run * dot::words);
                STRUCTOPT_UNROLL
                for (index_t v = 0; v < vectors; ++v)
                {
                    sum[i][v] = dot::add(sum[i][v], right[v], left);
                }
            }
            x += dot::words;
            w += 8 * lanes;
        }
        x += (Rows - 1) * run * dot::words;
    }
    if (t.kind == s8_result::integers && t.col_stride == 1 && t.columns == vectors * lanes)
    {
        auto* y = static_cast<std::int32_t*>(t.y);
        const index_t row_stride = t.row_stride;
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < vectors; ++v)
            {
                simd::store(y + v * lanes, sum[i][v]);
            }
            y += row_stride;
        }
        return;
    }
    // By way of memory: g++ keeps all sums in registers above only if none lives on below.
    alignas(64) std::int32_t sums[static_cast<std::size_t>(Rows * vectors * lanes)];
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Rows; ++i)
    {
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < vectors; ++v)
        {
            sum[i][v].store_aligned(sums + (i * vectors + v) * lanes);
        }
    }
    detail::finish_s8<Arch, vectors>(t, Rows, sums);
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

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
