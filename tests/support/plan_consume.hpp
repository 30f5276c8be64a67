/// @file
/// Reads content as a measured table and asks it about products: for the fuzzers.
#pragma once

#include <structopt/nn/plan/plan_table.hpp>

#include "support/consume.hpp"

#include <cstddef>
#include <cstdlib>
#include <span>
#include <string_view>

namespace support
{

/// True if the content is a table. What was read is written as it was meant.
inline bool consume_plan_table(std::span<const std::byte> content)
{
    namespace nn = structopt::nn;
    return consume(
        [&]
        {
            const std::string_view text(
                reinterpret_cast<const char*>(content.data()), content.size());
            const auto table = nn::plan_table::parse(text, "content");
            if (!(nn::plan_table::parse(table.text(), "text") == table))
            {
                std::abort();
            }
        });
}

} // namespace support
