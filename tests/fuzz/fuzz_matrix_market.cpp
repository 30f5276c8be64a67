// libFuzzer target: any bytes as a Matrix Market file. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/io_consume.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    const std::string start = "%%MatrixMarket matrix ";
    support::write_seeds(*argc, *argv,
        {start + "coordinate real symmetric\n% c\n3 3 2\n1 1 -2.5\n3 2 1e2\n",
            start + "coordinate pattern general\n2 3 2\n1 3\n2 1\n",
            start + "coordinate integer skew-symmetric\n3 3 1\n3 1 -7\n",
            start + "array integer general\n2 2\n1\n2\n3\n4\n",
            start + "array real symmetric\n2 2\n1\n2\n4\n"});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_matrix_market(bytes);
    return 0;
}
