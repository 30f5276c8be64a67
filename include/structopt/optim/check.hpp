/// @file
/// Checks of options, with messages that name the policy and the option.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>

#include <cstdio>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

using structopt::detail::is_finite;

namespace detail
{

inline std::string number_text(double value)
{
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.6g", value);
    return digits;
}

/// Raises `argument_error` for options of one policy that are out of range.
struct option_check
{
    const char* policy;

    [[noreturn]] void fail(const char* option, const char* expected, double found) const
    {
        structopt::detail::raise<argument_error>(
            std::string(policy) + "." + option, expected, number_text(found));
    }

    void not_negative(const char* option, double value) const
    {
        if (!is_finite(value) || value < 0)
        {
            fail(option, "a finite number that is not negative", value);
        }
    }

    void positive(const char* option, double value) const
    {
        if (!is_finite(value) || value <= 0)
        {
            fail(option, "a finite number above 0", value);
        }
    }

    /// The factor of a running average.
    void average(const char* option, double value) const
    {
        if (!is_finite(value) || value < 0 || value >= 1)
        {
            fail(option, "a number from 0 to below 1", value);
        }
    }
};

} // namespace detail
} // namespace optim
STRUCTOPT_END_NAMESPACE
