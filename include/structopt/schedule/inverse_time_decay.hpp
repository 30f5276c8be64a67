/// @file
/// The rate falls as one over the time: the form that Robbins and Monro's conditions allow.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rate / (1 + decay * step / every)`; with `staircase` the quotient is a whole number.
///
/// At power one of the time the sum of rates diverges and the sum of their squares does not
/// (Robbins and Monro, "A stochastic approximation method", 1951).
struct inverse_time_decay
{
    double rate = 0.01;
    double decay = 0.01;
    index_t every = 1;
    bool staircase = false;

    /// @throws argument_error on a rate or decay that is negative or not finite, or `every` < 1.
    void validate() const
    {
        const detail::schedule_check check{"inverse_time_decay"};
        check.not_negative("rate", rate);
        check.not_negative("decay", decay);
        check.period("every", every);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"inverse_time_decay"}.argument(step);
        const double time = staircase ? static_cast<double>(step / every)
                                      : static_cast<double>(step) / static_cast<double>(every);
        return rate / (1.0 + decay * time);
    }

    bool operator==(const inverse_time_decay&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
