/// @file
/// Quantized tensors in safetensors files, readable from Python.
///
/// A tensor `name` is `name.codes` (U8, the bytes of `quantize/bit_pack.hpp`), one tensor per field
/// of its parameters (`name.scale` F32 [slices], `name.zero_point` I32 [slices], `name.values` F32
/// [slices, entries]) and a line of metadata under `name`:
/// `scheme=affine bits=4 signed=0 granularity=per_group group=32 shape=64,100`.
#pragma once

#include <structopt/io/safetensors_file.hpp>
#include <structopt/io/safetensors_writer.hpp>
#include <structopt/quantize/quantized_tensor.hpp>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

namespace detail
{

/// All of the line but the extents.
template <class S, class G>
std::string quantized_text(const S& scheme, const G& granularity)
{
    std::string text = "scheme=" + std::string(S::name);
    text += " bits=" + std::to_string(S::bits);
    text += std::string(" signed=") + (S::is_signed ? "1" : "0");
    if constexpr (requires { scheme.options(); })
    {
        text += " " + scheme.options();
    }
    else
    {
        static_assert(std::is_empty_v<S>, "io: a scheme with members has std::string options() "
                                          "const that names them, so that files can");
    }
    return text + " granularity=" + granularity.text() + " shape=";
}

template <class T>
struct field_of
{
    using type = T;
    static constexpr std::size_t entries = 1;
};

template <class T, std::size_t Entries>
struct field_of<std::array<T, Entries>>
{
    using type = T;
    static constexpr std::size_t entries = Entries;
};

/// The numbers of a field.
template <class Field>
auto* field_data(Field& field) noexcept
{
    if constexpr (field_of<std::remove_const_t<Field>>::entries > 1)
    {
        return field.data();
    }
    else
    {
        return &field;
    }
}

template <class P>
constexpr void check_fields() noexcept
{
    static_assert(
        requires(P & p) { P::fields(p, [](const char*, auto&) {}); },
        "io: a scheme's parameters have static fields(p, f), which calls f(name, number) for each, "
        "so that files can hold them");
}

/// Extents from "64,100"; false for another text.
template <std::size_t N>
bool parse_extents(std::string_view text, shape<N>& extents) noexcept
{
    const char* at = text.data();
    const char* const end = at + text.size();
    for (std::size_t i = 0; i < N; ++i)
    {
        if (i > 0 && (at == end || *at++ != ','))
        {
            return false;
        }
        const auto parsed = std::from_chars(at, end, extents[i]);
        if (parsed.ec != std::errc() || extents[i] < 0)
        {
            return false;
        }
        at = parsed.ptr;
    }
    return at == end;
}

} // namespace detail

/// Adds a quantized tensor to a file in the making.
template <class S, class G, std::size_t N>
void add_quantized(safetensors_writer& writer, const std::string& name,
    const quantize::quantized_tensor<S, G, N>& q)
{
    using parameters = typename S::parameters;
    detail::check_fields<parameters>();
    std::string text = detail::quantized_text(q.scheme(), q.granularity());
    for (std::size_t i = 0; i < N; ++i)
    {
        text += (i > 0 ? "," : "") + std::to_string(q.shape()[i]);
    }
    writer.set_metadata(name, text);
    const auto packed = q.packed();
    writer.add(name + ".codes",
        view<const std::uint8_t, 1>(packed.data(), {static_cast<index_t>(packed.size())}));
    const auto slices = static_cast<index_t>(q.parameters().size());
    const parameters names{};
    parameters::fields(names,
        [&]<class Field>(const char* wanted, const Field&)
        {
            using field = detail::field_of<Field>;
            constexpr auto entries = static_cast<index_t>(field::entries);
            buffer<typename field::type> numbers;
            for (const parameters& p : q.parameters())
            {
                parameters::fields(p,
                    [&]<class Other>(const char* found, const Other& value)
                    {
                        if constexpr (std::is_same_v<Field, Other>)
                        {
                            if (std::string_view(found) == wanted)
                            {
                                const auto* const from = detail::field_data(value);
                                numbers.insert(numbers.end(), from, from + entries);
                            }
                        }
                    });
            }
            using number = const typename field::type;
            const std::string full = name + "." + wanted;
            if constexpr (entries == 1)
            {
                writer.add(full, view<number, 1>(numbers.data(), {slices}));
            }
            else
            {
                writer.add(full, view<number, 2>(numbers.data(), {slices, entries}));
            }
        });
}

