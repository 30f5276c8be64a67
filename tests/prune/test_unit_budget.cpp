#include <structopt/compress/latency.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/unit_budget.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace test_unit_budget
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

const shape<2> sample{3, 5};

auto make_net(random_engine& rng)
{
    return nn::sequential{nn::dense{{.in = 5, .out = 12}, rng}, nn::relu{},
        nn::dense{{.in = 12, .out = 9}, rng}, nn::relu{}, nn::dense{{.in = 9, .out = 2}, rng}};
}

} // namespace

TEST_CASE("as few units go as a budget allows")
{
    random_engine rng(1);
    const auto net = make_net(rng);
    const auto scores = prune::score_units(net, sample, prune::magnitude{});
    const auto check = [&](auto cost, double limit)
    {
        const auto of = [&](const auto& each)
        {
            return prune::detail::ask_cost(cost, each, sample);
        };
        const auto kept = prune::choose_units(net, sample, scores, prune::budget(cost, limit));
        const auto smaller = prune::compact(net, sample, kept);
        CHECK(of(smaller) <= limit);
        // With its best removed unit it would cost too much.
        double best = -1;
        std::size_t list = 0;
        index_t unit = 0;
        for (std::size_t i = 0; i < kept.size(); ++i)
        {
            for (std::size_t u = 0; u < scores.values[i].size(); ++u)
            {
                const auto& there = kept[i];
                const auto number = static_cast<index_t>(u);
                if (std::find(there.begin(), there.end(), number) == there.end() &&
                    scores.values[i][u] > best)
                {
                    best = scores.values[i][u];
                    list = i;
                    unit = number;
                }
            }
        }
        REQUIRE(best >= 0);
        auto more = kept;
        more[list].insert(std::lower_bound(more[list].begin(), more[list].end(), unit), unit);
        CHECK(of(prune::compact(net, sample, more)) > limit);
    };
    check(prune::parameter_cost{}, 120);
    check(prune::byte_cost{}, 400);
    check(prune::multiply_add_cost{}, 300);
    CHECK(prune::parameter_cost{}(net) == 72 + 117 + 20);
    CHECK(prune::byte_cost{}(net) == 4 * 209);
    CHECK(prune::multiply_add_cost{}(net, sample) == 3 * (60 + 108 + 18));
    // Nothing goes where all fits; the criterion is asked for the scores.
    const prune::budget all(prune::parameter_cost{}, 209);
    CHECK(prune::choose_units(net, sample, scores, all) == prune::all_units(net, sample));
    const prune::budget half(prune::parameter_cost{}, 100);
    CHECK(prune::choose_units(net, sample, prune::magnitude{}, half) ==
          prune::choose_units(net, sample, scores, half));
    const auto rounded =
        prune::choose_units(net, sample, scores, half, {.round_to = 4, .minimum = 2});
    CHECK(rounded[0].size() % 4 == 0);
    CHECK((rounded[1].size() % 4 == 0 || rounded[1].size() == 9));
}

TEST_CASE("time is a budget, any function too; inputs may go")
{
    random_engine rng(2);
    const auto net = make_net(rng);
    const compress::latency_cost clock{{.seconds = 1e-3, .groups = 3}};
    CHECK(clock(net, sample) > 0);
    const auto kept = prune::choose_units(
        net, sample, prune::magnitude{}, prune::budget(clock, 1e6), {.inputs = true});
    CHECK(kept == prune::all_units(net, sample, true));
    // Inputs and first units that stay, as a sum.
    const auto widths = [](const auto& each, const auto& extents)
    {
        CHECK(extents[1] == each.template layer<0>().inputs());
        return static_cast<double>(extents[1] + each.template layer<0>().outputs());
    };
    const auto fewer = prune::choose_units(
        net, sample, prune::magnitude{}, prune::budget(widths, 10), {.inputs = true});
    CHECK(fewer[0].size() + fewer[1].size() == 10);
}

TEST_CASE("budgets that cannot be met")
{
    random_engine rng(3);
    const auto net = make_net(rng);
    const auto complain = [&](double limit)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::choose_units(
                    net, sample, prune::magnitude{}, prune::budget(prune::parameter_cost{}, limit));
            });
    };
    // One unit per layer: 6 + 2 + 4 parameters.
    CHECK(complain(12) == "");
    check_parts(complain(11.5), {"budget", "at least 12", "11.5"});
    check_parts(complain(0), {"budget", "at least 12"});
    check_parts(
        complain(std::numeric_limits<double>::quiet_NaN()), {"budget", "a limit that is a number"});
    const auto broken = [](const auto&)
    {
        return std::numeric_limits<double>::quiet_NaN();
    };
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::choose_units(
                            net, sample, prune::magnitude{}, prune::budget(broken, 50));
                    }),
        {"budget", "a cost that is a number"});
}

} // namespace test_unit_budget
