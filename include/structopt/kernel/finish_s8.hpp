/// @file
/// What becomes of the int32 sums of a tile: written as they are, as floats or as 8-bit codes, with
/// equal bits on every instruction set.
#pragma once

#include <structopt/kernel/operand_s8.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/tail.hpp>
#include <structopt/simd/widen.hpp>

#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

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
} // namespace kernel
STRUCTOPT_END_NAMESPACE
