/// @file
/// The tile of the product with weights of a few bits: how activations are laid out for it, how fields
/// become the operands of dot products, and how the sums of a group become floats.
#pragma once

#include <structopt/kernel/finish_s8.hpp>
#include <structopt/kernel/pack_low_bit.hpp>
#include <structopt/kernel/quantize_rows.hpp>
#include <structopt/simd/dot_decoded.hpp>
#include <structopt/simd/fields.hpp>
#include <structopt/simd/load_pair.hpp>
#include <structopt/simd/prefetch.hpp>

#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// How the fields of a register of packed weights become bytes. Fields come in pairs: `pair<P>` shifts
/// pair P into place, then `mask` cuts out the first, and the second is `distance` bits further up.
/// Bytes are the codes raised by `offset`.
template <low_bit Codes, simd::dot_kind Kind>
struct low_bit_fields
{
    static constexpr bool is_table = Codes == low_bit::table4;
    static constexpr index_t pairs = Codes == low_bit::binary ? 4 : Codes == low_bit::int2 ? 2 : 1;
    static constexpr index_t units = 4 / pairs;
    static constexpr int distance = 4 / static_cast<int>(pairs);
    static constexpr std::int32_t mask = Codes == low_bit::binary ? 0x02020202
                                         : Codes == low_bit::int2 ? 0x03030303
                                                                  : 0x0f0f0f0f;
    static constexpr std::int32_t offset = Codes == low_bit::binary       ? 1
                                           : Codes == low_bit::int2       ? 2
                                           : Codes == low_bit::int4       ? 8
                                           : Kind == simd::dot_kind::vnni ? 128
                                                                          : 0;

    template <index_t Pair, class Integer>
    static STRUCTOPT_ALWAYS_INLINE Integer pair(const Integer& w) noexcept
    {
        if constexpr (Codes == low_bit::binary)
        {
            if constexpr (Pair == 0)
            {
                return w + w;
            }
            else
            {
                return simd::shift_down<2 * static_cast<int>(Pair) - 1>(w);
            }
        }
        else
        {
            return simd::shift_down<4 * static_cast<int>(Pair)>(w);
        }
    }
};

/// Sizes that the product is built from.
template <class Arch, simd::dot_kind Kind>
struct low_bit_tiles
{
    static_assert(!simd::is_dispatched<Arch>,
        "a dot_kind of one's own needs an architecture of one's own: weights are packed for both");

    static constexpr index_t rows = Kind == simd::dot_kind::scalar     ? 2
                                    : simd::register_count<Arch> >= 32 ? 8
                                    : Kind == simd::dot_kind::vnni     ? 4
                                                                       : 2;
    /// The height of the tile that serves so many rows.
    static constexpr index_t height(index_t count) noexcept
    {
        return count <= 4 ? count : count <= 6 ? 6 : 8;
    }
    /// Words of a row of a block.
    static constexpr index_t words = 8 * simd::decoded_dot<Arch, Kind>::words;
};

/// One call of a tile.
struct low_bit_arguments
{
    index_t groups;
    index_t blocks;
    index_t group_blocks;
    /// [block][row of the tile][words]
    const std::uint32_t* x;
    /// [group][row of the tile]: what sums start from, and sums of activations.
    const std::int32_t* start;
    const std::int32_t* sums;
    const std::byte* w;
    /// Where the second of two panels is: so many bytes and columns further on.
    index_t w_panel;
    index_t y_panel;
    index_t header;
    index_t zeros_at;
    bool half;
    bool zeros;
    /// One register.
    const std::int32_t* table;
    /// Rows of Y that are written, and columns counted from the first panel on.
    index_t rows;
    index_t columns;
    float* y;
    index_t row_stride;
    index_t col_stride;
    const float* x_scale;
    const float* bias;
    activation act;
};

/// Writes the totals [rows][Vectors] of a tile.
template <class Arch, index_t Vectors>
void finish_low_bit(const low_bit_arguments& t, const float* totals) noexcept
{
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<float, Arch>;
    for (index_t v = 0; v < Vectors; ++v)
    {
        const index_t column = v / 2 * t.y_panel + v % 2 * lanes;
        const index_t left = t.columns - column;
        if (left <= 0)
        {
            return;
        }
        const index_t count = left < lanes ? left : lanes;
        // A bias of -0 adds nothing to any number, zeros of either sign included.
        real bias(-0.0f);
        if (t.bias != nullptr)
        {
            bias = simd::load_tail<Arch>(t.bias + column, count);
        }
        float* y = t.y + column * t.col_stride;
        for (index_t i = 0; i < t.rows; ++i)
        {
            const real total = real::load_aligned(totals + (i * Vectors + v) * lanes);
            real value = simd::rounded(simd::rounded(total * real(t.x_scale[i])) + bias);
            if (t.act == activation::relu)
            {
                value = simd::relu(value);
            }
            detail::store_lanes(y, t.col_stride, value, count);
            y += t.row_stride;
        }
    }
}

