/// @file
/// Reports as text: a table for people, JSON for programs.
#pragma once

#include <structopt/compress/report.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// Variants side by side, one line each, the ratio of bytes against the first.
std::string to_table(std::span<const report> variants);

/// One network, a line per layer and one for the whole.
std::string to_layer_table(const report& r);

/// `[{"name", "accuracy", "parameters", "nonzeros", "bytes", "ratio", "multiply_adds",
/// "activation_bytes", "scratch_bytes", "latency_us_batch1", "latency_us_batch64", "layers"}]`;
/// the ratio is the first variant's bytes over this one's. A number that is NaN or infinite is null.
std::string to_json(std::span<const report> variants);

// ---------------------------------------------------------------------------------------------

namespace detail
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

inline double ratio(std::span<const report> variants, const report& r)
{
    return r.bytes == 0
               ? 0.0
               : static_cast<double>(variants.front().bytes) / static_cast<double>(r.bytes);
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

} // namespace detail

inline std::string to_table(std::span<const report> variants)
{
    std::vector<std::vector<std::string>> lines{{"variant", "accuracy", "parameters", "non-zeros",
        "bytes", "ratio", "multiply-adds", "activation bytes", "us, batch 1", "us, batch 64"}};
    for (const report& r : variants)
    {
        lines.push_back({r.name, detail::decimal(100 * r.accuracy, 2) + " %",
            std::to_string(r.parameters), std::to_string(r.nonzeros), std::to_string(r.bytes),
            detail::decimal(detail::ratio(variants, r), 1) + "x", std::to_string(r.multiply_adds),
            std::to_string(r.activation_bytes), detail::decimal(r.latency_us_batch1, 2),
            detail::decimal(r.latency_us_batch64, 2)});
    }
    return detail::aligned(lines);
}

inline std::string to_layer_table(const report& r)
{
    std::vector<std::vector<std::string>> lines{
        {"layer", "format", "parameters", "non-zeros", "bytes", "multiply-adds"}};
    for (const layer_report& row : r.layers)
    {
        lines.push_back({row.name + " " + row.type, row.format, std::to_string(row.parameters),
            std::to_string(row.nonzeros), std::to_string(row.bytes),
            std::to_string(row.multiply_adds)});
    }
    lines.push_back({"whole file", "", std::to_string(r.parameters), std::to_string(r.nonzeros),
        std::to_string(r.bytes), std::to_string(r.multiply_adds)});
    return detail::aligned(lines);
}

inline std::string to_json(std::span<const report> variants)
{
    std::string json = "[";
    for (const report& r : variants)
    {
        json += &r == variants.data() ? "\n" : ",\n";
        json += "  {\"name\": " + detail::quoted(r.name);
        json += ", \"accuracy\": " + detail::json_number(r.accuracy, 6);
        json += ", \"parameters\": " + std::to_string(r.parameters);
        json += ", \"nonzeros\": " + std::to_string(r.nonzeros);
        json += ", \"bytes\": " + std::to_string(r.bytes);
        json += ", \"ratio\": " + detail::json_number(detail::ratio(variants, r), 3);
        json += ", \"multiply_adds\": " + std::to_string(r.multiply_adds);
        json += ", \"activation_bytes\": " + std::to_string(r.activation_bytes);
        json += ", \"scratch_bytes\": " + std::to_string(r.scratch_bytes);
        json += ", \"latency_us_batch1\": " + detail::json_number(r.latency_us_batch1, 3);
        json += ", \"latency_us_batch64\": " + detail::json_number(r.latency_us_batch64, 3);
        json += ",\n   \"layers\": [";
        for (const layer_report& row : r.layers)
        {
            json += &row == r.layers.data() ? "\n" : ",\n";
            json += "     {\"name\": " + detail::quoted(row.name);
            json += ", \"type\": " + detail::quoted(row.type);
            json += ", \"format\": " + detail::quoted(row.format);
            json += ", \"parameters\": " + std::to_string(row.parameters);
            json += ", \"nonzeros\": " + std::to_string(row.nonzeros);
            json += ", \"bytes\": " + std::to_string(row.bytes);
            json += ", \"multiply_adds\": " + std::to_string(row.multiply_adds) + "}";
        }
        json += "]}";
    }
    return json + "\n]\n";
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
