/// @file
/// The range with the least squared error of rounding and saturation together.
#pragma once

#include <structopt/quantize/observer/histogram.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Options of `least_error`.
struct least_error_options
{
    /// Of the codes that the range is for, 2 to 16.
    int bits = 8;

    friend bool operator==(const least_error_options&, const least_error_options&) = default;
};

/// The range [l, h] that makes the squared error of codes of `bits` bits least: a number inside is off
/// by s^2 / 12 on average with steps of s = (h - l) / (2^bits - 1), one beyond by its distance squared.
///
/// The best of 64 x 64 pairs of ends, each 0.93 times the one before it, down to a hundredth of what was
/// seen. Counts of the `histogram` stand for the numbers.
class least_error
{
public:
    /// Throws `argument_error` for a number of bits outside 2 .. 16.
    explicit least_error(const least_error_options& options = {})
        : m_options(options)
    {
        if (options.bits < 2 || options.bits > 16)
        {
            structopt::detail::raise<argument_error>(
                "quantize::least_error", "2 to 16 bits", std::to_string(options.bits));
        }
    }

    /// Throws `argument_error` naming the position of a NaN or an infinity.
    void observe(std::span<const float> sample)
    {
        m_seen.observe(sample);
    }

    /// Throws `argument_error` where nothing was seen.
    value_range range() const
    {
        const value_range ends = m_seen.ends();
        // The range holds 0, whatever was seen: codes have to.
        const auto lows = candidates(ends.lowest < 0 ? ends.lowest : 0.0f);
        const auto highs = candidates(ends.highest > 0 ? ends.highest : 0.0f);
        const double levels = std::ldexp(1.0, m_options.bits) - 1;
        double least = std::numeric_limits<double>::infinity();
        value_range range{};
        for (const candidate& low : lows)
        {
            for (const candidate& high : highs)
            {
                const double step = (double{high.end} - low.end) / levels;
                const double inside =
                    static_cast<double>(m_seen.count()) - low.beyond - high.beyond;
                const double error = low.error + high.error + inside * step * step / 12;
                if (error < least)
                {
                    least = error;
                    range = {low.end, high.end};
                }
            }
        }
        return range;
    }

    friend bool operator==(const least_error&, const least_error&) = default;

private:
    /// One end, how many numbers lie beyond, and the sum of their squared distances.
    struct candidate
    {
        float end;
        double beyond;
        double error;
    };

    /// Ends from `end` towards 0; the one value 0 for an end of 0.
    std::vector<candidate> candidates(float end) const
    {
        std::vector<candidate> list;
        for (int i = 0; i < (end == 0.0f ? 1 : parts); ++i)
        {
            candidate c{static_cast<float>(end * std::pow(ratio, i)), 0, 0};
            m_seen.visit(
                [&](float value, std::int64_t count)
                {
                    const double distance = end > 0 ? double{value} - c.end : double{c.end} - value;
                    // An end of 0 has nothing beyond.
                    if (end != 0.0f && distance > 0)
                    {
                        c.beyond += static_cast<double>(count);
                        c.error += static_cast<double>(count) * distance * distance;
                    }
                });
            list.push_back(c);
        }
        return list;
    }

    static constexpr int parts = 64;
    static constexpr double ratio = 0.93;

    least_error_options m_options;
    histogram m_seen;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