template <class Arch, simd::dot_kind Kind, low_bit Codes, index_t Rows, index_t Vectors>
void low_bit_tile(const low_bit_arguments& t) noexcept
{
    using dot = simd::decoded_dot<Arch, Kind>;
    using fields = low_bit_fields<Codes, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t reg = 4 * lanes;
    constexpr index_t words = low_bit_tiles<Arch, Kind>::words;
    constexpr index_t word = dot::words;
    // Few sums: the second fields have sums of their own, which hide the latency of a dot product, and
    // are shifted down where fields then need not be.
    constexpr index_t sets = Rows * Vectors <= 4 ? 2 : 1;
    constexpr bool apart = sets == 2 && dot::unsigned_bytes && !fields::is_table;

    // Totals of few sums are kept in registers, others in memory: compilers would keep them in
    // registers too, and other things not.
    constexpr bool kept = Rows * Vectors <= 4;
    alignas(64) float totals[static_cast<std::size_t>(Rows * Vectors * lanes)];
    real total[kept ? Rows : 1][kept ? Vectors : 1];
    if constexpr (kept)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows * Vectors; ++i)
        {
            total[i / Vectors][i % Vectors] = real(0.0f);
        }
    }
    else
    {
        for (index_t i = 0; i < Rows * Vectors; ++i)
        {
            real(0.0f).store_aligned(totals + i * lanes);
        }
    }
    const integer mask(fields::mask);
    [[maybe_unused]] const integer second_mask(
        static_cast<std::int32_t>(static_cast<std::uint32_t>(fields::mask) << fields::distance));
    [[maybe_unused]] integer table(std::int32_t{0});
    if constexpr (fields::is_table)
    {
        table = simd::load<Arch>(t.table);
    }
    const std::uint32_t* x = t.x;
    const std::byte* w = t.w;
    index_t left_blocks = t.blocks;
    for (index_t g = 0; g < t.groups; ++g)
    {
        const std::byte* const header = w;
        w += t.header;
        integer sum[sets][Rows][Vectors];
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const integer start(t.start[g * Rows + i]);
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < Vectors; ++v)
            {
                sum[0][i][v] = start;
                if constexpr (sets == 2)
                {
                    sum[1][i][v] = integer(std::int32_t{0});
                }
            }
        }
        index_t count = left_blocks < t.group_blocks ? left_blocks : t.group_blocks;
        left_blocks -= count;
        for (; count > 0; --count)
        {
            STRUCTOPT_UNROLL
            for (index_t u = 0; u < fields::units; ++u)
            {
                integer raw[Vectors];
                STRUCTOPT_UNROLL
                for (index_t v = 0; v < Vectors; ++v)
                {
                    // Opaque, so that g++ does not read memory once for each field.
                    raw[v] = simd::rounded(simd::load<Arch>(reinterpret_cast<const std::int32_t*>(
                        w + v / 2 * t.w_panel + (2 * u + v % 2) * reg)));
                }
                const auto add = [&]<index_t P>(std::integral_constant<index_t, P>)
                                     STRUCTOPT_LAMBDA_INLINE
                {
                    typename dot::weights first[Vectors];
                    typename dot::weights second[Vectors];
                    STRUCTOPT_UNROLL
                    for (index_t v = 0; v < Vectors; ++v)
                    {
                        if constexpr (fields::is_table)
                        {
                            first[v] = dot::from(simd::lookup_nibbles(table, raw[v]));
                            second[v] =
                                dot::from(simd::lookup_nibbles(table, simd::shift_down<4>(raw[v])));
                        }
                        else
                        {
                            const integer bits = fields::template pair<P>(raw[v]);
                            first[v] = dot::from(bits & mask);
                            if constexpr (apart)
                            {
                                second[v] = dot::from(bits & second_mask);
                            }
                            else
                            {
                                second[v] =
                                    dot::from(simd::shift_down<fields::distance>(bits) & mask);
                            }
                        }
                    }
                    const std::uint32_t* from = x + (u * 2 * fields::pairs + 2 * P) * word;
                    STRUCTOPT_UNROLL
                    for (index_t i = 0; i < Rows; ++i)
                    {
                        const typename dot::activations low = dot::broadcast(from + i * words);
                        STRUCTOPT_UNROLL
                        for (index_t v = 0; v < Vectors; ++v)
                        {
                            sum[0][i][v] = dot::add(sum[0][i][v], first[v], low);
                        }
                        const typename dot::activations high =
                            dot::broadcast(from + i * words + word);
                        STRUCTOPT_UNROLL
                        for (index_t v = 0; v < Vectors; ++v)
                        {
                            sum[sets - 1][i][v] = dot::add(sum[sets - 1][i][v], second[v], high);
                        }
                    }
                };
                add(std::integral_constant<index_t, 0>{});
                if constexpr (fields::pairs > 1)
                {
                    add(std::integral_constant<index_t, 1>{});
                }
                if constexpr (fields::pairs > 2)
                {
                    add(std::integral_constant<index_t, 2>{});
                    add(std::integral_constant<index_t, 3>{});
                }
            }
            x += Rows * words;
            w += 2 * fields::units * reg;
        }
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < Vectors; v += 2)
        {
            const std::byte* const own = header + v / 2 * t.w_panel;
            real scale[2];
            if (t.half)
            {
                const auto halves = simd::load<Arch>(reinterpret_cast<const std::int32_t*>(own));
                scale[0] = simd::bit_cast<float>(simd::shift_up<16>(halves));
                scale[1] = simd::bit_cast<float>(halves & integer(-0x10000));
            }
            else
            {
                simd::load_pair<float>(reinterpret_cast<const float*>(own), scale[0], scale[1]);
            }
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Rows; ++i)
            {
                STRUCTOPT_UNROLL
                for (index_t h = 0; h < 2; ++h)
                {
                    integer all = sum[0][i][v + h];
                    if constexpr (sets == 2)
                    {
                        constexpr int distance = apart ? fields::distance : 0;
                        all = all + simd::shift_down<distance>(sum[1][i][v + h]);
                    }
                    if (t.zeros)
                    {
                        const integer zero = simd::load_widened<Arch>(
                            reinterpret_cast<const std::int8_t*>(own) + t.zeros_at + h * lanes,
                            lanes);
                        all = all - zero * integer(t.sums[g * Rows + i]);
                    }
                    const real product = simd::rounded(simd::to_float(all) * scale[h]);
                    if constexpr (kept)
                    {
                        total[i][v + h] = total[i][v + h] + product;
                    }
                    else
                    {
                        float* const at = totals + (i * Vectors + v + h) * lanes;
                        (real::load_aligned(at) + product).store_aligned(at);
                    }
                }
            }
        }
    }
    if constexpr (kept)
    {
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows * Vectors; ++i)
        {
            total[i / Vectors][i % Vectors].store_aligned(totals + i * lanes);
        }
    }
    detail::finish_low_bit<Arch, Vectors>(t, totals);
}

