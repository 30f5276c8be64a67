/// @file
/// Reader of idx files (the format of MNIST), plain and .gz.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/byte_source.hpp>
#include <structopt/io/read_elements.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

namespace detail
{

/// Element type of the third byte of an idx file.
constexpr std::optional<dtype> idx_dtype(std::byte code) noexcept
{
    switch (std::to_integer<int>(code))
    {
    case 0x08:
        return dtype::u8;
    case 0x09:
        return dtype::i8;
    case 0x0b:
        return dtype::i16;
    case 0x0c:
        return dtype::i32;
    case 0x0d:
        return dtype::f32;
    case 0x0e:
        return dtype::f64;
    default:
        return std::nullopt;
    }
}

} // namespace detail

/// Reads a tensor of N axes.
///
/// The format: two zero bytes, the element type, the number of axes, each extent as a big-endian
/// 32-bit number, then the elements, big-endian and row-major, and nothing after them.
/// `T` is the file's element type or one that holds its values (see `readable_as`): pixels can be
/// read as `float` straight away, unscaled.
///
/// `shape_error` for another number of axes; `format_error` for everything else that does not fit.
template <element T, std::size_t N>
tensor<T, N> read_idx(byte_source& source)
{
    std::array<std::byte, 4> magic{};
    source.read_exactly(magic, "idx header");
    const auto type = detail::idx_dtype(magic[2]);
    if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || !type)
    {
        std::string found;
        for (const std::byte b : magic)
        {
            found += std::to_string(std::to_integer<int>(b)) + " ";
        }
        detail::raise<format_error>(source.position(0),
            "the idx magic 0 0 <type: 8, 9, 11, 12, 13 or 14> <axes>", found + "(no idx file?)");
    }
    const std::size_t axes = std::to_integer<std::size_t>(magic[3]);
    if (axes != N)
    {
        detail::raise<shape_error>(
            source.position(3), std::to_string(N) + " axes", std::to_string(axes));
    }
    if (!readable_as<T>(*type))
    {
        detail::raise<format_error>(source.position(2),
            "elements readable as " + std::string(name_of(dtype_of<T>())),
            std::string(name_of(*type)));
    }
    std::array<std::byte, 4 * N + 1> raw{};
    source.read_exactly(std::span(raw).first(4 * N), "idx extents");
    shape<N> extents{};
    for (std::size_t i = 0; i < N; ++i)
    {
        extents[i] = static_cast<index_t>(
            detail::load_element<std::uint32_t>(raw.data() + 4 * i, std::endian::big));
    }
    const auto n = detail::checked_count(extents, bytes_of(*type));
    if (!n)
    {
        detail::raise<format_error>(
            source.position(4), "extents whose product fits in memory", describe(extents));
    }
    source.require(static_cast<std::uint64_t>(*n) * bytes_of(*type),
        "elements for extents " + describe(extents));
    auto x = make_tensor<T>(extents);
    detail::read_elements(source, *type, std::endian::big, *n, x.data());
    source.expect_end();
    return x;
}

/// Reads a tensor of N axes from a file, plain or .gz.
template <element T, std::size_t N>
tensor<T, N> read_idx(const std::string& path)
{
    byte_source source(path);
    return read_idx<T, N>(source);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
