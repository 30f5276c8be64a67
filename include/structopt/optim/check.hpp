/// @file
/// Checks of options, with messages that name the policy and the option; finiteness by bits.
#pragma once

#include <structopt/core/error.hpp>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Neither NaN nor infinite: by its bits, so that `-ffast-math` cannot remove the question.
constexpr bool is_finite(double value) noexcept
{
    return ((std::bit_cast<std::uint64_t>(value) >> 52) & 0x7ffu) != 0x7ffu;
}

constexpr bool is_finite(float value) noexcept
{
    return ((std::bit_cast<std::uint32_t>(value) >> 23) & 0xffu) != 0xffu;
}

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
