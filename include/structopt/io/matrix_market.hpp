/// @file
/// Reader of Matrix Market files, the exchange format of sparse matrices (.mtx).
///
/// Format: Boisvert, Pozo, Remington, "The Matrix Market Exchange Formats: Initial Design", NISTIR
/// 5935, 1996.
#pragma once

#include <structopt/io/byte_source.hpp>
#include <structopt/io/text_lines.hpp>
#include <structopt/sparse/coo.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// What a file may ask for.
struct matrix_market_options
{
    /// Refuse more text than this, after inflating.
    std::uint64_t max_bytes = std::uint64_t(1) << 32;
    /// Refuse more elements than this where the result is dense.
    index_t max_elements = index_t{1} << 28;

    friend bool operator==(const matrix_market_options&, const matrix_market_options&) = default;
};

namespace detail
{

/// Which entries of a matrix a file holds.
enum class matrix_symmetry
{
    general,
    symmetric,     ///< the lower triangle; the upper one mirrors it
    skew_symmetric ///< what is below the diagonal; the upper triangle is its negative
};

inline std::string lower_case(std::string_view text)
{
    std::string result(text);
    for (char& c : result)
    {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return result;
}

template <class T>
class matrix_market_parser
{
public:
    matrix_market_parser(std::string_view text, const std::string& name)
        : m_lines(text, name, " \t")
    {
        read_banner();
        do
        {
            require_line("the line of extents");
        } while (m_lines.blank() || m_lines.rest_of_line()[0] == '%');
        constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
        m_rows = static_cast<index_t>(m_lines.whole("a number of rows", 0, most));
        m_columns = static_cast<index_t>(m_lines.whole("a number of columns", 0, most));
        if (m_columns != 0 && m_rows > std::numeric_limits<index_t>::max() / m_columns)
        {
            m_lines.fail("extents whose product is below 2^63",
                std::to_string(m_rows) + " " + std::to_string(m_columns));
        }
        if (m_symmetry != matrix_symmetry::general && m_rows != m_columns)
        {
            m_lines.fail("as many columns as rows in a symmetric matrix",
                std::to_string(m_rows) + " " + std::to_string(m_columns));
        }
        // An entry takes four bytes at least ("1 1\n"), a value of an array two.
        const auto most_lines = static_cast<std::int64_t>(m_lines.left() / (m_array ? 2 : 4) + 1);
        if (m_array)
        {
            m_count = array_count();
            if (m_count > most_lines)
            {
                m_lines.fail("at most " + std::to_string(most_lines) +
                                 " values (what the rest of the file can hold)",
                    std::to_string(m_count));
            }
        }
        else
        {
            m_count = m_lines.whole("a number of entries", 0, most_lines);
        }
        m_lines.end_of_line("the extents");
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Entries or values that the file claims, mirrored ones not counted.
    std::int64_t count() const noexcept
    {
        return m_count;
    }

    bool array() const noexcept
    {
        return m_array;
    }

    bool mirrored() const noexcept
    {
        return m_symmetry != matrix_symmetry::general;
    }

    /// Throws a `format_error` unless the extents are at most this.
    void limit_extents(index_t most) const
    {
        if (m_rows > most || m_columns > most)
        {
            m_lines.fail("at most " + std::to_string(most) + " rows and columns",
                std::to_string(m_rows) + " " + std::to_string(m_columns));
        }
    }

    void limit_elements(index_t most) const
    {
        if (m_rows * m_columns > most)
        {
            m_lines.fail("at most " + std::to_string(most) + " elements (max_elements)",
                std::to_string(m_rows) + " " + std::to_string(m_columns));
        }
    }

    /// Calls `f(row, column, value)` for every entry, mirrored ones behind theirs.
    template <class F>
    void visit(const F& f)
    {
        if (m_array)
        {
            visit_array(f);
        }
        else
        {
            visit_coordinates(f);
        }
        while (m_lines.next_line())
        {
            if (!m_lines.blank())
            {
                m_lines.fail("the end of the file after " + std::to_string(m_count) +
                                 (m_array ? " values" : " entries"),
                    m_lines.next_field());
            }
        }
    }

private:
    void read_banner()
    {
        require_line("the line %%MatrixMarket");
        const std::string_view banner = m_lines.next_field();
        if (lower_case(banner) != "%%matrixmarket")
        {
            m_lines.fail("%%MatrixMarket", banner);
        }
        word({"matrix"});
        m_array = word({"coordinate", "array"}) == 1;
        const std::size_t field = m_array ? word({"real", "double", "integer"})
                                          : word({"real", "double", "integer", "pattern"});
        m_pattern = field == 3;
        switch (word({"general", "symmetric", "skew-symmetric"}))
        {
        case 0:
            m_symmetry = matrix_symmetry::general;
            break;
        case 1:
            m_symmetry = matrix_symmetry::symmetric;
            break;
        default:
            m_symmetry = matrix_symmetry::skew_symmetric;
            break;
        }
        if (m_pattern && m_symmetry == matrix_symmetry::skew_symmetric)
        {
            m_lines.fail("general or symmetric for a pattern", "skew-symmetric");
        }
        m_lines.end_of_line("the banner");
    }

    /// Position of the next word among those that are allowed.
    std::size_t word(std::initializer_list<const char*> allowed)
    {
        const std::string_view field = m_lines.next_field();
        const std::string text = lower_case(field);
        std::string expected;
        std::size_t i = 0;
        for (const char* const one : allowed)
        {
            if (text == one)
            {
                return i;
            }
            expected += (i++ == 0 ? "" : ", ") + std::string(one);
        }
        m_lines.fail(allowed.size() == 1 ? expected : "one of " + expected, field);
    }

    void require_line(const char* what)
    {
        if (!m_lines.next_line())
        {
            m_lines.fail_at_end(what, "the end of the file");
        }
    }

    /// The next line that is not blank.
    void require_entry(std::int64_t done)
    {
        do
        {
            if (!m_lines.next_line())
            {
                m_lines.fail_at_end(std::to_string(m_count) + (m_array ? " values" : " entries"),
                    std::to_string(done) + " until the end of the file");
            }
        } while (m_lines.blank());
    }

    std::int64_t array_count() const
    {
        if (m_symmetry == matrix_symmetry::general)
        {
            return m_rows * m_columns;
        }
        // Square, so that this is less than the elements, whose number fits.
        const index_t below = m_rows == 0 ? 0 : m_rows * (m_rows - 1) / 2;
        return m_symmetry == matrix_symmetry::symmetric ? below + m_rows : below;
    }

    T negative(T value) const
    {
        if constexpr (std::integral<T>)
        {
            if (value == std::numeric_limits<T>::min())
            {
                m_lines.fail("a number whose negative is in the range of the element type",
                    std::to_string(value));
            }
            return static_cast<T>(-value);
        }
        else
        {
            return static_cast<T>(-sparse::detail::widen(value));
        }
    }

    template <class F>
    void emit(index_t row, index_t column, T value, const F& f) const
    {
        f(row, column, value);
        if (row != column && m_symmetry == matrix_symmetry::symmetric)
        {
            f(column, row, value);
        }
        else if (row != column && m_symmetry == matrix_symmetry::skew_symmetric)
        {
            f(column, row, negative(value));
        }
    }

    template <class F>
    void visit_coordinates(const F& f)
    {
        for (std::int64_t i = 0; i < m_count; ++i)
        {
            require_entry(i);
            const auto row = static_cast<index_t>(m_lines.whole("a row", 1, m_rows) - 1);
            const auto column = static_cast<index_t>(m_lines.whole("a column", 1, m_columns) - 1);
            const bool stored = m_symmetry == matrix_symmetry::general     ? true
                                : m_symmetry == matrix_symmetry::symmetric ? row >= column
                                                                           : row > column;
            if (!stored)
            {
                m_lines.fail(m_symmetry == matrix_symmetry::symmetric
                                 ? "an entry of the lower triangle"
                                 : "an entry below the diagonal",
                    "row " + std::to_string(row + 1) + ", column " + std::to_string(column + 1));
            }
            const T value = m_pattern ? static_cast<T>(1.0f) : m_lines.template number<T>();
            m_lines.end_of_line("the entry");
            emit(row, column, value, f);
        }
    }

    template <class F>
    void visit_array(const F& f)
    {
        std::int64_t done = 0;
        // Columns without rows take no lines, so there may be any number of them.
        for (index_t c = 0; m_count > 0 && c < m_columns; ++c)
        {
            const index_t first = m_symmetry == matrix_symmetry::general     ? 0
                                  : m_symmetry == matrix_symmetry::symmetric ? c
                                                                             : c + 1;
            for (index_t r = first; r < m_rows; ++r)
            {
                require_entry(done++);
                const T value = m_lines.template number<T>();
                m_lines.end_of_line("the value");
                emit(r, c, value, f);
            }
        }
    }

    text_lines m_lines;
    bool m_array = false;
    bool m_pattern = false;
    matrix_symmetry m_symmetry = matrix_symmetry::general;
    index_t m_rows = 0;
    index_t m_columns = 0;
    std::int64_t m_count = 0;
};

} // namespace detail

/// Reads a matrix as coordinates: those of the file in its order, each mirrored one behind its own;
/// of an array the non-zeros.
///
/// Coordinate and array files of real, integer and pattern (every entry 1) matrices, general,
/// symmetric and skew-symmetric; complex and Hermitian ones are refused. Numbers are decimal with a
/// point whatever the locale; one that `T` does not hold is a `format_error`, as are entries outside
/// the matrix or its stored triangle, and more or fewer of them than the file claims, with the line
/// from 1. Entries of one place stay as they are: they add up when the matrix is converted.
template <sparse::element T, std::unsigned_integral Index = std::uint32_t>
sparse::coo<T, Index> read_matrix_market(
    byte_source& source, const matrix_market_options& options = {})
{
    const auto bytes = source.read_rest(options.max_bytes);
    detail::matrix_market_parser<T> parser(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, source.name());
    parser.limit_extents(sparse::detail::most_positions<Index>);
    const auto expected =
        static_cast<std::size_t>(parser.array() ? 0 : parser.count()) * (parser.mirrored() ? 2 : 1);
    buffer<Index> rows;
    buffer<Index> columns;
    buffer<T> values;
    rows.reserve(expected);
    columns.reserve(expected);
    values.reserve(expected);
    const bool zeros = !parser.array();
    parser.visit(
        [&](index_t r, index_t c, T value)
        {
            if (zeros || !structopt::detail::is_zero(value))
            {
                rows.push_back(static_cast<Index>(r));
                columns.push_back(static_cast<Index>(c));
                values.push_back(value);
            }
        });
    return sparse::coo<T, Index>(
        parser.rows(), parser.columns(), std::move(rows), std::move(columns), std::move(values));
}

/// Reads a matrix from a file, plain or .gz.
template <sparse::element T, std::unsigned_integral Index = std::uint32_t>
sparse::coo<T, Index> read_matrix_market(
    const std::string& path, const matrix_market_options& options = {})
{
    byte_source source(path);
    return read_matrix_market<T, Index>(source, options);
}

/// Reads a matrix as a dense one; entries of one place add up. More elements than
/// `options.max_elements` are a `format_error`.
template <sparse::element T>
tensor<T, 2> read_matrix_market_dense(
    byte_source& source, const matrix_market_options& options = {})
{
    const auto bytes = source.read_rest(options.max_bytes);
    detail::matrix_market_parser<T> parser(
        {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, source.name());
    parser.limit_elements(options.max_elements);
    auto dense = structopt::zeros<T>(shape<2>{parser.rows(), parser.columns()});
    parser.visit(
        [&](index_t r, index_t c, T value)
        {
            T& to = dense.data()[r * parser.columns() + c];
            using wide = sparse::detail::wide_accumulator<T>;
            to = sparse::detail::narrow<T>(static_cast<wide>(to) + static_cast<wide>(value), r, c);
        });
    return dense;
}

/// Reads a matrix as a dense one from a file, plain or .gz.
template <sparse::element T>
tensor<T, 2> read_matrix_market_dense(
    const std::string& path, const matrix_market_options& options = {})
{
    byte_source source(path);
    return read_matrix_market_dense<T>(source, options);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
