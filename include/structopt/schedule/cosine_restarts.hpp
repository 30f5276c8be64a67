/// @file
/// Half cosines one after the other, each starting again from the first rate.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>
#include <limits>
#include <numbers>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `final_rate + (rate - final_rate) * (1 + cos(pi * t / T)) / 2`, t steps into a period of T
/// (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation
/// 5); PyTorch's `CosineAnnealingWarmRestarts` with T_0 = `period` and T_mult = `growth`.
struct cosine_restarts
{
    double rate = 0.01;
    double final_rate = 0.0;
    /// Steps of the first period.
    index_t period = 10;
    /// Each period is this many times as long as the one before.
    index_t growth = 1;

    /// @throws argument_error on a rate that is negative or not finite, `period` or `growth` < 1.
    void validate() const
    {
        const detail::schedule_check check{"cosine_restarts"};
        check.not_negative("rate", rate);
        check.not_negative("final_rate", final_rate);
        check.period("period", period);
        if (growth < 1)
        {
            check.fail("growth", "a factor of at least 1", std::to_string(growth));
        }
    }

    /// The rate of update `step` >= 0. Logarithmic in the step where periods grow.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"cosine_restarts"}.argument(step);
        index_t at = step;
        index_t length = period;
        if (growth == 1)
        {
            at %= length;
        }
        while (at >= length)
        {
            at -= length;
            const index_t most = std::numeric_limits<index_t>::max();
            length = length > most / growth ? most : length * growth;
        }
        const double part = static_cast<double>(at) / static_cast<double>(length);
        return final_rate + (rate - final_rate) * (1.0 + std::cos(std::numbers::pi * part)) / 2.0;
    }

    bool operator==(const cosine_restarts&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
