// expect: no_forward_in<doubled>
// A layer needs output_shape and forward; this one has only the first.
#include <structopt/nn.hpp>

using namespace structopt;

struct doubled
{
    shape<2> output_shape(const shape<2>& in) const
    {
        return in;
    }
};

auto run(const tensor<float, 2>& x)
{
    const nn::sequential net{nn::relu{}, doubled{}};
    return net(x);
}
