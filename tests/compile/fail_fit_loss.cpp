// expect: this loss does not compare
// A loss between tensors does not take labels.
#include <structopt/nn/dense.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim/sgd.hpp>
#include <structopt/schedule/constant.hpp>
#include <structopt/train.hpp>

using namespace structopt;

void train_it(nn::sequential<nn::dense<float>>& net, const train::labelled<float, 2>& data,
    random_engine& rng)
{
    train::fit(net, data, nn::mse{}, optim::sgd{}, {}, rng);
}
