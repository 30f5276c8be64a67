/// @file
/// The parts of one weight, as a file would hold them.
#pragma once

#include <structopt/core/tensor.hpp>

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace support
{

/// Keeps what is put, in bytes, and gives it back.
struct memory_file
{
    structopt::index_t n = 0;
    structopt::index_t k = 0;
    std::unordered_map<std::string, std::vector<char>> parts = {};

    template <class V>
    void put(std::string_view part, std::span<const V> values)
    {
        const auto* const first = reinterpret_cast<const char*>(values.data());
        parts[std::string(part)].assign(first, first + values.size_bytes());
    }

    template <class V>
    structopt::buffer<V> get(std::string_view part)
    {
        const auto& part_bytes = parts.at(std::string(part));
        const auto* const values = reinterpret_cast<const V*>(part_bytes.data());
        return structopt::buffer<V>(values, values + part_bytes.size() / sizeof(V));
    }

    /// Changes one number of a part.
    template <class V>
    void set(std::string_view part, structopt::index_t position, V value)
    {
        auto values = get<V>(part);
        values[static_cast<std::size_t>(position)] = value;
        put(part, std::span<const V>(values.data(), values.size()));
    }

    structopt::index_t rows() const
    {
        return n;
    }

    structopt::index_t columns() const
    {
        return k;
    }
};

} // namespace support
