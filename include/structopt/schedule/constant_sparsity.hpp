/// @file
/// The same sparsity from a first step on.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// `target` from `begin` on and 0 before; the pruned set is chosen anew every `frequency` steps.
struct constant_sparsity
{
    double target = 0.5;
    index_t begin = 0;
    index_t frequency = 100;

    /// @throws argument_error on a target outside [0, 1], a negative `begin`, or `frequency` < 1.
    void validate() const
    {
        const detail::schedule_check check{"constant_sparsity"};
        check.fraction("target", target);
        check.steps("begin", begin);
        check.period("frequency", frequency);
    }

    /// The share of zeros at `step` >= 0.
    double sparsity(index_t step) const
    {
        validate();
        detail::schedule_check{"constant_sparsity"}.argument(step);
        return step < begin ? 0.0 : target;
    }

    /// Whether the pruned set is to be chosen anew at `step` >= 0.
    bool due(index_t step) const
    {
        validate();
        detail::schedule_check{"constant_sparsity"}.argument(step);
        return step >= begin && (step - begin) % frequency == 0;
    }

    bool operator==(const constant_sparsity&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
