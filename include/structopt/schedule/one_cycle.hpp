/// @file
/// One rise to a high rate and one fall to a very low one over the whole training.
#pragma once

#include <structopt/schedule/check.hpp>
#include <structopt/schedule/concepts.hpp>

#include <cmath>
#include <numbers>

STRUCTOPT_BEGIN_NAMESPACE
namespace schedule
{

/// The curve between two rates: a straight line, or half a cosine.
enum class anneal
{
    cosine,
    linear
};

/// From `max_rate / start_divisor` up to `max_rate`, then down to
/// `max_rate / start_divisor / end_divisor`, where it stays from step `steps` - 1 on (Smith and
/// Topin, "Super-convergence", 2018); PyTorch's `OneCycleLR`, which refuses later steps.
///
/// With `three_phase` the fall takes as long as the rise and ends at the first rate, and the rest
/// of the steps lead to the last one, as in the paper. `momentum(step)` moves the other way.
struct one_cycle
{
    double max_rate = 0.01;
    /// Steps of the whole cycle.
    index_t steps = 100;
    /// Share of the steps in which the rate rises.
    double rise = 0.3;
    double start_divisor = 25.0;
    double end_divisor = 1e4;
    anneal curve = anneal::cosine;
    bool three_phase = false;
    double base_momentum = 0.85;
    double max_momentum = 0.95;

    /// @throws argument_error on a rate or momentum that is negative or not finite, `steps` < 1, a
    /// divisor that is not above 0, or a rise that is not a share (at most half in three phases).
    void validate() const
    {
        const detail::schedule_check check{"one_cycle"};
        check.not_negative("max_rate", max_rate);
        check.period("steps", steps);
        check.fraction("rise", rise);
        if (three_phase && rise > 0.5)
        {
            check.fail("rise", "at most 0.5 in three phases", check.text(rise));
        }
        check.positive("start_divisor", start_divisor);
        check.positive("end_divisor", end_divisor);
        check.fraction("base_momentum", base_momentum);
        check.fraction("max_momentum", max_momentum);
    }

    /// The rate of update `step` >= 0.
    double operator()(index_t step) const
    {
        const double first = max_rate / start_divisor;
        const auto [phase, part] = locate(step);
        switch (phase)
        {
        case 0:
            return between(first, max_rate, part);
        case 1:
            return between(max_rate, three_phase ? first : first / end_divisor, part);
        default:
            return between(first, first / end_divisor, part);
        }
    }

    /// The momentum (or first beta of Adam) of update `step` >= 0: high where the rate is low.
    double momentum(index_t step) const
    {
        const auto [phase, part] = locate(step);
        switch (phase)
        {
        case 0:
            return between(max_momentum, base_momentum, part);
        case 1:
            return between(base_momentum, max_momentum, part);
        default:
            return max_momentum;
        }
    }

    bool operator==(const one_cycle&) const = default;

private:
    struct place
    {
        int phase;
        /// How far into the phase, from 0 to 1.
        double part;
    };

    place locate(index_t step) const
    {
        validate();
        detail::schedule_check{"one_cycle"}.argument(step);
        // Ends of the phases as PyTorch counts them: real numbers, so a rise need not be whole.
        const double last = static_cast<double>(steps - 1);
        const double top = settled(rise * static_cast<double>(steps) - 1.0);
        const double back = settled(2.0 * rise * static_cast<double>(steps) - 2.0);
        const double ends[] = {top, three_phase ? back : last, last};
        const int phases = three_phase ? 3 : 2;
        const double at = static_cast<double>(step);
        double begin = 0.0;
        for (int phase = 0; phase < phases; ++phase)
        {
            const double end = ends[phase];
            if (at <= end || phase == phases - 1)
            {
                return {phase, at >= end ? 1.0 : (at - begin) / (end - begin)};
            }
            begin = end;
        }
        return {phases - 1, 1.0};
    }

    /// Whole where it is meant to be: a fused multiply-add leaves 0.1 * 10 - 1 at 5.6e-17.
    static double settled(double end)
    {
        const double whole = std::round(end);
        return std::abs(end - whole) < 1e-9 ? whole : end;
    }

    double between(double from, double to, double part) const
    {
        return curve == anneal::linear
                   ? from + (to - from) * part
                   : to + (from - to) / 2.0 * (1.0 + std::cos(std::numbers::pi * part));
    }
};

} // namespace schedule
STRUCTOPT_END_NAMESPACE
