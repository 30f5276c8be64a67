#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune/gradual.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <vector>

namespace test_gradual
{

using namespace structopt;
using prune::magnitude;
using support::random_tensor;

namespace
{

struct problem
{
    tensor<float, 2> x;
    std::vector<std::int32_t> labels;

    explicit problem(random_engine& rng)
        : x(random_tensor<float>(shape<2>{64, 6}, rng))
    {
        for (index_t i = 0; i < 64; ++i)
        {
            labels.push_back(x(i, 0) * x(i, 1) > x(i, 2) ? 1 : 0);
        }
    }

    auto data() const
    {
        return train::labelled(x, labels);
    }
};

auto make_network(random_engine& rng)
{
    return nn::sequential{
        nn::dense{{.in = 6, .out = 20}, rng}, nn::relu{}, nn::dense{{.in = 20, .out = 2}, rng}};
}

template <class Network>
std::vector<std::uint8_t> zeros_of(Network& net)
{
    std::vector<std::uint8_t> zeros;
    for (const auto& parameter : nn::trainable_parameters<float>(net))
    {
        for (const float value : parameter.values)
        {
            zeros.push_back(parameter.role == nn::role::weight && value == 0.0f ? 1 : 0);
        }
    }
    return zeros;
}

std::ptrdiff_t count(const std::vector<std::uint8_t>& zeros)
{
    return std::count(zeros.begin(), zeros.end(), std::uint8_t{1});
}

/// Both pull pruned weights away from zero between the steps.
const optim::momentum heavy{.rate = 0.05, .beta = 0.9, .weight_decay = 0.01};

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("gradual pruning follows its schedule to the number, and masks only grow")
    {
        random_engine rng(1);
        const problem p(rng);
        auto net = make_network(rng);
        const schedule::cubic_sparsity when{
            .initial = 0.1, .target = 0.8, .begin = 4, .end = 28, .frequency = 5};
        prune::gradual sparser{when, magnitude{}};
        std::vector<std::uint8_t> before = zeros_of(net);
        index_t steps = 0;
        auto look = train::after_step(
            [&](auto& at)
            {
                ++steps;
                CHECK(at.run.optimizer.step == steps);
                const auto zeros = zeros_of(at.network);
                const double share = when.sparsity(steps);
                CHECK(count(zeros) ==
                      static_cast<std::ptrdiff_t>(prune::detail::share_of(share, 120) +
                                                  prune::detail::share_of(share, 40)));
                for (std::size_t i = 0; i < zeros.size(); ++i)
                {
                    CHECK(zeros[i] >= before[i]);
                }
                before = zeros;
            });
        train::fit(net, p.data(), nn::cross_entropy{}, heavy, {.epochs = 9, .batch = 16}, rng,
            sparser, look);
        CHECK(steps == 36);
        CHECK(sparser.mask().sparsity() == 0.8);
        CHECK(prune::mask_of_zeros(net) == sparser.mask());
    }
}

TEST_CASE("a held mask stays, whatever momentum and weight decay say")
{
    random_engine rng(2);
    const problem p(rng);
    auto net = make_network(rng);
    const auto mask = prune::apply(net, magnitude{}, {.sparsity = 0.7});
    const auto start = net;
    // Without it, pruned weights come back.
    auto loose = net;
    random_engine same = rng;
    train::fit(loose, p.data(), nn::cross_entropy{}, heavy, {.epochs = 2, .batch = 16}, same);
    CHECK(count(zeros_of(loose)) < 40); // of 112: those of a dead unit

    train::fit(net, p.data(), nn::cross_entropy{}, heavy, {.epochs = 2, .batch = 16}, rng,
        prune::hold(prune::mask_of_zeros(net)));
    CHECK(prune::mask_of_zeros(net) == mask);
    CHECK(!(net.layer<0>().weight == start.layer<0>().weight));
    // It is in force before the first step, too.
    auto dense = make_network(rng);
    prune::hold held(mask);
    CHECK(held.mask() == mask);
    bool first = true;
    train::fit(dense, p.data(), nn::cross_entropy{}, heavy, {.epochs = 1, .batch = 16}, rng, held,
        train::after_step(
            [&](auto& at)
            {
                if (first)
                {
                    first = false;
                    CHECK(prune::mask_of_zeros(at.network) == mask);
                }
            }));
    CHECK(prune::mask_of_zeros(dense) == mask);
}

TEST_CASE("a schedule that is due before the first step prunes there")
{
    random_engine rng(3);
    const problem p(rng);
    auto net = make_network(rng);
    prune::gradual sparser{
        schedule::one_shot_sparsity{.target = 0.5, .at = 0}, magnitude{}, prune::scope::global};
    train::fit(net, p.data(), nn::cross_entropy{}, heavy, {.epochs = 1, .batch = 16}, rng, sparser);
    CHECK(count(zeros_of(net)) == 80);
    // The same callback serves the next training from its beginning.
    auto wider = nn::sequential{
        nn::dense{{.in = 6, .out = 30}, rng}, nn::relu{}, nn::dense{{.in = 30, .out = 2}, rng}};
    train::fit(
        wider, p.data(), nn::cross_entropy{}, heavy, {.epochs = 1, .batch = 16}, rng, sparser);
    CHECK(count(zeros_of(wider)) == 120);
}

TEST_CASE("a paused training goes on bit for bit with a new callback")
{
    random_engine rng(4);
    const problem p(rng);
    const auto start = make_network(rng);
    const schedule::cubic_sparsity when{.target = 0.9, .begin = 1, .end = 31, .frequency = 10};
    const train::options how{.epochs = 10, .batch = 16};

    auto whole = start;
    random_engine one(5);
    train::fit(
        whole, p.data(), nn::cross_entropy{}, heavy, how, one, prune::gradual{when, magnitude{}});

    // Paused between two updates of the mask, where only the held mask keeps weights at zero.
    auto net = start;
    random_engine two(5);
    auto run = train::start(net, heavy, two);
    train::resume(net, run, p.data(), nn::cross_entropy{}, heavy, how,
        prune::gradual{when, magnitude{}},
        train::after_step(
            [](auto& at)
            {
                return at.run.optimizer.step == 15 ? train::control::pause : train::control::go_on;
            }));
    CHECK(run.optimizer.step == 15);
    CHECK(count(zeros_of(net)) > 40);
    prune::gradual fresh{when, magnitude{}};
    train::resume(net, run, p.data(), nn::cross_entropy{}, heavy, how, fresh);
    CHECK(net.layer<0>().weight == whole.layer<0>().weight);
    CHECK(net.layer<2>().weight == whole.layer<2>().weight);
    CHECK(net.layer<0>().bias == whole.layer<0>().bias);
}

TEST_CASE("early stopping gives back no network from before the last sparsity")
{
    random_engine rng(7);
    const problem p(rng);
    auto net = make_network(rng);
    // The dense network of the first epochs is better than any that follows.
    const schedule::cubic_sparsity when{.target = 0.9, .begin = 0, .end = 20, .frequency = 1};
    prune::gradual sparser{when, magnitude{}};
    CHECK_FALSE(sparser.settled(19));
    CHECK(sparser.settled(20));
    const auto history =
        train::fit(net, p.data(), nn::cross_entropy{}, heavy, {.epochs = 12, .batch = 16}, rng,
            sparser, train::validate_on(p.data()), train::early_stopping{.patience = 2});
    CHECK(history.restored >= 5);
    CHECK(prune::mask_of_zeros(net) == sparser.mask());
    CHECK(sparser.mask().sparsity() == doctest::Approx(0.9));
}

TEST_CASE("a training that ends before its schedule is refused")
{
    random_engine rng(8);
    const problem p(rng);
    auto net = make_network(rng);
    const auto start = net;
    const schedule::cubic_sparsity when{.target = 0.9, .begin = 0, .end = 100, .frequency = 1};
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 train::fit(net, p.data(), nn::cross_entropy{}, heavy,
                                     {.epochs = 5, .batch = 16}, rng,
                                     prune::gradual{when, magnitude{}});
                             }),
        {"prune::gradual", "0.9", "20 steps"});
    CHECK(net.layer<0>().weight == start.layer<0>().weight);
}

TEST_CASE("errors")
{
    support::check_parts(
        support::message_of<argument_error>(
            [&]
            {
                prune::gradual{schedule::cubic_sparsity{.begin = 5, .end = 5}, magnitude{}};
            }),
        {"cubic_sparsity", "end"});
    random_engine rng(6);
    const problem p(rng);
    auto net = make_network(rng);
    const auto all = [&]
    {
        train::fit(net, p.data(), nn::cross_entropy{}, heavy, {.epochs = 5, .batch = 16}, rng,
            prune::gradual{schedule::linear_sparsity{.target = 1.0, .end = 10}, magnitude{}});
    };
    support::check_parts(support::message_of<argument_error>(all), {"sparsity", "[0, 1)"});
}

} // namespace test_gradual
