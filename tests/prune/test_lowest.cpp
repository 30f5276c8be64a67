#include <structopt/prune/lowest.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <limits>
#include <vector>

namespace test_lowest
{

using namespace structopt;
using prune::detail::lowest;
using prune::detail::share_of;
using support::check_parts;
using support::message_of;

namespace
{

std::vector<std::size_t> pick(const std::vector<double>& scores, std::size_t n)
{
    return lowest(std::span<const double>(scores), n);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the lowest scores, by position")
    {
        const std::vector<double> scores = {3, 1, 4, 1, 5, 9, 2, 6};
        CHECK(pick(scores, 0).empty());
        CHECK(pick(scores, 1) == std::vector<std::size_t>{1});
        CHECK(pick(scores, 3) == std::vector<std::size_t>{1, 3, 6});
        CHECK(pick(scores, 8).size() == 8);
        CHECK(pick({}, 0).empty());
    }
}

TEST_CASE("of equal scores the earlier go first")
{
    const std::vector<double> scores(100, 0.5);
    for (std::size_t n : {1u, 17u, 50u, 99u})
    {
        const auto found = pick(scores, n);
        REQUIRE(found.size() == n);
        for (std::size_t i = 0; i < n; ++i)
        {
            CHECK(found[i] == i);
        }
    }
    // -0.0 and 0.0 are equal.
    CHECK(pick({0.0, -0.0, 1.0, -0.0}, 2) == std::vector<std::size_t>{0, 1});
}

TEST_CASE("shares round to the nearest number, halves to the even one")
{
    CHECK(share_of(0.5, 0) == 0);
    CHECK(share_of(0.5, 1) == 0);
    CHECK(share_of(0.5, 3) == 2);
    CHECK(share_of(0.5, 5) == 2);
    CHECK(share_of(0.5, 7) == 4);
    CHECK(share_of(0.1, 24) == 2);
    CHECK(share_of(0.9, 10) == 9);
    CHECK(share_of(0.99, 10) == 10);
    CHECK(share_of(0.0, 10) == 0);
}

TEST_CASE("shares and scores that are none")
{
    for (const double bad : {-0.001, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN(),
             std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            prune::detail::check_share("sparsity", bad);
                        }),
            {"sparsity", "[0, 1)"});
    }
    prune::detail::check_share("sparsity", 0.0);
    prune::detail::check_share("sparsity", -0.0);
    prune::detail::check_share("sparsity", 0.999999);

    std::vector<float> scores = {1, 2, std::numeric_limits<float>::quiet_NaN(), 3};
    const auto complain = [&]
    {
        prune::detail::check_scores("0.weight", std::span<const float>(scores));
    };
    check_parts(message_of<argument_error>(complain), {"0.weight", "finite", "position 2"});
    scores[2] = 0;
    CHECK(message_of<argument_error>(complain) == "");
    scores[0] = std::numeric_limits<float>::infinity();
    check_parts(message_of<argument_error>(complain), {"position 0"});
}

} // namespace test_lowest
