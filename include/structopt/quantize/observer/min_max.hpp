/// @file
/// The range of everything that was seen.
#pragma once

#include <structopt/quantize/observer/observer.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// From the smallest number to the largest: nothing saturates, and one outlier makes all steps wide.
/// Memory: two numbers.
class min_max
{
public:
    /// Throws `argument_error` naming the position of a NaN or an infinity.
    void observe(std::span<const float> sample)
    {
        detail::check_sample("quantize::min_max", sample);
        if (sample.empty())
        {
            return;
        }
        const value_range ends = detail::ends_of(sample);
        m_range.lowest = m_seen && m_range.lowest < ends.lowest ? m_range.lowest : ends.lowest;
        m_range.highest = m_seen && m_range.highest > ends.highest ? m_range.highest : ends.highest;
        m_seen = true;
    }

    /// Throws `argument_error` where nothing was seen.
    value_range range() const
    {
        detail::check_seen("quantize::min_max", m_seen);
        return m_range;
    }

    friend bool operator==(const min_max&, const min_max&) = default;

private:
    value_range m_range{};
    bool m_seen = false;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
