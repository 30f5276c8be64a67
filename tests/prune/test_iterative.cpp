#include <structopt/prune/gradual.hpp>
#include <structopt/prune/iterative.hpp>
#include <structopt/prune/magnitude.hpp>

#include <doctest/doctest.h>

#include "support/digits.hpp"
#include "support/message.hpp"
#include "support/sparse_training.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace test_iterative
{

using namespace structopt;
using support::sparse_problem;

namespace
{

/// Prefers what has been removed: without nesting masks would move.
struct largest_first
{
    template <class T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = -std::abs(w.flat()[i]);
        }
    }
};

bool nested(const prune::mask& inner, const prune::mask& outer)
{
    for (std::size_t p = 0; p < inner.keep.size(); ++p)
    {
        for (std::size_t i = 0; i < inner.keep[p].size(); ++i)
        {
            if (inner.keep[p][i] > outer.keep[p][i])
            {
                return false;
            }
        }
    }
    return true;
}

} // namespace

TEST_CASE("exponential levels")
{
    const auto levels = prune::exponential_levels(0.875, 3);
    REQUIRE(levels.size() == 3);
    CHECK(levels[0] == doctest::Approx(0.5));
    CHECK(levels[1] == doctest::Approx(0.75));
    CHECK(levels[2] == 0.875);
    CHECK_THROWS_AS(prune::exponential_levels(1.0, 3), argument_error);
    CHECK_THROWS_AS(prune::exponential_levels(0.5, 0), argument_error);
}

TEST_CASE("rounds: exact sparsities, masks within masks, whatever the criterion")
{
    const sparse_problem p;
    for (const auto where : {prune::scope::per_layer, prune::scope::global})
    {
        auto net = p.network();
        std::vector<prune::mask> masks;
        const prune::iterative_options how{.sparsities = {0.25, 0.5, 0.5, 0.9}, .scope = where};
        const auto last = prune::iterative(net, largest_first{}, how,
            [&](auto& network, const prune::mask& mask, index_t round)
            {
                CHECK(round == static_cast<index_t>(masks.size()));
                CHECK(mask.sparsity() == how.sparsities[static_cast<std::size_t>(round)]);
                CHECK(support::under_mask(network, mask));
                CHECK((masks.empty() || nested(mask, masks.back())));
                masks.push_back(mask);
                prune::hold held(mask);
                p.fit(network, 2, held);
            });
        CHECK(masks.size() == 4);
        CHECK(last == masks.back());
        CHECK(masks[1] == masks[2]);
        CHECK((support::kept(last) == std::vector<std::size_t>{12, 0, 4, 0}) ==
              (where == prune::scope::per_layer));
    }
}

TEST_CASE("scores and masks by a function")
{
    const sparse_problem p;
    const auto nothing = [](auto&, const prune::mask&, index_t) {};
    auto one = p.network();
    auto two = one;
    auto three = one;
    const prune::iterative_options how{.sparsities = {0.3, 0.7}};
    const auto a = prune::iterative(one, prune::magnitude{}, how, nothing);
    const auto b = prune::iterative(
        two,
        [](const auto& net)
        {
            return prune::score(net, prune::magnitude{});
        },
        how, nothing);
    const auto c = prune::iterative(
        three,
        [](const auto& net, const prune::mask_options& options, const prune::mask&)
        {
            return prune::make_mask(net, prune::magnitude{}, options);
        },
        how, nothing);
    CHECK(a == b);
    CHECK(a == c);
    CHECK(a == prune::make_mask(p.network(), prune::magnitude{}, {.sparsity = 0.7}));
}

TEST_CASE("no layer is emptied")
{
    const sparse_problem p;
    auto net = p.network();
    for (float& value : net.layer<2>().weight)
    {
        value *= 1e-3f;
    }
    const prune::mask_options how{.sparsity = 0.9, .scope = prune::scope::global};
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 prune::make_nested_mask(net, prune::magnitude{}, how, {});
                             }),
        {"2.weight", "40 of 40"});
    auto least = how;
    least.minimum = 3;
    const auto mask = prune::make_nested_mask(net, prune::magnitude{}, least, {});
    CHECK(support::kept(mask) == std::vector<std::size_t>{13, 0, 3, 0});
    const auto last = prune::iterative(net, prune::magnitude{},
        {.sparsities = {0.5, 0.9}, .scope = prune::scope::global},
        [](auto&, const prune::mask&, index_t) {});
    CHECK(support::kept(last) == std::vector<std::size_t>{15, 0, 1, 0});
}

TEST_CASE("errors")
{
    const sparse_problem p;
    auto net = p.network();
    const auto start = net;
    const auto message = [&](const prune::iterative_options& how)
    {
        return support::message_of<argument_error>(
            [&]
            {
                prune::iterative(
                    net, prune::magnitude{}, how, [](auto&, const prune::mask&, index_t) {});
            });
    };
    support::check_parts(message({}), {"iterative sparsities", "none"});
    support::check_parts(message({.sparsities = {0.5, 0.4}}), {"ascending", "0.4"});
    support::check_parts(message({.sparsities = {0.5, 1.0}}), {"[0, 1)"});
    CHECK(support::equal_networks(net, start));

    // A training that forgets the mask.
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 prune::iterative(net, prune::magnitude{}, {.sparsities = {0.5}},
                                     [&](auto& network, const prune::mask&, index_t)
                                     {
                                         p.fit(network, 1);
                                     });
                             }),
        {"masked weights", "prune::hold", "parameter 0", "round 0"});

    auto scores = prune::score(start, prune::magnitude{});
    const auto mask = prune::make_nested_mask(start, scores, {.sparsity = 0.5}, {});
    CHECK_THROWS_AS(
        prune::make_nested_mask(start, scores, {.sparsity = 0.4}, mask), argument_error);
    CHECK_THROWS_AS(
        prune::make_nested_mask(start, scores, {.sparsity = 0.6}, prune::mask{{{1}}}), shape_error);
    scores.layers[1].values[3] = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(prune::make_nested_mask(start, scores, {}, {}), argument_error);
    scores.layers.pop_back();
    CHECK_THROWS_AS(prune::make_nested_mask(start, scores, {}, {}), shape_error);
}

} // namespace test_iterative
