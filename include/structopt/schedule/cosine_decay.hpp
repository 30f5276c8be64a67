/// @file
/// Half a cosine from the first rate down to the final one.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>
#include <numbers>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `final_rate + (rate - final_rate) * (1 + cos(pi * step / steps)) / 2`, and `final_rate` from
/// `steps` on (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts).
///
/// PyTorch's `CosineAnnealingLR` agrees up to `steps`; after that it climbs again, this one stays.
struct cosine_decay
{
    double rate = 0.01;
    double final_rate = 0.0;
    /// Steps of the whole decay.
    index_t steps = 100;

    /// @throws argument_error on a rate that is negative or not finite, or `steps` < 1.
    void validate() const
    {
        const detail::schedule_check check{"cosine_decay"};
        check.not_negative("rate", rate);
        check.not_negative("final_rate", final_rate);
        check.period("steps", steps);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"cosine_decay"}.argument(step);
        if (step >= steps)
        {
            return final_rate;
        }
        const double part = static_cast<double>(step) / static_cast<double>(steps);
        return final_rate + (rate - final_rate) * (1.0 + std::cos(std::numbers::pi * part)) / 2.0;
    }

    bool operator==(const cosine_decay&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
