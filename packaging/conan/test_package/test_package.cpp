// Uses the packaged headers.
#include <structopt/core.hpp>

#include <cstdio>

int main()
{
    const auto x = structopt::full<float>(structopt::shape<2>{2, 3}, 1.5F);
    const structopt::view<const float, 2> v = x;
    float sum = 0;
    for (const float element : v.flat())
    {
        sum += element;
    }
    std::printf("structopt %d.%d.%d: %g\n", STRUCTOPT_VERSION_MAJOR, STRUCTOPT_VERSION_MINOR,
        STRUCTOPT_VERSION_PATCH, static_cast<double>(sum));
    return sum == 9.0F ? 0 : 1;
}
