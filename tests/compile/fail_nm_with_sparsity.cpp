// expect: an N:M pattern fixes how many weights go
// Of every four two stay: there is no sparsity to choose.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>

using namespace structopt;

auto choose(const nn::sequential<nn::dense<>>& net)
{
    return prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.5}, prune::nm<2, 4>{});
}
