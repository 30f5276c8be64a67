/// @file
/// Compressed sparse rows: the general format for unstructured zeros.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
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
        std::uint64_t total = 0;
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t c = 0; c < m_columns; ++c)
            {
                total += structopt::detail::is_zero(dense(r, c)) ? 0 : 1;
            }
            m_offsets.push_back(static_cast<offset_type>(total));
        }
        if (total > std::numeric_limits<offset_type>::max())
        {
            structopt::detail::raise<argument_error>("csr",
                "at most " + std::to_string(std::numeric_limits<offset_type>::max()) + " non-zeros",
                std::to_string(total));
        }
        m_indices.reserve(static_cast<std::size_t>(total));
        m_values.reserve(static_cast<std::size_t>(total));
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

    tensor<T, 2> to_dense() const
    {
        auto dense = structopt::zeros<T>(shape<2>{m_rows, m_columns});
        for (index_t r = 0; r < m_rows; ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            for (std::size_t i = m_offsets[row]; i < m_offsets[row + 1]; ++i)
            {
                dense.data()[r * m_columns + static_cast<index_t>(m_indices[i])] = m_values[i];
            }
        }
        return dense;
    }

    friend bool operator==(const csr&, const csr&) = default;

private:
    static constexpr index_t most_columns =
        sizeof(Index) < sizeof(index_t)
            ? static_cast<index_t>(std::numeric_limits<Index>::max()) + 1
            : std::numeric_limits<index_t>::max();

    template <class Error>
    void check_extents() const
    {
        // rows * columns has to fit in index_t.
        const bool count_fits =
            m_columns <= 0 || m_rows <= std::numeric_limits<index_t>::max() / m_columns;
        if (m_rows < 0 || !fits(m_columns) || !count_fits)
        {
            structopt::detail::raise<Error>("csr",
                "non-negative extents and at most " + std::to_string(most_columns) + " columns",
                "rows " + std::to_string(m_rows) + ", columns " + std::to_string(m_columns));
        }
    }

    void validate() const
    {
        check_extents<format_error>();
        const std::size_t rows = static_cast<std::size_t>(m_rows);
        if (m_offsets.size() != rows + 1)
        {
            structopt::detail::raise<format_error>("csr offsets",
                std::to_string(rows + 1) + " numbers, one more than rows",
                std::to_string(m_offsets.size()));
        }
        if (m_offsets.front() != 0)
        {
            structopt::detail::raise<format_error>(
                "csr offsets, row 0", "0", std::to_string(m_offsets.front()));
        }
        if (m_offsets.back() != m_values.size() || m_indices.size() != m_values.size())
        {
            structopt::detail::raise<format_error>("csr arrays",
                std::to_string(m_offsets.back()) + " indices and values (the last offset)",
                std::to_string(m_indices.size()) + " indices, " + std::to_string(m_values.size()) +
                    " values");
        }
        for (std::size_t r = 0; r < rows; ++r)
        {
            if (m_offsets[r + 1] < m_offsets[r] || m_offsets[r + 1] > m_values.size())
            {
                structopt::detail::raise<format_error>("csr offsets, row " + std::to_string(r + 1),
                    "a number from " + std::to_string(m_offsets[r]) + " to " +
                        std::to_string(m_values.size()),
                    std::to_string(m_offsets[r + 1]));
            }
            for (std::size_t i = m_offsets[r]; i < m_offsets[r + 1]; ++i)
            {
                const bool ascending = i == m_offsets[r] || m_indices[i] > m_indices[i - 1];
                if (!ascending || static_cast<std::uint64_t>(m_indices[i]) >=
                                      static_cast<std::uint64_t>(m_columns))
                {
                    structopt::detail::raise<format_error>(
                        "csr indices, row " + std::to_string(r) + ", position " + std::to_string(i),
                        "columns below " + std::to_string(m_columns) + ", strictly ascending",
                        std::to_string(m_indices[i]) + " after " +
                            (i == m_offsets[r] ? std::string("none")
                                               : std::to_string(m_indices[i - 1])));
                }
            }
        }
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<offset_type> m_offsets = {0};
    buffer<Index> m_indices;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
