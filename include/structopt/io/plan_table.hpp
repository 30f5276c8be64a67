/// @file
/// Measured tables of `nn::plan` in files: text of a few kilobytes.
#pragma once

#include <structopt/io/atomic_file.hpp>
#include <structopt/io/byte_source.hpp>
#include <structopt/nn/plan/plan_table.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Writes a table. Throws `argument_error` for an empty one and `file_error`.
inline void save_plan_table(const nn::plan_table& table, const std::string& path)
{
    io::write_file(path, table.text());
}

/// Reads a table, plain or .gz. Throws `format_error` with the line that is wrong, and `file_error`.
inline nn::plan_table load_plan_table(const std::string& path)
{
    byte_source source(path);
    const auto bytes = source.read_rest(1 << 20);
    return nn::plan_table::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
