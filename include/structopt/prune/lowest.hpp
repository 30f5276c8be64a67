/// @file
/// Choosing the lowest scores: an exact count, ties by position, NaN refused.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// Throws `argument_error` for a share outside [0, 1).
inline void check_share(const char* where, double share)
{
    if (!structopt::detail::is_finite(share) || share < 0 || share >= 1)
    {
        structopt::detail::raise<argument_error>(where, "a share in [0, 1)", std::to_string(share));
    }
}

/// Throws `argument_error` naming the first score that is NaN or infinite.
template <class T>
void check_scores(const std::string& where, std::span<const T> scores)
{
    for (std::size_t i = 0; i < scores.size(); ++i)
    {
        if (!structopt::detail::is_finite(scores[i]))
        {
            structopt::detail::raise<argument_error>(
                where, "finite scores", "NaN or infinity at position " + std::to_string(i));
        }
    }
}

/// round(share * n), the number of items to remove; halves go to the even number, as in PyTorch.
inline std::size_t share_of(double share, std::size_t n) noexcept
{
    return static_cast<std::size_t>(std::nearbyint(share * static_cast<double>(n)));
}

/// A number whose order among others is the order of the scores; 0.0 and -0.0 are equal. Integers:
/// the order holds under -ffast-math and with denormal numbers flushed to zero.
inline std::uint64_t order_of(double score) noexcept
{
    constexpr std::uint64_t sign = std::uint64_t{1} << 63;
    const auto bits = std::bit_cast<std::uint64_t>(score);
    return (bits << 1) == 0 ? sign : (bits & sign) != 0 ? ~bits : bits | sign;
}

/// Which scores are the lowest: those below `bound`, and the first `ties` of those at it.
struct lowest_bound
{
    std::uint64_t bound = 0;
    std::size_t ties = 0;
};

/// The bound of the `n` lowest scores of all lists together; all of them if there are fewer. O(scores):
/// a histogram, then a selection among the scores of one bucket. Memory: those scores.
template <class T>
lowest_bound find_bound(std::span<const std::span<const T>> lists, std::size_t n)
{
    constexpr std::size_t few = std::size_t{1} << 14;
    constexpr int shift = 48;
    std::size_t all = 0;
    for (const auto list : lists)
    {
        all += list.size();
    }
    if (n == 0 || all == 0)
    {
        return {};
    }
    n = std::min(n, all);
    std::uint64_t bucket = 0;
    std::size_t before = 0; // scores in lower buckets
    if (all > few)
    {
        std::vector<std::size_t> histogram(std::size_t{1} << (64 - shift));
        for (const auto list : lists)
        {
            for (const T score : list)
            {
                ++histogram[order_of(static_cast<double>(score)) >> shift];
            }
        }
        while (before + histogram[bucket] < n)
        {
            before += histogram[bucket++];
        }
    }
    std::vector<std::uint64_t> candidates;
    for (const auto list : lists)
    {
        for (const T score : list)
        {
            const std::uint64_t order = order_of(static_cast<double>(score));
            if (all <= few || (order >> shift) == bucket)
            {
                candidates.push_back(order);
            }
        }
    }
    const auto nth = candidates.begin() + static_cast<std::ptrdiff_t>(n - before - 1);
    std::nth_element(candidates.begin(), nth, candidates.end());
    const std::uint64_t bound = *nth;
    const auto below = std::count_if(candidates.begin(), nth,
        [&](std::uint64_t order)
        {
            return order < bound;
        });
    return {bound, n - before - static_cast<std::size_t>(below)};
}

/// Calls `f(position)` for the `n` lowest scores, ascending by position. Equal scores: the earlier
/// ones. O(scores).
template <class T, class F>
void for_each_lowest(std::span<const T> scores, std::size_t n, const F& f)
{
    lowest_bound left = find_bound<T>(std::span(&scores, 1), n);
    for (std::size_t i = 0; i < scores.size(); ++i)
    {
        const std::uint64_t order = order_of(static_cast<double>(scores[i]));
        if (order < left.bound || (order == left.bound && left.ties > 0))
        {
            left.ties -= order == left.bound ? 1 : 0;
            f(i);
        }
    }
}

/// Their positions.
template <class T>
std::vector<std::size_t> lowest(std::span<const T> scores, std::size_t n)
{
    std::vector<std::size_t> positions;
    positions.reserve(std::min(n, scores.size()));
    for_each_lowest(scores, n,
        [&](std::size_t i)
        {
            positions.push_back(i);
        });
    return positions;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
