/// @file
/// Reports as text: a table for people, JSON for programs.
#pragma once

#include <structopt/compress/report.hpp>
#include <structopt/compress/text.hpp>
#include <structopt/core/finite.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// Variants side by side, one line each, the ratio of bytes against the first; "-" for an accuracy that
/// was not measured.
std::string to_table(std::span<const report> variants);

/// One network, a line per layer and one for the whole.
std::string to_layer_table(const report& r);

/// `[{"name", "accuracy", "parameters", "nonzeros", "bytes", "ratio", "multiply_adds",
/// "activation_bytes", "scratch_bytes", "latency_us_batch1", "latency_us_batch64", "layers"}]`;
/// the ratio is the first variant's bytes over this one's. A number that is NaN or
/// infinite, or was not measured, is null.
std::string to_json(std::span<const report> variants);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline double ratio(std::span<const report> variants, const report& r)
{
    return r.bytes == 0
               ? 0.0
               : static_cast<double>(variants.front().bytes) / static_cast<double>(r.bytes);
}

/// "97.10 %", or "-" for what was not measured.
inline std::string measured_percent(const std::optional<double>& share)
{
    return share && structopt::detail::is_finite(*share) ? decimal(100 * *share, 2) + " %" : "-";
}

} // namespace detail

inline std::string to_table(std::span<const report> variants)
{
    std::vector<std::vector<std::string>> lines{{"variant", "accuracy", "parameters", "non-zeros",
        "bytes", "ratio", "multiply-adds", "activation bytes", "us, batch 1", "us, batch 64"}};
    for (const report& r : variants)
    {
        lines.push_back({r.name, detail::measured_percent(r.accuracy), std::to_string(r.parameters),
            std::to_string(r.nonzeros), std::to_string(r.bytes),
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
        json += ", \"accuracy\": " + (r.accuracy ? detail::json_number(*r.accuracy, 6) : "null");
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
