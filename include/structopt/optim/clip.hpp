/// @file
/// Gradient clipping, by the norm of all gradients together or by value.
#pragma once

#include <structopt/optim/nonfinite_error.hpp>
#include <structopt/optim/parameter_block.hpp>
#include <structopt/optim/step.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Something that limits gradients in place; returns the number it judged by (a norm).
template <class C>
concept gradient_clip = requires(const C& c, nn::parameter_span<float> one)
{
    requires C::clips_gradients;
    c.validate();
};

/// The norm of all trainable gradients of a network, as one long vector: (sum |g|^p)^(1/p), or the
/// largest |g| for p = infinity. Summed in double; NaN or infinite if a gradient is. Throws
/// `argument_error` unless p > 0.
template <class Net>
double gradient_norm(const Net& gradients, double p = 2.0)
{
    using T = element_type<Net>;
    if (structopt::detail::is_nan(p) || p <= 0)
    {
        structopt::detail::raise<argument_error>(
            "optim::gradient_norm p", "a number above 0, or infinity", detail::number_text(p));
    }
    // The list is of mutable spans; nothing is written through it.
    const auto list = nn::trainable_parameters<T>(const_cast<Net&>(gradients));
    const bool largest = !is_finite(p);
    double total = 0;
    for (const auto& one : list)
    {
        const auto n = static_cast<index_t>(one.values.size());
        const index_t grain = detail::update_grain;
        std::vector<double> parts(static_cast<std::size_t>((n + grain - 1) / grain), 0.0);
        structopt::parallel_for(n, grain,
            [&](index_t first, index_t last)
            {
                const auto part = one.values.subspan(
                    static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
                double& sum = parts[static_cast<std::size_t>(first / grain)];
                if (largest)
                {
                    for (const T v : part)
                    {
                        const double size = std::fabs(static_cast<double>(v));
                        sum = size > sum || !is_finite(size) ? size : sum;
                        if (!is_finite(sum))
                        {
                            break;
                        }
                    }
                }
                else if (p == 2.0)
                {
                    sum = detail::sum_over(part,
                        [](double v)
                        {
                            return v * v;
                        });
                }
                else
                {
                    sum = detail::sum_over(part,
                        [p](double v)
                        {
                            return p == 1.0 ? std::fabs(v) : std::pow(std::fabs(v), p);
                        });
                }
            });
        for (const double part : parts)
        {
            if (!largest)
            {
                total += part;
            }
            else if (is_finite(total) && (part > total || !is_finite(part)))
            {
                total = part;
            }
        }
    }
    return largest || p == 1.0 ? total : p == 2.0 ? std::sqrt(total) : std::pow(total, 1.0 / p);
}

/// Scales all gradients by max_norm / (norm + 1e-6) where their common norm is above max_norm
/// (Pascanu et al., "On the difficulty of training recurrent neural networks", 2013, algorithm 1).
/// PyTorch's `clip_grad_norm_`.
struct clip_norm
{
    double max_norm = 1.0;
    /// p of the norm; infinity for the largest element.
    double norm = 2.0;
    /// Throws `nonfinite_error` on gradients that are NaN or infinite. Otherwise they all become
    /// NaN or zero, as in PyTorch.
    bool raise_nonfinite = false;

    static constexpr bool clips_gradients = true;

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::clip_norm"};
        check.not_negative("max_norm", max_norm);
        if (!(norm > 0))
        {
            check.fail("norm", "a number above 0, or infinity", norm);
        }
    }

    /// Limits the gradients; returns their norm before.
    template <class Net>
    double operator()(Net& gradients) const
    {
        validate();
        using T = element_type<Net>;
        const double total = optim::gradient_norm(gradients, norm);
        if (raise_nonfinite && !is_finite(total))
        {
            structopt::detail::raise<nonfinite_error>(
                "optim::clip_norm", "a finite norm of the gradients", detail::number_text(total));
        }
        const double factor = max_norm / (total + 1e-6);
        if (factor < 1.0 || !is_finite(total))
        {
            for (const auto& one : nn::trainable_parameters<T>(gradients))
            {
                for (T& g : one.values)
                {
                    g *= static_cast<T>(factor);
                }
            }
        }
        return total;
    }

    friend bool operator==(const clip_norm&, const clip_norm&) = default;
};

/// Limits every gradient to [-max_value, max_value]; a NaN stays one. PyTorch's
/// `clip_grad_value_`.
struct clip_value
{
    double max_value = 1.0;

    static constexpr bool clips_gradients = true;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::clip_value"}.not_negative("max_value", max_value);
    }

    /// Limits the gradients; returns the largest magnitude before.
    template <class Net>
    double operator()(Net& gradients) const
    {
        validate();
        using T = element_type<Net>;
        const double largest =
            optim::gradient_norm(gradients, std::numeric_limits<double>::infinity());
        const T bound = static_cast<T>(max_value);
        for (const auto& one : nn::trainable_parameters<T>(gradients))
        {
            for (T& g : one.values)
            {
                g = g > bound ? bound : g < -bound ? -bound : g;
            }
        }
        return largest;
    }

    friend bool operator==(const clip_value&, const clip_value&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
