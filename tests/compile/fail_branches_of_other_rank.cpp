// expect: ranks_differ_of_branches<.*conv2d.*global_avg_pool
// Both branches of a sum give tensors of one rank.
#include <structopt/nn.hpp>

using namespace structopt::nn;

void build(structopt::random_engine& rng)
{
    residual block{conv2d{{.in = 8, .out = 8, .kernel = 1}, rng}, global_avg_pool{}};
}
