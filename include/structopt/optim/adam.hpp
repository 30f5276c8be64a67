/// @file
/// Adam.
#pragma once

#include <structopt/optim/apply.hpp>
#include <structopt/optim/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{
namespace detail
{

/// One update of Adam, whether the decay is part of the gradient (`decay`) or not (`shrink`).
template <class Arch, class T, class O>
void adam_update(const O& o, double decay, double shrink, std::span<T> values,
    std::span<T> gradients, std::span<const std::span<T>> kept, const update_step& at) noexcept
{
    const auto count = static_cast<double>(at.count);
    const double first = 1.0 - std::pow(o.beta1, count);
    const double second = 1.0 - std::pow(o.beta2, count);
    const auto run = [&](auto rule)
    {
        rule.rate = static_cast<T>(at.rate / first);
        rule.decay = static_cast<T>(decay);
        rule.shrink = static_cast<T>(shrink);
        rule.beta1 = static_cast<T>(o.beta1);
        rule.rest1 = static_cast<T>(1.0 - o.beta1);
        rule.beta2 = static_cast<T>(o.beta2);
        rule.rest2 = static_cast<T>(1.0 - o.beta2);
        rule.root = static_cast<T>(1.0 / std::sqrt(second));
        rule.eps = static_cast<T>(o.eps);
        detail::apply<Arch>(rule, values, gradients, kept, at.zero_gradients);
    };
    if (o.amsgrad)
    {
        run(kernel::adam_rule<T, true>{});
    }
    else
    {
        run(kernel::adam_rule<T, false>{});
    }
}

} // namespace detail

/// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, then w -= rate m' / (sqrt(v') + eps)
/// with m' = m / (1 - beta1^t), v' = v / (1 - beta2^t) (Kingma and Ba, "Adam", 2015, algorithm 1).
///
/// g includes weight_decay w: for decoupled decay take `adamw`. PyTorch's `Adam`.
struct adam
{
    double rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    /// Divides by the largest v so far: see `amsgrad`.
    bool amsgrad = false;
    double weight_decay = 0.0;
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
        const detail::option_check check{"optim::adam"};
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
        detail::adam_update<Arch>(*this, detail::decay_for(weight_decay, decay_biases, at.role),
            1.0, values, gradients, kept, at);
    }

    friend bool operator==(const adam&, const adam&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
