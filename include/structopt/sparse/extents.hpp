/// @file
/// The extents that a sparse matrix may have.
#pragma once

#include <structopt/core/shape.hpp>

#include <limits>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse::detail
{

/// Whether the extents are not negative and their product is an `index_t`.
inline bool extents_fit(index_t rows, index_t columns) noexcept
{
    return rows >= 0 && columns >= 0 &&
           (columns == 0 || rows <= std::numeric_limits<index_t>::max() / columns);
}

/// Throws `Error` for extents that are negative, too large or more than the index can number.
template <class Error>
void check_extents(
    const char* format, index_t rows, index_t columns, bool numbered, index_t most, const char* of)
{
    if (!extents_fit(rows, columns) || !numbered)
    {
        structopt::detail::raise<Error>(format,
            "non-negative extents and at most " + std::to_string(most) + " " + of,
            "rows " + std::to_string(rows) + ", columns " + std::to_string(columns));
    }
}

} // namespace sparse::detail
STRUCTOPT_END_NAMESPACE
