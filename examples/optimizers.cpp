// Every optimizer by its name on the same small network and data, with options of their own.

#include "data.hpp"

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/train.hpp>

#include <cstdio>

using namespace structopt;

namespace
{

template <class Optimizer>
void run(const char* name, const data::samples& all, const Optimizer& optimizer)
{
    random_engine rng(1);
    nn::sequential net{
        nn::dense{{.in = 64, .out = 32}, rng}, nn::relu{}, nn::dense{{.in = 32, .out = 10}, rng}};
    const train::labelled digits(all.x, all.labels);
    const auto history = train::fit(net, train::range(digits, 0, 1078), nn::cross_entropy{},
        optimizer, {.epochs = 20, .batch = 32}, rng,
        train::validate_on(train::range(digits, 1078, 1348)), train::accuracy{});
    std::printf("%-10s rate %-6g loss %.4f, validation accuracy %.2f %%\n", name,
        static_cast<double>(optimizer.rate), history.epochs.back().loss,
        100 * history.epochs.back().at("validation.accuracy"));
}

} // namespace

int main()
{
    const auto all = data::digits(STRUCTOPT_EXAMPLE_DATA);
    run("sgd", all, optim::sgd{.rate = 0.1});
    run("momentum", all, optim::momentum{.rate = 0.02});
    run("nesterov", all, optim::nesterov{.rate = 0.02});
    run("adagrad", all, optim::adagrad{.rate = 0.02});
    run("adadelta", all, optim::adadelta{.rate = 1.0});
    run("adam", all, optim::adam{.rate = 0.003});
    run("amsgrad", all, optim::amsgrad{.rate = 0.003});
    run("adamw", all, optim::adamw{.rate = 0.003, .weight_decay = 0.01});
    run("rmsprop", all, optim::rmsprop{.rate = 0.001, .centered = true});
    run("nadam", all, optim::nadam{.rate = 0.003});
}
