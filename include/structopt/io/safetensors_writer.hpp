/// @file
/// Writer of safetensors files: deterministic, aligned, whole or not at all.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/atomic_file.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/message.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Collects named tensors and writes them as one safetensors file.
///
/// The same tensors and metadata give the same bytes, in whatever order they are added: tensors are
/// sorted by dtype (widest first, as the reference implementation does, so that each lies at a
/// multiple of its element size) and name, metadata by key, and the header is padded with spaces to
/// 8 bytes. Elements are copied when added. Names and metadata are UTF-8.
class safetensors_writer
{
public:
    /// Adds a tensor from its bytes: row-major, little-endian. `argument_error` for a name that is
    /// there already, reserved or no UTF-8; `shape_error` where extents and bytes do not fit.
    void add(std::string name, dtype type, std::span<const index_t> extents,
        std::span<const std::byte> bytes)
    {
        auto& added = insert(std::move(name), type, extents);
        if (added.bytes.size() != bytes.size())
        {
            const std::string where = "safetensors_writer tensor " + detail::in_quotes(added.name);
            const std::size_t expected = added.bytes.size();
            m_entries.pop_back();
            detail::raise<shape_error>(where,
                std::to_string(expected) + " bytes for " + std::string(name_of(type)) + " " +
                    detail::describe_extents(extents),
                std::to_string(bytes.size()));
        }
        std::copy(bytes.begin(), bytes.end(), added.bytes.begin());
    }

    /// Adds a tensor of any strides, with the dtype of its elements.
    template <class T, std::size_t N>
    void add(std::string name, const view<T, N>& x)
    {
        add_as<std::remove_const_t<T>>(std::move(name), x);
    }

    template <class T, std::size_t N>
    void add(std::string name, const tensor<T, N>& x)
    {
        add(std::move(name), as_view(x));
    }

    /// Adds a tensor with its elements stored as `To`: `add_as<half>("w", weights)` halves a file.
    template <element To, class T, std::size_t N>
    void add_as(std::string name, const view<T, N>& x)
    {
        static_assert(readable_as<To, std::remove_const_t<T>>(),
            "only floating point converts to floating point, and integers to wider types");
        auto& added = insert(std::move(name), dtype_of<To>(), x.shape());
        detail::store_elements<To>(x, added.bytes.data());
    }

    template <element To, class T, std::size_t N>
    void add_as(std::string name, const tensor<T, N>& x)
    {
        add_as<To>(std::move(name), as_view(x));
    }

    /// Sets one string of `__metadata__`. `argument_error` where it is no UTF-8.
    void set_metadata(std::string key, std::string value)
    {
        if (!detail::is_utf8(key) || !detail::is_utf8(value))
        {
            detail::raise<argument_error>(
                "safetensors_writer metadata " + detail::in_quotes(key), "UTF-8", "other bytes");
        }
        m_metadata[std::move(key)] = std::move(value);
    }

    bool contains(std::string_view name) const noexcept
    {
        return std::any_of(m_entries.begin(), m_entries.end(),
            [&](const entry& e)
            {
                return e.name == name;
            });
    }

    /// Number of tensors.
    std::size_t size() const noexcept
    {
        return m_entries.size();
    }

    /// The whole file in memory.
    buffer<std::byte> to_bytes() const;

    /// Writes the file, whole or not at all; returns its size in bytes.
    std::size_t write(const std::string& path) const;

private:
    struct entry
    {
        std::string name;
        dtype type;
        std::vector<index_t> extents;
        buffer<std::byte> bytes;
    };

    entry& insert(std::string name, dtype type, std::span<const index_t> extents);
    std::vector<const entry*> sorted() const;
    std::string header(std::span<const entry* const> order) const;

