// expect: add 'using value_type = float;' to the layer or container that owns the weights
// A layer that has a weight, but does not say what its numbers are.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>

using namespace structopt;

struct scaled
{
    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, nn::role::weight);
    }

    tensor<float, 2> weight;
};

auto remove(const nn::sequential<scaled, nn::relu>& net)
{
    return prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.5});
}
