/// @file
/// What an observer is: looks at activations and says what range codes are to cover.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/quantize/concepts.hpp>

#include <concepts>
#include <span>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Looks at numbers, one sample after the other, and says what range codes are to cover.
///
/// - `observe(sample)`: takes the numbers of one sample in; may throw `argument_error` and has taken
///   nothing then.
/// - `range()`: what codes are to cover; throws `argument_error` where nothing was seen.
///
/// Memory does not grow with the samples, and since samples come one by one, the result does not
/// depend on how they are divided into batches.
template <class O>
concept observer = std::copy_constructible<O> &&
    requires(O& changed, const O& asked, std::span<const float> sample)
{
    changed.observe(sample);
    {
        asked.range()
        } -> std::same_as<value_range>;
};

namespace detail
{

/// Throws `argument_error` naming the position of a number that is not finite.
inline void check_sample(const char* observer, std::span<const float> sample)
{
    for (std::size_t i = 0; i < sample.size(); ++i)
    {
        if (!structopt::detail::is_finite(sample[i]))
        {
            structopt::detail::raise<argument_error>(
                std::string(observer) + ", position " + std::to_string(i), "finite numbers",
                std::to_string(sample[i]));
        }
    }
}

/// Throws `argument_error` where nothing was seen.
inline void check_seen(const char* observer, bool seen)
{
    if (!seen)
    {
        structopt::detail::raise<argument_error>(observer, "at least one number", "none");
    }
}

/// The ends of a sample that is not empty.
inline value_range ends_of(std::span<const float> sample) noexcept
{
    value_range ends{sample[0], sample[0]};
    for (const float x : sample)
    {
        ends.lowest = x < ends.lowest ? x : ends.lowest;
        ends.highest = x > ends.highest ? x : ends.highest;
    }
    return ends;
}

} // namespace detail
} // namespace quantize
STRUCTOPT_END_NAMESPACE
