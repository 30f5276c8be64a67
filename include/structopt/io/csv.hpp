/// @file
/// Reader of numeric tables in text: csv, tsv, plain and .gz.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/byte_source.hpp>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// How a table is written.
struct csv_options
{
    char delimiter = ',';    ///< between fields; spaces and tabs around a field are skipped
    index_t header_rows = 0; ///< lines to skip first (blank and comment lines not counted)
    char comment = '#';      ///< a line that begins with it is skipped; '\0' for none
    std::vector<index_t> columns = {}; ///< which columns to keep, in this order, from 0; empty: all
    std::uint64_t max_bytes = std::uint64_t(1) << 30; ///< refuse more text than this

    friend bool operator==(const csv_options&, const csv_options&) = default;
};

namespace detail
{

/// Numbers of a csv cell, without the locale. False where the text is no number that `T` holds.
///
/// Floating: decimal, rounded to nearest; "inf" and "nan" are numbers; what double cannot hold is none.
/// Integers: also written as 3.0 or 3e2 as long as the value is one.
template <class T>
bool parse_number(std::string_view text, T& value) noexcept
{
    if (text.size() > 1 && text[0] == '+' && text[1] != '-')
    {
        text.remove_prefix(1);
    }
    const char* const last = text.data() + text.size();
    const auto exact = std::from_chars(text.data(), last, value);
    if (exact.ec == std::errc() && exact.ptr == last)
    {
        return true;
    }
    double wide = 0;
    const auto again = std::from_chars(text.data(), last, wide);
    if (again.ec != std::errc() || again.ptr != last)
    {
        return false;
    }
    if constexpr (std::is_integral_v<T>)
    {
        // Both bounds are powers of two (or zero), so they are exact in double.
        constexpr int digits = std::numeric_limits<T>::digits;
        constexpr double high = 2.0 * static_cast<double>(std::uint64_t(1) << (digits - 1));
        constexpr double low = std::is_signed_v<T> ? -high : 0.0;
        if (!(wide >= low && wide < high) || static_cast<double>(static_cast<T>(wide)) != wide)
        {
            return false;
        }
        value = static_cast<T>(wide);
        return true;
    }
    else
    {
        // A float out of range: the numbers that are too small round to zero, or to a subnormal.
        value = static_cast<T>(wide);
        return wide > -1 && wide < 1;
    }
}

/// Splits text into lines and fields, and knows where it is.
template <class T>
class csv_parser
{
public:
    csv_parser(std::string_view text, const std::string& name, const csv_options& options)
        : m_text(text)
        , m_name(name)
        , m_options(options)
    {
        if (m_text.substr(0, 3) == "\xef\xbb\xbf") // the byte order mark that spreadsheets write
        {
            m_text.remove_prefix(3);
        }
    }

    tensor<T, 2> parse()
    {
        index_t skip = m_options.header_rows;
        while (!m_text.empty())
        {
            next_line();
            if (blank() || (m_options.comment != '\0' && m_line[0] == m_options.comment))
            {
                continue;
            }
            if (skip > 0)
            {
                --skip;
                continue;
            }
            parse_row();
        }
        const auto columns =
            static_cast<index_t>(m_options.columns.empty() ? m_fields : m_options.columns.size());
        auto table = make_tensor<T>(shape<2>{m_rows, m_rows > 0 ? columns : 0});
        std::copy(m_values.begin(), m_values.end(), table.data());
        return table;
    }

private:
    static bool is_space(char c) noexcept
    {
        return c == ' ' || c == '\t';
    }

    [[noreturn]] void fail(
        std::size_t column, const std::string& expected, const std::string& found) const
    {
        std::string where = m_name + " line " + std::to_string(m_number);
        if (column > 0)
        {
            where += " column " + std::to_string(column);
        }
        raise<format_error>(std::move(where), expected, found);
    }

    void next_line()
    {
        const std::size_t end = m_text.find('\n');
        m_line = m_text.substr(0, end);
        m_text.remove_prefix(end == std::string_view::npos ? m_text.size() : end + 1);
        if (!m_line.empty() && m_line.back() == '\r')
        {
            m_line.remove_suffix(1);
        }
        ++m_number;
    }

    bool blank() const noexcept
    {
        return std::all_of(m_line.begin(), m_line.end(), is_space);
    }

