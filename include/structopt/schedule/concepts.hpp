/// @file
/// What a schedule is: a function of the number of steps done so far.
///
/// A step is whatever the caller counts: batches or epochs. A schedule keeps no count of its own,
/// so that resuming a training needs the number alone.
#pragma once

#include <structopt/core/shape.hpp>

#include <concepts>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// A learning-rate schedule: `rate(step)` is the rate of update number `step`, from 0.
///
/// The rate is absolute: the base rate is one of the schedule's options, and what it returns goes
/// to the optimizer as it is. A lambda that takes a step and returns a number is a schedule.
template <class S>
concept rate_schedule = std::copy_constructible<S> && requires(const S& s, index_t step)
{
    {
        s(step)
        } -> std::convertible_to<double>;
};

/// A learning-rate schedule that follows a measured value, such as the validation loss.
///
/// `make_state()` gives the value to keep (and save) between updates, `update(state, metric)` tells
/// it a new measurement, `rate(state)` is the rate from there on.
template <class S>
concept metric_schedule = std::copy_constructible<S> && std::copyable<typename S::state_type> &&
    requires(const S& s, typename S::state_type& state, double metric)
{
    {
        s.make_state()
        } -> std::same_as<typename S::state_type>;
    s.update(state, metric);
    {
        s.rate(state)
        } -> std::convertible_to<double>;
};

/// A sparsity schedule: `sparsity(step)` is the share of weights that are zero, from 0 to 1, and
/// `due(step)` tells whether the pruned set is to be chosen anew at that step.
template <class S>
concept sparsity_schedule = std::copy_constructible<S> && requires(const S& s, index_t step)
{
    {
        s.sparsity(step)
        } -> std::convertible_to<double>;
    {
        s.due(step)
        } -> std::convertible_to<bool>;
};

/// Checks a schedule's options before training starts: calls `s.validate()` where there is one.
///
/// Schedules of the library also check at every call, so a wrong option never divides by zero.
/// @throws argument_error names the schedule, the option and what it was.
template <class S>
void validate(const S& s)
{
    if constexpr (requires { s.validate(); })
    {
        s.validate();
    }
}

} // namespace schedule
STRUCTOPT_END_NAMESPACE
