/// @file
/// Reader of safetensors files: memory-mapped, fully checked when opened.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/load_report.hpp>
#include <structopt/io/mapped_file.hpp>
#include <structopt/io/safetensors_header.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

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
