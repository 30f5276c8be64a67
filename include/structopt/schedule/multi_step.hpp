/// @file
/// A staircase with steps at chosen points, all of the same factor.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rate * gamma^(number of milestones <= step)`, PyTorch's `MultiStepLR`.
struct multi_step
{
    double rate = 0.01;
    /// Increasing; the rate falls at the milestone itself.
    std::vector<index_t> milestones = {};
    double gamma = 0.1;

    /// @throws argument_error on a rate or factor that is negative or not finite, or milestones
    /// that do not increase.
    void validate() const
    {
        const detail::schedule_check check{"multi_step"};
        check.not_negative("rate", rate);
        check.increasing("milestones", milestones);
        check.not_negative("gamma", gamma);
    }

    /// The rate of update `step` >= 0. Linear in the number of milestones.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"multi_step"}.argument(step);
        index_t passed = 0;
        for (const index_t milestone : milestones)
        {
            passed += milestone <= step ? 1 : 0;
        }
        return rate * std::pow(gamma, static_cast<double>(passed));
    }

    bool operator==(const multi_step&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