    void parse_row()
    {
        m_row.clear();
        std::size_t at = 0;
        bool more = true;
        while (more)
        {
            m_row.push_back(field(at, more));
        }
        if (m_rows == 0)
        {
            m_fields = m_row.size();
            for (const index_t column : m_options.columns)
            {
                if (column < 0 || static_cast<std::size_t>(column) >= m_fields)
                {
                    fail(0, "a column " + std::to_string(column) + " (counted from 0)",
                        std::to_string(m_fields) + " columns");
                }
            }
        }
        else if (m_row.size() != m_fields)
        {
            fail(0, std::to_string(m_fields) + " columns as in the first row",
                std::to_string(m_row.size()));
        }
        if (m_options.columns.empty())
        {
            for (std::size_t i = 0; i < m_row.size(); ++i)
            {
                m_values.push_back(number(i));
            }
        }
        for (const index_t column : m_options.columns)
        {
            m_values.push_back(number(static_cast<std::size_t>(column)));
        }
        ++m_rows;
    }

    /// The field at `at`, without quotes and spaces around it; moves behind its delimiter.
    std::string_view field(std::size_t& at, bool& more)
    {
        const std::size_t column = m_row.size() + 1;
        while (at < m_line.size() && is_space(m_line[at]) && m_line[at] != m_options.delimiter)
        {
            ++at;
        }
        std::string_view text;
        if (at < m_line.size() && m_line[at] == '"')
        {
            const std::size_t first = ++at;
            // A doubled quote stands for one. It stays doubled here: such a field is no number.
            while (at < m_line.size() &&
                   (m_line[at] != '"' || (at + 1 < m_line.size() && m_line[at + 1] == '"')))
            {
                at += m_line[at] == '"' ? 2 : 1;
            }
            if (at >= m_line.size())
            {
                fail(column, "a closing quote on the same line", "the end of the line");
            }
            text = m_line.substr(first, at - first);
            ++at;
            while (at < m_line.size() && is_space(m_line[at]) && m_line[at] != m_options.delimiter)
            {
                ++at;
            }
            if (at < m_line.size() && m_line[at] != m_options.delimiter)
            {
                fail(column, "a delimiter after the closing quote", in_quotes(m_line.substr(at)));
            }
        }
        else
        {
            const std::size_t end = std::min(m_line.find(m_options.delimiter, at), m_line.size());
            text = m_line.substr(at, end - at);
            while (!text.empty() && is_space(text.back()))
            {
                text.remove_suffix(1);
            }
            at = end;
        }
        more = at < m_line.size();
        ++at;
        return text;
    }

    T number(std::size_t i) const
    {
        T value{};
        if (!parse_number(m_row[i], value))
        {
            fail(i + 1,
                std::is_integral_v<T> ? "a whole number in the range of the element type"
                                      : "a number in the range of the element type",
                m_row[i].empty() ? std::string("nothing") : in_quotes(m_row[i]));
        }
        return value;
    }

    std::string_view m_text; // what is left
    const std::string& m_name;
    const csv_options& m_options;
    std::string_view m_line;
    std::size_t m_number = 0; // of the line, from 1
    std::vector<std::string_view> m_row;
    std::size_t m_fields = 0;
    std::vector<T> m_values;
    index_t m_rows = 0;
};

} // namespace detail

/// Reads a table of numbers, [rows, columns].
///
/// Numbers are decimal with a point whatever the locale, may stand in double quotes, and lines may
/// end in CR LF. Blank lines and comment lines are skipped. Rows of different length, empty fields,
/// and fields that are no number of type `T` are a `format_error` with line and column (from 1). A
/// table without rows is [0, 0].
template <class T>
    requires((std::integral<T> && !std::same_as<T, bool>) || std::floating_point<T>)
tensor<T, 2> read_csv(byte_source& source, const csv_options& options = {})
{
    if (options.header_rows < 0 || options.delimiter == '"' || options.delimiter == '\n')
    {
        detail::raise<argument_error>("csv_options",
            "a delimiter that is no quote or line end, and header_rows of 0 or more",
            "delimiter " + detail::in_quotes({&options.delimiter, 1}) + ", header_rows " +
                std::to_string(options.header_rows));
    }
    const auto bytes = source.read_rest(options.max_bytes);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return detail::csv_parser<T>(text, source.name(), options).parse();
}

/// Reads a table of numbers from a file, plain or .gz.
template <class T>
    requires((std::integral<T> && !std::same_as<T, bool>) || std::floating_point<T>)
tensor<T, 2> read_csv(const std::string& path, const csv_options& options = {})
{
    byte_source source(path);
    return read_csv<T>(source, options);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
