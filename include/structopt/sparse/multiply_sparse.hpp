/// @file
/// Sparse times sparse.
#pragma once

#include <structopt/sparse/csr.hpp>
#include <structopt/sparse/transpose.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

namespace detail
{

/// The product of two matrices, row by row: Gustavson, "Two Fast Algorithms for Sparse Matrices:
/// Multiplication and Permuted Transposition", ACM TOMS 4(3), 1978.
template <class T, class U>
row_entries<product_type<T, U>> gustavson(const row_entries<T>& a, const row_entries<U>& b)
{
    using P = product_type<T, U>;
    if (a.columns != b.rows)
    {
        structopt::detail::raise<shape_error>("sparse::multiply, right operand",
            describe(shape<2>{a.columns, -1}), describe(shape<2>{b.rows, b.columns}));
    }
    if (std::integral<P> && sizeof(T) + sizeof(U) <= 2 && a.columns > 131'071)
    {
        structopt::detail::raise<argument_error>("sparse::multiply",
            "sums of at most 131071 products of int8", std::to_string(a.columns));
    }
    row_entries<P> c{a.rows, b.columns};
    c.offsets.reserve(static_cast<std::size_t>(a.rows) + 1);
    // `row_of[j]` is the last row that has an entry in column j.
    std::vector<P> sums(static_cast<std::size_t>(b.columns));
    std::vector<index_t> row_of(static_cast<std::size_t>(b.columns), -1);
    for (index_t r = 0; r < a.rows; ++r)
    {
        const std::size_t begin = c.indices.size();
        const auto row = static_cast<std::size_t>(r);
        for (std::size_t i = a.offsets[row]; i < a.offsets[row + 1]; ++i)
        {
            const P factor = static_cast<P>(widen(a.values[i]));
            const auto k = static_cast<std::size_t>(a.indices[i]);
            for (std::size_t l = b.offsets[k]; l < b.offsets[k + 1]; ++l)
            {
                const auto j = static_cast<std::size_t>(b.indices[l]);
                const P term = factor * static_cast<P>(widen(b.values[l]));
                if (row_of[j] != r)
                {
                    row_of[j] = r;
                    sums[j] = term;
                    c.indices.push_back(b.indices[l]);
                }
                else
                {
                    sums[j] += term;
                }
            }
        }
        std::sort(c.indices.begin() + static_cast<std::ptrdiff_t>(begin), c.indices.end());
        for (std::size_t i = begin; i < c.indices.size(); ++i)
        {
            c.values.push_back(sums[static_cast<std::size_t>(c.indices[i])]);
        }
        c.offsets.push_back(c.values.size());
    }
    return c;
}

} // namespace detail

/// A B in compressed rows, of the element type `product_type`. An entry stands where one of its terms
/// does, even if they add up to zero.
///
/// Throws `shape_error` for extents that do not fit, `argument_error` for a result of 2^32 entries
/// and where sums of int8 might overflow. O(multiply-adds + columns of B).
template <matrix A, matrix B>
auto multiply(const A& a, const B& b)
{
    using P = product_type<typename A::value_type, typename B::value_type>;
    return csr<P>(detail::gustavson(entries_of(a), entries_of(b)));
}

/// A^T B: `multiply(transposed(x), x)` is the matrix of normal equations.
template <matrix A, matrix B>
auto multiply(const transposed_matrix<A>& a, const B& b)
{
    using P = product_type<typename A::value_type, typename B::value_type>;
    return csr<P>(detail::gustavson(transposed_entries(entries_of(a.original)), entries_of(b)));
}

/// A B^T.
template <matrix A, matrix B>
auto multiply(const A& a, const transposed_matrix<B>& b)
{
    using P = product_type<typename A::value_type, typename B::value_type>;
    return csr<P>(detail::gustavson(entries_of(a), transposed_entries(entries_of(b.original))));
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
