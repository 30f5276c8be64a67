// Runs a packed network on every instruction set that the program has and the machine runs.
#include "model.hpp"

#include <structopt/simd/active_target.hpp>

#include <cmath>
#include <cstdio>
#include <string>

#ifndef STRUCTOPT_DISPATCH
#error "the library of structopt_target_kernels hands its definition on"
#endif

int main()
{
    const float chosen = packed_output();
    bool right = chosen != 0;
    for (const std::string_view name : structopt::simd::available_targets())
    {
        const structopt::simd::use_target use(name);
        const float found = packed_output();
        std::printf("%s: %g\n", std::string(name).c_str(), static_cast<double>(found));
        right = right && std::abs(found - chosen) <= 1e-5F;
    }
    std::printf("chosen: %s\n", std::string(structopt::simd::active_target()).c_str());
    return right ? 0 : 1;
}
