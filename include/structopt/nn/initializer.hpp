/// @file
/// Initial weights. An initializer is a small struct that fills a weight [outputs, inputs...] from
/// its fans; a user's own satisfies `initializer` in five lines.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/core/tensor.hpp>

#include <cmath>
#include <concepts>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Fills a weight seen as a matrix [outputs, inputs]. `fan_in` and `fan_out` count the kernel's
/// positions too, for convolutions.
template <class I>
concept initializer = requires(
    const I& fill, view<float, 2> weight, index_t fan, random_engine& rng)
{
    fill(weight, fan, fan, rng);
};

/// Uniform on +-sqrt(6 / fan_in): keeps the variance through ReLU layers (He et al., "Delving Deep
/// into Rectifiers", 2015, equation 10). The default of every layer.
struct he_uniform
{
    template <std::floating_point T>
    void operator()(view<T, 2> weight, index_t fan_in, index_t, random_engine& rng) const
    {
        const T bound = std::sqrt(T(6) / static_cast<T>(fan_in > 0 ? fan_in : 1));
        for (T& w : weight.flat())
        {
            w = structopt::uniform<T>(rng, -bound, bound);
        }
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
