/// @file
/// A staircase: the rate falls by the same factor every so many steps.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rate * gamma^floor(step / every)`, PyTorch's `StepLR`.
///
/// The exponent grows with the steps. (Multiplying the base rate by gamma only where
/// `step % every == 0`, as one sometimes reads, gives one lower rate on those steps and no decay.)
struct step_decay
{
    double rate = 0.01;
    index_t every = 30;
    double gamma = 0.1;

    /// @throws argument_error on a rate or factor that is negative or not finite, or `every` < 1.
    void validate() const
    {
        const detail::schedule_check check{"step_decay"};
        check.not_negative("rate", rate);
        check.period("every", every);
        check.not_negative("gamma", gamma);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"step_decay"}.argument(step);
        return rate * std::pow(gamma, static_cast<double>(step / every));
    }

    bool operator==(const step_decay&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
