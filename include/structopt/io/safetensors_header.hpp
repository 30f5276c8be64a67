/// @file
/// The header of a safetensors file, fully checked.
///
/// Format (version 0.4 and later): a little-endian 64-bit length, a JSON header of that length, the
/// data. The header maps names to dtype, shape and data_offsets, and `__metadata__` to strings.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/shape.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/dtype.hpp>
#include <structopt/io/message.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// One tensor of a file.
struct tensor_entry
{
    std::string name;
    dtype type = dtype::f32;
    std::vector<index_t> shape;       ///< row-major; empty for a scalar
    index_t count = 0;                ///< number of elements
    std::uint64_t offset = 0;         ///< of the first byte, from the beginning of the file
    std::span<const std::byte> bytes; ///< little-endian, not necessarily aligned
};

namespace detail
{

/// What a safetensors header says, before the offsets are compared with each other.
struct safetensors_header
{
    std::vector<tensor_entry> entries; // offset is relative to the data here
    std::map<std::string, std::string, std::less<>> metadata;
};

inline constexpr std::size_t longest_safetensors_header = 100'000'000; // as the reference has it
inline constexpr std::size_t most_safetensors_axes = 64;

/// Walks over the header's characters and tells where the parser stands.
class tracking_iterator
{
public:
    using difference_type = std::ptrdiff_t;
    using value_type = char;
    using pointer = const char*;
    using reference = const char&;
    using iterator_category = std::forward_iterator_tag;

    tracking_iterator() = default;

    tracking_iterator(const char* at, const char** furthest) noexcept
        : m_at(at)
        , m_furthest(furthest)
    {
    }

    reference operator*() const noexcept
    {
        return *m_at;
    }

    tracking_iterator& operator++() noexcept
    {
        *m_furthest = ++m_at;
        return *this;
    }

    tracking_iterator operator++(int) noexcept
    {
        auto before = *this;
        ++*this;
        return before;
    }

    friend bool operator==(const tracking_iterator& a, const tracking_iterator& b) noexcept
    {
        return a.m_at == b.m_at;
    }

    friend bool operator!=(const tracking_iterator& a, const tracking_iterator& b) noexcept
    {
        return a.m_at != b.m_at;
    }

private:
    const char* m_at = nullptr;
    const char** m_furthest = nullptr;
};

/// Receives the header's JSON token by token: no document is built, nothing nests deeper than the
/// format does, and every key is seen, so that a repeated one is noticed.
///
/// Each handler returns whether to go on; the first thing that does not fit is kept in `expected`
/// and `found`.
class safetensors_handler
{
public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    safetensors_handler(safetensors_header& header, std::uint64_t data_bytes)
        : m_header(header)
        , m_data_bytes(data_bytes)
    {
    }

    std::string expected;
    std::string found;

    bool null()
    {
        return unfit("null");
    }

    bool boolean(bool value)
    {
        return unfit(value ? "true" : "false");
    }

    bool number_integer(number_integer_t value)
    {
        return unfit(std::to_string(value));
    }

    bool number_float(number_float_t, const string_t& text)
    {
        return unfit(text);
    }

    bool number_unsigned(number_unsigned_t value)
    {
        switch (m_place)
        {
        case place::extents:
            if (value > static_cast<std::uint64_t>(std::numeric_limits<index_t>::max()))
            {
                return unfit(std::to_string(value));
            }
            if (entry().shape.size() == most_safetensors_axes)
            {
                return unfit("more than " + std::to_string(most_safetensors_axes) + " axes");
            }
            entry().shape.push_back(static_cast<index_t>(value));
            return true;
        case place::offsets:
            if (m_offsets == 2)
            {
                return unfit("a third one");
            }
            m_offset[m_offsets++] = value;
            return true;
        default:
            return unfit(std::to_string(value));
        }
    }

    bool string(string_t& text)
    {
        if (m_place == place::metadata_value)
        {
            m_header.metadata[m_key] = std::move(text);
            m_place = place::metadata;
            return true;
        }
        if (m_place == place::type)
        {
            const auto type = dtype_named(text);
            if (!type)
            {
                return unfit(in_quotes(text));
            }
            entry().type = *type;
            m_place = place::entry;
            return true;
        }
        return unfit(in_quotes(text));
    }

    bool binary(binary_t&)
    {
        return unfit("binary data");
    }

    bool start_object(std::size_t)
    {
        switch (m_place)
        {
        case place::start:
            m_place = place::top;
            return true;
        case place::tensor_value:
            m_place = place::entry;
            return true;
        case place::metadata_start:
            m_place = place::metadata;
            return true;
        default:
            return unfit("an object");
        }
    }

