/// @file
/// RMSprop, centred and with momentum too.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// s = alpha s + (1 - alpha) g^2, then w -= rate g / (sqrt(s) + eps) (Tieleman and Hinton, lecture
/// 6.5 of "Neural Networks for Machine Learning", 2012).
///
/// Centred, the square of the averaged gradient is subtracted from s (Graves, "Generating
/// Sequences With Recurrent Neural Networks", 2013, equation 40). With momentum the quotient goes
/// through b = momentum b + quotient. PyTorch's `RMSprop`.
struct rmsprop
{
    double rate = 1e-2;
    double alpha = 0.99;
    double eps = 1e-8;
    bool centered = false;
    double momentum = 0.0;
    double weight_decay = 0.0;
    /// Whether weight decay pulls on biases and scales too.
    bool decay_biases = true;

    static constexpr bool zeroes_gradients = true;

    std::size_t slots() const noexcept
    {
        return 1u + (centered ? 1u : 0u) + (momentum != 0 ? 1u : 0u);
    }

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::rmsprop"};
        check.not_negative("rate", rate);
        check.not_negative("alpha", alpha);
        check.not_negative("eps", eps);
        check.not_negative("momentum", momentum);
        check.not_negative("weight_decay", weight_decay);
    }

    template <class T, class Arch = simd::default_arch>
    void update(std::span<T> values, std::span<T> gradients, std::span<const std::span<T>> kept,
        const update_step& at) const noexcept
    {
        const auto run = [&](auto rule)
        {
            rule.rate = static_cast<T>(at.rate);
            rule.decay = static_cast<T>(detail::decay_for(weight_decay, decay_biases, at.role));
            rule.alpha = static_cast<T>(alpha);
            rule.rest = static_cast<T>(1.0 - alpha);
            rule.eps = static_cast<T>(eps);
            rule.momentum = static_cast<T>(momentum);
            detail::apply<Arch>(rule, values, gradients, kept, at.zero_gradients);
        };
        if (centered)
        {
            momentum != 0 ? run(kernel::rmsprop_rule<T, true, true>{})
                          : run(kernel::rmsprop_rule<T, true, false>{});
        }
        else
        {
            momentum != 0 ? run(kernel::rmsprop_rule<T, false, true>{})
                          : run(kernel::rmsprop_rule<T, false, false>{});
        }
    }

    friend bool operator==(const rmsprop&, const rmsprop&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
