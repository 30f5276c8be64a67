/// @file
/// Integer products: 8-bit activations by packed int8 weights, exact in int32; results are int32,
/// float or 8-bit codes, with equal bits on every instruction set.
///
/// Y[m, n] = (X[m, k] - zero point) W[n, k]^T. X is int8 or uint8. Sums are exact while they fit int32:
/// for every X if k <= 66,000 (k * 255 * 127 < 2^31), and k <= 132,000 without a zero point.
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
#include <structopt/simd/widen.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A matrix that is written: element (i, j) is at data[i * row_stride + j * col_stride].
template <class T>
struct matrix_result
{
    T* data = nullptr;
    index_t row_stride = 0;
    index_t col_stride = 1;
};

/// A matrix of 8-bit codes that is read, int8 or uint8: element (i, j) is at
/// data[i * row_stride + j * col_stride].
struct code_operand
{
    constexpr code_operand() noexcept = default;

    STRUCTOPT_ALWAYS_INLINE code_operand(
        const std::int8_t* from, index_t rows, index_t columns) noexcept
        : data(from)
        , row_stride(rows)
        , col_stride(columns)
    {
    }

    STRUCTOPT_ALWAYS_INLINE code_operand(
        const std::uint8_t* from, index_t rows, index_t columns) noexcept
        : data(reinterpret_cast<const std::int8_t*>(from))
        , row_stride(rows)
        , col_stride(columns)
        , is_unsigned(true)
    {
    }

    const std::int8_t* data = nullptr;
    index_t row_stride = 0;
    index_t col_stride = 1;
    bool is_unsigned = false;
};

/// A matrix of 8-bit codes that is written, int8 or uint8.
struct code_result
{
    STRUCTOPT_ALWAYS_INLINE code_result(std::int8_t* to, index_t rows, index_t columns) noexcept
        : data(to)
        , row_stride(rows)
        , col_stride(columns)
    {
    }

    STRUCTOPT_ALWAYS_INLINE code_result(std::uint8_t* to, index_t rows, index_t columns) noexcept
        : data(reinterpret_cast<std::int8_t*>(to))
        , row_stride(rows)
        , col_stride(columns)
        , is_unsigned(true)
    {
    }

    std::int8_t* data;
    index_t row_stride;
    index_t col_stride;
    bool is_unsigned = false;
};

/// What integer sums start from.
struct integer_start
{
    /// Subtracted from every activation.
    std::int32_t x_zero = 0;
    /// One per column; null adds nothing.
    const std::int32_t* bias = nullptr;
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
    integer_start start{};
};

