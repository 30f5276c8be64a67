/// @file
/// Elements out of a `byte_source`, of any element type and byte order, in bounded pieces.
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/byte_source.hpp>
#include <structopt/io/convert.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace io::detail
{

/// `n` elements out of a source into fresh memory of the given order, in pieces: what is not in the
/// file is noticed by `read_exactly`.
template <class T>
void read_elements(byte_source& source, dtype type, std::endian order, index_t n, T* to)
{
    constexpr index_t piece = index_t(1) << 16;
    const auto element_bytes = bytes_of(type);
    if (dtype_of<T>() == type && type != dtype::boolean &&
        (order == std::endian::native || element_bytes == 1))
    {
        source.read_exactly(
            {reinterpret_cast<std::byte*>(to), static_cast<std::size_t>(n) * element_bytes},
            "elements");
        return;
    }
    buffer<std::byte> raw(static_cast<std::size_t>(n < piece ? n : piece) * element_bytes);
    for (index_t done = 0; done < n; done += piece)
    {
        const index_t m = n - done < piece ? n - done : piece;
        const auto bytes = std::span(raw).first(static_cast<std::size_t>(m) * element_bytes);
        const std::uint64_t first = source.offset();
        source.read_exactly(bytes, "elements");
        const index_t bad = first_invalid_element(type, bytes);
        if (bad >= 0)
        {
            raise<format_error>(source.position(first + static_cast<std::uint64_t>(bad)),
                "0 or 1 (bool)",
                std::to_string(std::to_integer<int>(raw[static_cast<std::size_t>(bad)])));
        }
        convert_elements(type, order, raw.data(), m, to + done);
    }
}

} // namespace io::detail
STRUCTOPT_END_NAMESPACE
