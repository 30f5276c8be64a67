// libFuzzer target: any bytes as an .smtx file. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    support::write_seeds(
        *argc, *argv, {"3, 12, 4\n0 2 2 4\n9 1 0 11\n", "1, 1, 0\n0 0\n", "0, 0, 0\n0\n\n"});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_smtx(bytes);
    return 0;
}
