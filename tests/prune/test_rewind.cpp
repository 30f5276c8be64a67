#include <structopt/prune/gradual.hpp>
#include <structopt/prune/iterative.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/rewind.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse_training.hpp"

namespace test_rewind
{

using namespace structopt;
using support::sparse_problem;

TEST_CASE("survivors go back to their early values, the others are zero")
{
    const sparse_problem p;
    const auto start = p.network();
    prune::rewind_point<sparse_problem::network_type> first{};
    prune::rewind_point<sparse_problem::network_type> later{.step = 6};
    auto net = start;
    auto by_hand = start;
    auto look = train::after_step(
        [&](auto& at)
        {
            if (at.run.optimizer.step == 6)
            {
                by_hand = at.network;
            }
        });
    p.fit(net, 4, first, later, look);
    CHECK(support::equal_networks(*first.network, start));
    CHECK(support::equal_networks(*later.network, by_hand));

    const auto mask = prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.6});
    prune::rewind(net, *later.network, mask);
    auto expected = by_hand;
    prune::apply(expected, mask);
    CHECK(support::equal_networks(net, expected));
}

TEST_CASE("the lottery ticket procedure: rounds that each start from the initialization")
{
    const sparse_problem p;
    auto net = p.network();
    const auto start = net;
    p.fit(net, 4);
    index_t rounds = 0;
    const auto ticket =
        prune::iterative(net, prune::magnitude{}, {.sparsities = prune::exponential_levels(0.8, 3)},
            [&](auto& network, const prune::mask& mask, index_t)
            {
                prune::rewind(network, start, mask);
                for (std::size_t i = 0; i < 120; ++i)
                {
                    CHECK(network.template layer<0>().weight.data()[i] ==
                          (mask.keep[0][i] != 0 ? start.layer<0>().weight.data()[i] : 0.0f));
                }
                prune::hold held(mask);
                p.fit(network, 4, held);
                ++rounds;
            });
    CHECK(rounds == 3);
    CHECK(ticket.sparsity() == 0.8);
    CHECK(support::under_mask(net, ticket));
}

TEST_CASE("errors")
{
    const sparse_problem p;
    auto net = p.network();
    prune::rewind_point<sparse_problem::network_type> late{.step = 9};
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 p.fit(net, 2, late);
                             }),
        {"rewind_point", "8 steps", "9"});
    const auto before = net;
    CHECK_THROWS_AS(prune::rewind(net, before, prune::mask{{{1}}}), shape_error);
    CHECK(support::equal_networks(net, before));
}

} // namespace test_rewind
