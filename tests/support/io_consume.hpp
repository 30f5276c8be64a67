/// @file
/// Reads content as each of the formats, to the last element: for the mutation test and the fuzzers.
/// True if they are a valid file, false if they were refused as the library promises.
#pragma once

#include <structopt/io.hpp>

#include "support/consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace support
{

inline bool consume_safetensors(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            const structopt::io::safetensors_file file(content, "content");
            for (const auto& entry : file.entries())
            {
                touch(entry.bytes.data(), entry.bytes.size());
                const auto n = static_cast<std::size_t>(entry.count);
                if (structopt::io::readable_as<double>(entry.type))
                {
                    std::vector<double> values(n);
                    file.read_into(entry.name, std::span<double>(values));
                    touch(values.data(), n);
                }
                if (entry.shape.size() == 2 && structopt::io::readable_as<float>(entry.type))
                {
                    const auto x = file.read<float, 2>(entry.name);
                    touch(x.data(), x.size());
                }
            }
        });
}

inline bool consume_idx(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto x = structopt::io::read_idx<double, 2>(source);
            touch(x.data(), x.size());
        });
}

template <class T, std::size_t N>
bool consume_npy(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto x = structopt::io::read_npy<T, N>(source);
            touch(x.data(), x.size());
        });
}

inline bool consume_csv(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto x = structopt::io::read_csv<float>(source, {.max_bytes = 1u << 24});
            touch(x.data(), x.size());
        });
}

inline bool consume_cifar10(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto data = structopt::io::read_cifar10(source);
            touch(data.images.data(), data.images.size());
        });
}

inline bool consume_matrix_market(std::span<const std::byte> content)
{
    const structopt::io::matrix_market_options options{
        .max_bytes = 1u << 24, .max_elements = 1 << 20};
    const bool read = consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto m = structopt::io::read_matrix_market<float>(source, options);
            touch(m.values().data(), m.values().size());
        });
    return consume(
               [&]
               {
                   structopt::io::byte_source source(content, "content");
                   const auto m = structopt::io::read_matrix_market_dense<double>(source, options);
                   touch(m.data(), m.size());
               }) ||
           read;
}

inline bool consume_smtx(std::span<const std::byte> content)
{
    return consume(
        [&]
        {
            structopt::io::byte_source source(content, "content");
            const auto m =
                structopt::io::read_smtx<float, std::uint16_t>(source, {.max_bytes = 1u << 24});
            touch(m.indices().data(), m.indices().size());
        });
}

} // namespace support
