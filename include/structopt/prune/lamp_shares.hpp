/// @file
/// One ranking of all layers by LAMP, without scores: bounds of them from counts, scores of a few.
#pragma once

#include <structopt/prune/lowest.hpp>
#include <structopt/prune/radix_sort.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// The weights of a layer whose sizes share the uppermost digit, and between which numbers all their
/// scores lie.
struct lamp_bin
{
    std::uint32_t digit = 0;
    std::size_t taking_part = 0; // the lowest ones
    double low = 0;
    double high = 0;
};

/// A layer in the ranking.
struct lamp_layer
{
    std::vector<lamp_bin> bins;        // ascending, none empty
    std::size_t below = 0;             // are among the lowest for sure
    std::size_t zeros = 0;             // of those that are looked at
    std::vector<std::uint32_t> scores; // of the others, as the bits of floats
};

/// The number whose size has this order.
inline double size_of_order(std::uint32_t order) noexcept
{
    return static_cast<double>(std::bit_cast<float>(order & 0x7fffffffu));
}

/// The bins of a layer, of which the `most` lowest weights take part.
inline std::vector<lamp_bin> lamp_bins(const score_list& sizes, std::size_t most)
{
    constexpr double rounding = 1e-6;       // of sums in double and of scores in float
    constexpr double tiny = 3e-45;          // of scores that are denormal as floats
    constexpr double least_square = 1e-300; // where denormal numbers are taken for zero
    std::vector<std::size_t> own;
    const std::size_t* counts = counts_there<std::uint32_t>(sizes);
    if (counts == nullptr)
    {
        own.resize(digits);
        count_digits<std::uint32_t>(sizes, upper_digit<std::uint32_t>, 0, own.data());
        counts = own.data();
    }
    std::vector<lamp_bin> bins;
    for (std::size_t d = digits / 2; d < digits; ++d)
    {
        if (counts[d] > 0)
        {
            bins.push_back({static_cast<std::uint32_t>(d), std::min(most, counts[d]), 0, 0});
            most -= bins.back().taking_part;
        }
    }
    double least = 0; // of the squares above
    double largest = 0;
    for (std::size_t b = bins.size(); b-- > 0;)
    {
        lamp_bin& bin = bins[b];
        const auto n = static_cast<double>(counts[bin.digit]);
        const double from = size_of_order(bin.digit << digit_bits);
        const double to = size_of_order((bin.digit << digit_bits) | 0xffffu);
        const double low = from * from;
        const double high = to * to;
        bin.low =
            std::max(0.0, low / std::max(largest + n * high, least_square) * (1 - rounding) - tiny);
        bin.high = high / std::max(least + high, least_square) * (1 + rounding) + tiny;
        least += n * low;
        largest += n * high;
    }
    return bins;
}

/// Finds the scores of the weights in the bins from `first` to `last`.
inline void score_lamp_bins(
    const score_list& sizes, std::size_t first, std::size_t last, lamp_layer& layer)
{
    constexpr std::size_t block = compared_at_once;
    constexpr std::uint32_t zero = 0x80000000u;
    const std::uint32_t from = layer.bins[first].digit;
    const std::uint32_t width = layer.bins[last].digit - from;
    std::size_t looked_at = 0;
    for (std::size_t b = first; b <= last; ++b)
    {
        looked_at += layer.bins[b].taking_part;
    }
    std::vector<std::uint32_t> orders;
    double above = 0; // the squares of all larger weights
    sizes.visit<std::uint32_t>(
        [&](const auto* values, const auto& order)
        {
            const std::size_t n = sizes.size();
            double sums[block] = {};
            const auto add = [&](std::size_t i)
            {
                const std::uint32_t own = order(values[i]);
                layer.zeros += own == zero ? 1 : 0;
                if (own != zero)
                {
                    orders.push_back(own);
                }
            };
            std::size_t i = 0;
            for (; i + block <= n; i += block)
            {
                float larger[block]; // in loops of one width each
                unsigned any = 0;
                for (std::size_t j = 0; j < block; ++j)
                {
                    const std::uint32_t digit = order(values[i + j]) >> digit_bits;
                    larger[j] = digit > from + width ? values[i + j] : 0.0f;
                    any |= digit - from <= width ? 1u : 0u;
                }
                for (std::size_t j = 0; j < block; ++j)
                {
                    const auto value = static_cast<double>(larger[j]);
                    sums[j] += value * value;
                }
                for (std::size_t j = 0; any != 0 && j < block; ++j)
                {
                    if ((order(values[i + j]) >> digit_bits) - from <= width)
                    {
                        add(i + j);
                    }
                }
            }
            for (; i < n; ++i)
            {
                const std::uint32_t digit = order(values[i]) >> digit_bits;
                const auto value = static_cast<double>(values[i]);
                sums[0] += digit > from + width ? value * value : 0.0;
                if (digit - from <= width)
                {
                    add(i);
                }
            }
            for (const double sum : sums)
            {
                above += sum;
            }
        });
    radix_sort(orders, 0);
    layer.zeros = std::min(layer.zeros, looked_at);
    const std::size_t kept = looked_at - layer.zeros; // others do not take part
    layer.scores.resize(orders.size());
    for (std::size_t k = orders.size(); k-- > 0;)
    {
        const double value = size_of_order(orders[k]);
        above += value * value;
        const double score = above > 0 ? value * value / above : 0;
        layer.scores[k] = std::bit_cast<std::uint32_t>(static_cast<float>(score));
    }
    layer.scores.resize(kept);
}

