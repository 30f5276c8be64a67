// expect: groups of weights lie in dense weights
// The stored numbers of a sparse weight have lost their rows.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>
#include <structopt/sparse/model.hpp>

using namespace structopt;

auto choose(const nn::sequential<nn::dense<sparse::csr<float>>>& net)
{
    return prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.5}, prune::rows{});
}
