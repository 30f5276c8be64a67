#include <structopt/core/error.hpp>
#include <structopt/core/shape.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

namespace test_error
{

using namespace structopt;

static_assert(std::is_base_of_v<std::runtime_error, error>);
static_assert(std::is_base_of_v<error, shape_error>);
static_assert(std::is_base_of_v<error, argument_error>);
static_assert(std::is_base_of_v<error, format_error>);
static_assert(!std::is_convertible_v<shape_error*, argument_error*>);
static_assert(std::is_nothrow_copy_constructible_v<shape_error>);

TEST_SUITE("smoke")
{
    TEST_CASE("an error says where, what was expected and what came")
    {
        const shape_error e("dense 'fc1' input", "[any, 784]", "[64, 783]");
        CHECK(std::string(e.what()) == "dense 'fc1' input: expected [any, 784], got [64, 783]");
        CHECK(e.where() == "dense 'fc1' input");
        CHECK(e.expected() == "[any, 784]");
        CHECK(e.found() == "[64, 783]");
    }

    TEST_CASE("errors are caught by their own type, by the base and by the standard's")
    {
        const auto fail = []
        {
            detail::raise<format_error>("file", "header", "end of file");
        };
        CHECK_THROWS_AS(fail(), format_error);
        CHECK_THROWS_AS(fail(), error);
        CHECK_THROWS_AS(fail(), std::runtime_error);
        CHECK_THROWS_WITH(fail(), "file: expected header, got end of file");
        try
        {
            fail();
        }
        catch (const shape_error&)
        {
            FAIL("a format error is no shape error");
        }
        catch (const error& e)
        {
            CHECK(e.where() == "file");
        }
    }
}

TEST_CASE("the parts survive separators inside them, empty parts and zero bytes")
{
    const argument_error tricky("a: expected b", ", got ", "c, got d: expected e");
    CHECK(tricky.where() == "a: expected b");
    CHECK(tricky.expected() == ", got ");
    CHECK(tricky.found() == "c, got d: expected e");

    const argument_error empty("", "", "");
    CHECK(std::string(empty.what()) == ": expected , got ");
    CHECK(empty.where().empty());
    CHECK(empty.expected().empty());
    CHECK(empty.found().empty());

    const format_error zero(
        std::string("ab\0cd", 5), std::string("\0x", 2), std::string("y\0z", 3));
    CHECK(std::string(zero.what()) == "ab: expected , got y");
    CHECK(zero.where() == "ab");
    CHECK(zero.expected().empty());
    CHECK(zero.found() == "y");
}

TEST_CASE("errors are values: copied and assigned with their parts")
{
    argument_error one("where", "expected", "found");
    const argument_error copy(one);
    CHECK(copy.where() == "where");
    CHECK(copy.found() == "found");
    one = argument_error("elsewhere", "more", "less");
    CHECK(one.where() == "elsewhere");
    CHECK(one.expected() == "more");
    CHECK(one.found() == "less");
    CHECK(copy.expected() == "expected");
}

TEST_CASE("check_shape names both shapes and takes -1 for any extent")
{
    CHECK_NOTHROW(check_shape("x", shape<2>{2, 3}, shape<2>{2, 3}));
    CHECK_NOTHROW(check_shape("x", shape<2>{-1, 3}, shape<2>{17, 3}));
    CHECK_NOTHROW(check_shape("x", shape<0>{}, shape<0>{}));
    CHECK_THROWS_WITH_AS(check_shape("conv2d input", shape<3>{-1, 3, 8}, shape<3>{5, 4, 8}),
        "conv2d input: expected [any, 3, 8], got [5, 4, 8]", shape_error);
    CHECK_THROWS_AS(check_shape("x", shape<1>{3}, shape<1>{-1}), shape_error);
}

} // namespace test_error