/// `shares_of_lowest` of LAMP's scores, from the sizes of floats. Two passes over the weights, of which
/// one is spared by counts that are there already; memory for a few percent of them.
///
/// The counts say between which numbers the scores of all weights of a size, up to 1/128 of it, lie; so
/// that, but for a few such bins of every layer, a weight is known to be among the n lowest or not.
inline std::vector<std::size_t> lamp_shares(
    std::span<const score_list> sizes, std::span<const std::size_t> most, std::size_t n)
{
    std::vector<lamp_layer> layers(sizes.size());
    std::vector<std::pair<double, std::size_t>> lows;
    std::vector<std::pair<double, std::size_t>> highs;
    std::size_t all = 0;
    for (std::size_t l = 0; l < sizes.size(); ++l)
    {
        layers[l].bins = lamp_bins(sizes[l], most[l]);
        for (const lamp_bin& bin : layers[l].bins)
        {
            lows.emplace_back(bin.low, bin.taking_part);
            highs.emplace_back(bin.high, bin.taking_part);
            all += bin.taking_part;
        }
    }
    std::vector<std::size_t> shares(sizes.size());
    n = std::min(n, all);
    if (n == 0)
    {
        return shares;
    }
    // The n-th score is at least the n-th lower bound and at most the n-th upper one.
    const auto nth = [n](std::vector<std::pair<double, std::size_t>>& bounds)
    {
        std::sort(bounds.begin(), bounds.end());
        std::size_t counted = 0;
        std::size_t b = 0;
        while (counted + bounds[b].second < n)
        {
            counted += bounds[b++].second;
        }
        return bounds[b].first;
    };
    const double from = nth(lows);
    const double to = nth(highs);
    std::vector<std::uint32_t> candidates;
    std::size_t zeros = 0;
    for (std::size_t l = 0; l < sizes.size(); ++l)
    {
        lamp_layer& layer = layers[l];
        std::size_t first = 0;
        std::size_t end = layer.bins.size();
        while (first < end && layer.bins[first].high < from)
        {
            layer.below += layer.bins[first++].taking_part;
        }
        while (end > first && layer.bins[end - 1].low > to)
        {
            --end;
        }
        if (first < end)
        {
            score_lamp_bins(sizes[l], first, end - 1, layer);
        }
        n -= layer.below;
        zeros += layer.zeros;
        candidates.insert(candidates.end(), layer.scores.begin(), layer.scores.end());
    }
    std::uint32_t bound = 0;
    if (n > zeros)
    {
        const auto at = candidates.begin() + static_cast<std::ptrdiff_t>(n - zeros - 1);
        std::nth_element(candidates.begin(), at, candidates.end());
        bound = *at;
    }
    std::vector<std::size_t> ties(sizes.size());
    for (std::size_t l = 0; l < sizes.size(); ++l)
    {
        const lamp_layer& layer = layers[l];
        std::size_t lower = bound > 0 ? layer.zeros : 0;
        ties[l] = layer.zeros - lower;
        for (const std::uint32_t score : layer.scores)
        {
            lower += score < bound ? 1 : 0;
            ties[l] += score == bound ? 1 : 0;
        }
        shares[l] = layer.below + lower;
        n -= lower;
    }
    for (std::size_t l = 0; l < sizes.size(); ++l)
    {
        const std::size_t taken = std::min(n, ties[l]);
        shares[l] += taken;
        n -= taken;
    }
    return shares;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
