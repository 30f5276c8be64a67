#include <structopt/compress/planned_cost.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/budget.hpp>
#include <structopt/prune/erk.hpp>
#include <structopt/prune/lamp.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace test_budget
{

using namespace structopt;
using prune::budget;
using prune::lamp;
using prune::magnitude;
using support::check_parts;
using support::message_of;

namespace
{

using csr = sparse::csr<float, std::uint16_t>;
using dense_matrix = tensor<float, 2>;

auto make_network()
{
    random_engine rng(1);
    return nn::sequential{nn::conv2d{{.in = 2, .out = 8, .kernel = 3, .padding = 1}, rng},
        nn::batch_norm{{.features = 8}}, nn::relu{}, nn::flatten{},
        nn::dense{{.in = 200, .out = 40}, rng}, nn::relu{}, nn::dense{{.in = 40, .out = 10}, rng}};
}

constexpr shape<4> batch{1, 2, 5, 5};

template <class Network>
double nonzeros(const Network& net, double first, double others)
{
    double n = 0;
    const auto add = [&](const auto& w, double factor)
    {
        for (const float value : w)
        {
            n += value == 0 ? 0 : factor;
        }
    };
    add(net.template layer<0>().weight, first);
    add(net.template layer<4>().weight, others);
    add(net.template layer<6>().weight, others);
    return n;
}

/// The limit holds, and would not with one weight more.
template <class Cost, class... Sample>
void check_limit(const Cost& cost, double share, const Sample&... sample)
{
    const auto net = make_network();
    const double limit = share * cost(net, sample...);
    auto pruned = net;
    const auto mask = prune::apply(pruned, magnitude{}, budget(cost, limit, sample...));
    CHECK(cost(pruned, sample...) <= limit);
    auto more = net;
    const double one = 0.9999 / (8 * 18 + 8000 + 400);
    prune::apply(more, magnitude{},
        {.sparsity = mask.sparsity() - one, .scope = prune::scope::global, .minimum = 1});
    CHECK(cost(more, sample...) > limit);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("costs by hand")
    {
        auto net = make_network();
        // Three biases, batch norm's weight and bias.
        constexpr double others = 8 + 40 + 10 + 8 + 8;
        CHECK(prune::parameter_cost{}(net) == 144 + 8000 + 400 + others);
        CHECK(prune::parameter_cost{}(net) == static_cast<double>(nn::parameter_count(net)));
        CHECK(prune::multiply_add_cost{}(net, batch) == 144 * 25 + 8400);
        CHECK(prune::multiply_add_cost{}(net, batch) == nn::multiply_adds(net, batch));
        prune::apply(net, lamp{}, {.sparsity = 0.8, .scope = prune::scope::global});
        CHECK(prune::parameter_cost{}(net) == others + nonzeros(net, 1, 1));
        CHECK(prune::parameter_cost{}(nn::convert<csr>(net)) == others + nonzeros(net, 1, 1));
        CHECK(prune::multiply_add_cost{}(net, batch) == nonzeros(net, 25, 1));
        // Values of 4 bytes, indices of 2, offsets of 4; or the matrix.
        const auto smaller = [](const auto& w, double rows)
        {
            double n = 0;
            for (const float value : w)
            {
                n += value == 0 ? 0 : 1;
            }
            return std::min(6 * n + 4 * (rows + 1), 4 * static_cast<double>(w.size()));
        };
        const double bytes = 4 * (8 + 8 + 8 + 8 + 8 + 40 + 10) + // biases, batch norm
                             smaller(net.layer<0>().weight, 8) +
                             smaller(net.layer<4>().weight, 40) +
                             smaller(net.layer<6>().weight, 10);
        CHECK(smaller(net.layer<4>().weight, 40) < 32000); // rows, where most zeros are
        CHECK(prune::byte_cost<dense_matrix, csr>{}(net) == bytes);
        CHECK(prune::byte_cost{}(net) == 4 * (144 + 8000 + 400 + others + 16));
    }
}

TEST_CASE("limits hold, with as few zeros as possible")
{
    check_limit(prune::parameter_cost{}, 0.3);
    check_limit(prune::multiply_add_cost{}, 0.5, batch);
    check_limit(prune::byte_cost<dense_matrix, csr>{}, 0.25);
    check_limit(compress::planned_byte_cost{}, 0.4, batch);
}

TEST_CASE("other spreads, groups, a budget that asks for nothing, a measured one")
{
    const auto net = make_network();
    const prune::parameter_cost cost;
    const auto whole = prune::make_mask(net, magnitude{}, budget(cost, 1e9));
    CHECK(whole.sparsity() == 0);
    auto rows = net;
    prune::apply(rows, magnitude{}, budget(cost, 2000), prune::rows{});
    CHECK(cost(rows) <= 2000);
    CHECK(cost(rows) > 2000 - 200); // a row more would be too much
    auto spread = net;
    const auto mask = prune::apply(spread, magnitude{}, budget(cost, 1500, prune::erk{}));
    CHECK(cost(spread) <= 1500);
    CHECK(cost(spread) >= 1497);
    CHECK(mask == prune::make_mask(
                      net, magnitude{}, prune::erk{.sparsity = mask.sparsity(), .minimum = 1}));
    // Any function of a network, or of a network and a batch: one that stands for a clock.
    const auto seconds = [](const auto& masked, const auto& sample)
    {
        return 1e-6 * prune::multiply_add_cost{}(masked, sample) + 1e-3;
    };
    auto timed = net;
    prune::apply(timed, magnitude{}, budget(seconds, 4e-3, batch));
    CHECK(seconds(timed, batch) <= 4e-3);
    auto spread_timed = net;
    prune::apply(spread_timed, magnitude{}, budget(seconds, 4e-3, batch, prune::erk{}));
    CHECK(seconds(spread_timed, batch) <= 4e-3);
    CHECK(spread_timed.layer<4>().weight != timed.layer<4>().weight);
    // A real clock: what it says is only positive for sure.
    const compress::planned_latency_cost latency{{.seconds = 1e-3, .groups = 3}};
    CHECK(latency(net, batch) > 0);
    const auto slack = prune::make_mask(net, magnitude{}, budget(latency, 1e9, batch));
    CHECK(slack == whole);
}

TEST_CASE("budgets that cannot be met change nothing")
{
    auto net = make_network();
    const auto before = net;
    const auto message = [&](const auto& within)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::apply(net, magnitude{}, within);
            });
    };
    const prune::parameter_cost cost;
    // Three weights, one per layer, and 74 numbers that are none.
    check_parts(message(budget(cost, 76)), {"budget", "at least 77"});
    CHECK(prune::make_mask(net, magnitude{}, budget(cost, 77)).sparsity() ==
          doctest::Approx(1 - 3.0 / 8544));
    check_parts(message(budget(cost, 900, prune::mask_options{.minimum = 400})), {"1018", "900"});
    check_parts(message(budget(cost, std::numeric_limits<double>::quiet_NaN())), {"budget"});
    const auto broken = [](const auto&)
    {
        return std::numeric_limits<double>::quiet_NaN();
    };
    check_parts(message(budget(broken, 1)), {"a cost that is a number", "NaN"});
    CHECK_THROWS_AS(prune::apply(net, magnitude{},
                        budget(prune::multiply_add_cost{}, 1e3, shape<4>{1, 3, 5, 5})),
        shape_error);
    CHECK(net.layer<4>().weight == before.layer<4>().weight);
}

