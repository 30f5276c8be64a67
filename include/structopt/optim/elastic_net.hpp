/// @file
/// Penalties on every weight: L1, L2, and both.
#pragma once

#include <structopt/optim/regularizer.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// l1 sum |w| + l2 / 2 sum w^2 (Zou and Hastie, "Regularization and variable selection via the
/// elastic net", 2005). The gradient is l1 sign(w) + l2 w, with sign(0) = 0.
struct elastic_net
{
    double l1 = 0.0;
    double l2 = 0.0;

    /// @throws argument_error
    void validate() const
    {
        const detail::option_check check{"optim::elastic_net"};
        check.not_negative("l1", l1);
        check.not_negative("l2", l2);
    }

    template <class T>
    double add(const parameter_block<const T>& w, std::span<T> gradient) const noexcept
    {
        const T absolute = static_cast<T>(l1);
        const T squared = static_cast<T>(l2);
        const T* const values = w.values.data();
        T* const into = gradient.data();
        const std::size_t n = gradient.size();
        for (std::size_t i = 0; l2 != 0 && i < n; ++i)
        {
            into[i] += squared * values[i];
        }
        for (std::size_t i = 0; l1 != 0 && i < n; ++i)
        {
            into[i] += values[i] > 0 ? absolute : values[i] < 0 ? -absolute : T(0);
        }
        double sum = 0;
        if (l1 != 0)
        {
            sum += l1 * detail::sum_over(w.values,
                            [](double v)
                            {
                                return v < 0 ? -v : v;
                            });
        }
        if (l2 != 0)
        {
            sum += l2 / 2 *
                   detail::sum_over(w.values,
                       [](double v)
                       {
                           return v * v;
                       });
        }
        return sum;
    }

    friend bool operator==(const elastic_net&, const elastic_net&) = default;
};

/// strength sum |w|: pulls every weight towards 0 by the same amount. The gradient is
/// strength sign(w), with sign(0) = 0.
struct l1
{
    double strength = 1e-4;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::l1"}.not_negative("strength", strength);
    }

    template <class T>
    double add(const parameter_block<const T>& w, std::span<T> gradient) const noexcept
    {
        return elastic_net{.l1 = strength}.add(w, gradient);
    }

    friend bool operator==(const l1&, const l1&) = default;
};

/// strength / 2 sum w^2. The gradient strength w is that of coupled weight decay; a penalty without
/// the half has twice the strength.
struct l2
{
    double strength = 1e-4;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::l2"}.not_negative("strength", strength);
    }

    template <class T>
    double add(const parameter_block<const T>& w, std::span<T> gradient) const noexcept
    {
        return elastic_net{.l2 = strength}.add(w, gradient);
    }

    friend bool operator==(const l2&, const l2&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
