/// @file
/// One bit per element, and the values of those that are set.
#pragma once

#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A sparse matrix [rows, columns]: bit c % 64 of word c / 64 of a row says whether column c is
/// stored, and row r has the values `values[offsets[r] .. offsets[r + 1]]`, columns ascending.
///
/// A row has ceil(columns / 64) words; the bits behind the last column are zero. An eighth of a byte
/// per element and 4 bytes per row: smaller than 8-bit indices above a density of 1/8. There are at
/// most 2^32 - 1 values.
template <element T>
class bitmask
{
public:
    using value_type = T;
    using word_type = std::uint64_t;
    using offset_type = std::uint32_t;

    static constexpr index_t word_bits = 64;

    bitmask() = default;

    /// From its arrays. Throws `format_error` naming row and word if they are no such matrix.
    bitmask(index_t rows, index_t columns, buffer<word_type> words, buffer<offset_type> offsets,
        buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_words(std::move(words))
        , m_offsets(std::move(offsets))
        , m_values(std::move(values))
    {
        check_extents<format_error>();
        validate();
    }

    /// The non-zeros of a dense matrix of any strides; -0.0 counts as zero. Throws
    /// `argument_error` for more than the format holds.
    explicit bitmask(view<const T, 2> dense)
        : bitmask(entries_of(dense))
    {
    }

    /// From entries, stored zeros included. Throws `argument_error` as the constructor above.
    explicit bitmask(const row_entries<T>& from)
        : m_rows(detail::checked(from).rows)
        , m_columns(from.columns)
    {
        check_extents<argument_error>();
        detail::check_count("bitmask", from.values.size());
        detail::assign_narrow(m_offsets, from.offsets);
        m_values.assign(from.values.begin(), from.values.end());
        m_words.assign(static_cast<std::size_t>(m_rows * row_words()), 0);
        from.visit(
            [&](index_t r, index_t c, T)
            {
                m_words[static_cast<std::size_t>(r * row_words() + c / word_bits)] |=
                    word_type{1} << (c % word_bits);
            });
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

    /// Words of one row.
    index_t row_words() const noexcept
    {
        return m_columns / word_bits + (m_columns % word_bits != 0 ? 1 : 0);
    }

    const buffer<word_type>& words() const noexcept
    {
        return m_words;
    }

    const buffer<offset_type>& offsets() const noexcept
    {
        return m_offsets;
    }

    const buffer<T>& values() const noexcept
    {
        return m_values;
    }

    /// Bytes of the three arrays.
    std::size_t bytes() const noexcept
    {
        return m_words.size() * sizeof(word_type) + m_offsets.size() * sizeof(offset_type) +
               m_values.size() * sizeof(T);
    }

    /// Calls `f(row, column, value)` for every entry, row by row.
    template <class F>
    void visit(F&& f) const
    {
        std::size_t i = 0;
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t w = 0; w < row_words(); ++w)
            {
                word_type word = m_words[static_cast<std::size_t>(r * row_words() + w)];
                for (; word != 0; word &= word - 1)
                {
                    f(r, w * word_bits + std::countr_zero(word), m_values[i++]);
                }
            }
        }
    }

    tensor<T, 2> to_dense() const
    {
        return detail::dense_of(*this);
    }

    friend bool operator==(const bitmask&, const bitmask&) = default;

private:
    template <class Error>
    void check_extents() const
    {
        detail::check_extents<Error>(
            "bitmask", m_rows, m_columns, true, std::numeric_limits<index_t>::max(), "elements");
    }

    void validate() const
    {
        detail::check_size(
            "bitmask", "words", static_cast<std::size_t>(m_rows * row_words()), m_words.size());
        detail::check_offsets({"bitmask", "row", "columns"}, m_rows, m_offsets, m_values.size());
        for (index_t r = 0; r < m_rows; ++r)
        {
            std::size_t set = 0;
            for (index_t w = 0; w < row_words(); ++w)
            {
                const word_type word = m_words[static_cast<std::size_t>(r * row_words() + w)];
                const index_t left = m_columns - w * word_bits;
                if (left < word_bits && (word >> left) != 0)
                {
                    structopt::detail::raise<format_error>(
                        "bitmask words, row " + std::to_string(r) + ", word " + std::to_string(w),
                        "no bits from column " + std::to_string(m_columns) + " on",
                        "bit " + std::to_string(63 - std::countl_zero(word)));
                }
                set += static_cast<std::size_t>(std::popcount(word));
            }
            const auto row = static_cast<std::size_t>(r);
            if (set != m_offsets[row + 1] - m_offsets[row])
            {
                structopt::detail::raise<format_error>("bitmask words, row " + std::to_string(r),
                    std::to_string(m_offsets[row + 1] - m_offsets[row]) +
                        " bits (values of the row)",
                    std::to_string(set));
            }
        }
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<word_type> m_words;
    buffer<offset_type> m_offsets = {0};
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
