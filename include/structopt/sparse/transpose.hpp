/// @file
/// Rows become columns: as a matrix of its own, and as a remark to a product.
#pragma once

#include <structopt/sparse/bsr.hpp>
#include <structopt/sparse/concepts.hpp>
#include <structopt/sparse/nm.hpp>

#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

namespace detail
{

template <class S>
struct transpose_of
{
    using type = S;
};

template <class T, index_t R, index_t C, class Index>
struct transpose_of<bsr<T, R, C, Index>>
{
    using type = bsr<T, C, R, Index>;
};

template <class S>
inline constexpr bool is_nm = false;

template <class T, index_t N, index_t M>
inline constexpr bool is_nm<nm<T, N, M>> = true;

} // namespace detail

/// The transpose in the same format; blocks of R x C become blocks of C x R. Groups of N:M do not
/// survive: convert first. Throws `argument_error` where the format cannot number the rows.
/// O(rows + columns + entries).
template <matrix S>
    requires(!detail::is_nm<S>)
auto transpose(const S& m)
{
    return typename detail::transpose_of<S>::type(transposed_entries(entries_of(m)));
}

/// A matrix as its transpose in a product, without a copy: `multiply(transposed(w), x)`. Refers to
/// the matrix: for the call at hand.
template <matrix S>
struct transposed_matrix
{
    const S& original;
};

/// See `transposed_matrix`.
template <matrix S>
transposed_matrix<S> transposed(const S& m) noexcept
{
    return {m};
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
