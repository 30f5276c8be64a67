// libFuzzer target: any bytes as a CIFAR-10 file. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    std::string two(2 * 3073, '\x7f');
    two[0] = '\0';
    two[3073] = '\x09';
    support::write_seeds(*argc, *argv, {"", two.substr(0, 3073), two});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_cifar10(bytes);
    return 0;
}
