/// @file
/// The stored entries of a matrix, row by row: what every format is built from and turned into.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/sparse/element.hpp>
#include <structopt/sparse/extents.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// Row r has the entries `offsets[r] .. offsets[r + 1]` of `indices` (columns, strictly ascending)
/// and `values`. The go-between of conversions and sums: plain lists without limits and checks.
template <element T>
struct row_entries
{
    index_t rows = 0;
    index_t columns = 0;
    std::vector<std::size_t> offsets = {0};
    std::vector<index_t> indices = {};
    std::vector<T> values = {};

    /// Calls `f(row, column, value)` in order.
    template <class F>
    void visit(F&& f) const
    {
        for (index_t r = 0; r < rows; ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            for (std::size_t i = offsets[row]; i < offsets[row + 1]; ++i)
            {
                f(r, indices[i], values[i]);
            }
        }
    }

    friend bool operator==(const row_entries&, const row_entries&) = default;
};

namespace detail
{

/// The entries, if the lists are what `row_entries` says; throws `format_error` naming the row
/// otherwise. Formats pass what they are built from through it.
template <element T>
const row_entries<T>& checked(const row_entries<T>& m)
{
    if (!extents_fit(m.rows, m.columns) ||
        m.offsets.size() != static_cast<std::size_t>(m.rows) + 1 || m.offsets.front() != 0 ||
        m.offsets.back() != m.values.size() || m.indices.size() != m.values.size())
    {
        structopt::detail::raise<format_error>("row_entries",
            "extents of at least 0, an offset more than rows, and indices and values up to the "
            "last one",
            "rows " + std::to_string(m.rows) + ", columns " + std::to_string(m.columns) + ", " +
                std::to_string(m.offsets.size()) + " offsets, " + std::to_string(m.indices.size()) +
                " indices, " + std::to_string(m.values.size()) + " values");
    }
    for (std::size_t r = 0; r + 1 < m.offsets.size(); ++r)
    {
        bool good = m.offsets[r] <= m.offsets[r + 1] && m.offsets[r + 1] <= m.values.size();
        for (std::size_t i = m.offsets[r]; good && i < m.offsets[r + 1]; ++i)
        {
            good = m.indices[i] >= (i == m.offsets[r] ? 0 : m.indices[i - 1] + 1) &&
                   m.indices[i] < m.columns;
        }
        if (!good)
        {
            structopt::detail::raise<format_error>("row_entries, row " + std::to_string(r),
                "columns below " + std::to_string(m.columns) + ", strictly ascending",
                "other columns or offsets");
        }
    }
    return m;
}

} // namespace detail

/// The non-zeros of a dense matrix of any strides; -0.0 counts as zero, NaN as non-zero.
template <element T>
row_entries<T> entries_of(view<const T, 2> dense)
{
    row_entries<T> to;
    to.rows = dense.shape(0);
    to.columns = dense.shape(1);
    to.offsets.reserve(static_cast<std::size_t>(to.rows) + 1);
    for (index_t r = 0; r < to.rows; ++r)
    {
        for (index_t c = 0; c < to.columns; ++c)
        {
            const T value = dense(r, c);
            if (!structopt::detail::is_zero(value))
            {
                to.indices.push_back(c);
                to.values.push_back(value);
            }
        }
        to.offsets.push_back(to.values.size());
    }
    return to;
}

namespace detail
{

/// Sorts each row and sums entries of one place, in the order in which they stand.
template <element T>
void make_canonical(row_entries<T>& m)
{
    std::vector<std::size_t> order;
    row_entries<T> sorted{m.rows, m.columns};
    sorted.indices.reserve(m.indices.size());
    sorted.values.reserve(m.values.size());
    for (std::size_t r = 0; r + 1 < m.offsets.size(); ++r)
    {
        order.resize(m.offsets[r + 1] - m.offsets[r]);
        std::iota(order.begin(), order.end(), m.offsets[r]);
        std::stable_sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b)
            {
                return m.indices[a] < m.indices[b];
            });
        for (std::size_t i = 0; i < order.size();)
        {
            const index_t column = m.indices[order[i]];
            auto sum = static_cast<wide_accumulator<T>>(m.values[order[i]]);
            std::size_t next = i + 1;
            for (; next < order.size() && m.indices[order[next]] == column; ++next)
            {
                sum += static_cast<wide_accumulator<T>>(m.values[order[next]]);
            }
            sorted.indices.push_back(column);
            sorted.values.push_back(next == i + 1
                                        ? m.values[order[i]]
                                        : narrow<T>(sum, static_cast<index_t>(r), column));
            i = next;
        }
        sorted.offsets.push_back(sorted.values.size());
    }
    m = std::move(sorted);
}

} // namespace detail

/// The stored entries of a sparse matrix, sorted; entries of one place are summed, in the order in
/// which they are visited. Throws `argument_error` where such a sum of integers does not fit the
/// element type.
template <class S>
    requires requires(const S& s)
    {
        typename S::value_type;
        s.rows();
        s.columns();
    }
row_entries<typename S::value_type> entries_of(const S& s)
{
    using T = typename S::value_type;
    row_entries<T> to;
    to.rows = s.rows();
    to.columns = s.columns();
    to.offsets.assign(static_cast<std::size_t>(to.rows) + 1, 0);
    s.visit(
        [&](index_t r, index_t, T)
        {
            ++to.offsets[static_cast<std::size_t>(r) + 1];
        });
    std::partial_sum(to.offsets.begin(), to.offsets.end(), to.offsets.begin());
    to.indices.resize(to.offsets.back());
    to.values.resize(to.offsets.back());
    std::vector<std::size_t> next(to.offsets.begin(), to.offsets.end() - 1);
    bool ascending = true;
    s.visit(
        [&](index_t r, index_t c, T value)
        {
            const auto row = static_cast<std::size_t>(r);
            const std::size_t i = next[row]++;
            ascending = ascending && (i == to.offsets[row] || to.indices[i - 1] < c);
            to.indices[i] = c;
            to.values[i] = value;
        });
    if (!ascending)
    {
        detail::make_canonical(to);
    }
    return to;
}

/// The same matrix turned over: rows are columns.
template <element T>
row_entries<T> transposed_entries(const row_entries<T>& from)
{
    row_entries<T> to;
    to.rows = from.columns;
    to.columns = from.rows;
    to.offsets.assign(static_cast<std::size_t>(to.rows) + 1, 0);
    for (const index_t column : from.indices)
    {
        ++to.offsets[static_cast<std::size_t>(column) + 1];
    }
    std::partial_sum(to.offsets.begin(), to.offsets.end(), to.offsets.begin());
    to.indices.resize(from.indices.size());
    to.values.resize(from.values.size());
    std::vector<std::size_t> next(to.offsets.begin(), to.offsets.end() - 1);
    from.visit(
        [&](index_t r, index_t c, T value)
        {
            const std::size_t i = next[static_cast<std::size_t>(c)]++;
            to.indices[i] = r;
            to.values[i] = value;
        });
    return to;
}

namespace detail
{

/// The dense matrix of a format that visits every place at most once.
template <class S>
tensor<typename S::value_type, 2> dense_of(const S& s)
{
    using T = typename S::value_type;
    auto dense = structopt::zeros<T>(shape<2>{s.rows(), s.columns()});
    T* const to = dense.data();
    const index_t columns = s.columns();
    s.visit(
        [&](index_t r, index_t c, T value)
        {
            to[r * columns + c] = value;
        });
    return dense;
}

} // namespace detail
} // namespace sparse
STRUCTOPT_END_NAMESPACE