/// Reads a quantized tensor: `read_quantized<quantize::quantized_tensor<...>>(file, "weight")`.
///
/// `format_error` where there is none of that name, where the file's scheme, bits, options or
/// granularity are others than asked for, and where codes or parameters are not what they may be.
template <class Q>
Q read_quantized(const safetensors_file& file, const std::string& name,
    const typename Q::scheme_type& scheme = {},
    const typename Q::granularity_type& granularity = {})
{
    using parameters = typename Q::parameters_type;
    detail::check_fields<parameters>();
    const std::string where = file.name() + ": quantized tensor " + detail::in_quotes(name);
    const auto line = file.metadata().find(name);
    if (line == file.metadata().end())
    {
        detail::raise<format_error>(where, "a line of metadata", "none");
    }
    const std::string expected = detail::quantized_text(scheme, granularity);
    const std::string_view text = line->second;
    shape<Q::rank> extents{};
    if (!text.starts_with(expected) ||
        !detail::parse_extents(text.substr(expected.size()), extents) ||
        !detail::checked_count(extents, sizeof(float)))
    {
        detail::raise<format_error>(
            where, expected + "<" + std::to_string(Q::rank) + " extents>", detail::printable(text));
    }
    const std::size_t bytes =
        static_cast<std::size_t>(quantize::packed_bytes<Q::scheme_type::bits>(count(extents)));
    const auto& codes = file.at(name + ".codes");
    const index_t expected_bytes[] = {static_cast<index_t>(bytes)};
    file.check<std::uint8_t>(name + ".codes", expected_bytes);
    const auto from = reinterpret_cast<const std::uint8_t*>(codes.bytes.data());
    buffer<std::uint8_t> packed(from, from + bytes);
    const index_t slices = granularity.slices(extents).slices;
    // Nothing of that many slices is allocated before the file is seen to hold them.
    const parameters names{};
    bool first = true;
    std::vector<parameters> all;
    parameters::fields(names,
        [&]<class Field>(const char* wanted, const Field&)
        {
            using field = detail::field_of<Field>;
            constexpr auto entries = static_cast<index_t>(field::entries);
            const std::string full = name + "." + wanted;
            const index_t shape_2[] = {slices, entries};
            file.check<typename field::type>(
                full, std::span<const index_t>(shape_2, entries == 1 ? 1u : 2u));
            buffer<typename field::type> numbers(static_cast<std::size_t>(slices * entries));
            file.read_into(full, std::span<typename field::type>(numbers));
            if (std::exchange(first, false))
            {
                all.resize(static_cast<std::size_t>(slices));
            }
            for (std::size_t s = 0; s < all.size(); ++s)
            {
                parameters::fields(all[s],
                    [&]<class Other>(const char* found, Other& value)
                    {
                        if constexpr (std::is_same_v<Field, Other>)
                        {
                            if (std::string_view(found) == wanted)
                            {
                                auto* const to = detail::field_data(value);
                                for (index_t k = 0; k < entries; ++k)
                                {
                                    to[k] =
                                        numbers[s * field::entries + static_cast<std::size_t>(k)];
                                }
                            }
                        }
                    });
            }
        });
    if (first) // no fields: nothing in the file says how many there are
    {
        if (slices > count(extents) + 65536)
        {
            detail::raise<format_error>(
                where, "not many more slices than elements", std::to_string(slices) + " slices");
        }
        all.resize(static_cast<std::size_t>(slices));
    }
    return Q(extents, std::move(all), std::move(packed), scheme, granularity);
}

/// Writes one quantized tensor as a file, whole or not at all.
template <class S, class G, std::size_t N>
void save_quantized(const quantize::quantized_tensor<S, G, N>& q, const std::string& path,
    const std::string& name = "weight")
{
    safetensors_writer writer;
    add_quantized(writer, name, q);
    writer.write(path);
}

/// Reads one quantized tensor of a file; errors as `read_quantized`.
template <class Q>
Q load_quantized(const std::string& path, const std::string& name = "weight",
    const typename Q::scheme_type& scheme = {},
    const typename Q::granularity_type& granularity = {})
{
    return read_quantized<Q>(safetensors_file(path), name, scheme, granularity);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
