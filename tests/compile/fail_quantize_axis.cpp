// expect: quantize::per_channel<Axis>: the tensor has no such axis
// A matrix has the axes 0 and 1.
#include <structopt/quantize.hpp>

using namespace structopt;

auto encode(view<const float, 2> w)
{
    return quantize::encode(w, quantize::symmetric<8>{}, quantize::per_channel<2>{});
}
