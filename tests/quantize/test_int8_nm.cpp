#include <structopt/core/random.hpp>
#include <structopt/quantize/int8_nm.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cstdint>
#include <limits>

namespace test_int8_nm
{

using namespace structopt;
using quantize::int8_codes;
using quantize::int8_nm;
using support::check_parts;
using support::message_of;

namespace
{

/// Random codes, at most `most` in every four columns.
int8_codes random_codes(index_t rows, index_t columns, std::uint64_t most, random_engine& rng)
{
    int8_codes q{
        structopt::zeros<std::int8_t>(shape<2>{rows, columns}), make_tensor<float>(shape<1>{rows})};
    for (index_t r = 0; r < rows; ++r)
    {
        q.scales(r) = uniform<float>(rng);
        for (index_t g = 0; g < columns; g += 4)
        {
            for (std::uint64_t i = 0; i < most; ++i)
            {
                const index_t c = g + static_cast<index_t>(uniform_index(rng, 4));
                if (c < columns)
                {
                    q.codes(r, c) = static_cast<std::int8_t>(uniform_index(rng, 255) - 127);
                }
            }
        }
    }
    return q;
}

template <class Error>
std::string complaint(const int8_codes& q)
{
    return message_of<Error>(
        [&]
        {
            int8_nm{q};
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("codes come back out of 2:4")
    {
        random_engine rng(1);
        for (const shape<2> extents :
            {shape<2>{0, 0}, shape<2>{0, 3}, shape<2>{3, 0}, shape<2>{1, 1}, shape<2>{15, 17},
                shape<2>{32, 8}, shape<2>{33, 65}, shape<2>{70, 6}})
        {
            INFO(describe(extents));
            for (const std::uint64_t most : {0u, 1u, 2u})
            {
                const auto q = random_codes(extents[0], extents[1], most, rng);
                const int8_nm w(q);
                CHECK(w.codes() == q);
                CHECK(w.rows() == extents[0]);
                CHECK(w.columns() == extents[1]);
                CHECK(w.size() == q.codes.size());
                CHECK(w.nonzeros() == extents[0] * ((extents[1] + 3) / 4) * 2);
                CHECK(int8_nm(w.to_slots(), w.scales()).codes() == q);
            }
        }
    }
}

TEST_CASE("slices of 32 rows, groups of eight columns")
{
    int8_codes q{
        structopt::zeros<std::int8_t>(shape<2>{33, 9}), structopt::full<float>(shape<1>{33}, 1.0f)};
    q.codes(1, 1) = 10;
    q.codes(1, 3) = 20;
    q.codes(1, 6) = 30;
    q.codes(1, 7) = 40;
    q.codes(32, 8) = -7;
    const int8_nm w(q);
    const auto o = w.operand();
    CHECK(std::vector<int>(o.codes + 4, o.codes + 8) == std::vector<int>{10, 20, 30, 40});
    CHECK(int{o.places[1]} == (1 | 3 << 2 | 2 << 4 | 3 << 6));
    CHECK(int{o.codes[4 * 32 * 3]} == -7);
    CHECK(o.corrections[1] == -128 * 100);
    CHECK(o.corrections[32] == 128 * 7);
    CHECK(w.bytes() == 4 * 64 * 2 + 64 * 2 + 64 * 4 + 33 * 4);
    CHECK(int8_nm().rows() == 0);
    CHECK(int8_nm().bytes() == 0);
}

TEST_CASE("2:4 refuses three of four, the code -128, scales that are none and too long rows")
{
    random_engine rng(3);
    const auto good = random_codes(4, 12, 2, rng);
    CHECK(complaint<structopt::error>(good) == "");
    auto bad = good;
    for (const index_t c : {4, 5, 7})
    {
        bad.codes(2, c) = 1;
    }
    bad.codes(2, 6) = 0;
    check_parts(complaint<argument_error>(bad), {"row 2", "group 1", "at most 2", "got 3"});
    bad = good;
    for (index_t c = 0; c < 4; ++c)
    {
        bad.codes(3, c) = static_cast<std::int8_t>(c == 1 ? -128 : 0);
    }
    check_parts(complaint<format_error>(bad), {"int8 codes", "[-127, 127]", "-128"});
    bad = good;
    bad.scales = structopt::zeros<float>(shape<1>{3});
    check_parts(complaint<format_error>(bad), {"int8 scales", "4, one per row", "got 3"});
    bad = good;
    bad.scales(1) = std::numeric_limits<float>::quiet_NaN();
    check_parts(complaint<format_error>(bad), {"int8 scale, row 1", "finite"});
    int8_codes longest{structopt::zeros<std::int8_t>(shape<2>{1, 264'208}),
        structopt::full<float>(shape<1>{1}, 1.0f)};
    CHECK(complaint<structopt::error>(longest) == "");
    longest.codes = structopt::zeros<std::int8_t>(shape<2>{1, 264'209});
    check_parts(complaint<format_error>(longest), {"row 0", "132106"});
}

} // namespace test_int8_nm
