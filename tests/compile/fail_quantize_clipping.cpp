// expect: clipping is for schemes fitted to a range, and this one is fitted to the values
#include <structopt/quantize.hpp>

using namespace structopt;

auto encode(view<const float, 2> w)
{
    return quantize::encode(
        w, quantize::codebook<16>{}, quantize::per_tensor{}, quantize::percentile{});
}
