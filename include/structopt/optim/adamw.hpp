/// @file
/// Adam with decoupled weight decay.
#pragma once

#include <structopt/optim/adam.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// w *= 1 - rate weight_decay, then Adam's step on the plain gradient (Loshchilov and Hutter,
/// "Decoupled Weight Decay Regularization", 2019). PyTorch's `AdamW`.
struct adamw
{
    double rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    /// Divides by the largest v so far: see `amsgrad`.
    bool amsgrad = false;
    double weight_decay = 1e-2;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr bool zeroes_gradients = true;

    std::size_t slots() const noexcept
    {
        return amsgrad ? 3 : 2;
    }

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::adamw"};
        check.not_negative("rate", rate);
        check.average("beta1", beta1);
        check.average("beta2", beta2);
        check.not_negative("eps", eps);
        check.not_negative("weight_decay", weight_decay);
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        const double decay = detail::decay_for(weight_decay, decay_biases, at.role);
        detail::adam_update<Arch>(*this, 0.0, 1.0 - at.rate * decay, values, gradients, kept, at);
    }

    friend bool operator==(const adamw&, const adamw&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
