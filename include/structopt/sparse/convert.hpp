/// @file
/// From one sparse format to another.
#pragma once

#include <structopt/sparse/concepts.hpp>

#include <concepts>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// The same matrix in the format `To`, of the same element type.
///
/// Entries of one place are summed. Zeros that are stored stay stored between formats that can tell
/// them from padding (coordinates, compressed rows and columns, bitmask). Throws `argument_error`
/// where `To` cannot hold the matrix. O(rows + columns + entries), and the sorting of coordinates.
template <matrix To, matrix From>
    requires std::same_as<typename To::value_type, typename From::value_type> To convert(
        const From& from)
    {
        if constexpr (std::same_as<To, From>)
        {
            return from;
        }
        else
        {
            return To(entries_of(from));
        }
    }

/// A dense matrix of any strides in the format `To`; -0.0 counts as zero.
template <matrix To>
To convert(view<const typename To::value_type, 2> dense)
{
    return To(dense);
}

/// The same numbers in another element type: `cast<sparse::csr<bfloat16>>(m)`.
///
/// Floating point is rounded to nearest, ties to even; positions stay, zeros included. Integers come
/// from integers alone (what a code means is a question of quantization), and must fit:
/// `argument_error` otherwise.
template <matrix To, matrix From>
    requires(std::integral<typename To::value_type> == std::integral<typename From::value_type>)
To cast(const From& from)
{
    const auto wide = entries_of(from);
    row_entries<typename To::value_type> to{wide.rows, wide.columns, wide.offsets, wide.indices};
    to.values.reserve(wide.values.size());
    wide.visit(
        [&](index_t r, index_t c, typename From::value_type value)
        {
            to.values.push_back(detail::cast_element<typename To::value_type>(value, r, c));
        });
    return To(to);
}

} // namespace sparse
STRUCTOPT_END_NAMESPACE
