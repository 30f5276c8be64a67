/// @file
/// The rate falls when a measured value has stopped getting better.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// Whether a lower or a higher measurement is the better one.
enum class goal
{
    minimum,
    maximum
};

/// What a threshold is measured against: the best value so far, or nothing.
enum class threshold_kind
{
    relative,
    absolute
};

/// What `reduce_on_plateau` knows between two measurements: a plain value to keep and to save.
struct plateau_state
{
    double rate = 0.0;
    /// The best measurement; means nothing before the first one (`measured`).
    double best = 0.0;
    bool measured = false;
    /// Measurements since the last better one.
    index_t bad = 0;
    /// Measurements left in which bad ones are not counted.
    index_t cooldown = 0;

    bool operator==(const plateau_state&) const = default;
};

/// Multiplies the rate by `factor` after more than `patience` measurements without improvement;
/// PyTorch's `ReduceLROnPlateau`.
///
/// A measurement m improves on the best b when, for a minimum, m < b (1 - threshold) (relative) or
/// m < b - threshold (absolute); for a maximum m > b (1 + threshold) or m > b + threshold. The
/// first finite one always does; one that is NaN or infinite never does.
///
/// ```cpp
/// const schedule::reduce_on_plateau plateau{.initial_rate = 0.1, .patience = 3};
/// auto state = plateau.make_state();
/// plateau.update(state, validation_loss); // once per epoch; then use plateau.rate(state)
/// ```
struct reduce_on_plateau
{
    using state_type = plateau_state;

    /// The rate to begin with.
    double initial_rate = 0.01;
    goal mode = goal::minimum;
    double factor = 0.1;
    index_t patience = 10;
    double threshold = 1e-4;
    threshold_kind kind = threshold_kind::relative;
    /// Measurements after a fall in which bad ones are not counted.
    index_t cooldown = 0;
    double min_rate = 0.0;
    /// A fall by no more than this is not made.
    double eps = 1e-8;

    /// @throws argument_error on a rate, threshold or eps that is negative or not finite, a factor
    /// outside [0, 1), or negative counts.
    void validate() const
    {
        const detail::schedule_check check{"reduce_on_plateau"};
        check.not_negative("initial_rate", initial_rate);
        check.not_negative("factor", factor);
        if (factor >= 1.0)
        {
            check.fail("factor", "a factor below 1", check.text(factor));
        }
        check.steps("patience", patience);
        check.not_negative("threshold", threshold);
        check.steps("cooldown", cooldown);
        check.not_negative("min_rate", min_rate);
        check.not_negative("eps", eps);
    }

    /// The state before any measurement.
    plateau_state make_state() const
    {
        validate();
        return {.rate = initial_rate};
    }

    /// The rate from here on.
    double rate(const plateau_state& state) const noexcept
    {
        return state.rate;
    }

    /// Takes one measurement, usually once per epoch; returns whether the rate fell.
    bool update(plateau_state& state, double metric) const
    {
        validate();
        if (improves(state, metric))
        {
            state.best = metric;
            state.measured = true;
            state.bad = 0;
        }
        else
        {
            ++state.bad;
        }
        if (state.cooldown > 0)
        {
            --state.cooldown;
            state.bad = 0;
        }
        if (state.bad <= patience)
        {
            return false;
        }
        state.cooldown = cooldown;
        state.bad = 0;
        const double lower = state.rate * factor > min_rate ? state.rate * factor : min_rate;
        if (state.rate - lower > eps)
        {
            state.rate = lower;
            return true;
        }
        return false;
    }

    bool operator==(const reduce_on_plateau&) const = default;

private:
    bool improves(const plateau_state& state, double metric) const noexcept
    {
        if (!structopt::detail::is_finite(metric))
        {
            return false;
        }
        if (!state.measured)
        {
            return true;
        }
        const bool relative = kind == threshold_kind::relative;
        if (mode == goal::minimum)
        {
            return metric < (relative ? state.best * (1.0 - threshold) : state.best - threshold);
        }
        return metric > (relative ? state.best * (1.0 + threshold) : state.best + threshold);
    }
};

static_assert(metric_schedule<reduce_on_plateau>);

} // namespace schedule
STRUCTOPT_END_NAMESPACE
