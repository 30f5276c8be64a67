/// @file
/// Compressed sparse rows: the general format for unstructured zeros.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A sparse matrix [rows, columns]: row r owns positions `offsets[r] .. offsets[r + 1]` of
/// `indices` (its columns, strictly ascending) and `values`.
///
/// `Index` bounds the number of columns (`std::uint8_t`: 256) and the bytes per non-zero. There are
/// at most 2^32 - 1 non-zeros.
template <class T, std::unsigned_integral Index = std::uint32_t>
class csr
{
public:
    using value_type = T;
    using index_type = Index;
    using offset_type = std::uint32_t;

    csr() = default;

    /// From its arrays. Throws `format_error` naming row and position if they are no such matrix:
    /// after construction nothing can be read out of bounds.
    csr(index_t rows, index_t columns, buffer<offset_type> offsets, buffer<Index> indices,
        buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_offsets(std::move(offsets))
        , m_indices(std::move(indices))
        , m_values(std::move(values))
    {
        validate();
    }

    /// The non-zeros of a dense matrix of any strides; -0.0 counts as zero, NaN as non-zero. Throws
    /// `argument_error` for more columns or non-zeros than the format holds.
    explicit csr(view<const T, 2> dense)
        : m_rows(dense.shape(0))
        , m_columns(dense.shape(1))
    {
        check_extents<argument_error>();
        m_offsets.reserve(static_cast<std::size_t>(m_rows) + 1);
        std::size_t total = 0;
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t c = 0; c < m_columns; ++c)
            {
                total += structopt::detail::is_zero(dense(r, c)) ? 0 : 1;
            }
            m_offsets.push_back(static_cast<offset_type>(total));
        }
        detail::check_count("csr", total);
        m_indices.reserve(total);
        m_values.reserve(total);
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t c = 0; c < m_columns; ++c)
            {
                const T value = dense(r, c);
                if (!structopt::detail::is_zero(value))
                {
                    m_indices.push_back(static_cast<Index>(c));
                    m_values.push_back(value);
                }
            }
        }
    }

    /// From entries, stored zeros included. Throws `argument_error` as the constructor above.
    explicit csr(const row_entries<T>& from)
        : m_rows(detail::checked(from).rows)
        , m_columns(from.columns)
    {
        check_extents<argument_error>();
        detail::check_count("csr", from.values.size());
        detail::assign_narrow(m_offsets, from.offsets);
        detail::assign_narrow(m_indices, from.indices);
        m_values.assign(from.values.begin(), from.values.end());
    }

    /// Whether `Index` can number so many columns.
    static constexpr bool fits(index_t columns) noexcept
    {
        return columns >= 0 && columns <= most_columns;
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

    const buffer<T>& values() const& noexcept
    {
        return m_values;
    }

    /// The values in place, to be trained or scaled; positions stay.
    std::span<T> values() & noexcept
    {
        return m_values;
    }

    /// Bytes of the three arrays.
    std::size_t bytes() const noexcept
    {
        return m_offsets.size() * sizeof(offset_type) + m_indices.size() * sizeof(Index) +
               m_values.size() * sizeof(T);
    }

    /// Calls `f(row, column, value)` for every entry, row by row.
    template <class F>
    void visit(F&& f) const
    {
        for (index_t r = 0; r < m_rows; ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            for (std::size_t i = m_offsets[row]; i < m_offsets[row + 1]; ++i)
            {
                f(r, static_cast<index_t>(m_indices[i]), m_values[i]);
            }
        }
    }

    tensor<T, 2> to_dense() const
    {
        return detail::dense_of(*this);
    }

    friend bool operator==(const csr&, const csr&) = default;

private:
    static constexpr index_t most_columns = detail::most_positions<Index>;

    template <class Error>
    void check_extents() const
    {
        detail::check_extents<Error>(
            "csr", m_rows, m_columns, fits(m_columns), most_columns, "columns");
    }

    void validate() const
    {
        check_extents<format_error>();
        const detail::compressed_names names{"csr", "row", "columns"};
        detail::check_arrays(names, m_offsets, m_indices, m_values.size(), 1);
        detail::check_lists(names, m_rows, m_columns, m_offsets, m_indices);
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<offset_type> m_offsets = {0};
    buffer<Index> m_indices;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
