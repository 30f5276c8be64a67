// L1 and L2 penalties with early stopping: what they do to accuracy and to the weights.

#include "data.hpp"

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/train.hpp>

#include <cmath>
#include <cstdio>

using namespace structopt;

namespace
{

template <class... Penalties>
void run(const char* name, const data::samples& all, const Penalties&... penalties)
{
    random_engine rng(3);
    nn::sequential net{
        nn::dense{{.in = 64, .out = 64}, rng}, nn::relu{}, nn::dense{{.in = 64, .out = 10}, rng}};
    const train::labelled digits(all.x, all.labels);
    const auto history = train::fit(net, train::range(digits, 0, 1078), nn::cross_entropy{},
        optim::adam{.rate = 0.003}, {.epochs = 100, .batch = 32}, rng, penalties...,
        train::validate_on(train::range(digits, 1078, 1348)), train::accuracy{},
        train::early_stopping{.patience = 8});
    train::accuracy metric;
    const double reached = train::evaluate(net, train::range(digits, 1078, 1348), metric)[0];
    index_t small = 0;
    double sum = 0;
    for (const float w : net.template layer<0>().weight)
    {
        small += std::abs(w) < 1e-3f;
        sum += std::abs(static_cast<double>(w));
    }
    std::printf("%-8s stopped after %3zu epochs, validation accuracy %.2f %%, first layer: "
                "mean |w| %.4f, %td of 4096 weights below 0.001\n",
        name, history.epochs.size(), 100 * reached, sum / 4096, small);
}

} // namespace

int main()
{
    const auto all = data::digits(STRUCTOPT_EXAMPLE_DATA);
    run("none", all);
    run("l1", all, optim::l1{.strength = 2e-4});
    run("l2", all, optim::l2{.strength = 1e-3});
    run("both", all, optim::l1{.strength = 1e-4}, optim::l2{.strength = 5e-4});
}
