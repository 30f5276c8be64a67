/// @file
/// Rounding to whole numbers: nearest with ties to even, nearest with ties away from zero, at random.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/quantize/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// To the nearest, halves to the even one: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2. PyTorch's.
///
/// In the default rounding mode of the processor.
struct nearest_even
{
    float operator()(float x) const noexcept
    {
        return std::nearbyint(x);
    }

    friend bool operator==(const nearest_even&, const nearest_even&) = default;
};

/// To the nearest, halves away from zero: 0.5 -> 1, -2.5 -> -3. TensorFlow Lite's.
struct half_away
{
    float operator()(float x) const noexcept
    {
        // The largest number below a half: x + 0.5 itself rounds up from just below a half.
        return std::trunc(x + std::copysign(0x1.fffffep-2f, x));
    }

    friend bool operator==(const half_away&, const half_away&) = default;
};

/// Up with the probability of the fraction, down otherwise: right on average.
///
/// Takes one number of the engine per value, in the order of the values: slice by slice, row-major
/// within a slice.
struct stochastic
{
    random_engine& rng;

    float operator()(float x) const noexcept
    {
        const float below = std::floor(x);
        return below + (uniform<float>(rng) < x - below ? 1.0f : 0.0f);
    }
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
