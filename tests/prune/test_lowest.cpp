#include <structopt/core/random.hpp>
#include <structopt/prune/lowest.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
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

namespace
{

/// What the weights of a test are: the sizes of normal numbers at several scales, mostly zeros, few values,
/// one value, denormals.
enum class kind
{
    spread,
    pruned,
    coarse,
    equal,
    tiny
};

template <class T>
std::vector<T> draw(kind what, std::size_t n, random_engine& rng)
{
    std::vector<T> values(n);
    for (T& value : values)
    {
        const T x = normal<T>(rng);
        switch (what)
        {
        case kind::spread:
            value = x * std::exp(2 * normal<T>(rng));
            break;
        case kind::pruned:
            value = uniform<T>(rng) < T(0.9) ? (x < 0 ? T(-0.0) : T(0)) : x;
            break;
        case kind::coarse:
            value = std::round(4 * x) / 4;
            break;
        case kind::equal:
            value = x < 0 ? T(-0.5) : T(0.5);
            break;
        default:
            value = x * 100 * std::numeric_limits<T>::denorm_min();
        }
    }
    return values;
}

/// All scores of some lists in the order in which they go, by a sort.
std::vector<std::pair<std::size_t, std::size_t>> sorted(const std::vector<prune::score_list>& lists)
{
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (std::size_t l = 0; l < lists.size(); ++l)
    {
        for (std::size_t i = 0; i < lists[l].size(); ++i)
        {
            order.emplace_back(l, i);
        }
    }
    std::stable_sort(order.begin(), order.end(),
        [&](const auto& a, const auto& b)
        {
            return lists[a.first][a.second] < lists[b.first][b.second];
        });
    return order;
}

void check_against_sort(const std::vector<prune::score_list>& lists)
{
    const auto order = sorted(lists);
    const std::size_t all = order.size();
    std::vector<std::size_t> whole;
    std::vector<std::vector<std::uint8_t>> expected;
    for (const auto& list : lists)
    {
        whole.push_back(list.size());
        expected.emplace_back(list.size(), std::uint8_t{1});
    }
    auto most = whole;
    for (std::size_t l = 0; l < most.size(); ++l)
    {
        most[l] -= std::min(most[l], l % 2 == 0 ? most[l] / 3 : std::size_t{1});
    }
    std::size_t next = 0;
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, all / 10, all / 2, all * 9 / 10,
             all - std::min<std::size_t>(all, 1), all})
    {
        INFO(n << " of " << all);
        for (; next < std::min(n, all); ++next)
        {
            expected[order[next].first][order[next].second] = 0;
        }
        std::vector<std::vector<std::uint8_t>> found;
        std::vector<std::uint8_t*> keep;
        std::vector<std::size_t> shares;
        for (std::size_t l = 0; l < lists.size(); ++l)
        {
            found.emplace_back(lists[l].size(), std::uint8_t{7});
            keep.push_back(found.back().data());
            shares.push_back(static_cast<std::size_t>(
                std::count(expected[l].begin(), expected[l].end(), std::uint8_t{0})));
        }
        prune::detail::mark_lowest(lists, n, keep);
        CHECK(found == expected);
        CHECK(prune::detail::shares_of_lowest(lists, whole, n) == shares);

        // No more than `most` of a list: the others make up for it.
        auto left = n;
        std::vector<std::size_t> capped(lists.size());
        for (std::size_t k = 0; k < all && left > 0; ++k)
        {
            auto& own = capped[order[k].first];
            const bool goes = own < most[order[k].first];
            own += goes ? 1 : 0;
            left -= goes ? 1 : 0;
        }
        CHECK(prune::detail::shares_of_lowest(lists, most, n) == capped);
    }
}

} // namespace

TEST_CASE_TEMPLATE("selection against a sort: ties, zeros of both signs, denormals, several lists",
    T, float, double)
{
    random_engine rng(1);
    for (const kind what : {kind::spread, kind::pruned, kind::coarse, kind::equal, kind::tiny})
    {
        for (const std::size_t n : {std::size_t{40}, std::size_t{20000}})
        {
            INFO(static_cast<int>(what));
            const auto a = draw<T>(what, n, rng);
            const auto b = draw<T>(what, n / 3, rng);
            const std::vector<double> c = draw<double>(what, n / 5, rng);
            const std::vector<T> none;
            // Values, sizes, and a list of doubles, which makes all orders long ones.
            check_against_sort({a, none, b});
            const auto sizes = prune::score_list::sizes_of(std::span<const T>(a));
            check_against_sort({sizes, prune::score_list::sizes_of(std::span<const T>(b))});
            check_against_sort({sizes, c, b});
        }
    }
    const std::vector<T> none;
    check_against_sort({none});
}

TEST_CASE("counts that are there already change nothing")
{
    random_engine rng(2);
    const auto values = draw<float>(kind::spread, 30000, rng);
    prune::score_list list = values;
    std::vector<std::size_t> counts(prune::detail::digits);
    prune::detail::count_digits<std::uint32_t>(
        list, prune::detail::upper_digit<std::uint32_t>, 0, counts.data());
    list.set_counted(counts.data());
    check_against_sort({list, values});
    // Of other orders they are not looked at.
    const std::vector<double> doubles(17, 0.25);
    check_against_sort({list, doubles});
}

} // namespace test_lowest
