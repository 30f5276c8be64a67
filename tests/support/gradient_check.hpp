/// @file
/// Backward passes against central differences, in double.
#pragma once

#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>

#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace support
{

using structopt::index_t;
using structopt::tensor;

struct gradient_check_options
{
    double step = 1e-5;
    double tolerance = 1e-7;
    std::uint64_t seed = 7;
    /// Largest gradient below which a parameter counts as unused: that is an error.
    double least = 1e-3;
};

namespace detail
{

/// Sum of weight * output of one training pass, whose random layers always draw the same.
template <class L, std::size_t N, class Weight>
double weighted_output(
    const L& network, const tensor<double, N>& x, const Weight& weight, std::uint64_t seed)
{
    structopt::random_engine rng(seed);
    auto kept = structopt::nn::make_cache(network, x, rng);
    const auto& y = structopt::nn::forward(network, x, kept);
    double total = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        total += weight.data()[i] * y.data()[i];
    }
    return total;
}

inline void compare(const std::string& what, const std::vector<double>& analytic,
    const std::vector<double>& numeric, const gradient_check_options& options)
{
    double largest = 0;
    for (const double g : numeric)
    {
        largest = std::max(largest, std::abs(g));
    }
    INFO(what);
    CHECK(largest > options.least);
    for (std::size_t i = 0; i < numeric.size(); ++i)
    {
        INFO("element " << i << ": backward " << analytic[i] << ", differences " << numeric[i]);
        REQUIRE(std::abs(analytic[i] - numeric[i]) <= options.tolerance * (1 + largest));
    }
}

} // namespace detail

/// Checks the gradients of all trainable parameters and of the input, that `backward` adds to the
/// gradients and overwrites dx, and that it does the same without dx.
template <class L, std::size_t N>
void check_gradients(
    const L& network, const tensor<double, N>& x, gradient_check_options options = {})
{
    namespace nn = structopt::nn;
    structopt::random_engine rng(options.seed);
    auto kept = nn::make_cache(network, x, rng);
    const auto weight =
        random_tensor<double>(structopt::shape_of(nn::forward(network, x, kept)), rng);

    structopt::random_engine same(options.seed);
    kept = nn::make_cache(network, x, same);
    nn::forward(network, x, kept);
    auto gradients = nn::zeros_like(network);
    const double offset = 0.5;
    for (auto& parameter : nn::trainable_parameters<double>(gradients))
    {
        std::fill(parameter.values.begin(), parameter.values.end(), offset);
    }
    auto dx = structopt::full<double>(structopt::shape_of(x), 123.0);
    nn::backward(network, weight, kept, gradients, dx);

    auto without = nn::zeros_like(network);
    nn::backward(network, weight, kept, without);

    L probe = network;
    const auto values = nn::trainable_parameters<double>(probe);
    const auto slopes = nn::trainable_parameters<double>(gradients);
    const auto others = nn::trainable_parameters<double>(without);
    REQUIRE(values.size() == slopes.size());
    for (std::size_t p = 0; p < values.size(); ++p)
    {
        REQUIRE(values[p].values.size() == slopes[p].values.size());
        std::vector<double> analytic;
        std::vector<double> numeric;
        for (std::size_t i = 0; i < values[p].values.size(); ++i)
        {
            double& value = values[p].values[i];
            const double centre = value;
            value = centre + options.step;
            const double above = detail::weighted_output(probe, x, weight, options.seed);
            value = centre - options.step;
            const double below = detail::weighted_output(probe, x, weight, options.seed);
            value = centre;
            analytic.push_back(slopes[p].values[i] - offset);
            numeric.push_back((above - below) / (2 * options.step));
            REQUIRE(std::abs(others[p].values[i] - analytic.back()) <=
                    1e-12 * (1 + std::abs(analytic.back())));
        }
        detail::compare("parameter " + std::to_string(p), analytic, numeric, options);
    }

    auto moved = x;
    std::vector<double> numeric;
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        double& value = moved.data()[i];
        const double centre = value;
        value = centre + options.step;
        const double above = detail::weighted_output(network, moved, weight, options.seed);
        value = centre - options.step;
        const double below = detail::weighted_output(network, moved, weight, options.seed);
        value = centre;
        numeric.push_back((above - below) / (2 * options.step));
    }
    detail::compare("input", {dx.data(), dx.data() + dx.size()}, numeric, options);
}

} // namespace support
