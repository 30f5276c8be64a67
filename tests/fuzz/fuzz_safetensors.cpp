// libFuzzer target: any bytes as a safetensors file. Run by `./dev fuzz`.

#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_safetensors(bytes);
    return 0;
}
