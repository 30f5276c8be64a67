// expect: add 'using value_type = float;' to the layer or container that owns the weights
// Two dense layers in a container that does not say what its numbers are: not a network without units.
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>

using namespace structopt;

struct two_layers
{
    shape<2> output_shape(const shape<2>& in) const
    {
        return b.output_shape(a.output_shape(in));
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("a", self.a);
        visit("b", self.b);
    }

    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const
    {
        return walk(b, walk(a, in));
    }

    nn::dense<float> a;
    nn::dense<float> b;
};

auto remove(const two_layers& net)
{
    return prune::choose_units(net, shape<2>{1, 8}, prune::magnitude{}, {.sparsity = 0.5});
}
