// libFuzzer target: any bytes as a csv file. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    support::write_seeds(*argc, *argv,
        {"# c\n1,-2.5,3e4\r\n\"4\", 5,nan\n6,7,+8", "0.5\n", "1;2\n3;4\n", "a,b\n1,2\n"});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_csv(bytes);
    return 0;
}
