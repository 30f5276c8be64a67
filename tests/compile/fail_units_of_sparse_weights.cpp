// expect: units are removed from dense weights
// Rows and columns of a sparse weight stay: units go first, zeros second.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>
#include <structopt/sparse/model.hpp>

using namespace structopt;

auto remove(const nn::sequential<nn::dense<sparse::csr<float>>>& net)
{
    return prune::choose_units(net, shape<2>{1, 8}, prune::magnitude{}, {.sparsity = 0.5});
}
