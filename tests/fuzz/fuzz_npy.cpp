// libFuzzer target: any bytes as an npy file. Run by `./dev fuzz`.

#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_npy<double, 3>(bytes);
    support::consume_npy<std::int64_t, 1>(bytes);
    support::consume_npy<bool, 0>(bytes);
    return 0;
}
