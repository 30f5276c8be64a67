/// @file
/// Adadelta.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// s = rho s + (1 - rho) g^2, d = sqrt(u + eps) / sqrt(s + eps) g, u = rho u + (1 - rho) d^2, then
/// w -= rate d (Zeiler, "ADADELTA", 2012, algorithm 1). PyTorch's `Adadelta`.
struct adadelta
{
    double rate = 1.0;
    double rho = 0.9;
    double eps = 1e-6;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr std::size_t slots = 2;
    static constexpr bool zeroes_gradients = true;

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::adadelta"};
        check.not_negative("rate", rate);
        if (!(rho >= 0 && rho <= 1))
        {
            check.fail("rho", "a number from 0 to 1", rho);
        }
        check.positive("eps", eps);
        check.not_negative("weight_decay", weight_decay);
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        detail::apply<Arch>(
            kernel::adadelta_rule<T>{static_cast<T>(at.rate),
                static_cast<T>(detail::decay_for(weight_decay, decay_biases, at.role)),
                static_cast<T>(rho), static_cast<T>(1.0 - rho), static_cast<T>(eps)},
            values, gradients, kept, at.zero_gradients);
    }

    friend bool operator==(const adadelta&, const adadelta&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
