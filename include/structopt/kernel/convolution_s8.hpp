/// @file
/// Convolution in integers: of floats, every image quantized once with one scale, or of int8 codes to
/// int8 codes.
///
/// Registers hold positions, weights are broadcast: results are written where they belong, and the
/// weights are the same packed matrix that `gemm_s8` multiplies by. Sums are exact, every instruction
/// set gives the same bits.
#pragma once

#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/kernel/image_s8.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/part.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `convolution_s8`. Any alignment will do.
template <class Arch = simd::default_arch>
std::size_t convolution_s8_bytes(const window& g, index_t groups, index_t out) noexcept;

/// y[images, groups * out, g.columns()] = the convolution of x[images, groups * g.channels, height,
/// width] with weights [groups * out, g.rows()], packed by `pack_s8`.
///
/// `g` is the window of one group, `out` its number of outputs. An image is quantized as
/// `quantize_rows` would quantize it as a single row; sums become floats as `dequantize` says, with
/// that scale for `x_scale`. Null `bias` adds nothing.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void convolution_s8(index_t images, const window& g, index_t groups, index_t out, const float* x,
    const std::byte* packed, const float* w_scale, const float* bias, float* y,
    std::byte* scratch) noexcept;

/// The same from codes to codes: y = round(float(sum) * multiplier[output]) + y_zero as `requantize`
/// says, with one multiplier and one `start.bias` for each of the groups * out outputs. Padding counts
/// as `start.x_zero`, which is what zero is in codes of x.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void convolution_s8(index_t images, const window& g, index_t groups, index_t out,
    const std::int8_t* x, const std::byte* packed, const requantize& e, std::int8_t* y,
    std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Positions of one tile: two registers.
template <class Arch>
inline constexpr index_t conv_s8_tile_width = 2 * simd::width<std::int32_t, Arch>;

/// Positions whose patches are gathered at once: whole tiles.
template <class Arch>
inline constexpr index_t conv_s8_chunk =
    simd::interleave_width<Arch> > conv_s8_tile_width<Arch> ? simd::interleave_width<Arch>
                                                            : conv_s8_tile_width<Arch>;

/// Most outputs of one tile.
template <class Arch, simd::dot_kind Kind>
inline constexpr index_t conv_s8_rows = Kind == simd::dot_kind::scalar
                                            ? 2
                                            : (simd::register_count<Arch> >= 32 ? 14 : 6) -
                                                  (simd::dot<Arch, Kind>::weight_registers > 1 ? 2
                                                                                               : 0);

/// What becomes of one register of positions: those that are outputs follow each other in the result.
/// Registers are written in order, so that a whole one may be, as long as it ends within the image.
struct lane_choice
{
    std::uint32_t chosen = 0; ///< one bit per lane
    std::int32_t count = 0;
    index_t to = 0;
};

/// Registers of positions, up to a whole number of four.
template <class Arch>
constexpr index_t conv_s8_registers(const code_frame& f) noexcept
{
    constexpr index_t four = 2 * conv_s8_tile_width<Arch>;
    return (f.positions() + four - 1) / four * 4;
}

/// Lists the choices of all registers, in order.
template <class Arch>
void list_choices(const code_frame& f, lane_choice* choices) noexcept
{
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    index_t row = 0;
    index_t column = 0;
    index_t to = 0;
    for (index_t v = 0; v < detail::conv_s8_registers<Arch>(f); ++v)
    {
        lane_choice& choice = choices[v];
        choice = {};
        choice.to = to;
        for (index_t lane = 0; lane < lanes && row < f.of.out_h;)
        {
            const index_t room = lanes - lane;
            if (column < f.of.out_w)
            {
                const index_t n = f.of.out_w - column < room ? f.of.out_w - column : room;
                choice.chosen |= ((1u << n) - 1u) << lane;
                choice.count += static_cast<std::int32_t>(n);
                to += n;
            }
            const index_t step = f.pitch - column < room ? f.pitch - column : room;
            lane += step;
            column += step;
            if (column == f.pitch)
            {
                column = 0;
                ++row;
            }
        }
    }
}

