/// @file
/// Gradient descent with momentum.
#pragma once

#include <structopt/optim/sgd.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Classical momentum: b = beta b + g, then w -= rate b (Polyak, 1964). `sgd` with a momentum.
struct momentum
{
    double rate = 1e-3;
    /// The share of the last step that the next one keeps; above 0.
    double beta = 0.9;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr bool zeroes_gradients = true;

    /// The same, spelled as `sgd`.
    constexpr sgd expanded() const noexcept
    {
        return {.rate = rate,
            .momentum = beta,
            .weight_decay = weight_decay,
            .decay_biases = decay_biases};
    }

    std::size_t slots() const noexcept
    {
        return expanded().slots();
    }

    /// @throws argument_error
    void validate() const
    {
        expanded().validate();
        if (beta == 0)
        {
            detail::option_check{"optim::momentum"}.positive("beta", beta);
        }
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        expanded().template update<T, Arch>(values, gradients, kept, at);
    }

    friend bool operator==(const momentum&, const momentum&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
