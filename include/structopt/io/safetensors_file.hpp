/// @file
/// Reader of safetensors files: memory-mapped, fully checked when opened.
///
/// Format (version 0.4 and later): a little-endian 64-bit length, a JSON header of that length, the
/// data. The header maps names to dtype, shape and data_offsets, and `__metadata__` to strings.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/load_report.hpp>
#include <structopt/io/mapped_file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
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

/// A safetensors file: names, types, extents and bytes of its tensors, nothing copied until asked.
///
/// The constructor checks everything (header, offsets, coverage), in time and memory proportional
/// to the header: whatever happens later, no read goes outside the file. Errors are `format_error`
/// with file, byte and expectation, or `file_error` where the file cannot be opened. Move-only;
/// spans and views of its data live as long as the object, also when it is moved.
class safetensors_file
{
public:
    /// Maps and checks a file.
    explicit safetensors_file(const std::string& path)
        : safetensors_file(mapped_file(path))
    {
    }

    /// Checks bytes in memory, which must outlive the object; `name` is for messages.
    safetensors_file(std::span<const std::byte> bytes, std::string name)
        : m_name(std::move(name))
    {
        parse(bytes);
    }

    safetensors_file(safetensors_file&&) noexcept = default;
    safetensors_file& operator=(safetensors_file&&) noexcept = default;

    const std::string& name() const noexcept
    {
        return m_name;
    }

    /// All tensors, in the order of their data.
    std::span<const tensor_entry> entries() const& noexcept
    {
        return m_entries;
    }

    /// Number of tensors.
    std::size_t size() const noexcept
    {
        return m_entries.size();
    }

    /// Their names, in the order of their data.
    std::vector<std::string> names() const
    {
        std::vector<std::string> all;
        all.reserve(m_entries.size());
        for (const auto& e : m_entries)
        {
            all.push_back(e.name);
        }
        return all;
    }

    /// The strings under `__metadata__`, sorted.
    const std::map<std::string, std::string, std::less<>>& metadata() const& noexcept
    {
        return m_metadata;
    }

    bool contains(std::string_view tensor) const
    {
        return find(tensor) != nullptr;
    }

    /// The tensor of that name, or null.
    const tensor_entry* find(std::string_view tensor) const&
    {
        const auto it = m_index.find(tensor);
        return it == m_index.end() ? nullptr : &m_entries[it->second];
    }

    /// The tensor of that name; `format_error` if there is none.
    const tensor_entry& at(std::string_view tensor) const&;

    /// Throws unless the tensor is there, its elements are readable as `T` (`format_error`) and its
    /// extents are these (`shape_error`).
    template <element T>
    const tensor_entry& check(std::string_view tensor, std::span<const index_t> extents) const;

    /// Notes in `report` what `check` would throw; null if it would.
    template <element T>
    const tensor_entry* check(
        std::string_view tensor, std::span<const index_t> extents, load_report& report) const;

    /// Copies a tensor into a view of the same extents, converting as `readable_as` allows: F16,
    /// BF16, F8, F32 and F64 into each other, integers into what holds them exactly.
    ///
    /// Errors as `check`, and nothing has been written then.
    template <element T, std::size_t N>
    void read_into(std::string_view tensor, const view<T, N>& to) const
    {
        const auto& e = check<T>(tensor, to.shape());
        detail::convert_elements(e.type, std::endian::little, e.bytes.data(), to);
    }

    template <element T, std::size_t N>
    void read_into(std::string_view tensor, structopt::tensor<T, N>& to) const
    {
        read_into(tensor, as_view(to));
    }

    /// Copies a tensor of any extents into a row of elements; only their number is compared.
    template <element T>
    void read_into(std::string_view tensor, std::span<T> to) const;

    /// A tensor of N axes, converted as `read_into` does.
    template <element T, std::size_t N>
    structopt::tensor<T, N> read(std::string_view tensor) const;

    /// The tensor where it lies in the file, without a copy. Its type must be exactly `T`, and the
    /// file must have put it at a multiple of its size (`safetensors_writer` does): `format_error`.
    template <element T, std::size_t N>
        requires(!std::is_same_v<T, bool>)
    view<const T, N> borrow(std::string_view tensor)
    const&;

    /// What points into a temporary file would not outlive the statement.
    template <element T, std::size_t N>
    void borrow(std::string_view tensor) const&& = delete;
    void entries() const&& = delete;
    void find(std::string_view tensor) const&& = delete;
    void at(std::string_view tensor) const&& = delete;
    void metadata() const&& = delete;

private:
    explicit safetensors_file(mapped_file file)
        : m_file(std::move(file))
        , m_name(m_file.path())
    {
        parse(m_file.bytes());
    }