/// One tile: `Rows` outputs at two registers of positions.
struct conv_s8_arguments
{
    index_t groups;
    const std::int8_t* w;
    /// What sums start from, and what they are multiplied by.
    const std::int32_t* start;
    const float* scale;
    /// Floats: added to the products.
    const float* bias;
    float* y;
    /// Codes, if not null, instead, of all positions, lines `codes_row` apart: the range that products
    /// are clamped to, and what is added then.
    std::int8_t* codes;
    index_t codes_row;
    float lowest;
    float highest;
    std::int32_t zero;
    index_t y_row;
};

/// Sums to floats, as `dequantize` says, for output `row` of the tile.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<float, Arch> conv_s8_finish(
    const simd::batch<std::int32_t, Arch>& sum, const conv_s8_arguments& t, index_t row) noexcept
{
    using real = simd::batch<float, Arch>;
    return simd::rounded(simd::to_float(sum) * real(t.scale[row])) + real(t.bias[row]);
}

/// Sums to codes, all lanes, those of positions that belong to no output included.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void conv_s8_put_codes(const simd::batch<std::int32_t, Arch>& sum,
    const conv_s8_arguments& t, index_t row, std::int8_t* to) noexcept
{
    using real = simd::batch<float, Arch>;
    const real value = simd::rounded(simd::to_float(sum) * real(t.scale[row]));
    simd::store_narrow(to, simd::to_int(simd::clamp(value, real(t.lowest), real(t.highest))) +
                               simd::batch<std::int32_t, Arch>(t.zero));
}

/// The codes of a whole tile; one function for tiles of every height.
template <class Arch>
void conv_s8_write_codes(
    const conv_s8_arguments& t, index_t rows, const std::int32_t* sums) noexcept
{
    using integer = simd::batch<std::int32_t, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    std::int8_t* to = t.codes;
    for (index_t i = 0; i < rows; ++i)
    {
        detail::conv_s8_put_codes<Arch>(integer::load_aligned(sums), t, i, to);
        detail::conv_s8_put_codes<Arch>(integer::load_aligned(sums + lanes), t, i, to + lanes);
        sums += 2 * lanes;
        to += t.codes_row;
    }
}

/// The outputs among the positions [first, last) of a line of codes, to where they belong in y.
inline void pack_codes(const code_frame& f, const std::int8_t* line, index_t first, index_t last,
    std::int8_t* y) noexcept
{
    for (index_t row = first / f.pitch; row < f.of.out_h && row * f.pitch < last; ++row)
    {
        const index_t begin = row * f.pitch;
        const index_t from = begin > first ? begin : first;
        const index_t to = begin + f.of.out_w < last ? begin + f.of.out_w : last;
        if (to > from)
        {
            std::memcpy(y + row * f.of.out_w + (from - begin), line + (from - first),
                static_cast<std::size_t>(to - from));
        }
    }
}

