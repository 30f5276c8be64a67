/// @file
/// What integer products take and give: matrices of 8-bit codes, and how sums become floats or codes.
#pragma once

#include <structopt/kernel/operand.hpp>

#include <cstdint>

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

} // namespace kernel
STRUCTOPT_END_NAMESPACE