    void parse(std::span<const std::byte> bytes)
    {
        auto header = detail::parse_safetensors(bytes, m_name);
        m_entries = std::move(header.entries);
        m_metadata = std::move(header.metadata);
        for (std::size_t i = 0; i < m_entries.size(); ++i)
        {
            m_index.emplace(m_entries[i].name, i);
        }
    }

    std::string where(std::string_view tensor) const
    {
        return m_name + ": tensor " + detail::in_quotes(tensor);
    }

    template <std::size_t N>
    shape<N> extents_of(const tensor_entry& e) const
    {
        if (e.shape.size() != N)
        {
            detail::raise<shape_error>(
                where(e.name), std::to_string(N) + " axes", detail::describe_extents(e.shape));
        }
        shape<N> extents{};
        for (std::size_t i = 0; i < N; ++i)
        {
            extents[i] = e.shape[i];
        }
        return extents;
    }

    mapped_file m_file;
    std::string m_name;
    std::vector<tensor_entry> m_entries;
    std::map<std::string, std::size_t, std::less<>> m_index;
    std::map<std::string, std::string, std::less<>> m_metadata;
};

// ---------------------------------------------------------------------------------------------

inline const tensor_entry& safetensors_file::at(std::string_view tensor) const&
{
    const tensor_entry* const e = find(tensor);
    if (e == nullptr)
    {
        constexpr std::size_t most = 8;
        std::string found = std::to_string(m_entries.size()) + " tensors";
        for (std::size_t i = 0; i < m_entries.size() && i <= most; ++i)
        {
            found += i == 0 ? ": " : ", ";
            found += i == most ? "..." : detail::in_quotes(m_entries[i].name);
        }
        detail::raise<format_error>(m_name, "a tensor " + detail::in_quotes(tensor), found);
    }
    return *e;
}

template <element T>
const tensor_entry& safetensors_file::check(
    std::string_view tensor, std::span<const index_t> extents) const
{
    const auto& e = at(tensor);
    if (!readable_as<T>(e.type))
    {
        detail::raise<format_error>(where(tensor),
            "elements readable as " + std::string(name_of(dtype_of<T>())),
            std::string(name_of(e.type)));
    }
    if (!std::equal(e.shape.begin(), e.shape.end(), extents.begin(), extents.end()))
    {
        detail::raise<shape_error>(
            where(tensor), detail::describe_extents(extents), detail::describe_extents(e.shape));
    }
    return e;
}

template <element T>
const tensor_entry* safetensors_file::check(
    std::string_view tensor, std::span<const index_t> extents, load_report& report) const
{
    const tensor_entry* const e = find(tensor);
    if (e == nullptr)
    {
        report.missing(tensor, extents);
        return nullptr;
    }
    if (!std::equal(e->shape.begin(), e->shape.end(), extents.begin(), extents.end()))
    {
        report.misshaped(tensor, extents, e->shape);
        return nullptr;
    }
    if (!readable_as<T>(e->type))
    {
        report.mistyped(tensor, dtype_of<T>(), e->type);
        return nullptr;
    }
    return e;
}

template <element T>
void safetensors_file::read_into(std::string_view tensor, std::span<T> to) const
{
    const auto& e = at(tensor);
    if (static_cast<std::size_t>(e.count) != to.size())
    {
        detail::raise<shape_error>(where(tensor), std::to_string(to.size()) + " elements",
            detail::describe_extents(e.shape));
    }
    check<T>(tensor, e.shape);
    detail::convert_elements(e.type, std::endian::little, e.bytes.data(), e.count, to.data());
}

template <element T, std::size_t N>
structopt::tensor<T, N> safetensors_file::read(std::string_view tensor) const
{
    const auto& e = at(tensor);
    const auto extents = extents_of<N>(e);
    check<T>(tensor, e.shape);
    auto x = make_tensor<T>(extents);
    detail::convert_elements(e.type, std::endian::little, e.bytes.data(), e.count, x.data());
    return x;
}

template <element T, std::size_t N>
    requires(!std::is_same_v<T, bool>)
view<const T, N> safetensors_file::borrow(std::string_view tensor)
const&
{
    static_assert(std::endian::native == std::endian::little,
        "the file is little-endian: use read() on this machine");
    const auto& e = at(tensor);
    const auto extents = extents_of<N>(e);
    if (e.type != dtype_of<T>())
    {
        detail::raise<format_error>(where(tensor),
            "elements of type " + std::string(name_of(dtype_of<T>())) + " to borrow",
            std::string(name_of(e.type)));
    }
    if (reinterpret_cast<std::uintptr_t>(e.bytes.data()) % alignof(T) != 0)
    {
        detail::raise<format_error>(where(tensor),
            "data aligned to " + std::to_string(alignof(T)) + " bytes to borrow",
            "byte " + std::to_string(e.offset));
    }
    return {reinterpret_cast<const T*>(e.bytes.data()), extents};
}

} // namespace io
STRUCTOPT_END_NAMESPACE
