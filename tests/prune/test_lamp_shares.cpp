#include <structopt/core/random.hpp>
#include <structopt/prune/lamp.hpp>
#include <structopt/prune/lamp_shares.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace test_lamp_shares
{

using namespace structopt;
using list = std::vector<float>;

namespace
{

list draw(std::size_t n, float spread, random_engine& rng)
{
    list values(n);
    for (float& value : values)
    {
        value = normal<float>(rng) * std::exp(spread * normal<float>(rng));
    }
    return values;
}

void check(const std::vector<list>& weights)
{
    std::vector<prune::score_list> sizes;
    std::vector<list> scores;
    std::vector<prune::score_list> expected;
    std::vector<std::size_t> most;
    std::size_t all = 0;
    for (const list& w : weights)
    {
        sizes.push_back(prune::score_list::sizes_of(std::span<const float>(w)));
        scores.emplace_back(w.size());
        prune::lamp{}.score(
            view<const float, 2>(w.data(), shape<2>{1, static_cast<index_t>(w.size())}),
            std::span<float>(scores.back()));
        most.push_back(w.size());
        all += w.size();
    }
    expected.assign(scores.begin(), scores.end());
    for (const bool whole : {true, false})
    {
        for (std::size_t l = 0; !whole && l < most.size(); ++l)
        {
            most[l] -= most[l] / (l + 2);
        }
        for (const std::size_t n :
            {std::size_t{0}, std::size_t{1}, all / 7, all / 2, all * 9 / 10, all * 99 / 100, all})
        {
            INFO(n << " of " << all << (whole ? "" : ", some left out"));
            CHECK(prune::detail::lamp_shares(sizes, most, n) ==
                  prune::detail::shares_of_lowest(expected, most, n));
        }
    }
}

} // namespace

TEST_CASE("shares by bounds are those of all scores: scales, zeros, equal and denormal weights")
{
    random_engine rng(1);
    const list a = draw(30000, 0, rng);
    const list b = draw(4000, 5, rng);
    list pruned = draw(5000, 1, rng);
    for (std::size_t i = 0; i < pruned.size(); ++i)
    {
        pruned[i] = i % 8 != 0 ? 0.0f : pruned[i];
    }
    const list equal(3000, -0.5f);
    list tiny = draw(700, 0, rng);
    for (float& value : tiny)
    {
        value *= 100 * std::numeric_limits<float>::denorm_min();
    }
    list mixed = tiny;
    mixed.insert(mixed.end(), b.begin(), b.end());
    check({a, b});
    check({pruned, equal, a});
    check({tiny, b, tiny});
    check({mixed, pruned, mixed});
    check({list(50, 0.0f), list(), list(1, 3.0f), equal});
    check({list(40, 0.0f)});
}

} // namespace test_lamp_shares
