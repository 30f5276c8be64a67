/// @file
/// The range that holds nearly all numbers.
#pragma once

#include <structopt/quantize/observer/histogram.hpp>

#include <algorithm>
#include <cmath>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Options of `percentile`.
struct percentile_options
{
    /// Share of the numbers that may lie beyond each end, in [0, 0.5).
    double beyond = 1e-4;

    friend bool operator==(const percentile_options&, const percentile_options&) = default;
};

/// The ends beyond which at most a given share of the numbers lies, each to the width of a bin of the
/// `histogram`, and never beyond what was seen.
class percentile_range
{
public:
    /// Throws `argument_error` for a share outside [0, 0.5).
    explicit percentile_range(const percentile_options& options = {})
        : m_options(options)
    {
        if (!(options.beyond >= 0 && options.beyond < 0.5))
        {
            structopt::detail::raise<argument_error>("quantize::percentile_range",
                "a share in [0, 0.5)", std::to_string(options.beyond));
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
        value_range range = m_seen.ends();
        const auto most =
            static_cast<std::int64_t>(m_options.beyond * static_cast<double>(m_seen.count()));
        if (most == 0)
        {
            return range;
        }
        const value_range ends = range;
        std::int64_t below = 0;
        bool low = false;
        bool high = false;
        m_seen.visit(
            [&](float value, std::int64_t count)
            {
                below += count;
                if (!low && below > most)
                {
                    range.lowest = std::clamp(value, ends.lowest, ends.highest);
                    low = true;
                }
                if (!high && m_seen.count() - below <= most)
                {
                    range.highest = std::clamp(value, ends.lowest, ends.highest);
                    high = true;
                }
            });
        return range;
    }

    friend bool operator==(const percentile_range&, const percentile_range&) = default;

private:
    percentile_options m_options;
    histogram m_seen;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
