/// @file
/// Lines and fields of a text in memory, for readers of text formats.
#pragma once

#include <structopt/io/csv.hpp>
#include <structopt/io/message.hpp>
#include <structopt/sparse/element.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

STRUCTOPT_BEGIN_NAMESPACE
namespace io::detail
{

/// Takes a text line by line and a line field by field, and knows where it is.
class text_lines
{
public:
    text_lines(std::string_view text, const std::string& name, std::string_view separators)
        : m_text(text)
        , m_name(name)
        , m_separators(separators)
    {
    }

    /// Goes to the next line; false at the end of the text.
    bool next_line() noexcept
    {
        if (m_text.empty())
        {
            m_line = {};
            return false;
        }
        const std::size_t end = m_text.find('\n');
        m_line = m_text.substr(0, end);
        m_text.remove_prefix(end == std::string_view::npos ? m_text.size() : end + 1);
        if (!m_line.empty() && m_line.back() == '\r')
        {
            m_line.remove_suffix(1);
        }
        ++m_number;
        return true;
    }

    /// The next field of this line; empty where there is none left.
    std::string_view next_field() noexcept
    {
        const std::size_t first = m_line.find_first_not_of(m_separators);
        if (first == std::string_view::npos)
        {
            m_line = {};
            return {};
        }
        m_line.remove_prefix(first);
        const std::string_view field = m_line.substr(0, m_line.find_first_of(m_separators));
        m_line.remove_prefix(field.size());
        return field;
    }

    /// What is left of this line.
    std::string_view rest_of_line() const noexcept
    {
        return m_line;
    }

    bool blank() const noexcept
    {
        return m_line.find_first_not_of(m_separators) == std::string_view::npos;
    }

    /// Bytes behind this line.
    std::size_t left() const noexcept
    {
        return m_text.size();
    }

    [[noreturn]] void fail(const std::string& expected, std::string_view found) const
    {
        raise<format_error>(m_name + " line " + std::to_string(m_number), expected,
            found.empty() ? std::string("nothing") : in_quotes(found));
    }

    /// A `format_error` about the file as a whole.
    [[noreturn]] void fail_at_end(const std::string& expected, const std::string& found) const
    {
        raise<format_error>(m_name, expected, found);
    }

    /// A whole number from `low` to `high`.
    std::int64_t whole(std::string_view what, std::int64_t low, std::int64_t high)
    {
        const std::string_view field = next_field();
        std::int64_t value = 0;
        const char* const last = field.data() + field.size();
        const auto parsed = std::from_chars(field.data(), last, value);
        if (field.empty() || parsed.ec != std::errc() || parsed.ptr != last || value < low ||
            value > high)
        {
            fail(std::string(what) + " from " + std::to_string(low) + " to " + std::to_string(high),
                field);
        }
        return value;
    }

    /// A number that the element type holds.
    template <sparse::element T>
    T number()
    {
        const std::string_view field = next_field();
        bool good = false;
        T value{};
        if constexpr (std::same_as<T, bfloat16>)
        {
            double wide = 0;
            good = parse_number(field, wide);
            value = bfloat16(wide);
        }
        else
        {
            good = parse_number(field, value);
        }
        if (!good)
        {
            fail("a number in the range of the element type", field);
        }
        return value;
    }

    /// Nothing more may stand on this line.
    void end_of_line(const std::string& after)
    {
        if (!blank())
        {
            fail("the end of the line after " + after, next_field());
        }
    }

private:
    std::string_view m_text;
    const std::string& m_name;
    std::string_view m_separators;
    std::string_view m_line;
    std::size_t m_number = 0; // of the line, from 1
};

} // namespace io::detail
STRUCTOPT_END_NAMESPACE
