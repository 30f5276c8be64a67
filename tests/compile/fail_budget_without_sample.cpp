// expect: this cost asks for the shape of a batch
// How many multiply-adds a convolution takes depends on its images.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>

using namespace structopt;

auto remove(const nn::sequential<nn::conv2d<>, nn::relu>& net)
{
    return prune::make_mask(
        net, prune::magnitude{}, prune::budget(prune::multiply_add_cost{}, 1e6));
}
