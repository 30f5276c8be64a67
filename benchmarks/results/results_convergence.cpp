// Epochs and seconds until 784-300-100-10 reaches 97 % on MNIST: each optimizer under a constant
// rate, step decay and a cosine.
//
// The rate of each optimizer is chosen among four on a validation split (the last 5,000 training
// images), by the accuracy after two epochs at a constant rate with a seed of its own. The 97 % are
// measured on the same split, after every epoch; the test set is read once per run, at the end.

#include "../../examples/data.hpp"
#include "result_table.hpp"

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

using namespace structopt;

namespace
{

constexpr index_t most_epochs = 6;
constexpr double goal = 0.97;

/// Stops as soon as the validation accuracy is reached.
struct until_goal
{
    template <class Context>
    train::control on_epoch_end(Context& at)
    {
        return at.record->at("validation.accuracy") >= goal ? train::control::stop
                                                            : train::control::go_on;
    }
};

struct run_result
{
    double epochs = 0; ///< most_epochs + 1 if the goal was not reached
    double seconds = 0;
    double validation = 0;
    double test = 0;
};

struct mnist
{
    data::samples train;
    data::samples test;
};

template <class Optimizer>
run_result run(const mnist& sets, const Optimizer& optimizer,
    const std::function<double(index_t)>& rate, index_t epochs, std::uint64_t seed, bool read_test)
{
    random_engine rng(seed);
    nn::sequential net{nn::dense{{.in = 784, .out = 300}, rng}, nn::relu{},
        nn::dense{{.in = 300, .out = 100}, rng}, nn::relu{},
        nn::dense{{.in = 100, .out = 10}, rng}};
    const train::labelled all(sets.train.x, sets.train.labels);
    const index_t n = all.size();
    const std::clock_t start = std::clock();
    const auto history = train::fit(net, train::range(all, 0, n - 5000), nn::cross_entropy{},
        optimizer, {.epochs = epochs, .batch = 64}, rng, train::per_epoch(rate),
        train::validate_on(train::range(all, n - 5000, n)), train::accuracy{}, until_goal{});
    run_result result;
    result.seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    result.validation = history.epochs.back().at("validation.accuracy");
    result.epochs = result.validation >= goal ? static_cast<double>(history.epochs.size())
                                              : static_cast<double>(most_epochs + 1);
    if (read_test)
    {
        train::accuracy metric;
        result.test =
            train::evaluate(net, train::labelled(sets.test.x, sets.test.labels), metric)[0];
    }
    return result;
}

/// To so many parts of one.
double rounded(double value, double parts)
{
    return std::round(value * parts) / parts;
}

template <class Optimizer>
void measure(results::table& table, const mnist& sets, const std::string& name, Optimizer optimizer,
    const std::array<double, 4>& rates)
{
    double best_rate = rates[0];
    double best = -1;
    for (const double rate : rates)
    {
        optimizer.rate = rate;
        const auto constant = [rate](index_t)
        {
            return rate;
        };
        const double reached = run(sets, optimizer, constant, 2, 100, false).validation;
        if (reached > best)
        {
            best = reached;
            best_rate = rate;
        }
    }
    optimizer.rate = best_rate;
    const std::vector<std::pair<std::string, std::function<double(index_t)>>> schedules{
        {"constant", schedule::constant{.rate = best_rate}},
        {"step", schedule::step_decay{.rate = best_rate, .every = 1, .gamma = 0.5}},
        {"cosine", schedule::cosine_decay{.rate = best_rate, .steps = most_epochs}}};
    for (const auto& [kind, rate] : schedules)
    {
        run_result mean;
        run_result worst;
        worst.test = 1;
        for (const std::uint64_t seed : {1u, 2u, 3u})
        {
            const auto r = run(sets, optimizer, rate, most_epochs, seed, true);
            mean.epochs += r.epochs / 3;
            mean.seconds += r.seconds / 3;
            mean.test += r.test / 3;
            worst.epochs = std::max(worst.epochs, r.epochs);
            worst.seconds = std::max(worst.seconds, r.seconds);
            worst.test = std::min(worst.test, r.test);
        }
        table.add({{"optimizer", name}, {"schedule", kind}, {"rate", best_rate},
            {"epochs", rounded(mean.epochs, 100)}, {"epochs_worst", worst.epochs},
            {"seconds", rounded(mean.seconds, 100)}, {"seconds_worst", rounded(worst.seconds, 100)},
            {"test_accuracy", rounded(mean.test, 100000)},
            {"test_accuracy_worst", rounded(worst.test, 100000)}});
    }
}

} // namespace

int main(int argc, char** argv)
{
    try
    {
        const std::string folder = results::environment("STRUCTOPT_DATA_DIR") + "/mnist";
        const mnist sets{data::mnist(folder, "train"), data::mnist(folder, "t10k")};
        results::table table("convergence", {1, 2, 3},
            "Epochs and seconds of processor time (one thread, batch 64) until 784-300-100-10 has "
            "97 % of 5,000 validation images of MNIST right, mean and worst of 3 seeds; 7 epochs: "
            "not within 6. Step halves the rate every epoch, a cosine reaches 0 after 6. Rates "
            "chosen on the validation split, test accuracy read once at the end of each run.");
        measure(table, sets, "sgd", optim::sgd{}, {0.03, 0.1, 0.3, 0.6});
        measure(table, sets, "momentum", optim::momentum{}, {0.01, 0.03, 0.1, 0.2});
        measure(table, sets, "nesterov", optim::nesterov{}, {0.01, 0.03, 0.1, 0.2});
        measure(table, sets, "adagrad", optim::adagrad{}, {0.003, 0.01, 0.03, 0.1});
        measure(table, sets, "adadelta", optim::adadelta{}, {0.3, 1.0, 3.0, 10.0});
        measure(table, sets, "adam", optim::adam{}, {3e-4, 1e-3, 2e-3, 4e-3});
        measure(table, sets, "amsgrad", optim::amsgrad{}, {3e-4, 1e-3, 2e-3, 4e-3});
        measure(table, sets, "adamw", optim::adamw{}, {3e-4, 1e-3, 2e-3, 4e-3});
        measure(table, sets, "rmsprop", optim::rmsprop{}, {1e-4, 3e-4, 1e-3, 2e-3});
        measure(table, sets, "nadam", optim::nadam{}, {3e-4, 1e-3, 2e-3, 4e-3});
        table.write(results::output_folder(argc, argv));
        return 0;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "results_convergence: %s\n", e.what());
        return 1;
    }
}
