/// @file
/// Checks of a schedule's options, with messages that name the schedule and the option.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/shape.hpp>

#include <cstddef>
#include <cstdio>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace detail
{

/// Raises `argument_error` for options of one schedule that are out of range.
struct schedule_check
{
    const char* schedule;

    static std::string text(double value)
    {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.6g", value);
        return digits;
    }

    [[noreturn]] void fail(const char* option, const char* expected, std::string found) const
    {
        raise<argument_error>(
            std::string("schedule::") + schedule + "." + option, expected, std::move(found));
    }

    /// A rate, a factor: finite and not negative.
    void not_negative(const char* option, double value) const
    {
        if (!is_finite(value) || value < 0)
        {
            fail(option, "a finite number that is not negative", text(value));
        }
    }

    /// A divisor, a power: finite and above zero.
    void positive(const char* option, double value) const
    {
        if (!is_finite(value) || value <= 0)
        {
            fail(option, "a finite number above 0", text(value));
        }
    }

    /// A part of a whole: in [0, 1].
    void fraction(const char* option, double value) const
    {
        if (!is_finite(value) || value < 0 || value > 1)
        {
            fail(option, "a number from 0 to 1", text(value));
        }
    }

    /// A length of time that may be nothing.
    void steps(const char* option, index_t value) const
    {
        if (value < 0)
        {
            fail(option, "a number of steps that is not negative", std::to_string(value));
        }
    }

    /// A length of time that something is divided by.
    void period(const char* option, index_t value) const
    {
        if (value <= 0)
        {
            fail(option, "at least 1 step", std::to_string(value));
        }
    }

    /// Points in time, not negative, each after the one before.
    template <class Steps>
    void increasing(const char* option, const Steps& points) const
    {
        for (std::size_t i = 0; i < points.size(); ++i)
        {
            if (points[i] < 0 || (i > 0 && points[i] <= points[i - 1]))
            {
                fail(option, "increasing steps, none negative",
                    std::to_string(points[i]) + " at position " + std::to_string(i));
            }
        }
    }

    /// The argument of a schedule.
    void argument(index_t step) const
    {
        if (step < 0)
        {
            fail("step", "a step that is not negative", std::to_string(step));
        }
    }
};

} // namespace detail
STRUCTOPT_END_NAMESPACE