    std::vector<entry> m_entries;
    std::map<std::string, std::string, std::less<>> m_metadata;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// A string of JSON; `text` is UTF-8.
inline std::string json_string(std::string_view text)
{
    constexpr char digits[] = "0123456789abcdef";
    std::string result = "\"";
    for (const char c : text)
    {
        const auto byte = static_cast<unsigned char>(c);
        switch (c)
        {
        case '"':
        case '\\':
            result += {'\\', c};
            break;
        case '\b':
            result += "\\b";
            break;
        case '\f':
            result += "\\f";
            break;
        case '\n':
            result += "\\n";
            break;
        case '\r':
            result += "\\r";
            break;
        case '\t':
            result += "\\t";
            break;
        default:
            if (byte < 0x20)
            {
                result += {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
            }
            else
            {
                result += c;
            }
            break;
        }
    }
    return result + '"';
}

} // namespace detail

inline safetensors_writer::entry& safetensors_writer::insert(
    std::string name, dtype type, std::span<const index_t> extents)
{
    const std::string where = "safetensors_writer tensor " + detail::in_quotes(name);
    if (!detail::is_utf8(name))
    {
        detail::raise<argument_error>(where, "a name in UTF-8", "other bytes");
    }
    if (name == "__metadata__" || contains(name))
    {
        detail::raise<argument_error>(
            where, "a name of its own", name == "__metadata__" ? "a reserved one" : "a second one");
    }
    if (!has_element_type(type))
    {
        detail::raise<argument_error>(where, "elements of a C++ type", std::string(name_of(type)));
    }
    const auto count = detail::checked_count(extents, bytes_of(type));
    if (!count || extents.size() > 64)
    {
        detail::raise<shape_error>(where,
            "at most 64 extents, none negative, whose product fits in memory",
            detail::describe_extents(extents));
    }
    const std::size_t bytes = static_cast<std::size_t>(*count) * bytes_of(type);
    m_entries.push_back(
        {std::move(name), type, {extents.begin(), extents.end()}, buffer<std::byte>(bytes)});
    return m_entries.back();
}

inline std::vector<const safetensors_writer::entry*> safetensors_writer::sorted() const
{
    std::vector<const entry*> order;
    order.reserve(m_entries.size());
    for (const auto& e : m_entries)
    {
        order.push_back(&e);
    }
    std::sort(order.begin(), order.end(),
        [](const entry* a, const entry* b)
        {
            return a->type != b->type ? a->type > b->type : a->name < b->name;
        });
    return order;
}

inline std::string safetensors_writer::header(std::span<const entry* const> order) const
{
    std::string text = "{";
    if (!m_metadata.empty())
    {
        text += "\"__metadata__\":{";
        const char* separator = "";
        for (const auto& item : m_metadata)
        {
            text += separator + detail::json_string(item.first) + ":" +
                    detail::json_string(item.second);
            separator = ",";
        }
        text += "}";
    }
    std::size_t at = 0;
    for (const entry* const e : order)
    {
        text += (text.size() > 1 ? "," : "") + detail::json_string(e->name) + ":{\"dtype\":\"";
        text += name_of(e->type);
        text += "\",\"shape\":[";
        for (std::size_t i = 0; i < e->extents.size(); ++i)
        {
            text += (i > 0 ? "," : "") + std::to_string(e->extents[i]);
        }
        text += "],\"data_offsets\":[" + std::to_string(at);
        at += e->bytes.size();
        text += "," + std::to_string(at) + "]}";
    }
    text += "}";
    text.append((8 - text.size() % 8) % 8, ' ');
    constexpr std::size_t longest = 100'000'000;
    if (text.size() > longest)
    {
        detail::raise<argument_error>("safetensors_writer",
            "names and metadata for a header of at most " + std::to_string(longest) + " bytes",
            std::to_string(text.size()));
    }
    return text;
}

inline buffer<std::byte> safetensors_writer::to_bytes() const
{
    const auto order = sorted();
    const std::string text = header(order);
    std::size_t size = 8 + text.size();
    for (const entry* const e : order)
    {
        size += e->bytes.size();
    }
    buffer<std::byte> file;
    file.reserve(size);
    file.resize(8);
    detail::store_element<std::uint64_t>(text.size(), std::endian::little, file.data());
    const auto characters = std::as_bytes(std::span<const char>(text.data(), text.size()));
    file.insert(file.end(), characters.begin(), characters.end());
    for (const entry* const e : order)
    {
        file.insert(file.end(), e->bytes.begin(), e->bytes.end());
    }
    return file;
}

inline std::size_t safetensors_writer::write(const std::string& path) const
{
    const auto order = sorted();
    const std::string text = header(order);
    std::byte length[8];
    detail::store_element<std::uint64_t>(text.size(), std::endian::little, length);
    atomic_file file(path);
    file.write(std::span<const std::byte>(length));
    file.write(text);
    std::size_t size = 8 + text.size();
    for (const entry* const e : order)
    {
        file.write(e->bytes);
        size += e->bytes.size();
    }
    file.commit();
    return size;
}

} // namespace io
STRUCTOPT_END_NAMESPACE