template <class Arch, simd::dot_kind Kind, index_t Rows>
void conv_s8_tile(
    const conv_s8_arguments& t, const std::uint32_t* words, const lane_choice* choices) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    // The panel of the packed matrix has as many columns as the tile has positions.
    constexpr index_t step = 4 * conv_s8_tile_width<Arch>;
    integer sum[Rows][2];
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Rows; ++i)
    {
        const integer start(t.start[i]);
        sum[i][0] = start;
        sum[i][1] = start;
    }
    const auto* x = reinterpret_cast<const std::int8_t*>(words);
    const std::int8_t* w = t.w;
    for (index_t k = 0; k < t.groups; ++k)
    {
        const typename dot::weights left[2] = {dot::load(x), dot::load(x + 4 * lanes)};
        STRUCTOPT_UNROLL
        for (index_t i = 0; i < Rows; ++i)
        {
            const typename dot::activations right = dot::spread(w + 4 * i);
            sum[i][0] = dot::add_turned(sum[i][0], left[0], right);
            sum[i][1] = dot::add_turned(sum[i][1], left[1], right);
        }
        x += 8 * lanes;
        w += step;
    }
    // By way of memory: g++ keeps all sums in registers above only if none lives on below.
    alignas(64) std::int32_t sums[Rows][static_cast<std::size_t>(2 * lanes)];
    alignas(64) float values[2][Rows][static_cast<std::size_t>(lanes)];
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Rows; ++i)
    {
        sum[i][0].store_aligned(sums[i]);
        sum[i][1].store_aligned(sums[i] + lanes);
    }
    if (t.codes != nullptr)
    {
        detail::conv_s8_write_codes<Arch>(t, Rows, sums[0]);
        return;
    }
    for (index_t i = 0; i < Rows; ++i)
    {
        const integer low = integer::load_aligned(sums[i]);
        const integer high = integer::load_aligned(sums[i] + lanes);
        detail::conv_s8_finish<Arch>(low, t, i).store_aligned(values[0][i]);
        detail::conv_s8_finish<Arch>(high, t, i).store_aligned(values[1][i]);
    }
    for (index_t v = 0; v < 2; ++v)
    {
        const lane_choice choice = choices[v];
        float* to = t.y + choice.to;
        for (index_t i = 0; i < Rows; ++i)
        {
            simd::store_chosen(to, real::load_aligned(values[v][i]), choice.chosen, choice.count,
                t.y_row - choice.to);
            to += t.y_row;
        }
    }
}

using conv_s8_function = void (*)(
    const conv_s8_arguments&, const std::uint32_t*, const lane_choice*) noexcept;

template <class Arch, simd::dot_kind Kind, index_t... Rows>
conv_s8_function pick_conv_s8(index_t rows, std::integer_sequence<index_t, Rows...>) noexcept
{
    static constexpr conv_s8_function tiles[] = {&conv_s8_tile<Arch, Kind, Rows + 1>...};
    return tiles[rows - 1];
}

constexpr bool conv_s8_depthwise(const window& g, index_t groups) noexcept
{
    return groups > 1 && g.channels == 1;
}

/// Kernel columns in words of four.
constexpr index_t conv_s8_quads(const window& g) noexcept
{
    return (g.kernel_w + 3) / 4;
}

/// Words of one plane of a depthwise convolution, read four registers at a time.
template <class Arch>
constexpr index_t conv_s8_plane_words(const code_frame& f) noexcept
{
    constexpr index_t four = 2 * conv_s8_tile_width<Arch>;
    return (f.plane() + four - 1) / four * four + four;
}

/// Positions whose patches are kept at a time: as many as fit the first cache level beside a panel,
/// so that an output is written in long pieces.
template <class Arch>
constexpr index_t conv_s8_span(const code_frame& f) noexcept
{
    constexpr index_t chunk = conv_s8_chunk<Arch>;
    const index_t fit = (index_t{1} << 14) / (f.of.rows() * chunk);
    const index_t needed = (f.positions() + chunk - 1) / chunk;
    const index_t most = fit < 1 ? 1 : fit < 16 ? fit : 16;
    return (most < needed ? most : needed) * chunk;
}

template <class Arch>
constexpr index_t conv_s8_words(const code_frame& f, index_t groups) noexcept
{
    if (detail::conv_s8_depthwise(f.of, groups))
    {
        const index_t weights = f.of.kernel_h * detail::conv_s8_quads(f.of);
        return f.phases_h * detail::conv_s8_quads(f.of) * detail::conv_s8_plane_words<Arch>(f) +
               weights;
    }
    return (f.of.rows() + 3) / 4 * detail::conv_s8_span<Arch>(f);
}