    bool key(string_t& text)
    {
        switch (m_place)
        {
        case place::top:
            return top_key(text);
        case place::metadata:
            m_key = text;
            m_place = place::metadata_value;
            return m_header.metadata.count(text) == 0 ||
                   repeated("metadata key " + in_quotes(text));
        default:
            return entry_key(text);
        }
    }

    bool end_object()
    {
        switch (m_place)
        {
        case place::top:
            m_place = place::end;
            return true;
        case place::metadata:
            m_place = place::top;
            return true;
        default:
            m_place = place::top;
            return finish_entry();
        }
    }

    bool start_array(std::size_t)
    {
        switch (m_place)
        {
        case place::shape:
            m_place = place::extents;
            return true;
        case place::data_offsets:
            m_place = place::offsets;
            return true;
        default:
            return unfit("an array");
        }
    }

    bool end_array()
    {
        if (m_place == place::offsets && m_offsets != 2)
        {
            return unfit(std::to_string(m_offsets) + " of them");
        }
        m_place = place::entry;
        return true;
    }

    bool parse_error(std::size_t, const std::string& last_token, const nlohmann::json::exception&)
    {
        expected = "well-formed JSON in UTF-8";
        found = "an error at " + in_quotes(last_token);
        return false;
    }

private:
    /// Where in the header the next token belongs.
    enum class place
    {
        start,
        top,
        metadata_start,
        metadata,
        metadata_value,
        tensor_value,
        entry,
        type,
        shape,
        extents,
        data_offsets,
        offsets,
        end
    };

    enum field : unsigned
    {
        has_type = 1,
        has_shape = 2,
        has_offsets = 4
    };

    tensor_entry& entry()
    {
        return m_header.entries.back();
    }

    std::string this_tensor()
    {
        return " of tensor " + in_quotes(entry().name);
    }

    bool fail(std::string wanted, std::string got)
    {
        expected = std::move(wanted);
        found = std::move(got);
        return false;
    }

    bool repeated(const std::string& what)
    {
        return fail(what + " once", "a second one");
    }

    bool unfit(std::string got)
    {
        switch (m_place)
        {
        case place::start:
            return fail("an object of tensors", std::move(got));
        case place::metadata_start:
            return fail("__metadata__ to be an object of strings", std::move(got));
        case place::metadata_value:
            return fail("a string for metadata key " + in_quotes(m_key), std::move(got));
        case place::tensor_value:
            return fail(
                "an object with dtype, shape and data_offsets for tensor " + in_quotes(m_key),
                std::move(got));
        case place::type:
            return fail("a known dtype" + this_tensor(), std::move(got));
        case place::shape:
        case place::extents:
            return fail("a shape" + this_tensor() + " of whole numbers in range", std::move(got));
        case place::data_offsets:
        case place::offsets:
            return fail("two data_offsets" + this_tensor(), std::move(got));
        default:
            return fail("nothing more", std::move(got));
        }
    }

    bool top_key(const string_t& text)
    {
        m_key = text;
        if (text == "__metadata__")
        {
            m_place = place::metadata_start;
            return !std::exchange(m_seen_metadata, true) || repeated("__metadata__");
        }
        m_place = place::tensor_value;
        m_seen = 0;
        m_offsets = 0;
        if (!m_names.emplace(text, m_header.entries.size()).second)
        {
            return repeated("tensor " + in_quotes(text));
        }
        m_header.entries.emplace_back().name = text;
        return true;
    }

    bool entry_key(const string_t& text)
    {
        unsigned bit = 0;
        if (text == "dtype")
        {
            bit = has_type;
            m_place = place::type;
        }
        else if (text == "shape")
        {
            bit = has_shape;
            m_place = place::shape;
        }
        else if (text == "data_offsets")
        {
            bit = has_offsets;
            m_place = place::data_offsets;
        }
        else
        {
            return fail("only dtype, shape and data_offsets" + this_tensor(), in_quotes(text));
        }
        const bool second = (m_seen & bit) != 0;
        m_seen |= bit;
        return !second || repeated(text + this_tensor());
    }

    bool finish_entry()
    {
        if (m_seen != (has_type | has_shape | has_offsets))
        {
            return fail("dtype, shape and data_offsets" + this_tensor(),
                std::string((m_seen & has_type) == 0    ? "no dtype"
                            : (m_seen & has_shape) == 0 ? "no shape"
                                                        : "no data_offsets"));
        }
        auto& e = entry();
        const std::string offsets =
            "[" + std::to_string(m_offset[0]) + ", " + std::to_string(m_offset[1]) + "]";
        if (m_offset[0] > m_offset[1] || m_offset[1] > m_data_bytes)
        {
            return fail("data_offsets" + this_tensor() + " in order and within the " +
                            std::to_string(m_data_bytes) + " bytes of data",
                offsets);
        }
        const auto count = checked_count(e.shape, bytes_of(e.type));
        const std::uint64_t there = m_offset[1] - m_offset[0];
        const auto needed =
            count ? bytes_of(e.type, static_cast<std::uint64_t>(*count)) : std::nullopt;
        if (!needed || *needed != there)
        {
            return fail("data_offsets" + this_tensor() + " of " +
                            (needed     ? std::to_string(*needed)
                                : count ? std::string("whole")
                                        : std::string("more than 2^63")) +
                            " bytes for " + std::string(name_of(e.type)) + " " +
                            describe_extents(e.shape),
                std::to_string(there) + " bytes " + offsets);
        }
        e.count = *count;
        e.offset = m_offset[0];
        return true;
    }

