/// @file
/// Automated gradual pruning: fast at first, slow near the target.
#pragma once

#include <structopt/schedule/concepts.hpp>
#include <structopt/schedule/sparsity_ramp.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `target + (initial - target) * (1 - p)^3`, where p runs from 0 at `begin` to 1 at `end` in
/// updates `frequency` steps apart; 0 before `begin`.
///
/// Zhu and Gupta, "To prune, or not to prune", 2017, equation 1:
/// s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3. Where `end - begin` is no multiple of
/// `frequency`, the last interval, the one before `end`, is shorter.
struct cubic_sparsity
{
    /// Share of zeros at `begin`.
    double initial = 0.0;
    /// Share of zeros from `end` on.
    double target = 0.5;
    index_t begin = 0;
    index_t end = 100;
    /// Steps between two updates; the sparsity stays the same between them.
    index_t frequency = 1;

    /// @throws argument_error on a sparsity outside [0, 1], `begin` < 0, `end` <= `begin`,
    /// or `frequency` < 1.
    void validate() const
    {
        const detail::schedule_check check{"cubic_sparsity"};
        check.fraction("initial", initial);
        check.fraction("target", target);
        ramp().validate(check);
    }

    /// The share of zeros at `step` >= 0.
    double sparsity(index_t step) const
    {
        validate();
        detail::schedule_check{"cubic_sparsity"}.argument(step);
        if (step < begin)
        {
            return 0.0;
        }
        const double left = 1.0 - ramp().progress(step);
        return target + (initial - target) * left * left * left;
    }

    /// Whether the pruned set is to be chosen anew at `step` >= 0.
    bool due(index_t step) const
    {
        validate();
        detail::schedule_check{"cubic_sparsity"}.argument(step);
        return ramp().due(step);
    }

    bool operator==(const cubic_sparsity&) const = default;

private:
    detail::sparsity_ramp ramp() const noexcept
    {
        return {begin, end, frequency};
    }
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
