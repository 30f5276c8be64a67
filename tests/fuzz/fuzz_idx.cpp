// libFuzzer target: any bytes as an idx file. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    // One row of two elements of each type: 0, 0, type, axes, extents, elements.
    const std::string extents("\0\0\0\1\0\0\0\2", 8);
    const auto file = [&](char type, std::size_t bytes)
    {
        return std::string("\0\0", 2) + type + '\2' + extents + std::string(2 * bytes, '\x3f');
    };
    support::write_seeds(*argc, *argv,
        {file('\x08', 1), file('\x09', 1), file('\x0b', 2), file('\x0c', 4), file('\x0d', 4),
            file('\x0e', 8)});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_idx(bytes);
    return 0;
}