/// How integer sums become codes: y = round(float(sum) * multiplier[column]) + y_zero, half to even,
/// saturated to the type of y, and not below y_zero with `activation::relu`.
///
/// For scales of X, W and Y the multiplier is x_scale * w_scale[column] / y_scale, a finite number; a
/// bias belongs into `start`, in units of x_scale * w_scale[column]. `y_zero` is a code of y.
struct requantize
{
    const float* multiplier = nullptr;
    std::int32_t y_zero = 0;
    activation act = activation::none;
    integer_start start{};
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::code_operand;
using shared::code_result;
using shared::dequantize;
using shared::integer_start;
using shared::matrix_result;
using shared::requantize;

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

/// Bytes of scratch of all products. Any alignment will do.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept;

/// Y[m, n] = (X[m, k] - x_zero) W^T + bias as int32. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8_s32(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<std::int32_t> y, std::byte* scratch, const integer_start& start = {}) noexcept;

/// Y[m, n] = X[m, k] W^T as float. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<float> y, const dequantize& e, std::byte* scratch) noexcept;

/// Y[m, n] = X[m, k] W^T as codes. X may have any strides.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    code_result y, const requantize& e, std::byte* scratch) noexcept;

/// Y[m, n] = X[m, k] W^T for X of floats, rows `x_row` apart, quantized on the way: the same bits as
/// `quantize_rows` and `gemm_s8` give. What `e` has for `x_scale` and `start` is not read.
template <class Arch = simd::default_arch, simd::dot_kind Kind = simd::best_dot<Arch>>
void gemm_s8_dynamic(index_t m, index_t n, index_t k, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

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

/// What becomes of the sums of a product.
enum class s8_result
{
    integers,
    floats,
    codes
};

/// One call of a tile: prepared activations, packed weights, and where the result goes.
struct s8_arguments
{
    index_t groups;
    const std::uint32_t* x;
    const std::int8_t* w;
    index_t w_panel;
    /// Null: sums start from 0.
    const std::int32_t* start;
    index_t columns;
    s8_result kind;
    void* y;
    index_t row_stride;
    index_t col_stride;
    const float* x_scale;
    index_t x_scale_step;
    /// Or the multipliers of codes.
    const float* w_scale;
    const float* bias;
    activation act;
    /// Codes: the range that products are clamped to, what is added then, and bits that are turned.
    float lowest;
    float highest;
    std::int32_t y_zero;
    std::int32_t y_flip;
    /// Asked for while the tile runs, `ahead_step` bytes further for each group: the next panel.
    const std::int8_t* ahead;
    index_t ahead_step;
};

/// A product as a whole: X as it comes, one of the two.
struct s8_product
{
    /// Unsigned ones are turned to int8, which takes 128 off them.
    code_operand codes{};
    const float* floats = nullptr;
    index_t x_row = 0;
    integer_start start{};
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

/// Writes `count` lanes, `step` elements apart.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void store_lanes(
    T* to, index_t step, const simd::batch<T, Arch>& x, index_t count) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    if (step == 1)
    {
        if (count == lanes)
        {
            simd::store(to, x);
        }
        else
        {
            simd::store_tail(to, x, count);
        }
        return;
    }
    alignas(64) T buffer[static_cast<std::size_t>(lanes)];
    x.store_aligned(buffer);
    for (index_t j = 0; j < count; ++j)
    {
        to[j * step] = buffer[j];
    }
}

/// The same for 8-bit codes, which lie in [-128, 127].
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void store_code_lanes(
    std::int8_t* to, index_t step, const simd::batch<std::int32_t, Arch>& x, index_t count) noexcept
{
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    if (step == 1)
    {
        simd::store_narrow(to, x, count);
        return;
    }
    std::int8_t buffer[static_cast<std::size_t>(lanes)];
    simd::store_narrow(buffer, x);
    for (index_t j = 0; j < count; ++j)
    {
        to[j * step] = buffer[j];
    }
}

/// The numbers of one register of columns, by which sums become floats.
template <class Arch>
struct s8_columns
{
    simd::batch<float, Arch> scale;
    simd::batch<float, Arch> bias;
};

/// Converts and writes the sums [rows, Vectors] of a tile: `body(i, columns, sum)` gives what is written
/// as `T`.
template <class T, class Arch, index_t Vectors, class Body>
STRUCTOPT_ALWAYS_INLINE void finish_rows(
    const s8_arguments& t, index_t rows, const std::int32_t* sums, const Body& body) noexcept
{
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    const index_t step = t.col_stride;
    const index_t row_step = t.row_stride;
    const index_t columns = t.columns;
    for (index_t v = 0; v * lanes < columns; v += 2)
    {
        // Two registers of columns at a time; their numbers are loaded once.
        const index_t left = columns - v * lanes;
        const index_t count[2] = {left < lanes ? left : lanes, left < lanes       ? 0
                                                               : left < 2 * lanes ? left - lanes
                                                                                  : lanes};
        s8_columns<Arch> numbers[2];
        for (index_t h = 0; h < 2; ++h)
        {
            const index_t column = (v + h) * lanes;
            numbers[h].scale = numbers[h].bias = real(-0.0f);
            if (t.w_scale != nullptr && count[h] > 0)
            {
                numbers[h].scale = simd::load_tail<Arch>(t.w_scale + column, count[h]);
            }
            if (t.bias != nullptr && count[h] > 0)
            {
                numbers[h].bias = simd::load_tail<Arch>(t.bias + column, count[h]);
            }
        }
        T* y = static_cast<T*>(t.y) + v * lanes * step;
        const std::int32_t* from = sums + v * lanes;
        if (Vectors > 1 && step == 1 && count[1] == lanes)
        {
            for (index_t i = 0; i < rows; ++i)
            {
                const auto low = body(i, numbers[0], integer::load_aligned(from));
                const auto high = body(i, numbers[1], integer::load_aligned(from + lanes));
                if constexpr (sizeof(T) == 1)
                {
                    simd::store_narrow(y, low);
                    simd::store_narrow(y + lanes, high);
                }
                else
                {
                    simd::store(y, low);
                    simd::store(y + lanes, high);
                }
                from += Vectors * lanes;
                y += row_step;
            }
            continue;
        }
        for (index_t i = 0; i < rows; ++i)
        {
            for (index_t h = 0; h < 2 && count[h] > 0; ++h)
            {
                const auto value = body(i, numbers[h], integer::load_aligned(from + h * lanes));
                if constexpr (sizeof(T) == 1)
                {
                    detail::store_code_lanes<Arch>(y + h * lanes * step, step, value, count[h]);
                }
                else
                {
                    detail::store_lanes(y + h * lanes * step, step, value, count[h]);
                }
            }
            from += Vectors * lanes;
            y += row_step;
        }
    }
}

/// Converts and writes the sums [rows, Vectors] of a tile.
template <class Arch, index_t Vectors>
void finish_s8(const s8_arguments& t, index_t rows, const std::int32_t* sums) noexcept
{
    using integer = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    using columns = s8_columns<Arch>;
    if (t.kind == s8_result::integers)
    {
        detail::finish_rows<std::int32_t, Arch, Vectors>(t, rows, sums,
            [](index_t, const columns&, const integer& sum) STRUCTOPT_LAMBDA_INLINE
            {
                return sum;
            });
    }
    else if (t.kind == s8_result::codes)
    {
        const real lowest(t.lowest);
        const real highest(t.highest);
        const integer zero(t.y_zero);
        const integer flip(t.y_flip);
        detail::finish_rows<std::int8_t, Arch, Vectors>(t, rows, sums,
            [&](index_t, const columns& c, const integer& sum) STRUCTOPT_LAMBDA_INLINE
            {
                const real value = simd::rounded(simd::to_float(sum) * c.scale);
                return (simd::to_int(simd::clamp(value, lowest, highest)) + zero) ^ flip;
            });
    }
    else
    {
        const float* const x_scale = t.x_scale;
        const index_t x_scale_step = t.x_scale_step;
        const auto value = [&](index_t i, const columns& c, const integer& sum)
                               STRUCTOPT_LAMBDA_INLINE
        {
            const real scale = simd::rounded(real(x_scale[i * x_scale_step]) * c.scale);
            // A bias of -0 adds nothing to any number, zeros of either sign included.
            return simd::rounded(simd::to_float(sum) * scale) + c.bias;
        };
        if (t.act == activation::relu)
        {
            detail::finish_rows<float, Arch, Vectors>(t, rows, sums,
                [&](index_t i, const columns& c, const integer& sum) STRUCTOPT_LAMBDA_INLINE
                {
                    return simd::relu(simd::rounded(value(i, c, sum)));
                });
        }
        else
        {
            detail::finish_rows<float, Arch, Vectors>(t, rows, sums, value);
        }
    }
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

/// Where the parts of scratch lie, in bytes: prepared rows, starts, scales, codes of one tile.
template <class Arch, simd::dot_kind Kind>
struct s8_space
{
    using shape = gemm_s8_shape<Arch, Kind>;
    index_t block_rows;
    index_t starts;
    index_t scales;
    index_t codes;
    index_t all;

    s8_space(index_t m, index_t n, index_t k) noexcept
    {
        const index_t blocks = (m + shape::block_rows - 1) / shape::block_rows;
        block_rows = (m + blocks - 1) / blocks;
        starts = (4 * shape::words(block_rows, (k + 3) / 4) + 63) / 64 * 64;
        scales = starts + 4 * ((n + shape::panel - 1) / shape::panel * shape::panel);
        codes = scales + 4 * block_rows;
        all = codes + (block_rows < shape::rows ? block_rows : shape::rows) * k + 64;
    }
};

/// What the sums of each column start from, or null for zeros.
template <class Arch, simd::dot_kind Kind>
const std::int32_t* list_starts(index_t n, index_t columns, const integer_start& start,
    bool is_unsigned, const std::int32_t* corrections, std::int32_t* to) noexcept
{
    // Activations stand there as x + offset - (128 if unsigned); x - x_zero is meant.
    const std::int32_t excess =
        start.x_zero + simd::dot<Arch, Kind>::offset - (is_unsigned ? 128 : 0);
    if (start.bias == nullptr && (excess == 0 || excess == 128))
    {
        return excess == 0 ? nullptr : corrections;
    }
    for (index_t j = 0; j < columns; ++j)
    {
        to[j] = corrections[j] / 128 * excess;
    }
    for (index_t j = 0; start.bias != nullptr && j < n; ++j)
    {
        to[j] += start.bias[j];
    }
    return to;
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_tiled(index_t m, index_t n, index_t k, const s8_product& product,
    const std::byte* packed, s8_arguments t, std::byte* scratch) noexcept
{
    using shape = gemm_s8_shape<Arch, Kind>;
    if (m <= 0 || n <= 0)
    {
        return;
    }
    const index_t groups = (k + 3) / 4;
    const index_t panels = (n + shape::panel - 1) / shape::panel;
    const s8_space<Arch, Kind> space(m, n, k);
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    scratch += (64 - address % 64) % 64;
    auto* const prepared = reinterpret_cast<std::uint32_t*>(scratch);
    auto* const scales = reinterpret_cast<float*>(scratch + space.scales);
    auto* const codes = reinterpret_cast<std::int8_t*>(scratch + space.codes);
    const auto* const weights = reinterpret_cast<const std::int8_t*>(packed);
    const std::int32_t* const starts = detail::list_starts<Arch, Kind>(n, panels * shape::panel,
        product.start, product.codes.is_unsigned,
        reinterpret_cast<const std::int32_t*>(packed + panels * shape::panel * groups * 4),
        reinterpret_cast<std::int32_t*>(scratch + space.starts));
    const index_t block_rows = space.block_rows;
    const index_t t_size = t.kind == s8_result::codes ? 1 : 4;
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
            std::uint32_t* const to = prepared + shape::words(done, groups);
            if (product.floats != nullptr)
            {
                detail::prepare_floats<Arch, Kind>(high, k,
                    product.floats + (row + done) * product.x_row, product.x_row, scales + done,
                    codes, to);
            }
            else
            {
                const auto& x = product.codes;
                code_operand part = x;
                part.data += (row + done) * x.row_stride;
                detail::prepare_rows<Arch, Kind>(high, k, part, to);
            }
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
                    tile.start = starts == nullptr ? nullptr : starts + column;
                    // The tiles share out the next panel; a single one reads it soon enough.
                    const index_t share = tiles == 1 ? 0 : 4 * shape::panel / tiles + 1;
                    tile.ahead_step = share;
                    tile.w_scale = t.w_scale == nullptr ? nullptr : t.w_scale + column;
                    tile.bias = t.bias == nullptr ? nullptr : t.bias + column;
                    index_t at = 0;
                    for (index_t i = 0; i < tiles; ++i)
                    {
                        const index_t high = height + (i < higher ? 1 : 0);
                        const index_t offset = (row + at) * t.row_stride + column * t.col_stride;
                        tile.x = prepared + shape::words(at, groups);
                        tile.ahead = tile.w + (tiles == 1 ? 0 : tile.w_panel + i * share * groups);
                        if (product.floats != nullptr)
                        {
                            tile.x_scale = scales + at;
                        }
                        else if (t.x_scale != nullptr)
                        {
                            tile.x_scale = t.x_scale + (row + at) * t.x_scale_step;
                        }
                        tile.y = static_cast<std::byte*>(t.y) + offset * t_size;
                        pick_s8<Arch, Kind>(
                            high, width, std::make_integer_sequence<index_t, shape::rows>{})(tile);
                        at += high;
                    }
                    p += count;
                }
            });
    }
}

