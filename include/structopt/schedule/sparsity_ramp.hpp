/// @file
/// The clock that the gradual sparsity schedules share: when to prune, and how far the ramp is.
#pragma once

#include <structopt/schedule/check.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace detail
{

/// Updates at `begin`, `begin + frequency`, ... and at `end`; none before and after.
struct sparsity_ramp
{
    index_t begin;
    index_t end;
    index_t frequency;

    void validate(const schedule_check& check) const
    {
        check.steps("begin", begin);
        if (end <= begin)
        {
            check.fail("end", "a step after begin", std::to_string(end));
        }
        check.period("frequency", frequency);
    }

    bool due(index_t step) const noexcept
    {
        return step >= begin && step <= end && (step == end || (step - begin) % frequency == 0);
    }

    /// The part of the way, from 0 to 1, at which the latest update at or before `step` >= `begin`
    /// was: it stays the same between updates.
    double progress(index_t step) const noexcept
    {
        if (step >= end)
        {
            return 1.0;
        }
        const index_t since = (step - begin) / frequency * frequency;
        return static_cast<double>(since) / static_cast<double>(end - begin);
    }
};

} // namespace detail
STRUCTOPT_END_NAMESPACE
