/// @file
/// Compressed sparse columns: rows of the transpose.
#pragma once

#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A sparse matrix [rows, columns]: column c owns positions `offsets[c] .. offsets[c + 1]` of
/// `indices` (its rows, strictly ascending) and `values`.
///
/// `Index` bounds the number of rows and the bytes per entry. There are at most 2^32 - 1 entries.
template <element T, std::unsigned_integral Index = std::uint32_t>
class csc
{
public:
    using value_type = T;
    using index_type = Index;
    using offset_type = std::uint32_t;

    csc() = default;

    /// From its arrays. Throws `format_error` naming column and position if they are no such matrix.
    csc(index_t rows, index_t columns, buffer<offset_type> offsets, buffer<Index> indices,
        buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_offsets(std::move(offsets))
        , m_indices(std::move(indices))
        , m_values(std::move(values))
    {
        check_extents<format_error>();
        const detail::compressed_names names{"csc", "column", "rows"};
        detail::check_arrays(names, m_offsets, m_indices, m_values.size(), 1);
        detail::check_lists(names, m_columns, m_rows, m_offsets, m_indices);
    }

    /// The non-zeros of a dense matrix of any strides; -0.0 counts as zero. Throws
    /// `argument_error` for more rows or non-zeros than the format holds.
    explicit csc(view<const T, 2> dense)
        : csc(entries_of(dense))
    {
    }

    /// From entries, stored zeros included. Throws `argument_error` as the constructor above.
    explicit csc(const row_entries<T>& from)
        : m_rows(detail::checked(from).rows)
        , m_columns(from.columns)
    {
        check_extents<argument_error>();
        detail::check_count("csc", from.values.size());
        const auto turned = transposed_entries(from);
        detail::assign_narrow(m_offsets, turned.offsets);
        detail::assign_narrow(m_indices, turned.indices);
        m_values.assign(turned.values.begin(), turned.values.end());
    }

    /// Whether `Index` can number so many rows.
    static constexpr bool fits(index_t rows) noexcept
    {
        return rows >= 0 && rows <= most_rows;
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    index_t nonzeros() const noexcept
    {
        return static_cast<index_t>(m_values.size());
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    const buffer<offset_type>& offsets() const noexcept
    {
        return m_offsets;
    }

    const buffer<Index>& indices() const noexcept
    {
        return m_indices;
    }

    const buffer<T>& values() const noexcept
    {
        return m_values;
    }

    /// Bytes of the three arrays.
    std::size_t bytes() const noexcept
    {
        return m_offsets.size() * sizeof(offset_type) + m_indices.size() * sizeof(Index) +
               m_values.size() * sizeof(T);
    }

    /// Calls `f(row, column, value)` for every entry, column by column.
    template <class F>
    void visit(F&& f) const
    {
        for (index_t c = 0; c < m_columns; ++c)
        {
            const auto column = static_cast<std::size_t>(c);
            for (std::size_t i = m_offsets[column]; i < m_offsets[column + 1]; ++i)
            {
                f(static_cast<index_t>(m_indices[i]), c, m_values[i]);
            }
        }
    }

    tensor<T, 2> to_dense() const
    {
        return detail::dense_of(*this);
    }

    friend bool operator==(const csc&, const csc&) = default;

private:
    static constexpr index_t most_rows = detail::most_positions<Index>;

    template <class Error>
    void check_extents() const
    {
        detail::check_extents<Error>("csc", m_rows, m_columns, fits(m_rows), most_rows, "rows");
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<offset_type> m_offsets = {0};
    buffer<Index> m_indices;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
