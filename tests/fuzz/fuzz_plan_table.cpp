// libFuzzer target: any bytes as a measured table of plans. Run by `./dev fuzz`.

#include "support/fuzz_seeds.hpp"
#include "support/plan_consume.hpp"

#include <structopt/nn/plan/built_in_plan_table.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv)
{
    support::write_seeds(*argc, *argv,
        {structopt::nn::built_in_plan_table(structopt::nn::instruction_set::avx2).text()});
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto bytes = std::as_bytes(std::span<const std::uint8_t>(data, size));
    support::consume_plan_table(bytes);
    return 0;
}
