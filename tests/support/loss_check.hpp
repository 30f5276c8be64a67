/// @file
/// Gradients of losses against central differences, in double.
#pragma once

#include <doctest/doctest.h>

#include <structopt/nn/loss/concepts.hpp>

#include "support/random_tensor.hpp"

#include <cmath>

namespace support
{

/// Checks a loss's gradient at `y`, that the value does not depend on whether a gradient is asked
/// for, and that float agrees with double. Points within `step` of a kink are the caller's concern.
template <class Loss, std::size_t N, class Target>
void check_loss_gradient(
    const Loss& loss, const structopt::tensor<double, N>& y, const Target& target)
{
    namespace nn = structopt::nn;
    const double step = 1e-6;
    const auto both = nn::value_and_gradient(loss, y, target);
    CHECK(nn::loss_value(loss, y, target) == both.value);
    auto moved = y;
    double largest = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        double& at = moved.data()[i];
        const double centre = at;
        at = centre + step;
        const double above = nn::loss_value(loss, moved, target);
        at = centre - step;
        const double below = nn::loss_value(loss, moved, target);
        at = centre;
        const double numeric = (above - below) / (2 * step);
        largest = std::abs(numeric) > largest ? std::abs(numeric) : largest;
        INFO("element " << i << ": gradient " << both.gradient.data()[i] << ", differences "
                        << numeric);
        REQUIRE(std::abs(both.gradient.data()[i] - numeric) <= 1e-8 * (1 + std::abs(numeric)));
    }
    CHECK(largest > 1e-3);
}

/// The same numbers as float.
template <std::size_t N>
structopt::tensor<float, N> to_float(const structopt::tensor<double, N>& x)
{
    auto y = structopt::make_tensor<float>(structopt::shape_of(x));
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        y.data()[i] = static_cast<float>(x.data()[i]);
    }
    return y;
}

} // namespace support
