#include <structopt/core/shape.hpp>

#include <doctest/doctest.h>

namespace test_shape
{

using namespace structopt;

static_assert(std::is_signed_v<index_t>);
static_assert(count(shape<0>{}) == 1);
static_assert(count(shape<3>{2, 3, 4}) == 24);
static_assert(row_major_strides(shape<3>{2, 3, 4}) == shape<3>{12, 4, 1});
static_assert(tail(shape<3>{2, 3, 4}) == shape<2>{3, 4});
static_assert(prepend(7, shape<2>{3, 4}) == shape<3>{7, 3, 4});

TEST_CASE("count multiplies the extents")
{
    CHECK(count(shape<1>{5}) == 5);
    CHECK(count(shape<2>{5, 0}) == 0);
    CHECK(count(shape<4>{64, 3, 32, 32}) == 196608);
    // More than 32 bits hold.
    CHECK(count(shape<2>{100000, 100000}) == index_t{10000000000});
}

TEST_CASE("row-major strides step over everything behind an axis")
{
    CHECK(row_major_strides(shape<0>{}) == shape<0>{});
    CHECK(row_major_strides(shape<1>{9}) == shape<1>{1});
    CHECK(row_major_strides(shape<4>{2, 3, 4, 5}) == shape<4>{60, 20, 5, 1});
    CHECK(row_major_strides(shape<3>{2, 0, 4}) == shape<3>{0, 4, 1});
}

TEST_CASE("tail and prepend take the batch off and put it back")
{
    const shape<4> batch{64, 3, 32, 31};
    CHECK(tail(batch) == shape<3>{3, 32, 31});
    CHECK(prepend(64, tail(batch)) == batch);
    CHECK(tail(shape<1>{3}) == shape<0>{});
    CHECK(prepend(3, shape<0>{}) == shape<1>{3});
}

TEST_CASE("describe writes shapes for messages")
{
    CHECK(describe(shape<0>{}) == "[]");
    CHECK(describe(shape<1>{-1}) == "[any]");
    CHECK(describe(shape<3>{-1, 0, 12}) == "[any, 0, 12]");
    CHECK(describe(shape<1>{-2}) == "[-2]");
}

} // namespace test_shape
