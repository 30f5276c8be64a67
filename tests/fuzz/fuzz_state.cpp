// libFuzzer target: any bytes as the state of a network of sparse and quantized weights. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/state_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    support::write_seeds(*argc, *argv, support::state_files());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_state(bytes);
    return 0;
}
