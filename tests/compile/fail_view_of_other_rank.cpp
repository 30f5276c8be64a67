// expect: (no matching function|could not convert|no viable conversion|no match)
// A tensor of rank 3 is not taken where a view of rank 2 is asked for.
#include <structopt/core.hpp>

void takes(structopt::view<const float, 2>);

void call(const structopt::tensor<float, 3>& x)
{
    takes(x);
}