/// Lays out `rows` rows of codes, `depth` apart and zero past the last column, for a tile of `height`
/// rows, and sums them up per group.
template <class Arch, simd::dot_kind Kind>
void prepare_low_bit(index_t rows, index_t height, const low_bit_layout<Arch>& at,
    std::int32_t offset, const std::int8_t* codes, std::uint32_t* to, std::int32_t* start,
    std::int32_t* sums) noexcept
{
    using dot = simd::decoded_dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t words = low_bit_tiles<Arch, Kind>::words;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const index_t depth = at.blocks * at.block;
    const typename dot::weights ones = dot::from(integer(0x01010101));
    for (index_t i = 0; i < height; ++i)
    {
        const std::int8_t* const from = codes + i * depth;
        std::uint32_t* row = to + i * words;
        for (index_t b = 0; b < at.blocks; ++b)
        {
            if (i >= rows)
            {
                std::memset(row, 0, static_cast<std::size_t>(4 * words));
            }
            else if constexpr (dot::words == 1)
            {
                std::memcpy(row, from + b * at.block, static_cast<std::size_t>(at.block));
            }
            else
            {
                for (index_t q = 0; q < 8; ++q)
                {
                    dot::prepare(from + b * at.block + 4 * q, row + q * dot::words);
                }
            }
            row += height * words;
        }
        index_t b = 0;
        for (index_t g = 0; g < at.groups; ++g)
        {
            std::int32_t sum = 0;
            const index_t end = b + at.group_blocks < at.blocks ? b + at.group_blocks : at.blocks;
            index_t c = b * at.block;
            integer four(std::int32_t{0});
            for (; i < rows && c + 4 * lanes <= end * at.block; c += 4 * lanes)
            {
                four = dot::add(four, ones, dot::lanes(simd::load_bytes<Arch>(from + c)));
            }
            alignas(64) std::int32_t lane[static_cast<std::size_t>(lanes)];
            four.store_aligned(lane);
            for (index_t j = 0; j < lanes; ++j)
            {
                sum += lane[j];
            }
            for (; i < rows && c < end * at.block; ++c)
            {
                sum += from[c];
            }
            start[g * height + i] = -offset * sum;
            sums[g * height + i] = sum;
            b = end;
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