/// Codes of all positions of the outputs of one tile, or of one channel by itself.
template <class Arch>
constexpr index_t conv_s8_lines(const code_frame& f) noexcept
{
    constexpr index_t most_rows = 14;
    const index_t tile = most_rows * detail::conv_s8_span<Arch>(f);
    const index_t channel = detail::conv_s8_registers<Arch>(f) * simd::width<std::int32_t, Arch>;
    return tile > channel ? tile : channel;
}

/// What a convolution keeps in scratch.
template <class Arch>
struct conv_s8_space
{
    std::uint32_t* words = nullptr;
    float* scale = nullptr; ///< of every output, from here to `start`: x_scale * w_scale
    float* bias = nullptr;
    std::int32_t* start = nullptr;
    index_t* taps = nullptr;
    lane_choice* choices = nullptr;
    std::int8_t* lines = nullptr; ///< codes of the outputs of one tile
    std::uint8_t* codes = nullptr;

    conv_s8_space(const code_frame& f, index_t groups, index_t out, std::byte* scratch) noexcept
    {
        const auto address = reinterpret_cast<std::uintptr_t>(scratch);
        scratch += (64 - address % 64) % 64;
        words = take<std::uint32_t>(detail::conv_s8_words<Arch>(f, groups), scratch);
        scale = take<float>(groups * out, scratch);
        bias = take<float>(groups * out, scratch);
        start = take<std::int32_t>(groups * out, scratch);
        taps = take<index_t>(f.of.rows(), scratch);
        choices = take<lane_choice>(detail::conv_s8_registers<Arch>(f), scratch);
        lines = take<std::int8_t>(detail::conv_s8_lines<Arch>(f), scratch);
        codes = reinterpret_cast<std::uint8_t*>(scratch);
    }

    static std::size_t bytes(const code_frame& f, index_t groups, index_t out) noexcept
    {
        return 64 + 2 * rounded<float>(groups * out) + rounded<std::int32_t>(groups * out) +
               rounded<std::uint32_t>(detail::conv_s8_words<Arch>(f, groups)) +
               rounded<index_t>(f.of.rows()) +
               rounded<lane_choice>(detail::conv_s8_registers<Arch>(f)) +
               rounded<std::int8_t>(detail::conv_s8_lines<Arch>(f)) +
               static_cast<std::size_t>(f.bytes());
    }

private:
    template <class T>
    static constexpr std::size_t rounded(index_t n) noexcept
    {
        return (static_cast<std::size_t>(n) * sizeof(T) + 63) / 64 * 64;
    }

    template <class T>
    static T* take(index_t n, std::byte*& scratch) noexcept
    {
        T* const taken = reinterpret_cast<T*>(scratch);
        scratch += rounded<T>(n);
        return taken;
    }
};

/// The words of one group of four taps at the positions of one chunk, stored `apart` words apart for
/// each tile.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void gather_words(
    const std::uint8_t* codes, const index_t (&taps)[4], index_t apart, std::uint32_t* to) noexcept
{
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    constexpr index_t registers = simd::interleave_registers<Arch>;
    for (index_t at = 0; at < conv_s8_chunk<Arch>; at += simd::interleave_width<Arch>)
    {
        simd::batch<std::int32_t, Arch> words[static_cast<std::size_t>(registers)];
        const std::uint8_t* const from = codes + at;
        simd::interleave<Arch>(
            from + taps[0], from + taps[1], from + taps[2], from + taps[3], words);
        STRUCTOPT_UNROLL
        for (index_t v = 0; v < registers; ++v)
        {
            const index_t place = at / lanes + v;
            simd::store(reinterpret_cast<std::int32_t*>(to) + place / 2 * apart + place % 2 * lanes,
                words[v]);
        }
    }
}