/// Arguments that do not depend on the kind of result.
template <class Result>
s8_arguments s8_result_arguments(const Result& y, s8_result kind) noexcept
{
    s8_arguments t{};
    t.kind = kind;
    t.y = y.data;
    t.row_stride = y.row_stride;
    t.col_stride = y.col_stride;
    return t;
}

inline s8_product s8_product_of(const code_operand& x, const integer_start& start) noexcept
{
    s8_product product;
    product.codes = x;
    product.start = start;
    return product;
}

inline s8_arguments s8_float_arguments(const matrix_result<float>& y, const dequantize& e) noexcept
{
    s8_arguments t = detail::s8_result_arguments(y, s8_result::floats);
    t.x_scale = e.x_scale;
    t.x_scale_step = e.one_x_scale ? 0 : 1;
    t.w_scale = e.w_scale;
    t.bias = e.bias;
    t.act = e.act;
    return t;
}

} // namespace detail

template <class Arch, simd::dot_kind Kind>
std::size_t gemm_s8_scratch_bytes(index_t m, index_t n, index_t k) noexcept
{
    if (m <= 0 || n <= 0)
    {
        return 0;
    }
    return static_cast<std::size_t>(detail::s8_space<Arch, Kind>(m, n, k).all);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_s32(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<std::int32_t> y, std::byte* scratch, const integer_start& start) noexcept
{
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, detail::s8_product_of(x, start), packed,
        detail::s8_result_arguments(y, detail::s8_result::integers), scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    matrix_result<float> y, const dequantize& e, std::byte* scratch) noexcept
{
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, detail::s8_product_of(x, e.start), packed,
        detail::s8_float_arguments(y, e), scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8(index_t m, index_t n, index_t k, code_operand x, const std::byte* packed,
    code_result y, const requantize& e, std::byte* scratch) noexcept
{
    // Unsigned codes are made as signed ones, 128 less, and turned when they are written.
    const std::int32_t less = y.is_unsigned ? 128 : 0;
    detail::s8_arguments t = detail::s8_result_arguments(y, detail::s8_result::codes);
    const std::int32_t zero = e.y_zero - less;
    t.w_scale = e.multiplier;
    t.lowest = static_cast<float>(e.act == activation::relu ? 0 : -128 - zero);
    t.highest = static_cast<float>(127 - zero);
    t.y_zero = zero;
    t.y_flip = less == 0 ? 0 : -128;
    detail::gemm_s8_tiled<Arch, Kind>(
        m, n, k, detail::s8_product_of(x, e.start), packed, t, scratch);
}

template <class Arch, simd::dot_kind Kind>
void gemm_s8_dynamic(index_t m, index_t n, index_t k, const float* x, index_t x_row,
    const std::byte* packed, matrix_result<float> y, const dequantize& e,
    std::byte* scratch) noexcept
{
    detail::s8_product product;
    product.floats = x;
    product.x_row = x_row;
    detail::s8_arguments t = detail::s8_float_arguments(y, e);
    t.x_scale_step = 1;
    detail::gemm_s8_tiled<Arch, Kind>(m, n, k, product, packed, t, scratch);
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_GEMM_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
