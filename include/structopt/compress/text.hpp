/// @file
/// Numbers and words in text, the same in every locale: columns for people, JSON for programs.
#pragma once

#include <structopt/core/finite.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress::detail
{

/// A number with so many decimals, the same in every locale.
inline std::string decimal(double value, int digits)
{
    char text[400]; // more than the digits of any double
    const auto [end, error] =
        std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits);
    return error == std::errc() ? std::string(text, end) : std::string("nan");
}

/// The same for JSON, which has no NaN.
inline std::string json_number(double value, int digits)
{
    return structopt::detail::is_finite(value) ? decimal(value, digits) : std::string("null");
}

/// "800 B", "2 kB", "1.5 MB"
inline std::string short_bytes(double bytes)
{
    const auto trimmed = [](double value)
    {
        return decimal(value, value == std::floor(value) ? 0 : 1);
    };
    return bytes < 1e3   ? trimmed(bytes) + " B"
           : bytes < 1e6 ? trimmed(bytes / 1e3) + " kB"
           : bytes < 1e9 ? trimmed(bytes / 1e6) + " MB"
                         : trimmed(bytes / 1e9) + " GB";
}

/// "800", "18.2 k", "1.5 M"
inline std::string short_number(double value)
{
    const auto trimmed = [](double number)
    {
        return decimal(number, number == std::floor(number) ? 0 : 1);
    };
    return value < 1e4   ? trimmed(value)
           : value < 1e6 ? trimmed(value / 1e3) + " k"
           : value < 1e9 ? trimmed(value / 1e6) + " M"
                         : trimmed(value / 1e9) + " G";
}

/// The shortest text that reads back as the same number, for JSON.
inline std::string exact_number(double value)
{
    if (!structopt::detail::is_finite(value))
    {
        return "null";
    }
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    return error == std::errc() ? std::string(text, end) : std::string("null");
}

/// Lines of cells: the first column to the left, the others to the right.
inline std::string aligned(const std::vector<std::vector<std::string>>& lines)
{
    std::vector<std::size_t> widths;
    for (const auto& line : lines)
    {
        widths.resize(std::max(widths.size(), line.size()));
        for (std::size_t i = 0; i < line.size(); ++i)
        {
            widths[i] = std::max(widths[i], line[i].size());
        }
    }
    std::string text;
    for (const auto& line : lines)
    {
        for (std::size_t i = 0; i < line.size(); ++i)
        {
            const std::string space(widths[i] - line[i].size(), ' ');
            text += i == 0 ? line[i] + space : "  " + space + line[i];
        }
        text.erase(text.find_last_not_of(' ') + 1);
        text += '\n';
    }
    return text;
}

/// Text in quotes, with what JSON wants escaped.
inline std::string quoted(std::string_view text)
{
    std::string json = "\"";
    for (const char c : text)
    {
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
        {
            json += '\\';
            json += c;
        }
        else if (code < 0x20)
        {
            constexpr char digits[] = "0123456789abcdef";
            json += "\\u00";
            json += digits[code / 16];
            json += digits[code % 16];
        }
        else
        {
            json += c;
        }
    }
    return json + '"';
}

} // namespace compress::detail
STRUCTOPT_END_NAMESPACE
