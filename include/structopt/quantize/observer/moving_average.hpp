/// @file
/// Averages of the ends of samples.
#pragma once

#include <structopt/quantize/observer/observer.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Options of `moving_average`.
struct moving_average_options
{
    /// Share of the newest sample, in (0, 1].
    double share = 0.01;

    friend bool operator==(const moving_average_options&, const moving_average_options&) = default;
};

/// Exponential moving averages of the smallest and of the largest number of every sample, the first
/// sample counting in full (Jacob et al., "Quantization and Training of Neural Networks for Efficient
/// Integer-Arithmetic-Only Inference", 2018, section 3.1, sample by sample instead of batch by batch).
/// Follows numbers that drift. Memory: two numbers.
class moving_average
{
public:
    /// Throws `argument_error` for a share outside (0, 1].
    explicit moving_average(const moving_average_options& options = {})
        : m_options(options)
    {
        if (!(options.share > 0 && options.share <= 1))
        {
            structopt::detail::raise<argument_error>(
                "quantize::moving_average", "a share in (0, 1]", std::to_string(options.share));
        }
    }

    /// Throws `argument_error` naming the position of a NaN or an infinity.
    void observe(std::span<const float> sample)
    {
        detail::check_sample("quantize::moving_average", sample);
        if (sample.empty())
        {
            return;
        }
        const value_range ends = detail::ends_of(sample);
        const double share = m_seen ? m_options.share : 1.0;
        m_lowest += share * (ends.lowest - m_lowest);
        m_highest += share * (ends.highest - m_highest);
        m_seen = true;
    }

    /// Throws `argument_error` where nothing was seen.
    value_range range() const
    {
        detail::check_seen("quantize::moving_average", m_seen);
        return {static_cast<float>(m_lowest), static_cast<float>(m_highest)};
    }

    friend bool operator==(const moving_average&, const moving_average&) = default;

private:
    moving_average_options m_options;
    double m_lowest = 0;
    double m_highest = 0;
    bool m_seen = false;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