/// One group of channels whose codes are there.
template <class Arch, simd::dot_kind Kind>
void conv_s8_group(const code_frame& f, index_t first_out, index_t out, const std::byte* packed,
    const conv_s8_space<Arch>& space, const conv_s8_arguments& all) noexcept
{
    constexpr index_t width = conv_s8_tile_width<Arch>;
    constexpr index_t most = conv_s8_rows<Arch, Kind>;
    const index_t depth = f.of.rows();
    const index_t groups = (depth + 3) / 4;
    const index_t n = f.positions();
    const auto* const weights = reinterpret_cast<const std::int8_t*>(packed);
    conv_s8_arguments t = all;
    t.groups = groups;
    const index_t span = detail::conv_s8_span<Arch>(f);
    t.codes_row = span;
    for (index_t first = 0; first < n; first += span)
    {
        const index_t last = first + span < n ? first + span : n;
        for (index_t k = 0; k < groups; ++k)
        {
            index_t taps[4];
            for (index_t j = 0; j < 4; ++j)
            {
                // Past the last one any code will do: its weight is zero.
                const index_t tap = 4 * k + j;
                taps[j] = space.taps[tap < depth ? tap : depth - 1];
            }
            for (index_t p = first; p < last; p += conv_s8_chunk<Arch>)
            {
                detail::gather_words<Arch>(space.codes + p, taps, groups * width,
                    space.words + (p - first) * groups + k * width);
            }
        }
        for (index_t o = first_out; o < first_out + out;)
        {
            // The rest of the panel or of the group, in tiles of nearly equal height.
            const index_t in_panel = width - o % width;
            const index_t left = first_out + out - o < in_panel ? first_out + out - o : in_panel;
            const index_t tiles = (left + most - 1) / most;
            const index_t rows = (left + tiles - 1) / tiles;
            t.w = weights + o / width * width * 4 * groups + o % width * 4;
            t.start = all.start + o;
            t.scale = all.scale + o;
            t.bias = all.bias + o;
            if (all.codes == nullptr)
            {
                t.y = all.y + o * t.y_row;
            }
            const auto tile =
                detail::pick_conv_s8<Arch, Kind>(rows, std::make_integer_sequence<index_t, most>{});
            for (index_t p = first; p < last; p += width)
            {
                if (all.codes != nullptr)
                {
                    t.codes = space.lines + (p - first);
                }
                tile(t, space.words + (p - first) * groups, space.choices + p / (width / 2));
            }
            for (index_t i = 0; all.codes != nullptr && i < rows; ++i)
            {
                detail::pack_codes(
                    f, space.lines + i * t.codes_row, first, last, all.codes + (o + i) * t.y_row);
            }
            o += rows;
        }
    }
}

/// Sums of one output of a depthwise convolution at `Vectors` registers of positions.
template <class Arch, simd::dot_kind Kind, index_t Vectors>
STRUCTOPT_ALWAYS_INLINE void depthwise_s8_sums(const code_frame& f, const std::uint32_t* words,
    index_t plane_words, const std::uint32_t* weights, std::int32_t start,
    simd::batch<std::int32_t, Arch> (&sum)[static_cast<std::size_t>(Vectors)]) noexcept
{
    using dot = simd::dot<Arch, Kind>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const index_t quads = detail::conv_s8_quads(f.of);
    STRUCTOPT_UNROLL
    for (index_t v = 0; v < Vectors; ++v)
    {
        sum[v] = simd::batch<std::int32_t, Arch>(start);
    }
    for (index_t i = 0; i < f.of.kernel_h; ++i)
    {
        const index_t y = i * f.of.dilation_h;
        const std::uint32_t* const row =
            words + y % f.of.stride_h * quads * plane_words + y / f.of.stride_h * f.pitch;
        for (index_t q = 0; q < quads; ++q)
        {
            const auto* const from = reinterpret_cast<const std::int8_t*>(row + q * plane_words);
            const auto w =
                dot::spread(reinterpret_cast<const std::int8_t*>(weights + i * quads + q));
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < Vectors; ++v)
            {
                sum[v] = dot::add_turned(sum[v], dot::load(from + 4 * lanes * v), w);
            }
        }
    }
}

