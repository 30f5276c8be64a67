/// @file
/// Sparse times dense and dense times sparse, with the matrix as it is or transposed.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/csr_transposed.hpp>
#include <structopt/kernel/spmm_csr.hpp>
#include <structopt/sparse/csc.hpp>
#include <structopt/sparse/csr.hpp>
#include <structopt/sparse/dense_operand.hpp>
#include <structopt/sparse/transpose.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

namespace detail
{

/// Compressed lists in memory: the rows of a matrix [lists, extent] or the columns of its transpose.
template <class T, class Index>
struct compressed_view
{
    index_t lists;
    index_t extent;
    const std::uint32_t* offsets;
    const Index* indices;
    const T* values;
};

template <class T, class Index>
compressed_view<T, Index> lists_of(const csr<T, Index>& m) noexcept
{
    return {m.rows(), m.columns(), m.offsets().data(), m.indices().data(), m.values().data()};
}

template <class T, class Index>
compressed_view<T, Index> lists_of(const csc<T, Index>& m) noexcept
{
    return {m.columns(), m.rows(), m.offsets().data(), m.indices().data(), m.values().data()};
}

template <class S>
inline constexpr bool has_rows = false;

template <std::floating_point T, class Index>
inline constexpr bool has_rows<csr<T, Index>> = true;

template <class S>
inline constexpr bool has_columns = false;

template <std::floating_point T, class Index>
inline constexpr bool has_columns<csc<T, Index>> = true;

/// y[list, j] = sum over the entries of a list: the kernel of compressed rows.
template <class T, class Index>
void gather_lists(const compressed_view<T, Index>& w, view<const T, 2> x, view<T, 2> y)
{
    const index_t n = x.shape(1);
    buffer<std::byte> scratch(kernel::spmm_csr_scratch_bytes<T>(n, w.extent));
    kernel::spmm_csr<>(n, w.lists, w.extent, w.values, w.indices, w.offsets, x.data(), x.stride(1),
        x.stride(0), static_cast<const T*>(nullptr), y.data(), y.stride(1), y.stride(0),
        scratch.data());
}

/// y[index, j] = sum over the entries with that index: the kernel of transposed rows.
template <class T, class Index>
void scatter_lists(const compressed_view<T, Index>& w, view<const T, 2> x, view<T, 2> y)
{
    const index_t n = x.shape(1);
    buffer<std::byte> scratch(kernel::csr_transposed_scratch_bytes<T>(n, w.lists, w.extent));
    kernel::csr_transposed<>(n, w.lists, w.extent, w.values, w.indices, w.offsets, x.data(),
        x.stride(1), x.stride(0), y.data(), y.stride(1), y.stride(0), scratch.data());
}

/// Calls `add(row, column, value, first, last)` for every entry, over ranges of the n columns of the
/// dense side: threads share these, so the order of each sum is that of `visit`.
template <class S, class Add>
void for_each_entry(const S& m, index_t n, const Add& add)
{
    constexpr index_t grain = 64;
    parallel_for(n, grain,
        [&](index_t first, index_t last)
        {
            m.visit(
                [&](index_t r, index_t c, typename S::value_type value)
                {
                    add(r, c, value, first, last);
                });
        });
}

/// y = M x, or y = M^T x, for any format and element types.
template <bool Transposed, class S, class U, class P>
void any_product(const S& m, view<const U, 2> x, view<P, 2> y)
{
    const index_t n = x.shape(1);
    if (n == 0)
    {
        return;
    }
    if (n > 1 && x.stride(1) != 1)
    {
        const auto lines = structopt::copy(x);
        any_product<Transposed>(m, as_view(lines), y);
        return;
    }
    if (n > 1 && y.stride(1) != 1)
    {
        auto lines = make_tensor<P>(y.shape());
        any_product<Transposed>(m, x, as_view(lines));
        for (index_t r = 0; r < y.shape(0); ++r)
        {
            for (index_t j = 0; j < n; ++j)
            {
                y(r, j) = lines(r, j);
            }
        }
        return;
    }
    for (index_t r = 0; r < y.shape(0); ++r)
    {
        std::fill_n(y.data() + r * y.stride(0), n, P(0));
    }
    for_each_entry(m, n,
        [&](index_t r, index_t c, typename S::value_type value, index_t first, index_t last)
        {
            const P factor = static_cast<P>(widen(value));
            const U* const from = x.data() + (Transposed ? r : c) * x.stride(0);
            P* const to = y.data() + (Transposed ? c : r) * y.stride(0);
            for (index_t j = first; j < last; ++j)
            {
                to[j] += factor * static_cast<P>(widen(from[j]));
            }
        });
}

/// Sums of products of small integers must fit: 128 * 128 * 131,071 < 2^31.
template <class T, class U>
void check_terms(index_t terms)
{
    constexpr bool narrow = std::integral<T> && std::integral<U> && sizeof(T) + sizeof(U) <= 2;
    if (narrow && terms > 131'071)
    {
        structopt::detail::raise<argument_error>(
            "sparse::multiply", "sums of at most 131071 products of int8", std::to_string(terms));
    }
}

/// y = M x for x [columns, n] and y [rows, n] of any strides.
template <class S, class U, class P>
void product(const S& m, view<const U, 2> x, view<P, 2> y)
{
    check_terms<typename S::value_type, U>(m.columns());
    if constexpr (has_rows<S> && std::same_as<typename S::value_type, U>)
    {
        gather_lists(lists_of(m), x, y);
    }
    else if constexpr (has_columns<S> && std::same_as<typename S::value_type, U>)
    {
        if (x.shape(1) > 1)
        {
            scatter_lists(lists_of(m), x, y);
        }
        else
        {
            any_product<false>(m, x, y);
        }
    }
    else
    {
        any_product<false>(m, x, y);
    }
}

/// y = M^T x for x [rows, n] and y [columns, n] of any strides.
template <class S, class U, class P>
void product_transposed(const S& m, view<const U, 2> x, view<P, 2> y)
{
    check_terms<typename S::value_type, U>(m.rows());
    if constexpr (has_columns<S> && std::same_as<typename S::value_type, U>)
    {
        gather_lists(lists_of(m), x, y);
    }
    else if constexpr (has_rows<S> && std::same_as<typename S::value_type, U>)
    {
        if (x.shape(1) > 1)
        {
            scatter_lists(lists_of(m), x, y);
        }
        else
        {
            any_product<true>(m, x, y);
        }
    }
    else
    {
        any_product<true>(m, x, y);
    }
}

template <bool Transposed, class S, class X>
auto times_dense(const S& m, const X& operand)
{
    const auto x = view_of(operand);
    using P = product_type<typename S::value_type, element_of<X>>;
    const index_t rows = Transposed ? m.columns() : m.rows();
    const index_t columns = Transposed ? m.rows() : m.columns();
    const auto run = [&](auto from, view<P, 2> to)
    {
        if constexpr (Transposed)
        {
            product_transposed(m, from, to);
        }
        else
        {
            product(m, from, to);
        }
    };
    if constexpr (rank_of<X> == 1)
    {
        check_shape("sparse::multiply, vector", shape<1>{columns}, x.shape());
        auto y = make_tensor<P>(shape<1>{rows});
        run(as_column(x), as_column(as_view(y)));
        return y;
    }
    else
    {
        check_shape("sparse::multiply, right operand", shape<2>{columns, -1}, x.shape());
        auto y = make_tensor<P>(shape<2>{rows, x.shape(1)});
        run(x, as_view(y));
        return y;
    }
}

template <bool Transposed, class S, class X>
auto dense_times(const X& operand, const S& m)
{
    if constexpr (rank_of<X> == 1)
    {
        return times_dense<!Transposed>(m, operand);
    }
    else
    {
        const auto x = view_of(operand);
        using P = product_type<typename S::value_type, element_of<X>>;
        check_shape("sparse::multiply, left operand",
            shape<2>{-1, Transposed ? m.columns() : m.rows()}, x.shape());
        auto y = make_tensor<P>(shape<2>{x.shape(0), Transposed ? m.rows() : m.columns()});
        if constexpr (Transposed)
        {
            product(m, turned(x), turned(as_view(y)));
        }
        else
        {
            product_transposed(m, turned(x), turned(as_view(y)));
        }
        return y;
    }
}

} // namespace detail

/// M x for a matrix x [columns, n] or a vector x [columns]; the element type is `product_type`.
///
/// Compressed rows and columns of float and double run on the kernels of compressed rows; other
/// formats on loops over their entries. Bit-equal for every number of threads. Throws `shape_error`
/// for other extents, `argument_error` where sums of int8 might overflow. O(entries * n).
template <matrix S, dense_operand X>
auto multiply(const S& m, const X& x)
{
    return detail::times_dense<false>(m, x);
}

/// M^T x for a matrix x [rows, n] or a vector x [rows].
template <matrix S, dense_operand X>
auto multiply(const transposed_matrix<S>& m, const X& x)
{
    return detail::times_dense<true>(m.original, x);
}

/// x M for a matrix x [n, rows] or a vector x [rows].
template <dense_operand X, matrix S>
auto multiply(const X& x, const S& m)
{
    return detail::dense_times<false>(x, m);
}

/// x M^T for a matrix x [n, columns] or a vector x [columns]: what a dense layer computes.
template <dense_operand X, matrix S>
auto multiply(const X& x, const transposed_matrix<S>& m)
{
    return detail::dense_times<true>(x, m.original);
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
