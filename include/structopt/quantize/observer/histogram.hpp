/// @file
/// How often numbers of each size were seen: what the observers with a choice look at.
#pragma once

#include <structopt/quantize/observer/min_max.hpp>

#include <cstdint>
#include <cstring>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Counts of numbers by sign, exponent and the upper five bits of the mantissa.
///
/// Bins are at most 1/32 of their numbers wide, wherever these lie: no range has to be known before,
/// and counts are whole numbers, so that neither order nor batches matter. Memory: 128 KiB.
class histogram
{
public:
    static constexpr int mantissa_bits = 5;

    /// Throws `argument_error` naming the position of a NaN or an infinity.
    void observe(std::span<const float> sample)
    {
        m_ends.observe(sample);
        if (m_counts.empty())
        {
            m_counts.resize(std::size_t{1} << (9 + mantissa_bits));
        }
        for (const float x : sample)
        {
            std::uint32_t bits;
            std::memcpy(&bits, &x, sizeof bits);
            ++m_counts[bits >> (23 - mantissa_bits)];
        }
        m_count += static_cast<std::int64_t>(sample.size());
    }

    /// The smallest and the largest number. Throws `argument_error` where nothing was seen.
    value_range ends() const
    {
        return m_ends.range();
    }

    /// Numbers that were seen.
    std::int64_t count() const noexcept
    {
        return m_count;
    }

    /// Calls `visit(value, count)` for every bin that is not empty, from the lowest value to the
    /// highest; `value` is the middle of the bin.
    template <class Visitor>
    void visit(Visitor&& visit) const
    {
        const std::size_t half = m_counts.size() / 2;
        for (std::size_t i = m_counts.size(); i-- > half;)
        {
            visit_bin(i, visit);
        }
        for (std::size_t i = 0; i < half; ++i)
        {
            visit_bin(i, visit);
        }
    }

    friend bool operator==(const histogram&, const histogram&) = default;

private:
    template <class Visitor>
    void visit_bin(std::size_t bin, Visitor& visit) const
    {
        if (m_counts[bin] == 0)
        {
            return;
        }
        const auto word = static_cast<std::uint32_t>(bin) << (23 - mantissa_bits);
        // Numbers below the normal ones count as zero.
        const bool zero = (word & 0x7f800000u) == 0;
        const std::uint32_t middle = zero ? 0 : word | (1u << (22 - mantissa_bits));
        float value;
        std::memcpy(&value, &middle, sizeof value);
        visit(value, m_counts[bin]);
    }

    min_max m_ends;
    std::int64_t m_count = 0;
    std::vector<std::int64_t> m_counts;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
