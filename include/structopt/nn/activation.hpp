/// @file
/// Activation functions that work element by element. Each is a `pointwise` struct: a user's own
/// needs the same two members.
///
/// Values and derivatives are PyTorch's, also where a function has a corner.
#pragma once

#include <structopt/nn/layer.hpp>

#include <cmath>
#include <concepts>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

namespace detail
{

/// 1 / (1 + exp(-x)), by the exponential that does not overflow.
template <std::floating_point T>
T logistic(T x) noexcept
{
    const T e = std::exp(x < T(0) ? x : -x);
    return x < T(0) ? e / (T(1) + e) : T(1) / (T(1) + e);
}

} // namespace detail

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
        return y <= T(0) ? T(0) : T(1);
    }

    friend bool operator==(const relu&, const relu&) = default;
};

/// x where it is positive, slope x elsewhere (Maas et al., "Rectifier Nonlinearities Improve Neural
/// Network Acoustic Models", 2013).
struct leaky_relu
{
    static constexpr std::string_view name = "leaky_relu";

    double slope = 0.01;

    template <std::floating_point T>
    constexpr T value(T x) const noexcept
    {
        return x > T(0) ? x : x * static_cast<T>(slope);
    }

    template <std::floating_point T>
    constexpr T derivative(T x, T) const noexcept
    {
        return x > T(0) ? T(1) : static_cast<T>(slope);
    }

    friend bool operator==(const leaky_relu&, const leaky_relu&) = default;
};

/// x where it is positive, alpha (exp(x) - 1) elsewhere (Clevert et al., "Exponential Linear
/// Units", 2016).
struct elu
{
    static constexpr std::string_view name = "elu";

    double alpha = 1.0;

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return x > T(0) ? x : static_cast<T>(alpha) * std::expm1(x);
    }

    template <std::floating_point T>
    T derivative(T x, T) const noexcept
    {
        return x <= T(0) ? static_cast<T>(alpha) * std::exp(x) : T(1);
    }

    friend bool operator==(const elu&, const elu&) = default;
};

/// x P(N <= x) for a standard normal N, by the error function (Hendrycks and Gimpel, "Gaussian
/// Error Linear Units", 2016).
struct gelu
{
    static constexpr std::string_view name = "gelu";

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return x * below(x);
    }

    template <std::floating_point T>
    T derivative(T x, T) const noexcept
    {
        const T density = T(0.398942280401432677939946) * std::exp(T(-0.5) * x * x);
        return below(x) + x * density;
    }

    friend bool operator==(const gelu&, const gelu&) = default;

private:
    /// erfc keeps the digits of the lower tail, where 1 + erf loses them.
    template <std::floating_point T>
    static T below(T x) noexcept
    {
        return T(0.5) * std::erfc(x * T(-0.707106781186547524400844));
    }
};

/// The approximation x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 of `gelu`.
struct gelu_tanh
{
    static constexpr std::string_view name = "gelu_tanh";

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return T(0.5) * x * (T(1) + std::tanh(inner(x)));
    }

    template <std::floating_point T>
    T derivative(T x, T) const noexcept
    {
        const T t = std::tanh(inner(x));
        const T slope = T(root) * (T(1) + T(3 * 0.044715) * x * x);
        return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * slope;
    }

    friend bool operator==(const gelu_tanh&, const gelu_tanh&) = default;

private:
    static constexpr double root = 0.797884560802865355879892;

    template <std::floating_point T>
    static T inner(T x) noexcept
    {
        return T(root) * (x + T(0.044715) * x * x * x);
    }
};

/// 1 / (1 + exp(-x)).
struct sigmoid
{
    static constexpr std::string_view name = "sigmoid";

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return detail::logistic(x);
    }

    template <std::floating_point T>
    constexpr T derivative(T, T y) const noexcept
    {
        return y * (T(1) - y);
    }

    friend bool operator==(const sigmoid&, const sigmoid&) = default;
};

/// x sigmoid(x), also called Swish (Ramachandran et al., "Searching for Activation Functions",
/// 2017).
struct silu
{
    static constexpr std::string_view name = "silu";

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return x * detail::logistic(x);
    }

    template <std::floating_point T>
    T derivative(T x, T) const noexcept
    {
        const T s = detail::logistic(x);
        return s * (T(1) + x * (T(1) - s));
    }

    friend bool operator==(const silu&, const silu&) = default;
};

/// The hyperbolic tangent. Under `using namespace`, write `nn::tanh{}`: the C library has a function
/// of this name.
struct tanh
{
    static constexpr std::string_view name = "tanh";

    template <std::floating_point T>
    T value(T x) const noexcept
    {
        return std::tanh(x);
    }

    template <std::floating_point T>
    constexpr T derivative(T, T y) const noexcept
    {
        return T(1) - y * y;
    }

    friend bool operator==(const tanh&, const tanh&) = default;
};

/// min(max(x + 3, 0), 6) / 6: a sigmoid of three pieces (Howard et al., "Searching for MobileNetV3",
/// 2019).
struct hard_sigmoid
{
    static constexpr std::string_view name = "hard_sigmoid";

    template <std::floating_point T>
    constexpr T value(T x) const noexcept
    {
        return x < T(-3) ? T(0) : x > T(3) ? T(1) : (x + T(3)) / T(6);
    }

    template <std::floating_point T>
    constexpr T derivative(T x, T) const noexcept
    {
        return x > T(-3) && x < T(3) ? T(1) / T(6) : T(0);
    }

    friend bool operator==(const hard_sigmoid&, const hard_sigmoid&) = default;
};

/// x hard_sigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019).
struct hard_swish
{
    static constexpr std::string_view name = "hard_swish";

    template <std::floating_point T>
    constexpr T value(T x) const noexcept
    {
        return x * hard_sigmoid{}.value(x);
    }

    template <std::floating_point T>
    constexpr T derivative(T x, T) const noexcept
    {
        return x < T(-3) ? T(0) : x <= T(3) ? x / T(3) + T(0.5) : T(1);
    }

    friend bool operator==(const hard_swish&, const hard_swish&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
