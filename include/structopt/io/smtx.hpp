/// @file
/// Reader of .smtx files: the patterns of pruned networks of the Deep Learning Matrix Collection.
///
/// Format: Gale, Zaharia, Young, Elsen, "Sparse GPU Kernels for Deep Learning", SC 2020: a line
/// `rows, columns, nonzeros`, a line of rows + 1 offsets, and a line of column indices.
#pragma once

#include <structopt/io/byte_source.hpp>
#include <structopt/io/text_lines.hpp>
#include <structopt/sparse/csr.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// What a file may ask for.
struct smtx_options
{
    /// Refuse more text than this, after inflating.
    std::uint64_t max_bytes = std::uint64_t(1) << 32;

    friend bool operator==(const smtx_options&, const smtx_options&) = default;
};

/// Reads a pattern: every entry has the value 1. The columns of a row may come in any order.
///
/// What is no such matrix is a `format_error` with the line and, for an index, its row: extents that
/// `Index` cannot number, offsets that do not ascend from 0 to the number of entries, columns outside
/// the matrix or twice in one row, more or fewer numbers than claimed.
template <sparse::element T, std::unsigned_integral Index = std::uint32_t>
sparse::csr<T, Index> read_smtx(byte_source& source, const smtx_options& options = {})
{
    const auto bytes = source.read_rest(options.max_bytes);
    detail::text_lines lines(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, source.name(), " \t,");
    const auto require_line = [&](const char* what)
    {
        if (!lines.next_line())
        {
            lines.fail_at_end(what, "the end of the file");
        }
    };
    require_line("a line `rows, columns, nonzeros`");
    // A number takes two bytes at least ("1 "), the last one perhaps one.
    const auto most = static_cast<std::int64_t>(lines.left() / 2 + 1);
    const std::int64_t rows = lines.whole("a number of rows", 0, most - 1);
    const std::int64_t columns =
        lines.whole("a number of columns", 0, sparse::detail::most_positions<Index>);
    const std::int64_t entries = lines.whole("a number of non-zeros", 0,
        std::min<std::int64_t>(most, std::numeric_limits<std::uint32_t>::max()));
    if (!sparse::detail::extents_fit(rows, columns))
    {
        lines.fail("extents whose product is below 2^63",
            std::to_string(rows) + ", " + std::to_string(columns));
    }
    lines.end_of_line("the extents");

    require_line("a line of offsets");
    buffer<std::uint32_t> offsets;
    offsets.reserve(static_cast<std::size_t>(rows) + 1);
    std::int64_t last = 0;
    for (std::int64_t r = 0; r <= rows; ++r)
    {
        const std::string what = "offset " + std::to_string(r);
        last = lines.whole(what, r == rows ? entries : last, r == 0 ? 0 : entries);
        offsets.push_back(static_cast<std::uint32_t>(last));
    }
    lines.end_of_line("the offsets");

    if (entries > 0)
    {
        require_line("a line of column indices");
    }
    buffer<Index> indices;
    indices.reserve(static_cast<std::size_t>(entries));
    for (std::size_t r = 0; r + 1 < offsets.size(); ++r)
    {
        const std::string what = "a column of row " + std::to_string(r);
        while (indices.size() < offsets[r + 1])
        {
            indices.push_back(static_cast<Index>(lines.whole(what, 0, columns - 1)));
        }
        const auto begin = indices.begin() + static_cast<std::ptrdiff_t>(offsets[r]);
        std::sort(begin, indices.end());
        const auto twice = std::adjacent_find(begin, indices.end());
        if (twice != indices.end())
        {
            lines.fail(
                "each column once in row " + std::to_string(r), std::to_string(*twice) + " twice");
        }
    }
    lines.end_of_line("the indices");
    while (lines.next_line())
    {
        lines.end_of_line("the matrix");
    }
    buffer<T> values(indices.size(), static_cast<T>(1.0f));
    return sparse::csr<T, Index>(static_cast<index_t>(rows), static_cast<index_t>(columns),
        std::move(offsets), std::move(indices), std::move(values));
}

/// Reads a pattern from a file, plain or .gz.
template <sparse::element T, std::unsigned_integral Index = std::uint32_t>
sparse::csr<T, Index> read_smtx(const std::string& path, const smtx_options& options = {})
{
    byte_source source(path);
    return read_smtx<T, Index>(source, options);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