    safetensors_header& m_header;
    std::uint64_t m_data_bytes;
    place m_place = place::start;
    std::string m_key;
    std::map<std::string, std::size_t, std::less<>> m_names;
    bool m_seen_metadata = false;
    unsigned m_seen = 0;
    std::size_t m_offsets = 0;
    std::uint64_t m_offset[2] = {};
};

/// Checks the whole header of a file in memory; the entries come out in the order of the data.
inline safetensors_header parse_safetensors(
    std::span<const std::byte> file, const std::string& source)
{
    constexpr std::size_t prefix = 8;
    if (file.size() < prefix)
    {
        raise<format_error>(at_byte(source, 0), "the 8 bytes of a safetensors header length",
            std::to_string(file.size()) + " bytes");
    }
    const auto length = load_element<std::uint64_t>(file.data(), std::endian::little);
    if (length > longest_safetensors_header)
    {
        raise<format_error>(at_byte(source, 0),
            "a header of at most " + std::to_string(longest_safetensors_header) + " bytes",
            std::to_string(length) + " (no safetensors file?)");
    }
    if (length > file.size() - prefix)
    {
        raise<format_error>(at_byte(source, 0), "a header within the file",
            "a header of " + std::to_string(length) + " bytes in a file of " +
                std::to_string(file.size()) + " (truncated?)");
    }
    const char* const first = reinterpret_cast<const char*>(file.data()) + prefix;
    const char* const last = first + length;
    if (length == 0 || *first != '{')
    {
        raise<format_error>(at_byte(source, prefix), "a header that begins with '{'",
            length == 0 ? std::string("an empty one") : in_quotes({first, 1}));
    }
    // The JSON parser takes a zero byte for the end of its input.
    const char* const zero = std::find(first, last, '\0');
    if (zero != last)
    {
        raise<format_error>(at_byte(source, prefix + static_cast<std::uint64_t>(zero - first)),
            "well-formed JSON in UTF-8", "a zero byte");
    }
    safetensors_header header;
    const std::uint64_t data_bytes = file.size() - prefix - length;
    const char* furthest = first;
    safetensors_handler handler(header, data_bytes);
    if (!nlohmann::json::sax_parse(
            tracking_iterator(first, &furthest), tracking_iterator(last, &furthest), &handler))
    {
        raise<format_error>(at_byte(source, prefix + static_cast<std::uint64_t>(furthest - first)),
            std::move(handler.expected), std::move(handler.found));
    }

    auto& entries = header.entries;
    std::sort(entries.begin(), entries.end(),
        [](const tensor_entry& a, const tensor_entry& b)
        {
            // Empty tensors come before the one that begins at the same byte.
            if (a.offset != b.offset)
            {
                return a.offset < b.offset;
            }
            return (a.count != 0) != (b.count != 0) ? a.count == 0 : a.name < b.name;
        });
    std::uint64_t end = 0;
    for (auto& e : entries)
    {
        if (e.offset != end)
        {
            raise<format_error>(at_byte(source, prefix + length + end),
                "the data of " + in_quotes(e.name) +
                    " right here (no holes, no overlap): data_offsets from " + std::to_string(end),
                std::to_string(e.offset));
        }
        const std::uint64_t bytes = *bytes_of(e.type, static_cast<std::uint64_t>(e.count));
        end += bytes;
        e.offset += prefix + length;
        e.bytes = file.subspan(static_cast<std::size_t>(e.offset), static_cast<std::size_t>(bytes));
    }
    if (end != data_bytes)
    {
        raise<format_error>(at_byte(source, prefix + length + end),
            "the end of the file after the last tensor",
            std::to_string(data_bytes - end) + " more bytes");
    }
    for (const auto& e : entries)
    {
        const index_t bad = first_invalid_element(e.type, e.bytes);
        if (bad >= 0)
        {
            raise<format_error>(at_byte(source, e.offset + static_cast<std::uint64_t>(bad)),
                "0 or 1 in BOOL tensor " + in_quotes(e.name),
                std::to_string(std::to_integer<int>(e.bytes[static_cast<std::size_t>(bad)])));
        }
    }
    return header;
}

} // namespace detail

} // namespace io
STRUCTOPT_END_NAMESPACE