/// One channel on its own: words of four neighbouring columns, made once for all kernel rows.
template <class Arch, simd::dot_kind Kind>
void conv_s8_channel(const code_frame& f, index_t first_out, index_t out, const std::byte* packed,
    const conv_s8_space<Arch>& space, const conv_s8_arguments& t) noexcept
{
    constexpr index_t width = conv_s8_tile_width<Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const index_t quads = detail::conv_s8_quads(f.of);
    const index_t plane_words = detail::conv_s8_plane_words<Arch>(f);
    const index_t groups = (f.of.rows() + 3) / 4;
    for (index_t r = 0; r < f.phases_h; ++r)
    {
        for (index_t q = 0; q < quads; ++q)
        {
            index_t taps[4];
            for (index_t j = 0; j < 4; ++j)
            {
                const index_t column = 4 * q + j;
                const index_t x =
                    (column < f.of.kernel_w ? column : f.of.kernel_w - 1) * f.of.dilation_w;
                taps[j] = (r * f.phases_w + x % f.of.stride_w) * f.plane() + x / f.of.stride_w;
            }
            std::uint32_t* const to = space.words + (r * quads + q) * plane_words;
            for (index_t at = 0; at < f.plane(); at += conv_s8_chunk<Arch>)
            {
                detail::gather_words<Arch>(space.codes + at, taps, width, to + at);
            }
        }
    }
    std::uint32_t* const weights = space.words + f.phases_h * quads * plane_words;
    for (index_t o = first_out; o < first_out + out; ++o)
    {
        const auto* const column = reinterpret_cast<const std::int8_t*>(packed) +
                                   o / width * width * 4 * groups + o % width * 4;
        for (index_t i = 0; i < f.of.kernel_h; ++i)
        {
            for (index_t q = 0; q < quads; ++q)
            {
                std::int8_t four[4] = {};
                for (index_t j = 0; j < 4 && 4 * q + j < f.of.kernel_w; ++j)
                {
                    const index_t k = i * f.of.kernel_w + 4 * q + j;
                    four[j] = column[k / 4 * 4 * width + k % 4];
                }
                std::memcpy(weights + i * quads + q, four, 4);
            }
        }
        const std::int32_t start = t.start[o];
        const index_t n = f.positions();
        for (index_t p = 0; p < n; p += 2 * width)
        {
            simd::batch<std::int32_t, Arch> sum[4];
            detail::depthwise_s8_sums<Arch, Kind, 4>(
                f, space.words + p, plane_words, weights, start, sum);
            for (index_t v = 0; v < 4; ++v)
            {
                if (t.codes != nullptr)
                {
                    detail::conv_s8_put_codes<Arch>(sum[v], t, o, space.lines + p + v * lanes);
                    continue;
                }
                const lane_choice& choice = space.choices[p / lanes + v];
                simd::store_chosen(t.y + o * t.y_row + choice.to,
                    detail::conv_s8_finish<Arch>(sum[v], t, o), choice.chosen, choice.count,
                    t.y_row - choice.to);
            }
        }
        if (t.codes != nullptr)
        {
            detail::pack_codes(f, space.lines, 0, n, t.codes + o * t.y_row);
        }
    }
}

/// What the sums of every output start from: activations stand there `excess` higher than they are
/// meant.
template <class Arch>
void list_conv_starts(index_t outputs, index_t depth, const std::byte* packed, std::int32_t excess,
    const std::int32_t* bias, std::int32_t* starts) noexcept
{
    constexpr index_t panel = conv_s8_tile_width<Arch>;
    const index_t columns = (outputs + panel - 1) / panel * panel;
    const auto* const corrections =
        reinterpret_cast<const std::int32_t*>(packed + columns * ((depth + 3) / 4 * 4));
    for (index_t o = 0; o < outputs; ++o)
    {
        starts[o] = corrections[o] / 128 * excess + (bias == nullptr ? 0 : bias[o]);
    }
}

