// expect: movement is gathered while training
// What moves in training is not seen in samples.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>
#include <structopt/train.hpp>

using namespace structopt;

auto look(const nn::sequential<nn::dense<float>>& net, const train::labelled<float, 2>& data,
    random_engine& rng)
{
    return prune::observe(net, data, nn::cross_entropy{}, prune::movement{}, {}, rng);
}
