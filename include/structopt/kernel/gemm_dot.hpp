/// @file
/// The dense product of few rows with the transpose of a row-major matrix: C = A B^T, where both
/// operands run along k. Reads every element of B once, in place.
///
/// An element of C is `width` chains of multiply-adds over k (element k goes to chain k modulo
/// width), added up in a fixed order at the end.
#pragma once

#include <structopt/kernel/operand.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/reduce.hpp>
#include <structopt/simd/tail.hpp>

#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// Sizes of the product along k.
template <class Arch>
struct dot_shape
{
    /// Rows of A that are taken at once, at most.
    static constexpr index_t rows = simd::register_count<Arch> >= 32 ? 8 : 4;
    /// Lines of B that are taken with so many rows: rows * lines accumulators.
    static constexpr index_t lines(index_t tile_rows) noexcept
    {
        const index_t most = (simd::register_count<Arch> >= 32 ? 24 : 10) / tile_rows;
        return most < 8 ? most : 8;
    }
    /// Lines of B that stay in a near cache while all rows of A pass.
    static constexpr index_t block_lines = 48;
};

template <class T>
struct dot_arguments
{
    index_t depth;
    const T* a;
    index_t a_row;
    const T* b;
    index_t b_row;
    T* c;
    index_t c_row;
    const T* bias;
    const T* row_bias;
    bool accumulate;
    activation act;
};

/// A register that is loaded once for so many products: with its generic tuning g++ reads operands from
/// memory again for each of them, which takes more loads than the machine has time for.
template <index_t Products, class T, class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<T, Arch> loaded_once(const simd::batch<T, Arch>& x) noexcept
{
    if constexpr (Products > 1)
    {
        return simd::rounded(x);
    }
    else
    {
        return x;
    }
}

template <class T, class Arch, index_t Rows, index_t Lines>
void dot_tile(const dot_arguments<T>& t) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    vector sum[Rows][Lines];
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Rows; ++i)
    {
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Lines; ++j)
        {
            sum[i][j] = vector(T(0));
        }
    }
    const auto step = [&](const auto& read, index_t k) STRUCTOPT_LAMBDA_INLINE
    {
        // The smaller side stays in registers.
        if constexpr (Rows <= Lines)
        {
            vector left[Rows];
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Rows; ++i)
            {
                left[i] = detail::loaded_once<Lines>(read(t.a + i * t.a_row + k));
            }
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Lines; ++j)
            {
                const vector right = detail::loaded_once<Rows>(read(t.b + j * t.b_row + k));
                STRUCTOPT_UNROLL
                for (index_t i = 0; i < Rows; ++i)
                {
                    sum[i][j] = simd::fma(left[i], right, sum[i][j]);
                }
            }
        }
        else
        {
            vector right[Lines];
            STRUCTOPT_UNROLL
            for (index_t j = 0; j < Lines; ++j)
            {
                right[j] = detail::loaded_once<Rows>(read(t.b + j * t.b_row + k));
            }
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < Rows; ++i)
            {
                const vector left = detail::loaded_once<Lines>(read(t.a + i * t.a_row + k));
                STRUCTOPT_UNROLL
                for (index_t j = 0; j < Lines; ++j)
                {
                    sum[i][j] = simd::fma(left, right[j], sum[i][j]);
                }
            }
        }
    };
    index_t k = 0;
    for (; k + lanes <= t.depth; k += lanes)
    {
        step(
            [](const T* from) STRUCTOPT_LAMBDA_INLINE
            {
                return simd::load<Arch>(from);
            },
            k);
    }
    if (k < t.depth)
    {
        const index_t left = t.depth - k;
        step(
            [left](const T* from) STRUCTOPT_LAMBDA_INLINE
            {
                return simd::load_tail<Arch>(from, left);
            },
            k);
    }
    STRUCTOPT_UNROLL
    for (index_t i = 0; i < Rows; ++i)
    {
        T* const to = t.c + i * t.c_row;
        STRUCTOPT_UNROLL
        for (index_t j = 0; j < Lines; ++j)
        {
            T value = simd::reduce_add(sum[i][j]);
            if (t.accumulate)
            {
                value = to[j] + value;
            }
            if (t.bias != nullptr)
            {
                value = value + t.bias[j];
            }
            if (t.row_bias != nullptr)
            {
                value = value + t.row_bias[i];
            }
            if (t.act == activation::relu)
            {
                value = value < T(0) ? T(0) : value;
            }
            to[j] = value;
        }
    }
}

template <class T>
using dot_function = void (*)(const dot_arguments<T>&) noexcept;

template <class T, class Arch, index_t... Rows>
dot_function<T> pick_dot(index_t rows, bool many, std::integer_sequence<index_t, Rows...>) noexcept
{
    using shape = dot_shape<Arch>;
    static constexpr dot_function<T> single[] = {&dot_tile<T, Arch, Rows + 1, 1>...};
    static constexpr dot_function<T> several[] = {
        &dot_tile<T, Arch, Rows + 1, shape::lines(Rows + 1)>...};
    return (many ? several : single)[rows - 1];
}

/// Columns [first, last) of C[m, n] = A[m, k] B[n, k]^T.
template <class T, class Arch>
void gemm_dot(index_t m, index_t first, index_t last, index_t k, const T* a, index_t a_row,
    const T* b, index_t b_row, T* c, index_t c_row, const epilogue<T>& e) noexcept
{
    using shape = dot_shape<Arch>;
    constexpr auto heights = std::make_integer_sequence<index_t, shape::rows>{};
    const index_t groups = (m + shape::rows - 1) / shape::rows;
    for (index_t block = first; block < last; block += shape::block_lines)
    {
        const index_t end = last - block < shape::block_lines ? last : block + shape::block_lines;
        index_t row = 0;
        for (index_t g = 0; g < groups; ++g)
        {
            const index_t rows = m / groups + (g < m % groups ? 1 : 0);
            const auto several = pick_dot<T, Arch>(rows, true, heights);
            const auto single = pick_dot<T, Arch>(rows, false, heights);
            const index_t lines = shape::lines(rows);
            dot_arguments<T> t{};
            t.depth = k;
            t.a = a + row * a_row;
            t.a_row = a_row;
            t.b_row = b_row;
            t.c_row = c_row;
            t.row_bias = e.row_bias == nullptr ? nullptr : e.row_bias + row;
            t.accumulate = e.accumulate;
            t.act = e.act;
            for (index_t j = block; j < end;)
            {
                const bool many = end - j >= lines;
                t.b = b + j * b_row;
                t.c = c + row * c_row + j;
                t.bias = e.bias == nullptr ? nullptr : e.bias + j;
                (many ? several : single)(t);
                j += many ? lines : 1;
            }
            row += rows;
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
