/// @file
/// Stochastic gradient descent, with momentum and Nesterov's variant.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// b = momentum b + (1 - dampening) g (b = g at the first step), then w -= rate b; with `nesterov`
/// w -= rate (g + momentum b). g includes weight_decay w. PyTorch's `SGD`.
///
/// (Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013;
/// as in PyTorch the rate multiplies the whole step, not only the gradient's share.)
struct sgd
{
    double rate = 1e-3;
    double momentum = 0.0;
    double dampening = 0.0;
    /// Needs a momentum and no dampening.
    bool nesterov = false;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr bool zeroes_gradients = true;

    std::size_t slots() const noexcept
    {
        return momentum != 0 ? 1 : 0;
    }

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::sgd"};
        check.not_negative("rate", rate);
        check.not_negative("momentum", momentum);
        if (!is_finite(dampening))
        {
            check.fail("dampening", "a finite number", dampening);
        }
        check.not_negative("weight_decay", weight_decay);
        if (nesterov && (momentum == 0 || dampening != 0))
        {
            check.fail("nesterov", "a momentum above 0 and no dampening",
                momentum == 0 ? momentum : dampening);
        }
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        const T speed = static_cast<T>(at.rate);
        const T decay = static_cast<T>(detail::decay_for(weight_decay, decay_biases, at.role));
        const T keep = static_cast<T>(at.count == 1 ? 0.0 : momentum);
        const T gain = static_cast<T>(at.count == 1 ? 1.0 : 1.0 - dampening);
        const T ahead = static_cast<T>(momentum);
        if (momentum == 0)
        {
            detail::apply<Arch>(
                kernel::sgd_rule<T>{speed, decay}, values, gradients, kept, at.zero_gradients);
        }
        else if (nesterov)
        {
            detail::apply<Arch>(kernel::momentum_rule<T, true>{speed, decay, keep, gain, ahead},
                values, gradients, kept, at.zero_gradients);
        }
        else
        {
            detail::apply<Arch>(kernel::momentum_rule<T, false>{speed, decay, keep, gain, ahead},
                values, gradients, kept, at.zero_gradients);
        }
    }

    friend bool operator==(const sgd&, const sgd&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
