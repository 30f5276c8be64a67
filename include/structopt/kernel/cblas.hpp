/// @file
/// Dense products by the CBLAS library of the user's choice, where `STRUCTOPT_USE_CBLAS` asks for it.
#pragma once

#include <structopt/kernel/operand.hpp>

#ifdef STRUCTOPT_USE_CBLAS
#include <cblas.h>

#include <limits>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Whether CBLAS can multiply these: float or double, extents that fit its integers, and rows or
/// columns of both operands contiguous.
template <class T>
constexpr bool fits_cblas(index_t m, index_t n, index_t k, const matrix_operand<T>& a,
    const matrix_operand<T>& b, index_t c_row_stride) noexcept
{
    const auto small = [](index_t extent)
    {
        return extent >= 1 && extent <= std::numeric_limits<int>::max();
    };
    const auto layout = [&](const matrix_operand<T>& x, index_t rows, index_t columns)
    {
        return (x.col_stride == 1 && x.row_stride >= columns && small(x.row_stride)) ||
               (x.row_stride == 1 && x.col_stride >= rows && small(x.col_stride));
    };
    return (std::is_same_v<T, float> || std::is_same_v<T, double>)&&small(m) && small(n) &&
           small(k) && small(c_row_stride) && layout(a, m, k) && layout(b, k, n);
}

/// C = act((accumulate ? C : 0) + A B + bias) for operands that `fits_cblas` accepts.
template <class T>
void gemm_cblas(index_t m, index_t n, index_t k, const matrix_operand<T>& a,
    const matrix_operand<T>& b, T* c, index_t c_row_stride, const epilogue<T>& e) noexcept
{
    const bool a_rows = a.col_stride == 1 && a.row_stride >= k;
    const bool b_rows = b.col_stride == 1 && b.row_stride >= n;
    const auto a_order = a_rows ? CblasNoTrans : CblasTrans;
    const auto b_order = b_rows ? CblasNoTrans : CblasTrans;
    const int rows = static_cast<int>(m);
    const int columns = static_cast<int>(n);
    const int depth = static_cast<int>(k);
    const int a_step = static_cast<int>(a_rows ? a.row_stride : a.col_stride);
    const int b_step = static_cast<int>(b_rows ? b.row_stride : b.col_stride);
    const int c_step = static_cast<int>(c_row_stride);
    const T keep = e.accumulate ? T(1) : T(0);
    if constexpr (std::is_same_v<T, float>)
    {
        cblas_sgemm(CblasRowMajor, a_order, b_order, rows, columns, depth, 1.0f, a.data, a_step,
            b.data, b_step, keep, c, c_step);
    }
    else
    {
        cblas_dgemm(CblasRowMajor, a_order, b_order, rows, columns, depth, 1.0, a.data, a_step,
            b.data, b_step, keep, c, c_step);
    }
    if (e.bias == nullptr && e.row_bias == nullptr && e.act == activation::none)
    {
        return;
    }
    for (index_t i = 0; i < m; ++i)
    {
        T* const row = c + i * c_row_stride;
        const T row_bias = e.row_bias != nullptr ? e.row_bias[i] : T(0);
        for (index_t j = 0; j < n; ++j)
        {
            const T value = row[j] + row_bias + (e.bias != nullptr ? e.bias[j] : T(0));
            row[j] = e.act == activation::relu && value < T(0) ? T(0) : value;
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
