/// @file
/// Rates given one by one, each for its own stretch of steps.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `rates[number of boundaries <= step]`.
///
/// A boundary is the first step of the next rate. (Keras' class of this name keeps the old rate at
/// the boundary itself: its boundaries are ours minus one.)
struct piecewise_constant
{
    /// Increasing.
    std::vector<index_t> boundaries = {};
    /// One more than there are boundaries.
    std::vector<double> rates = {0.01};

    /// @throws argument_error on boundaries that do not increase, a number of rates other than
    /// that of the boundaries plus one, or a rate that is negative or not finite.
    void validate() const
    {
        const detail::schedule_check check{"piecewise_constant"};
        check.increasing("boundaries", boundaries);
        if (rates.size() != boundaries.size() + 1)
        {
            check.fail("rates", "one rate more than there are boundaries",
                std::to_string(rates.size()) + " rates for " + std::to_string(boundaries.size()) +
                    " boundaries");
        }
        for (const double rate : rates)
        {
            check.not_negative("rates", rate);
        }
    }

    /// The rate of update `step` >= 0. Linear in the number of boundaries.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"piecewise_constant"}.argument(step);
        std::size_t at = 0;
        while (at < boundaries.size() && boundaries[at] <= step)
        {
            ++at;
        }
        return rates[at];
    }

    bool operator==(const piecewise_constant&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
