// expect: put_a_flatten_between<.*conv2d.*dense
// A dense layer takes [batch, features]; images have to be flattened first.
#include <structopt/nn.hpp>

using namespace structopt::nn;

void build(structopt::random_engine& rng)
{
    sequential net{conv2d{{.in = 1, .out = 8, .kernel = 3}, rng}, relu{},
        dense{{.in = 8 * 26 * 26, .out = 10}, rng}};
}
