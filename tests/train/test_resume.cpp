#include <doctest/doctest.h>

#include <structopt/io/checkpoint.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/loss/cross_entropy.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim.hpp>
#include <structopt/schedule/one_cycle.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/train.hpp>

#include "support/digits.hpp"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace test_resume
{

namespace
{

namespace io = structopt::io;
namespace nn = structopt::nn;
namespace optim = structopt::optim;
namespace schedule = structopt::schedule;
namespace train = structopt::train;
using structopt::index_t;

/// With layers that draw random numbers and keep statistics.
auto network(std::uint64_t seed = 1)
{
    structopt::random_engine rng(seed);
    return nn::sequential{nn::dense{{.in = 2, .out = 8}, rng},
        nn::batch_norm<float>{{.features = 8}}, nn::relu{}, nn::dropout{0.25},
        nn::dense{{.in = 8, .out = 3}, rng}};
}

using net_type = decltype(network());

bool same_network(const net_type& a, const net_type& b)
{
    std::vector<float> numbers[2];
    const net_type* both[2] = {&a, &b};
    for (int i = 0; i < 2; ++i)
    {
        nn::visit_parameters(*both[i],
            [&](const nn::parameter_name&, const auto& parameter, nn::role)
            {
                numbers[i].insert(
                    numbers[i].end(), parameter.data(), parameter.data() + parameter.size());
            });
    }
    return numbers[0].size() == numbers[1].size() && numbers[0].size() > 40 &&
           std::memcmp(numbers[0].data(), numbers[1].data(), numbers[0].size() * sizeof(float)) ==
               0;
}

/// All but the time.
bool same_history(train::history a, train::history b)
{
    for (auto* history : {&a, &b})
    {
        for (auto& record : history->epochs)
        {
            record.seconds = 0;
        }
    }
    return a == b;
}

const support::samples<float>& training()
{
    static const auto cloud = support::clouds<float>(90, 1);
    return cloud;
}

const support::samples<float>& validation()
{
    static const auto cloud = support::clouds<float>(60, 2);
    return cloud;
}

constexpr train::options how{.epochs = 8, .batch = 16};

template <class O, class... Extras>
void go(net_type& net, auto& run, const O& o, Extras&&... extras)
{
    train::resume(net, run, train::labelled{training().x, training().labels}, nn::cross_entropy{},
        o, how, extras..., train::validate_on(train::labelled{validation().x, validation().labels}),
        train::accuracy{});
}

struct temporary_file
{
    std::string path;

    explicit temporary_file(const std::string& name)
        : path((std::filesystem::temp_directory_path() /
                ("structopt_" + name + "_" + std::to_string(::getpid()) + ".safetensors"))
                   .string())
    {
    }

    ~temporary_file()
    {
        std::remove(path.c_str());
    }
};

/// Trains in one go, and again with an interruption after `steps` steps during which everything
/// goes through a file into a network of other numbers and a fresh state.
template <class O, class... Extras>
void check_resume(index_t steps, const O& o, const Extras&... extras)
{
    INFO("interrupted after step " << steps);
    structopt::random_engine rng(5);
    structopt::random_engine same(5);
    auto whole = network();
    auto whole_run = train::start(whole, o, rng, extras...);
    go(whole, whole_run, o, extras...);

    auto first = network();
    auto first_run = train::start(first, o, same, extras...);
    go(first, first_run, o, extras...,
        train::after_step(
            [&](auto& at)
            {
                return at.run.optimizer.step == steps ? train::control::pause
                                                      : train::control::go_on;
            }));
    CHECK(first_run.optimizer.step == steps);
    CHECK(same_network(first, whole) == (steps == 48)); // the last step of all
    const temporary_file file("resume");
    io::save_checkpoint(file.path, first, first_run);

    auto second = network(77);
    structopt::random_engine other(99);
    auto second_run = train::start(second, o, other, extras...);
    io::load_checkpoint(file.path, second, second_run);
    CHECK(same_network(first, second));
    go(second, second_run, o, extras...);
    CHECK(same_network(whole, second));
    CHECK(same_history(whole_run.history, second_run.history));
    CHECK(whole_run.rng == second_run.rng);
    CHECK(whole_run.finished == second_run.finished);
}

} // namespace

TEST_CASE("an interrupted training goes on bit for bit: between epochs and within")
{
    for (const index_t steps : {6, 7, 20, 36, 48})
    {
        check_resume(steps, optim::adam{.rate = 0.01});
    }
}

TEST_CASE("... with every kind of state")
{
    check_resume(9, optim::sgd{.rate = 0.1});
    check_resume(9, optim::nadam{.rate = 0.01});
    check_resume(9, optim::rmsprop{.rate = 0.01, .centered = true, .momentum = 0.5});
    check_resume(15, optim::adamw{}, train::early_stopping{.patience = 8},
        train::per_batch(schedule::one_cycle{.max_rate = 0.05, .steps = 48}));
    check_resume(20, optim::momentum{.rate = 0.2}, optim::clip_norm{}, optim::l2{1e-3},
        optim::max_norm{.max = 1},
        train::early_stopping{
            .watch = "validation.accuracy", .patience = 2, .mode = schedule::goal::maximum},
        train::per_epoch(schedule::reduce_on_plateau{
            .initial_rate = 0.2, .patience = 0, .threshold = 0.1, .cooldown = 1}));
}

TEST_CASE("a checkpoint of the epoch in which early stopping decides goes on to the same end")
{
    const train::early_stopping soon{
        .watch = "validation.accuracy", .patience = 1, .mode = schedule::goal::maximum};
    const optim::adam o{.rate = 0.05};
    structopt::random_engine rng(6);
    auto whole = network();
    auto run = train::start(whole, o, rng, soon);
    net_type copy = whole;
    auto copied_run = run;
    go(whole, run, o, soon,
        train::after_epoch(
            [&](auto& at)
            {
                copy = at.network;
                copied_run = at.run;
            }));
    REQUIRE(run.history.stopped);
    REQUIRE(run.history.epochs.size() < 8);
    CHECK(run.history.restored == run.history.epochs.size() - 1);
    CHECK_FALSE(same_network(copy, whole));
    const temporary_file file("stopped");
    io::save_checkpoint(file.path, copy, copied_run);

    auto second = network(77);
    structopt::random_engine other(99);
    auto second_run = train::start(second, o, other, soon);
    io::load_checkpoint(file.path, second, second_run);
    go(second, second_run, o, soon);
    CHECK(same_network(whole, second));
    CHECK(same_history(run.history, second_run.history));
    go(second, second_run, o, soon);
    CHECK(same_network(whole, second));
}

TEST_CASE("a callback's copy of network and state goes on bit for bit")
{
    structopt::random_engine rng(6);
    auto net = network();
    const optim::adam o;
    auto run = train::start(net, o, rng);
    net_type copy = net;
    auto copied_run = run;
    go(net, run, o,
        train::after_epoch(
            [&](auto& at)
            {
                if (at.record->epoch == 3)
                {
                    copy = at.network;
                    copied_run = at.run;
                }
            }));
    CHECK(copied_run.epoch == 3);
    go(copy, copied_run, o);
    CHECK(same_network(net, copy));
    CHECK(same_history(run.history, copied_run.history));
}

TEST_CASE("layers with running averages take in every batch of training, none of validation")
{
    structopt::random_engine rng(6);
    auto net = network();
    const auto& norm = net.layer<1>();
    std::vector<float> means;
    auto run = train::start(net, optim::sgd{.rate = 0}, rng);
    go(net, run, optim::sgd{.rate = 0},
        train::after_step(
            [&](auto& at)
            {
                means.push_back(at.network.template layer<1>().running_mean(0));
            }));
    REQUIRE(means.size() == 48);
    for (std::size_t i = 1; i < means.size(); ++i)
    {
        CHECK(means[i] != means[i - 1]);
    }
    CHECK(norm.running_mean(0) == means.back());
}

TEST_CASE("fit draws one number; more epochs continue where fewer ended")
{
    structopt::random_engine rng(6);
    structopt::random_engine same(6);
    auto net = network();
    train::fit(net, train::labelled{training().x, training().labels}, nn::cross_entropy{},
        optim::adam{}, {.epochs = 4, .batch = 16}, rng);
    auto other = network();
    auto run = train::start(other, optim::adam{}, same);
    CHECK(rng == same);
    for (const index_t epochs : {1, 3, 4})
    {
        train::resume(other, run, train::labelled{training().x, training().labels},
            nn::cross_entropy{}, optim::adam{}, {.epochs = epochs, .batch = 16});
    }
    CHECK(same_network(net, other));
}

TEST_CASE("a training that was stopped stays stopped; other data is refused")
{
    structopt::random_engine rng(6);
    auto net = network();
    const optim::adam o;
    auto run = train::start(net, o, rng);
    go(net, run, o,
        train::after_step(
            [](auto& at)
            {
                return at.run.optimizer.step == 5 ? train::control::stop : train::control::go_on;
            }));
    CHECK(run.finished);
    auto before = net;
    go(net, run, o);
    CHECK(same_network(net, before));

    run.finished = false;
    run.batch = 7;
    CHECK_THROWS_WITH_AS(go(net, run, o),
        "train::resume state: expected at most 6 finished batches of this data, got 7",
        structopt::argument_error);
    auto few = train::start(net, optim::momentum{}, rng);
    CHECK_THROWS_AS(go(net, few, o), structopt::argument_error);
}

TEST_CASE("checkpoints: what is not one is refused, and nothing changes")
{
    structopt::random_engine rng(6);
    auto net = network();
    const optim::adam o;
    auto run = train::start(net, o, rng);
    go(net, run, o, train::early_stopping{.patience = 3});
    const temporary_file file("checkpoint");
    io::save_checkpoint(file.path, net, run);

    auto loaded = network(3);
    const auto before = loaded;
    auto state = train::start(loaded, o, rng);
    const auto unchanged = [&]
    {
        return same_network(loaded, before) && state.optimizer.step == 0;
    };
    const temporary_file plain("plain");
    io::save_state(net, plain.path);
    CHECK_THROWS_AS(io::load_checkpoint(plain.path, loaded, state), structopt::format_error);
    CHECK(unchanged());

    // Another network: the layers do not have these parameters.
    nn::sequential other{nn::dense{{.in = 2, .out = 3}, rng}};
    auto other_state = train::start(other, o, rng);
    CHECK_THROWS_AS(io::load_checkpoint(file.path, other, other_state), structopt::format_error);

    // Cut anywhere, the file is refused.
    std::ifstream in(file.path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const temporary_file cut("cut");
    for (std::size_t length = 0; length < bytes.size(); length += 97)
    {
        std::ofstream(cut.path, std::ios::binary)
            .write(bytes.data(), static_cast<std::streamsize>(length));
        CHECK_THROWS_AS(io::load_checkpoint(cut.path, loaded, state), structopt::format_error);
    }
    CHECK(unchanged());

    io::load_checkpoint(file.path, loaded, state);
    CHECK(same_network(loaded, net));
    CHECK(state.history == run.history); // times too
    CHECK(state.stopping.best_epoch == run.stopping.best_epoch);
    CHECK(same_network(*state.stopping.network, *run.stopping.network));

    // The network alone loads as any other.
    auto deployed = network(9);
    io::load_state(deployed, file.path, {.prefix = "network."});
    CHECK(same_network(deployed, net));
}

} // namespace test_resume
