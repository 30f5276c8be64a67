/// @file
/// The rate falls to a final one along a power of the time that is left; linear decay at power 1.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `final_rate + (rate - final_rate) * (1 - min(step, steps) / steps)^power`; PyTorch's
/// `PolynomialLR` at `final_rate` = 0.
struct polynomial_decay
{
    double rate = 0.01;
    double final_rate = 0.0;
    /// Steps of the whole decay; `final_rate` from there on.
    index_t steps = 100;
    double power = 1.0;

    /// @throws argument_error on a rate that is negative or not finite, `steps` < 1 or a power that
    /// is not above 0.
    void validate() const
    {
        const detail::schedule_check check{"polynomial_decay"};
        check.not_negative("rate", rate);
        check.not_negative("final_rate", final_rate);
        check.period("steps", steps);
        check.positive("power", power);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"polynomial_decay"}.argument(step);
        if (step >= steps)
        {
            return final_rate;
        }
        const double left = static_cast<double>(steps - step) / static_cast<double>(steps);
        return final_rate + (rate - final_rate) * std::pow(left, power);
    }

    bool operator==(const polynomial_decay&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
