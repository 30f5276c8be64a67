// expect: quantize::symmetric<Bits>: Bits is 2 to 8, or 16
#include <structopt/quantize.hpp>

using namespace structopt;

auto encode(view<const float, 2> w)
{
    return quantize::encode(w, quantize::symmetric<9>{});
}
