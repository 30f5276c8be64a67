/// @file
/// Activation functions that work element by element. Each is a `pointwise` struct: a user's own
/// needs the same two members.
#pragma once

#include <structopt/nn/layer.hpp>

#include <cmath>
#include <concepts>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// max(x, 0). NaN stays NaN.
struct relu
{
    static constexpr std::string_view name = "relu";

    template <std::floating_point T>
    constexpr T value(T x) const noexcept
    {
        return x < T(0) ? T(0) : x;
    }

    template <std::floating_point T>
    constexpr T derivative(T, T y) const noexcept
    {
        return y > T(0) ? T(1) : T(0);
    }

    friend bool operator==(const relu&, const relu&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
