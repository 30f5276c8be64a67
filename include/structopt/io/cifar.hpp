/// @file
/// Reader of CIFAR-10's binary files (.bin, .bin.gz).
#pragma once

#include <structopt/core/tensor.hpp>
#include <structopt/io/byte_source.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace io
{

/// Images and their classes.
struct cifar10
{
    tensor<std::uint8_t, 1> labels; ///< [n], 0 airplane .. 9 truck
    tensor<std::uint8_t, 4> images; ///< [n, 3, 32, 32]: red, green, blue planes, 0..255
};

/// Reads records of one label byte and 3 x 32 x 32 pixel bytes, to the end.
///
/// `format_error` for a file that is no multiple of 3073 bytes or has a label over 9.
inline cifar10 read_cifar10(byte_source& source)
{
    constexpr std::size_t pixels = 3 * 32 * 32;
    constexpr std::size_t record = 1 + pixels;
    constexpr std::uint64_t limit = std::uint64_t(1) << 30; // six times the whole data set
    const auto bytes = source.read_rest(limit);
    if (bytes.size() % record != 0)
    {
        detail::raise<format_error>(source.name(),
            "records of " + std::to_string(record) + " bytes",
            std::to_string(bytes.size()) + " bytes");
    }
    const std::size_t n = bytes.size() / record;
    for (std::size_t i = 0; i < n; ++i)
    {
        if (bytes[i * record] > std::byte{9})
        {
            detail::raise<format_error>(source.position(i * record), "a label of 0 to 9",
                std::to_string(std::to_integer<int>(bytes[i * record])));
        }
    }
    const auto count = static_cast<index_t>(n);
    cifar10 data{make_tensor<std::uint8_t>(shape<1>{count}),
        make_tensor<std::uint8_t>(shape<4>{count, 3, 32, 32})};
    for (std::size_t i = 0; i < n; ++i)
    {
        const auto* const from = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * record;
        data.labels.data()[i] = from[0];
        std::copy_n(from + 1, pixels, data.images.data() + i * pixels);
    }
    return data;
}

/// Reads a file, plain or .gz.
inline cifar10 read_cifar10(const std::string& path)
{
    byte_source source(path);
    return read_cifar10(source);
}

} // namespace io
STRUCTOPT_END_NAMESPACE
