/// @file
/// The same rate for ever.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rate` at every step.
struct constant
{
    double rate = 0.01;

    /// @throws argument_error on a negative or non-finite rate.
    void validate() const
    {
        detail::schedule_check{"constant"}.not_negative("rate", rate);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"constant"}.argument(step);
        return rate;
    }

    bool operator==(const constant&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
