/// @file
/// A linear rise in front of any other schedule.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// Options of `linear_warmup`.
struct warmup_options
{
    /// Steps of the rise; none is allowed.
    index_t steps = 5;
    /// Share of the inner schedule's first rate at step 0.
    double start_factor = 1.0 / 3.0;

    bool operator==(const warmup_options&) const = default;
};

/// `inner(0) * (start_factor + (1 - start_factor) * step / steps)` for the first `steps` steps,
/// then `inner(step - steps)`: the inner schedule starts when the rise is over.
///
/// PyTorch's `SequentialLR` of a `LinearLR` and the other one, with the milestone at `steps` (Goyal
/// et al., "Accurate, large minibatch SGD", 2017, section 2.2).
///
/// ```cpp
/// schedule::linear_warmup rate{{.steps = 50}, schedule::cosine_decay{.rate = 0.1, .steps = 950}};
/// ```
template <rate_schedule Inner>
struct linear_warmup
{
    warmup_options options;
    Inner inner;

    linear_warmup() requires std::default_initializable<Inner>
    = default;

    linear_warmup(const warmup_options& rise, Inner then)
        : options(rise)
        , inner(std::move(then))
    {
    }

    /// @throws argument_error on negative `steps`, a `start_factor` outside [0, 1], or what the
    /// inner schedule refuses.
    void validate() const
    {
        const detail::schedule_check check{"linear_warmup"};
        check.steps("steps", options.steps);
        check.fraction("start_factor", options.start_factor);
        schedule::validate(inner);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        validate();
        detail::schedule_check{"linear_warmup"}.argument(step);
        if (step >= options.steps)
        {
            return static_cast<double>(inner(step - options.steps));
        }
        const double part = static_cast<double>(step) / static_cast<double>(options.steps);
        return static_cast<double>(inner(index_t{0})) *
               (options.start_factor + (1.0 - options.start_factor) * part);
    }

    bool operator==(const linear_warmup&) const requires std::equality_comparable<Inner>
    = default;
};

template <class Inner>
linear_warmup(warmup_options, Inner) -> linear_warmup<Inner>;

} // namespace schedule
STRUCTOPT_END_NAMESPACE
