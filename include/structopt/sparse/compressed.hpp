/// @file
/// What compressed rows, columns and blocks share: the checks of their offsets and indices.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/sparse/extents.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse::detail
{

/// How many positions an index type can number.
template <std::unsigned_integral Index>
inline constexpr index_t most_positions = sizeof(Index) < sizeof(index_t)
                                              ? static_cast<index_t>(
                                                    std::numeric_limits<Index>::max()) +
                                                    1
                                              : std::numeric_limits<index_t>::max();

/// How a format calls what it compresses, for messages: {"csc", "column", "rows"}.
struct compressed_names
{
    const char* format;
    const char* list;  ///< what `offsets` counts: "row"
    const char* index; ///< what `indices` numbers: "columns"
};

/// Throws `argument_error` for more entries than offsets can count.
inline void check_count(const char* format, std::size_t entries)
{
    if (entries > std::numeric_limits<std::uint32_t>::max())
    {
        structopt::detail::raise<argument_error>(format,
            "at most " + std::to_string(std::numeric_limits<std::uint32_t>::max()) + " entries",
            std::to_string(entries));
    }
}

/// Throws `format_error` unless `offsets` divides `entries` positions into `lists` lists.
inline void check_offsets(const compressed_names& names, index_t lists,
    const buffer<std::uint32_t>& offsets, std::size_t entries)
{
    const std::string where = std::string(names.format) + " offsets";
    const auto at = [&](std::size_t list)
    {
        return where + ", " + names.list + " " + std::to_string(list);
    };
    if (offsets.size() != static_cast<std::size_t>(lists) + 1)
    {
        structopt::detail::raise<format_error>(where,
            std::to_string(static_cast<std::size_t>(lists) + 1) + " numbers, one more than " +
                names.list + "s",
            std::to_string(offsets.size()));
    }
    if (offsets.front() != 0)
    {
        structopt::detail::raise<format_error>(at(0), "0", std::to_string(offsets.front()));
    }
    for (std::size_t l = 0; l + 1 < offsets.size(); ++l)
    {
        if (offsets[l + 1] < offsets[l] || offsets[l + 1] > entries)
        {
            structopt::detail::raise<format_error>(at(l + 1),
                "a number from " + std::to_string(offsets[l]) + " to " + std::to_string(entries),
                std::to_string(offsets[l + 1]));
        }
    }
    if (offsets.back() != entries)
    {
        structopt::detail::raise<format_error>(at(offsets.size() - 1),
            std::to_string(entries) + ", the number of entries", std::to_string(offsets.back()));
    }
}

/// Throws `format_error` unless every index has `each` values.
template <class Index>
void check_arrays(const compressed_names& names, const buffer<std::uint32_t>& offsets,
    const buffer<Index>& indices, std::size_t values, std::size_t each)
{
    const std::size_t last = offsets.empty() ? 0 : offsets.back();
    if (!offsets.empty() && (indices.size() != last || values / each != last || values % each != 0))
    {
        structopt::detail::raise<format_error>(std::string(names.format) + " arrays",
            std::to_string(last) + " indices (the last offset) and " + std::to_string(each) +
                " value" + (each == 1 ? "" : "s") + " for each",
            std::to_string(indices.size()) + " indices, " + std::to_string(values) + " values");
    }
}

/// Throws `format_error` unless these are `lists` lists of indices, each strictly ascending below
/// `extent`.
template <class Index>
void check_lists(const compressed_names& names, index_t lists, index_t extent,
    const buffer<std::uint32_t>& offsets, const buffer<Index>& indices)
{
    check_offsets(names, lists, offsets, indices.size());
    for (std::size_t l = 0; l + 1 < offsets.size(); ++l)
    {
        for (std::size_t i = offsets[l]; i < offsets[l + 1]; ++i)
        {
            const bool ascending = i == offsets[l] || indices[i] > indices[i - 1];
            if (!ascending ||
                static_cast<std::uint64_t>(indices[i]) >= static_cast<std::uint64_t>(extent))
            {
                structopt::detail::raise<format_error>(std::string(names.format) + " indices, " +
                                                           names.list + " " + std::to_string(l) +
                                                           ", position " + std::to_string(i),
                    std::string(names.index) + " below " + std::to_string(extent) +
                        ", strictly ascending",
                    std::to_string(indices[i]) + " after " +
                        (i == offsets[l] ? std::string("none") : std::to_string(indices[i - 1])));
            }
        }
    }
}

/// Numbers that are known to fit.
template <class To, class From>
void assign_narrow(buffer<To>& to, const From& from)
{
    to.resize(from.size());
    for (std::size_t i = 0; i < from.size(); ++i)
    {
        to[i] = static_cast<To>(from[i]);
    }
}

/// Throws `format_error` unless there are `expected` numbers in the array `what`.
inline void check_size(
    const char* format, const char* what, std::size_t expected, std::size_t found)
{
    if (found != expected)
    {
        structopt::detail::raise<format_error>(std::string(format) + " " + what,
            std::to_string(expected) + " numbers", std::to_string(found));
    }
}

} // namespace sparse::detail
STRUCTOPT_END_NAMESPACE
