/// @file
/// The rate falls by the same factor at every step.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rate * gamma^(step / every)` with a real quotient; PyTorch's `ExponentialLR` at `every` = 1.
///
/// `rate * exp(-k step)` is gamma = exp(-k).
struct exponential_decay
{
    double rate = 0.01;
    double gamma = 0.95;
    /// Steps in which the rate falls by one whole factor.
    index_t every = 1;

    /// @throws argument_error on a rate or factor that is negative or not finite, or `every` < 1.
    void validate() const
    {
        const detail::schedule_check check{"exponential_decay"};
        check.not_negative("rate", rate);
        check.not_negative("gamma", gamma);
        check.period("every", every);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"exponential_decay"}.argument(step);
        return rate * std::pow(gamma, static_cast<double>(step) / static_cast<double>(every));
    }

    bool operator==(const exponential_decay&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