TEST_CASE("a masked network and its plan compute the same, for latency and for bytes")
{
    random_engine rng(2);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 16, .kernel = 3, .padding = 1}, rng}, nn::relu{},
        nn::flatten{}, nn::dense{{.in = 400, .out = 64}, rng}, nn::relu{},
        nn::dense{{.in = 64, .out = 10}, rng}};
    const auto x = support::random_tensor<float>(shape<4>{3, 2, 5, 5}, rng);
    const auto check = [&](const auto& masked)
    {
        const auto expected = masked(x);
        const std::size_t before = prune::detail::memory_bytes(masked);
        for (const nn::objective goal : {nn::objective::latency, nn::objective::bytes})
        {
            const auto planned = nn::plan(masked, shape<4>{3, 2, 5, 5}, {.goal = goal});
            const auto found = planned.network(x);
            REQUIRE(found.size() == expected.size());
            // Sums of 400 products in another order: 400 roundings of at most 2^-24.
            double scale = 0;
            for (std::size_t i = 0; i < found.size(); ++i)
            {
                scale = std::max(scale, std::abs(static_cast<double>(expected.data()[i])));
            }
            for (std::size_t i = 0; i < found.size(); ++i)
            {
                CHECK(std::abs(static_cast<double>(found.data()[i] - expected.data()[i])) <=
                      400 * 6e-8 * scale);
            }
            if (goal == nn::objective::bytes)
            {
                CHECK(prune::detail::memory_bytes(planned.network) < before / 2);
            }
        }
    };
    auto single = net;
    prune::apply(single, magnitude{}, {.sparsity = 0.9});
    check(single);
    auto blocks = net;
    prune::apply(blocks, magnitude{}, prune::mask_options{.sparsity = 0.75}, prune::vectors<16>{});
    check(blocks);
    const auto chosen = nn::plan(blocks, shape<4>{3, 2, 5, 5}, {.goal = nn::objective::bytes});
    CHECK(chosen.layers[1].choice.format == nn::weight_format::vectors);
    auto pattern = net;
    prune::apply(pattern, magnitude{}, prune::nm<1, 4>{});
    check(pattern);
    CHECK(nn::pattern_of(as_view(std::as_const(pattern.layer<3>().weight))).fits_1x4);
}

} // namespace test_budget
