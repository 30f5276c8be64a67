// Arrays made of random bytes: every format takes them or refuses them with the promised errors, and
// what is taken converts to every other format and back (run under the address sanitizer).

#include "support/sparse_consume.hpp"

#include <doctest/doctest.h>
#include <structopt/core/random.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace test_hostile
{

using namespace structopt;

TEST_CASE("random bytes as the arrays of every format")
{
    random_engine rng(1);
    int taken[7] = {};
    int refused[7] = {};
    std::vector<std::byte> bytes;
    for (int i = 0; i < 40'000; ++i)
    {
        bytes.resize(static_cast<std::size_t>(uniform_index(rng, 60)));
        const index_t largest = 1 + uniform_index(rng, 6);
        for (std::byte& b : bytes)
        {
            // Small numbers, so that some of them are matrices.
            const index_t value = uniform_index(rng, 100) == 0 ? uniform_index(rng, 256)
                                                               : uniform_index(rng, largest);
            b = static_cast<std::byte>(value);
        }
        const int format = i % 7;
        if (!bytes.empty())
        {
            bytes[0] = static_cast<std::byte>(format);
            ++(support::consume_sparse(bytes) ? taken : refused)[format];
        }
    }
    for (int format = 0; format < 7; ++format)
    {
        INFO("format " << format);
        CHECK(taken[format] > 20);
        CHECK(refused[format] > 500);
    }
}

} // namespace test_hostile
