#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/loss/cross_entropy.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim.hpp>
#include <structopt/schedule/one_cycle.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/train.hpp>

#include "support/digits.hpp"

#include <sstream>
#include <string>
#include <vector>

namespace test_callback
{

namespace
{

namespace nn = structopt::nn;
namespace optim = structopt::optim;
namespace schedule = structopt::schedule;
namespace train = structopt::train;
using structopt::index_t;

auto small_network()
{
    structopt::random_engine rng(1);
    return nn::sequential{
        nn::dense{{.in = 2, .out = 8}, rng}, nn::relu{}, nn::dense{{.in = 8, .out = 3}, rng}};
}

/// Writes down what it hears.
struct recorder
{
    std::string log;

    void on_begin(auto&)
    {
        log += "begin ";
    }

    void on_epoch_begin(auto& at)
    {
        log += "epoch" + std::to_string(at.run.epoch) + "( ";
    }

    void on_gradients(auto& at)
    {
        log += at.gradients.template layer<0>().weight(0, 0) != 0.0f ? "g" : "zero";
    }

    void on_step(auto& at)
    {
        log += at.gradients.template layer<0>().weight(0, 0) == 0.0f ? "s" : "not-zero";
    }

    void on_batch_end(auto& at)
    {
        log += std::to_string(at.samples) + " ";
    }

    void on_epoch_end(auto& at)
    {
        log += ")" + std::to_string(at.record->epoch) + " ";
    }

