#include <structopt/core/random.hpp>
#include <structopt/quantize/int8_vectors.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <limits>

namespace test_int8_vectors
{

using namespace structopt;
using quantize::int8_codes;
using quantize::int8_vectors;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

int8_codes random_codes(index_t rows, index_t columns, double zeros, random_engine& rng)
{
    int8_codes q{
        make_tensor<std::int8_t>(shape<2>{rows, columns}), make_tensor<float>(shape<1>{rows})};
    for (auto& code : q.codes)
    {
        code = static_cast<std::int8_t>(
            uniform<double>(rng) < zeros ? 0 : uniform_index(rng, 255) - 127);
    }
    for (float& scale : q.scales)
    {
        scale = uniform<float>(rng);
    }
    return q;
}

template <class Matrix = int8_vectors<>>
std::string complaint(const int8_codes& q)
{
    return message_of<format_error>(
        [&]
        {
            Matrix{q};
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("codes come back out of vectors")
    {
        random_engine rng(1);
        for (const shape<2> extents :
            {shape<2>{0, 0}, shape<2>{0, 3}, shape<2>{3, 0}, shape<2>{1, 1}, shape<2>{15, 17},
                shape<2>{16, 5}, shape<2>{33, 65}, shape<2>{70, 3}})
        {
            INFO(describe(extents));
            for (const double share : {0.0, 0.97, 1.0})
            {
                const auto q = random_codes(extents[0], extents[1], share, rng);
                const int8_vectors<> w(q);
                CHECK(w.codes() == q);
                CHECK(w.rows() == extents[0]);
                CHECK(w.columns() == extents[1]);
                CHECK(w.size() == q.codes.size());
                CHECK(w.nonzeros() % 64 == 0);
                CHECK(int8_vectors<>(w.to_vectors(), w.scales()).codes() == q);
            }
        }
    }
}

TEST_CASE("a block row is quads of columns, and what its codes add up to")
{
    int8_codes q{
        structopt::zeros<std::int8_t>(shape<2>{17, 9}), structopt::full<float>(shape<1>{17}, 1.0f)};
    for (const index_t c : {1, 2, 4, 5, 8})
    {
        q.codes(3, c) = static_cast<std::int8_t>(10 * c);
    }
    q.codes(16, 0) = -7;
    const int8_vectors<> w(q);
    const auto o = w.operand();
    CHECK(w.nonzeros() == 3 * 64);
    CHECK(std::vector<std::uint32_t>(o.offsets, o.offsets + 3) ==
          std::vector<std::uint32_t>{0, 2, 3});
    CHECK(std::vector<int>(o.indices, o.indices + 12) ==
          std::vector<int>{1, 2, 4, 5, 8, 8, 8, 8, 0, 0, 0, 0});
    CHECK(std::vector<int>(o.values + 12, o.values + 16) == std::vector<int>{10, 20, 40, 50});
    CHECK(std::vector<int>(o.values + 76, o.values + 80) == std::vector<int>{80, 0, 0, 0});
    CHECK(o.corrections[3] == -128 * 200);
    CHECK(o.corrections[16] == 128 * 7);
    CHECK(w.bytes() == 3 * 64 + 12 * 2 + 3 * 4 + 32 * 4 + 17 * 4);
    CHECK(int8_vectors<>().rows() == 0);
    CHECK(int8_vectors<>().bytes() == 4);
}

TEST_CASE("a float matrix is quantized on the way to vectors")
{
    random_engine rng(2);
    const auto w = random_tensor<float>(shape<2>{5, 9}, rng);
    CHECK(int8_vectors<>(as_view(w)).codes() == quantize::to_int8(as_view(w)));
    auto bad = w;
    bad(2, 2) = std::numeric_limits<float>::infinity();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        int8_vectors<>{as_view(bad)};
                    }),
        {"row 2"});
}

TEST_CASE("vectors refuse the code -128, scales that are none, too many columns, too long rows")
{
    random_engine rng(3);
    const auto good = random_codes(4, 6, 0.0, rng);
    CHECK(complaint(good) == "");
    auto bad = good;
    bad.codes(2, 3) = -128;
    check_parts(complaint(bad), {"int8 codes", "[-127, 127]", "-128"});
    bad = good;
    bad.scales = structopt::zeros<float>(shape<1>{3});
    check_parts(complaint(bad), {"int8 scales", "4, one per row", "got 3"});
    for (const float scale :
        {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1.0f})
    {
        bad = good;
        bad.scales(1) = scale;
        check_parts(complaint(bad), {"int8 scale, row 1", "finite"});
    }
    const auto wide = random_codes(1, 257, 0.0, rng);
    CHECK(int8_vectors<std::uint8_t>::fits(256));
    CHECK_FALSE(int8_vectors<std::uint8_t>::fits(257));
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        int8_vectors<std::uint8_t>{wide};
                    }),
        {"257"});
    int8_codes longest{structopt::full<std::int8_t>(shape<2>{1, 132'104}, std::int8_t{1}),
        structopt::full<float>(shape<1>{1}, 1.0f)};
    CHECK(complaint<int8_vectors<std::uint32_t>>(longest) == "");
    longest.codes = structopt::full<std::int8_t>(shape<2>{1, 132'105}, std::int8_t{1});
    check_parts(complaint<int8_vectors<std::uint32_t>>(longest), {"row 0", "132105"});
}

} // namespace test_int8_vectors
