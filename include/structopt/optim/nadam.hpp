/// @file
/// Nadam: Adam with Nesterov's momentum.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Adam whose step mixes the gradient with the next step's momentum: with
/// mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) and P_t the product of mu up to t,
/// w -= rate (mu_{t+1} m / (1 - P_{t+1}) + (1 - mu_t) g / (1 - P_t)) / (sqrt(v') + eps)
/// (Dozat, "Incorporating Nesterov Momentum into Adam", 2016, algorithm 2). PyTorch's `NAdam`.
struct nadam
{
    double rate = 2e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double momentum_decay = 4e-3;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr std::size_t slots = 2;
    static constexpr bool zeroes_gradients = true;

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::nadam"};
        check.not_negative("rate", rate);
        check.average("beta1", beta1);
        check.average("beta2", beta2);
        check.not_negative("eps", eps);
        check.not_negative("momentum_decay", momentum_decay);
        check.not_negative("weight_decay", weight_decay);
    }

    /// Multiplies this step's momentum into the product that the state keeps.
    void begin(update_step& at) const noexcept
    {
        at.aux *= momentum_at(at.count);
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        const double now = momentum_at(at.count);
        const double next = momentum_at(at.count + 1);
        const double second = 1.0 - std::pow(beta2, static_cast<double>(at.count));
        kernel::nadam_rule<T> rule{};
        rule.now = static_cast<T>(at.rate * (1.0 - now) / (1.0 - at.aux));
        rule.next = static_cast<T>(at.rate * next / (1.0 - at.aux * next));
        rule.decay = static_cast<T>(detail::decay_for(weight_decay, decay_biases, at.role));
        rule.beta1 = static_cast<T>(beta1);
        rule.rest1 = static_cast<T>(1.0 - beta1);
        rule.beta2 = static_cast<T>(beta2);
        rule.rest2 = static_cast<T>(1.0 - beta2);
        rule.root = static_cast<T>(1.0 / std::sqrt(second));
        rule.eps = static_cast<T>(eps);
        detail::apply<Arch>(rule, values, gradients, kept, at.zero_gradients);
    }

    friend bool operator==(const nadam&, const nadam&) = default;

private:
    double momentum_at(index_t step) const noexcept
    {
        return beta1 * (1.0 - 0.5 * std::pow(0.96, static_cast<double>(step) * momentum_decay));
    }
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
