// expect: packed and quantized weights are not pruned
// Codes have no gradients.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/train.hpp>

using namespace structopt;

template <class Network>
auto look(const Network& net, const train::labelled<float, 2>& data, random_engine& rng)
{
    return prune::observe(net, data, nn::cross_entropy{}, prune::taylor{}, {}, rng);
}

auto observe(const nn::sequential<nn::dense<float>>& net, const train::labelled<float, 2>& data,
    random_engine& rng)
{
    return look(quantize::convert(net), data, rng);
}
