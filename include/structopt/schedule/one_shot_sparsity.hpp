/// @file
/// The whole sparsity in one cut.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// Nothing before step `at`, `target` from there on; the pruned set is chosen once.
struct one_shot_sparsity
{
    double target = 0.5;
    index_t at = 0;

    /// @throws argument_error on a target outside [0, 1] or a negative `at`.
    void validate() const
    {
        const detail::schedule_check check{"one_shot_sparsity"};
        check.fraction("target", target);
        check.steps("at", at);
    }

    /// The share of zeros at `step` >= 0.
    double sparsity(index_t step) const
    {
        validate();
        detail::schedule_check{"one_shot_sparsity"}.argument(step);
        return step < at ? 0.0 : target;
    }

    /// Whether the pruned set is to be chosen anew at `step` >= 0.
    bool due(index_t step) const
    {
        validate();
        detail::schedule_check{"one_shot_sparsity"}.argument(step);
        return step == at;
    }

    bool operator==(const one_shot_sparsity&) const = default;
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