    void on_end(auto& at)
    {
        log += "end" + std::to_string(at.record == nullptr ? -1 : at.record->epoch);
    }
};

struct deaf
{
    void on_epoch_ends(auto&)
    {
    }
};

struct at_begin
{
    train::control on_begin(auto&)
    {
        return train::control::stop;
    }
};

struct at_epoch_begin
{
    train::control on_epoch_begin(auto& at)
    {
        return at.run.epoch == 1 ? train::control::stop : train::control::go_on;
    }
};

struct at_gradients
{
    train::control on_gradients(auto&)
    {
        return train::control::stop;
    }
};

using net_type = decltype(small_network());
using context = train::context<net_type>;
static_assert(train::callback<recorder, context> && !train::callback<const recorder, context>);
static_assert(!train::callback<deaf, context> && train::callback<train::progress, context>);

template <class... Extras>
train::history fit(net_type& net, train::options how, Extras&&... extras)
{
    static const auto cloud = support::clouds<float>(50, 1);
    structopt::random_engine rng(2);
    return train::fit(net, train::labelled{cloud.x, cloud.labels}, nn::cross_entropy{},
        optim::sgd{.rate = 0.1}, how, rng, extras...);
}

} // namespace

TEST_SUITE("smoke.callback")
{
    TEST_CASE("every hook is called, in order")
    {
        auto net = small_network();
        recorder all;
        fit(net, {.epochs = 2, .batch = 20}, all);
        CHECK(all.log == "begin epoch0( gs20 gs20 gs10 )1 epoch1( gs20 gs20 gs10 )2 end2");
        recorder none;
        fit(net, {.epochs = 0}, none);
        CHECK(none.log == "begin end-1");
    }
}

TEST_CASE("a hook may end the training anywhere")
{
    const auto steps_until = [](auto callback)
    {
        auto net = small_network();
        recorder log;
        const auto history = fit(net, {.epochs = 3, .batch = 20}, callback, log);
        CHECK(history.stopped);
        return log.log;
    };
    CHECK(steps_until(at_begin{}) == "begin end-1");
    CHECK(steps_until(at_epoch_begin{}) == "begin epoch0( gs20 gs20 gs10 )1 epoch1( end1");
    CHECK(steps_until(at_gradients{}) == "begin epoch0( gs20 end-1");
    CHECK(steps_until(train::after_step(
              [](auto& at)
              {
                  return at.run.batch == 2 ? train::control::stop : train::control::go_on;
              })) == "begin epoch0( gs20 gs20 end-1");
    CHECK(steps_until(train::after_epoch(
              [](auto&)
              {
                  return train::control::stop;
              })) == "begin epoch0( gs20 gs20 gs10 )1 end1");
}

TEST_CASE("a mask applied after every step holds")
{
    auto net = small_network();
    index_t calls = 0;
    fit(net, {.epochs = 2, .batch = 10},
        train::after_step(
            [&](auto& at)
            {
                at.network.template layer<0>().weight(3, 1) = 0;
                ++calls;
            }));
    CHECK(calls == 10);
    CHECK(net.layer<0>().weight(3, 1) == 0.0f);
    CHECK(net.layer<0>().weight(3, 0) != 0.0f);
}

TEST_CASE("a callback may make the network smaller in the middle of a training")
{
    auto net = small_network();
    const auto history = fit(net, {.epochs = 4, .batch = 20},
        train::after_epoch(
            [&](auto& at)
            {
                if (at.record->epoch != 2)
                {
                    return;
                }
                const std::vector<index_t> keep{0, 2, 5};
                const auto smaller = [&](auto& network)
                {
                    network.template layer<0>() = network.template layer<0>().select_outputs(keep);
                    network.template layer<2>() = network.template layer<2>().select_inputs(keep);
                };
                smaller(at.network);
                for (auto& slot : at.run.optimizer.slots)
                {
                    smaller(slot);
                }
            }));
    CHECK(history.epochs.size() == 4);
    CHECK(net.layer<0>().outputs() == 3);
}

TEST_CASE("early stopping: patience, min_delta, goal and the best network")
{
    using stopping_state = train::stopping_state<int>;
    const auto epochs_until = [](const train::early_stopping& rule, const std::vector<double>& seen)
    {
        stopping_state state;
        for (std::size_t i = 0; i < seen.size(); ++i)
        {
            if (rule.update(state, seen[i], static_cast<index_t>(i + 1), static_cast<int>(i + 1)))
            {
                return std::pair<std::size_t, index_t>(i + 1, state.network.value_or(0));
            }
        }
        return std::pair<std::size_t, index_t>(0, state.network.value_or(0));
    };
    const double not_a_number = std::numeric_limits<double>::quiet_NaN();
    using result = std::pair<std::size_t, index_t>;
    CHECK(epochs_until({.patience = 2}, {3, 2, 2, 2}) == result{4, 2});
    CHECK(epochs_until({.patience = 2}, {3, 2, 2.5, 1, 1, 1}) == result{6, 4});
    CHECK(epochs_until({.patience = 3}, {3, 2, 2, 2}) == result{0, 2});
    CHECK(epochs_until({.patience = 1, .min_delta = 0.5}, {3, 2.6}) == result{2, 1});
    CHECK(epochs_until({.patience = 1, .min_delta = 0.5}, {3, 2.4, 1}) == result{0, 3});
    CHECK(epochs_until({.patience = 2, .mode = schedule::goal::maximum}, {1, 2, 1, 2}) ==
          result{4, 2});
    CHECK(epochs_until({.patience = 2, .restore_best = false}, {1, 2, 3}) == result{3, 0});
    CHECK(epochs_until({.patience = 2}, {not_a_number, 5, not_a_number, 4}) == result{0, 4});
    CHECK(epochs_until({.patience = 1}, {not_a_number}) == result{1, 0});
    CHECK(epochs_until({.patience = 2, .mode = schedule::goal::maximum},
              {1, std::numeric_limits<double>::infinity(), 2}) == result{0, 3});
}

TEST_CASE("fit stops early, restores the best network, and says so")
{
    auto net = small_network();
    std::vector<net_type> after;
    // Every epoch is worse than the first: the callback breaks the network.
    const auto history =
        fit(net, {.epochs = 9, .batch = 20}, train::early_stopping{.watch = "loss", .patience = 3},
            train::after_epoch(
                [&](auto& at)
                {
                    after.push_back(at.network);
                    at.network.template layer<2>().bias(0) += 100.0f;
                }));
    CHECK(history.epochs.size() == 4);
    CHECK(history.stopped);
    CHECK(history.restored == 1);
    CHECK(net.layer<2>().bias(0) == after[0].layer<2>().bias(0));
}

TEST_CASE("a schedule that follows a measurement lowers the rate")
{
    auto net = small_network();
    const auto history = fit(net, {.epochs = 6, .batch = 20},
        train::per_epoch(schedule::reduce_on_plateau{
            .initial_rate = 0.25, .factor = 0.5, .patience = 1, .threshold = 0.99}));
    const std::vector<double> expected{0.25, 0.25, 0.25, 0.125, 0.125, 0.0625};
    for (std::size_t i = 0; i < expected.size(); ++i)
    {
        CHECK(history.epochs[i].rate == expected[i]);
    }
}

TEST_CASE("one cycle moves the momentum against the rate, if asked to")
{
    const auto cloud = support::clouds<float>(50, 1);
    const train::labelled data{cloud.x, cloud.labels};
    const schedule::one_cycle cycle{.max_rate = 0.1, .steps = 12};
    const auto run = [&](const auto& o, auto rate)
    {
        auto net = small_network();
        structopt::random_engine rng(2);
        train::fit(net, data, nn::cross_entropy{}, o, {.epochs = 3, .batch = 13}, rng, rate);
        return net.template layer<0>().weight(0, 0);
    };
    // By hand: one training per step, each with the optimizer that the step needs.
    const auto by_hand = [&](auto o, auto set)
    {
        auto net = small_network();
        structopt::random_engine rng(2);
        auto state = train::start(net, o, rng);
        for (index_t step = 0; step < 12; ++step)
        {
            set(o, cycle.momentum(step));
            train::resume(net, state, data, nn::cross_entropy{}, o, {.epochs = 3, .batch = 13},
                train::per_batch(cycle),
                train::after_step(
                    [&](auto&)
                    {
                        return train::control::pause;
                    }));
        }
        return net.template layer<0>().weight(0, 0);
    };
    CHECK(run(optim::momentum{}, train::per_batch(cycle, train::with_momentum{})) ==
          by_hand(optim::momentum{},
              [](auto& o, double m)
              {
                  o.beta = m;
              }));
    CHECK(run(optim::sgd{.momentum = 0.9}, train::per_batch(cycle, train::with_momentum{})) ==
          by_hand(optim::sgd{.momentum = 0.9},
              [](auto& o, double m)
              {
                  o.momentum = m;
              }));
    CHECK(run(optim::adam{}, train::per_batch(cycle, train::with_momentum{})) ==
          by_hand(optim::adam{},
              [](auto& o, double m)
              {
                  o.beta1 = m;
              }));
    CHECK(run(optim::adam{}, train::per_batch(cycle, train::with_momentum{})) !=
          run(optim::adam{}, train::per_batch(cycle)));
}

TEST_CASE("records tell their measurements by name")
{
    auto net = small_network();
    const auto cloud = support::clouds<float>(30, 5);
    const auto history = fit(net, {.epochs = 1},
        train::validate_on(train::labelled{cloud.x, cloud.labels}, "first"),
        train::validate_on(train::labelled{cloud.x, cloud.labels}, "second"), train::accuracy{});
    const auto& record = history.last();
    REQUIRE(record.measured.size() == 4);
    CHECK(record.measured[0].name == "first.loss");
    CHECK(record.measured[1].name == "first.accuracy");
    CHECK(record.at("second.loss") == record.at("first.loss"));
    CHECK(record.find("third.loss") == nullptr);
    CHECK_THROWS_WITH_AS(record.at("third.loss"),
        "train::epoch_record: expected one of loss, penalty, first.loss, first.accuracy, "
        "second.loss, second.accuracy, got third.loss",
        structopt::argument_error);
    CHECK_THROWS_AS(train::history{}.last(), structopt::argument_error);
}

TEST_CASE("progress: a line per epoch, and a bar with the time left on a terminal")
{
    auto net = small_network();
    std::ostringstream plain;
    fit(net, {.epochs = 2, .batch = 20}, train::progress{plain}, optim::l1{0.1});
    std::istringstream lines(plain.str());
    std::string line;
    REQUIRE(std::getline(lines, line));
    CHECK(line.rfind("epoch 1/2: loss ", 0) == 0);
    CHECK(line.find(", penalty ") != std::string::npos);
    CHECK(line.find(", rate 0.1, ") != std::string::npos);
    REQUIRE(std::getline(lines, line));
    CHECK(line.rfind("epoch 2/2: loss ", 0) == 0);
    CHECK_FALSE(std::getline(lines, line));
    CHECK(plain.str().find('\r') == std::string::npos);

    std::ostringstream terminal;
    fit(net, {.epochs = 1, .batch = 20}, train::progress{terminal, true},
        train::early_stopping{.patience = 2});
    const std::string text = terminal.str();
    CHECK(text.find("\repoch 1/1 [========>               ] 1/3  loss ") != std::string::npos);
    CHECK(text.find("  ETA 0:0") != std::string::npos);
    CHECK(text.find("\repoch 1/1: loss ") != std::string::npos);
    CHECK(text.find("ended after epoch 1, network of epoch 1\n") != std::string::npos);
    CHECK(text.back() == '\n');
}

} // namespace test_callback
