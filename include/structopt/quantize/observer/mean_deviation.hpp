/// @file
/// The mean, and some standard deviations to both sides.
#pragma once

#include <structopt/quantize/observer/min_max.hpp>

#include <cmath>
#include <cstdint>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Options of `mean_deviation`.
struct mean_deviation_options
{
    /// Standard deviations to each side; above 0.
    double deviations = 3;

    friend bool operator==(const mean_deviation_options&, const mean_deviation_options&) = default;
};

/// mean - k sigma to mean + k sigma, within what was seen. Fits numbers around one hump, such as sums
/// before an activation; after a ReLU the mean is not the middle. Memory: five numbers, sums in double
/// around a running mean (Welford, 1962).
class mean_deviation
{
public:
    /// Throws `argument_error` unless the number of deviations is above 0.
    explicit mean_deviation(const mean_deviation_options& options = {})
        : m_options(options)
    {
        if (!(options.deviations > 0) || !structopt::detail::is_finite(options.deviations))
        {
            structopt::detail::raise<argument_error>("quantize::mean_deviation",
                "a number of deviations above 0", std::to_string(options.deviations));
        }
    }

    /// Throws `argument_error` naming the position of a NaN or an infinity.
    void observe(std::span<const float> sample)
    {
        m_ends.observe(sample);
        for (const float x : sample)
        {
            ++m_count;
            const double before = x - m_mean;
            m_mean += before / static_cast<double>(m_count);
            m_squares += before * (x - m_mean);
        }
    }

    /// Throws `argument_error` where nothing was seen.
    value_range range() const
    {
        detail::check_seen("quantize::mean_deviation", m_count > 0);
        const double reach =
            m_options.deviations * std::sqrt(m_squares / static_cast<double>(m_count));
        const value_range ends = m_ends.range();
        const auto lowest = static_cast<float>(m_mean - reach);
        const auto highest = static_cast<float>(m_mean + reach);
        return {lowest > ends.lowest ? lowest : ends.lowest,
            highest < ends.highest ? highest : ends.highest};
    }

    friend bool operator==(const mean_deviation&, const mean_deviation&) = default;

private:
    mean_deviation_options m_options;
    min_max m_ends;
    std::int64_t m_count = 0;
    double m_mean = 0;
    double m_squares = 0;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