/// One group of one image, whose codes are in the frame.
template <class Arch, simd::dot_kind Kind>
void conv_s8_image_group(const code_frame& f, const window& g, index_t groups, index_t group,
    index_t out, const std::byte* packed, const conv_s8_space<Arch>& space,
    const conv_s8_arguments& t) noexcept
{
    if (detail::conv_s8_depthwise(g, groups))
    {
        detail::conv_s8_channel<Arch, Kind>(f, group * out, out, packed, space, t);
    }
    else
    {
        detail::conv_s8_group<Arch, Kind>(f, group * out, out, packed, space, t);
    }
}

} // namespace detail

template <class Arch>
std::size_t convolution_s8_bytes(const window& g, index_t groups, index_t out) noexcept
{
    const code_frame f(g);
    return detail::conv_s8_space<Arch>::bytes(f, groups, out);
}

template <class Arch, simd::dot_kind Kind>
void convolution_s8(index_t images, const window& g, index_t groups, index_t out, const float* x,
    const std::byte* packed, const float* w_scale, const float* bias, float* y,
    std::byte* scratch) noexcept
{
    constexpr std::int32_t offset = simd::dot<Arch, Kind>::offset;
    const code_frame f(g);
    const detail::conv_s8_space<Arch> space(f, groups, out, scratch);
    const index_t pixels = g.channels * g.height * g.width;
    detail::list_choices<Arch>(f, space.choices);
    f.list_taps(space.taps);
    detail::list_conv_starts<Arch>(groups * out, g.rows(), packed, offset, nullptr, space.start);
    for (index_t o = 0; o < groups * out; ++o)
    {
        // -0 is what adds nothing to any number, zeros of either sign included.
        space.bias[o] = bias == nullptr ? -0.0f : bias[o];
    }

    detail::conv_s8_arguments t{};
    t.start = space.start;
    t.scale = space.scale;
    t.bias = space.bias;
    t.y_row = g.columns();
    for (index_t i = 0; i < images; ++i)
    {
        const float* const image = x + i * groups * pixels;
        t.y = y + i * groups * out * g.columns();
        float x_scale;
        const float factor = detail::code_scale<Arch>(groups * pixels, image, x_scale);
        for (index_t o = 0; o < groups * out; ++o)
        {
            space.scale[o] = x_scale * w_scale[o];
        }
        for (index_t group = 0; group < groups; ++group)
        {
            quantize_image<Arch>(f, image + group * pixels, factor, offset, space.codes);
            detail::conv_s8_image_group<Arch, Kind>(f, g, groups, group, out, packed, space, t);
        }
    }
}

template <class Arch, simd::dot_kind Kind>
void convolution_s8(index_t images, const window& g, index_t groups, index_t out,
    const std::int8_t* x, const std::byte* packed, const requantize& e, std::int8_t* y,
    std::byte* scratch) noexcept
{
    constexpr std::int32_t offset = simd::dot<Arch, Kind>::offset;
    const code_frame f(g);
    const detail::conv_s8_space<Arch> space(f, groups, out, scratch);
    const index_t pixels = g.channels * g.height * g.width;
    detail::list_choices<Arch>(f, space.choices);
    f.list_taps(space.taps);
    detail::list_conv_starts<Arch>(
        groups * out, g.rows(), packed, e.start.x_zero + offset, e.start.bias, space.start);

    detail::conv_s8_arguments t{};
    t.start = space.start;
    t.scale = e.multiplier;
    t.bias = space.bias; // not read
    t.lowest = static_cast<float>(e.act == activation::relu ? 0 : -128 - e.y_zero);
    t.highest = static_cast<float>(127 - e.y_zero);
    t.zero = e.y_zero;
    t.y_row = g.columns();
    for (index_t i = 0; i < images; ++i)
    {
        t.codes = y + i * groups * out * g.columns();
        for (index_t group = 0; group < groups; ++group)
        {
            detail::frame_codes(
                f, x + (i * groups + group) * pixels, e.start.x_zero, offset, space.codes);
            detail::conv_s8_image_group<Arch, Kind>(f, g, groups, group, out, packed, space, t);
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_CONVOLUTION_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
