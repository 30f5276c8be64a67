/// @file
/// Coordinates: entries in any order, the format to collect a matrix in.
#pragma once

#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A sparse matrix [rows, columns] as lists (I, J, V): entry i adds `values[i]` at
/// (`row_indices[i]`, `column_indices[i]`).
///
/// Entries may come in any order, and several in one place: they add up. Matrices are equal if
/// their lists are; compare `canonical()` ones to compare what they stand for. `Index` bounds rows
/// and columns.
template <element T, std::unsigned_integral Index = std::uint32_t>
class coo
{
public:
    using value_type = T;
    using index_type = Index;

    coo() = default;

    /// Without entries; `add` puts them in.
    coo(index_t rows, index_t columns)
        : m_rows(rows)
        , m_columns(columns)
    {
        check_extents<argument_error>();
    }

    /// From its lists. Throws `format_error` naming row, column and position for an entry outside
    /// the matrix.
    coo(index_t rows, index_t columns, buffer<Index> row_indices, buffer<Index> column_indices,
        buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_row_indices(std::move(row_indices))
        , m_column_indices(std::move(column_indices))
        , m_values(std::move(values))
    {
        check_extents<format_error>();
        detail::check_size("coo", "row indices", m_values.size(), m_row_indices.size());
        detail::check_size("coo", "column indices", m_values.size(), m_column_indices.size());
        for (std::size_t i = 0; i < m_values.size(); ++i)
        {
            check_place<format_error>(m_row_indices[i], m_column_indices[i], i);
        }
    }

    /// The non-zeros of a dense matrix of any strides, row by row; -0.0 counts as zero.
    explicit coo(view<const T, 2> dense)
        : coo(entries_of(dense))
    {
    }

    /// From entries, stored zeros included. Throws `argument_error` for extents beyond `Index`.
    explicit coo(const row_entries<T>& from)
        : coo(detail::checked(from).rows, from.columns)
    {
        m_row_indices.reserve(from.values.size());
        m_values.assign(from.values.begin(), from.values.end());
        detail::assign_narrow(m_column_indices, from.indices);
        from.visit(
            [&](index_t r, index_t, T)
            {
                m_row_indices.push_back(static_cast<Index>(r));
            });
    }

    /// Whether `Index` can number the rows and columns.
    static constexpr bool fits(index_t rows, index_t columns) noexcept
    {
        return rows >= 0 && rows <= most && columns >= 0 && columns <= most;
    }

    /// One entry more. Throws `argument_error` for a place outside the matrix.
    void add(index_t row, index_t column, T value)
    {
        if (row < 0 || column < 0)
        {
            refuse<argument_error>(std::to_string(row), std::to_string(column), m_values.size());
        }
        check_place<argument_error>(
            static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(column), m_values.size());
        m_row_indices.push_back(static_cast<Index>(row));
        m_column_indices.push_back(static_cast<Index>(column));
        m_values.push_back(value);
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Entries, those of one place counted each.
    index_t nonzeros() const noexcept
    {
        return static_cast<index_t>(m_values.size());
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    const buffer<Index>& row_indices() const noexcept
    {
        return m_row_indices;
    }

    const buffer<Index>& column_indices() const noexcept
    {
        return m_column_indices;
    }

    const buffer<T>& values() const noexcept
    {
        return m_values;
    }

    /// Bytes of the three lists.
    std::size_t bytes() const noexcept
    {
        return m_values.size() * (2 * sizeof(Index) + sizeof(T));
    }

    /// Calls `f(row, column, value)` for every entry, as they stand.
    template <class F>
    void visit(F&& f) const
    {
        for (std::size_t i = 0; i < m_values.size(); ++i)
        {
            f(static_cast<index_t>(m_row_indices[i]), static_cast<index_t>(m_column_indices[i]),
                m_values[i]);
        }
    }

    /// The same matrix with sorted entries (by row, then column), one per place. Throws
    /// `argument_error` where a sum of integers does not fit the element type.
    coo canonical() const
    {
        return coo(entries_of(*this));
    }

    /// Whether the entries are sorted by row, then column, and no place has two.
    bool is_canonical() const noexcept
    {
        for (std::size_t i = 1; i < m_values.size(); ++i)
        {
            const bool later = m_row_indices[i] > m_row_indices[i - 1] ||
                               (m_row_indices[i] == m_row_indices[i - 1] &&
                                   m_column_indices[i] > m_column_indices[i - 1]);
            if (!later)
            {
                return false;
            }
        }
        return true;
    }

    tensor<T, 2> to_dense() const
    {
        return is_canonical() ? detail::dense_of(*this) : detail::dense_of(canonical());
    }

    friend bool operator==(const coo&, const coo&) = default;

private:
    static constexpr index_t most = detail::most_positions<Index>;

    template <class Error>
    void check_extents() const
    {
        detail::check_extents<Error>(
            "coo", m_rows, m_columns, fits(m_rows, m_columns), most, "rows and columns");
    }

    template <class Error>
    [[noreturn]] void refuse(
        const std::string& row, const std::string& column, std::size_t position) const
    {
        structopt::detail::raise<Error>("coo, position " + std::to_string(position),
            "a row below " + std::to_string(m_rows) + " and a column below " +
                std::to_string(m_columns),
            "row " + row + ", column " + column);
    }

    template <class Error>
    void check_place(std::uint64_t row, std::uint64_t column, std::size_t position) const
    {
        if (row >= static_cast<std::uint64_t>(m_rows) ||
            column >= static_cast<std::uint64_t>(m_columns))
        {
            refuse<Error>(std::to_string(row), std::to_string(column), position);
        }
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<Index> m_row_indices;
    buffer<Index> m_column_indices;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
