/// @file
/// Adagrad.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// s += g^2, then w -= rate_t g / (sqrt(s) + eps) with rate_t = rate / (1 + (t - 1) rate_decay)
/// (Duchi et al., "Adaptive Subgradient Methods", 2011). PyTorch's `Adagrad`.
struct adagrad
{
    double rate = 1e-2;
    /// PyTorch's `lr_decay`.
    double rate_decay = 0.0;
    /// What the sums of squares begin with.
    double initial_accumulator = 0.0;
    double eps = 1e-10;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr std::size_t slots = 1;
    static constexpr bool zeroes_gradients = true;

    double slot_start(std::size_t) const noexcept
    {
        return initial_accumulator;
    }

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::adagrad"};
        check.not_negative("rate", rate);
        check.not_negative("rate_decay", rate_decay);
        check.not_negative("initial_accumulator", initial_accumulator);
        check.not_negative("eps", eps);
        check.not_negative("weight_decay", weight_decay);
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        const double slower = 1.0 + static_cast<double>(at.count - 1) * rate_decay;
        detail::apply<Arch>(
            kernel::adagrad_rule<T>{static_cast<T>(at.rate / slower),
                static_cast<T>(detail::decay_for(weight_decay, decay_biases, at.role)),
                static_cast<T>(eps)},
            values, gradients, kept, at.zero_gradients);
    }

    friend bool operator==(const adagrad&, const adagrad&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
