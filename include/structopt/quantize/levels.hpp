/// @file
/// What the schemes with unequal steps share: the nearest of ascending values.
#pragma once

#include <structopt/quantize/concepts.hpp>

#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize::detail
{

/// The position of x among n ascending values: the last one that is not above it, or the next one,
/// as `round` decides given the fraction of the way between the two. Ends saturate. O(log n).
template <class R>
std::int32_t level_of(const float* values, std::int32_t n, float x, const R& round)
{
    std::int32_t at = 0;
    std::int32_t step = 1;
    while (step < n)
    {
        step *= 2;
    }
    for (step /= 2; step > 0; step /= 2)
    {
        at += at + step < n && values[at + step] <= x ? step : 0;
    }
    if (at + 1 < n && x > values[at])
    {
        at += static_cast<std::int32_t>(round((x - values[at]) / (values[at + 1] - values[at])));
    }
    return at;
}

} // namespace quantize::detail
STRUCTOPT_END_NAMESPACE
