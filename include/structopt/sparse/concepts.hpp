/// @file
/// What every sparse format offers, so that all of them read the same.
#pragma once

#include <structopt/sparse/entries.hpp>

#include <concepts>
#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A matrix in a sparse format: a plain value that was checked when it was built.
///
/// | member | meaning |
/// |---|---|
/// | `S(dense view)`, `S(row_entries)` | from a matrix; throws `argument_error` if the format cannot hold it |
/// | `rows()`, `columns()`, `size()` | extents, and their product |
/// | `nonzeros()` | numbers that are stored, the padding of blocks included |
/// | `bytes()` | bytes of its arrays |
/// | `visit(f)` | `f(row, column, value)` for the stored entries, in the format's own order |
/// | `to_dense()` | the dense matrix |
///
/// `visit` leaves out numbers that cannot be told from padding: zeros in blocks and groups.
template <class S>
concept matrix = std::equality_comparable<S> && std::default_initializable<S> &&
                 std::constructible_from<S, view<const typename S::value_type, 2>> &&
                 std::constructible_from < S,
        const row_entries<typename S::value_type>
& > &&requires(const S& s, void (*f)(index_t, index_t, typename S::value_type))
{
    {
        s.rows()
        } -> std::same_as<index_t>;
    {
        s.columns()
        } -> std::same_as<index_t>;
    {
        s.nonzeros()
        } -> std::same_as<index_t>;
    {
        s.size()
        } -> std::same_as<std::size_t>;
    {
        s.bytes()
        } -> std::same_as<std::size_t>;
    {
        s.to_dense()
        } -> std::same_as<tensor<typename S::value_type, 2>>;
    s.visit(f);
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
