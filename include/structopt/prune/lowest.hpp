/// @file
/// Choosing the lowest scores: an exact count, ties by position, NaN refused.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/prune/order_counts.hpp>
#include <structopt/prune/score_list.hpp>

#include <algorithm>
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
    constexpr std::size_t block = 64;
    std::size_t i = 0;
    bool finite = true;
    for (; finite && i + block <= scores.size(); i += block)
    {
        unsigned bad = 0;
        for (std::size_t j = 0; j < block; ++j)
        {
            bad |= structopt::detail::is_finite(scores[i + j]) ? 0u : 1u;
        }
        finite = bad == 0;
    }
    for (i -= finite ? 0 : block; i < scores.size(); ++i)
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

/// Which scores are the lowest: those whose order is below `bound`, and the first `ties` of those at it.
///
/// The order is of 32 bits if all lists are floats, of 64 (the doubles') otherwise.
struct lowest_bound
{
    std::uint64_t bound = 0;
    std::size_t ties = 0;
};

/// Whether the orders of these lists have 32 bits.
inline bool orders_are_short(std::span<const score_list> lists) noexcept
{
    return std::all_of(lists.begin(), lists.end(),
        [](const score_list& list)
        {
            return list.is_float();
        });
}

/// Calls `f(Order{})` with the type of the orders of these lists.
template <class F>
decltype(auto) with_order(std::span<const score_list> lists, const F& f)
{
    return orders_are_short(lists) ? f(std::uint32_t{}) : f(std::uint64_t{});
}

/// The counts of the uppermost digits if they are there already.
template <class Order>
const std::size_t* counts_there(const score_list& list) noexcept
{
    return list.is_float() == (sizeof(Order) == 4) ? list.counted() : nullptr;
}

/// How many scores of a list are below a bound, and how many at it.
template <class Order>
counted_orders count_below(const score_list& list, Order bound)
{
    return list.visit<Order>(
        [&](const auto* values, const auto& order)
        {
            return count_below(values, list.size(), order, bound);
        });
}

/// Adds to `bins` how many scores have each value of a digit, of those with these higher bits.
template <class Order>
void count_digits(const score_list& list, int shift, Order prefix, std::size_t* bins)
{
    list.visit<Order>(
        [&](const auto* values, const auto& order)
        {
            if (shift == upper_digit<Order>)
            {
                count_orders<Order>(values, list.size(), order, bins);
            }
            else
            {
                count_orders_within<Order>(values, list.size(), order, shift, prefix, bins);
            }
        });
}

/// `find_bound` by copies of the orders.
template <class Order>
lowest_bound bound_of_few(
    std::span<const score_list> lists, std::span<const std::size_t> most, std::size_t n)
{
    std::vector<Order> all;
    for (std::size_t l = 0; l < lists.size(); ++l)
    {
        const std::size_t size = lists[l].size();
        const auto first = static_cast<std::ptrdiff_t>(all.size());
        lists[l].visit<Order>(
            [&](const auto* values, const auto& order)
            {
                for (std::size_t i = 0; i < size; ++i)
                {
                    all.push_back(order(values[i]));
                }
            });
        if (most[l] < size)
        {
            const auto end = first + static_cast<std::ptrdiff_t>(most[l]);
            std::nth_element(all.begin() + first, all.begin() + end, all.end());
            all.resize(static_cast<std::size_t>(end));
        }
    }
    const auto nth = all.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(all.begin(), nth, all.end());
    const Order bound = *nth;
    const auto below = std::count_if(all.begin(), nth,
        [&](Order order)
        {
            return order < bound;
        });
    return {bound, n - static_cast<std::size_t>(below)};
}

/// `find_bound` digit by digit, from the upper ones down: counts of the digit among the scores that
/// have the digits found so far.
template <class Order>
lowest_bound bound_of_many(
    std::span<const score_list> lists, std::span<const std::size_t> most, std::size_t n)
{
    std::vector<std::size_t> total(digits);
    std::vector<std::size_t> own;
    std::vector<std::size_t> left(most.begin(), most.end()); // that count, of those with the prefix
    Order prefix = 0;
    for (int shift = upper_digit<Order>; shift >= 0; shift -= digit_bits)
    {
        std::fill(total.begin(), total.end(), 0);
        for (std::size_t l = 0; l < lists.size(); ++l)
        {
            const bool all = most[l] >= lists[l].size();
            const std::size_t* bins =
                shift == upper_digit<Order> ? counts_there<Order>(lists[l]) : nullptr;
            if (all && bins == nullptr)
            {
                count_digits<Order>(lists[l], shift, prefix, total.data());
                continue;
            }
            if (bins == nullptr)
            {
                own.assign(left[l] > 0 ? digits : 0, 0);
                if (left[l] > 0)
                {
                    count_digits<Order>(lists[l], shift, prefix, own.data());
                }
                bins = own.data();
            }
            std::size_t counting = left[l];
            for (std::size_t b = 0; b < digits && counting > 0; ++b)
            {
                const std::size_t here = std::min(counting, bins[b]);
                total[b] += here;
                counting -= here;
            }
        }
        std::size_t digit = 0;
        while (total[digit] < n)
        {
            n -= total[digit++];
        }
        prefix = static_cast<Order>((static_cast<std::uint64_t>(prefix) << digit_bits) | digit);
        for (std::size_t l = 0; shift > 0 && l < lists.size(); ++l)
        {
            if (most[l] < lists[l].size() && left[l] > 0)
            {
                const auto below = count_below(lists[l], static_cast<Order>(prefix << shift)).below;
                left[l] = most[l] - std::min(most[l], below);
            }
        }
    }
    return {prefix, n};
}

/// The bound of the `n` lowest scores of all lists together, of which list l takes part with its
/// `most[l]` lowest; all of these if there are fewer. O(scores): two passes over floats, of which one
/// is spared by counts that are there already; four over doubles, and as many again over lists that do
/// not take part as a whole. Memory: about 2 MB, whatever the scores.
inline lowest_bound find_bound(
    std::span<const score_list> lists, std::span<const std::size_t> most, std::size_t n)
{
    constexpr std::size_t few = std::size_t{1} << 14;
    std::size_t all = 0;
    std::size_t taking_part = 0;
    for (std::size_t l = 0; l < lists.size(); ++l)
    {
        all += lists[l].size();
        taking_part += std::min(most[l], lists[l].size());
    }
    n = std::min(n, taking_part);
    if (n == 0)
    {
        return {};
    }
    return with_order(lists,
        [&]<class Order>(Order)
        {
            return all <= few ? bound_of_few<Order>(lists, most, n)
                              : bound_of_many<Order>(lists, most, n);
        });
}

/// The same of whole lists.
template <class T>
lowest_bound find_bound(std::span<const std::span<const T>> lists, std::size_t n)
{
    std::vector<score_list> all(lists.begin(), lists.end());
    std::vector<std::size_t> most;
    for (const score_list& list : all)
    {
        most.push_back(list.size());
    }
    return find_bound(all, most, n);
}

/// How many of the `n` lowest scores of all lists together are each list's. Of equal scores those of
/// earlier lists count first. `most` as of `find_bound`.
inline std::vector<std::size_t> shares_of_lowest(
    std::span<const score_list> lists, std::span<const std::size_t> most, std::size_t n)
{
    lowest_bound left = find_bound(lists, most, n);
    std::vector<std::size_t> shares(lists.size());
    with_order(lists,
        [&]<class Order>(Order)
        {
            for (std::size_t l = 0; l < lists.size(); ++l)
            {
                const counted_orders found = count_below(lists[l], static_cast<Order>(left.bound));
                const std::size_t below = std::min(found.below, most[l]);
                const std::size_t at = std::min(found.below + found.at, most[l]) - below;
                const std::size_t ties = std::min(at, left.ties);
                left.ties -= ties;
                shares[l] = below + ties;
            }
        });
    return shares;
}

/// `mark_lowest` by the bits that decide: the uppermost digit for all scores, all bits for those that
/// share it with the n-th. Does nothing and returns false if these are many.
template <class Order>
bool mark_by_digit(
    std::span<const score_list> lists, std::size_t n, std::span<std::uint8_t* const> keep)
{
    struct candidate
    {
        Order order;
        std::uint8_t* stays;
    };
    std::vector<std::size_t> total(digits);
    std::size_t all = 0;
    for (const score_list& list : lists)
    {
        all += list.size();
        const std::size_t* const bins = counts_there<Order>(list);
        if (bins == nullptr)
        {
            count_digits<Order>(list, upper_digit<Order>, Order{0}, total.data());
            continue;
        }
        for (std::size_t b = 0; b < digits; ++b)
        {
            total[b] += bins[b];
        }
    }
    std::size_t digit = 0;
    while (total[digit] < n)
    {
        n -= total[digit++];
    }
    if (total[digit] > all / 32)
    {
        return false;
    }
    std::vector<candidate> candidates;
    candidates.reserve(total[digit]);
    for (std::size_t l = 0; l < lists.size(); ++l)
    {
        lists[l].visit<Order>(
            [&](const auto* values, const auto& order)
            {
                mark_above_digit(values, lists[l].size(), order, static_cast<Order>(digit), keep[l],
                    [&](std::size_t i)
                    {
                        candidates.push_back({order(values[i]), keep[l] + i});
                    });
            });
    }
    std::vector<Order> orders(candidates.size());
    std::transform(candidates.begin(), candidates.end(), orders.begin(),
        [](const candidate& c)
        {
            return c.order;
        });
    const auto nth = orders.begin() + static_cast<std::ptrdiff_t>(n - 1);
    std::nth_element(orders.begin(), nth, orders.end());
    const Order bound = *nth;
    std::size_t ties = n - static_cast<std::size_t>(std::count_if(orders.begin(), nth,
                               [&](Order order)
                               {
                                   return order < bound;
                               }));
    for (const candidate& c : candidates)
    {
        const bool tie = c.order == bound && ties > 0;
        ties -= tie ? 1 : 0;
        *c.stays = c.order < bound || tie ? 0 : 1;
    }
    return true;
}

/// Writes 0 for the `n` lowest scores of all lists together and 1 for the others, list l to `keep[l]`.
/// Of equal scores those of earlier lists are lower, and within a list the earlier ones. O(scores): a
/// pass that counts, spared by counts that are there already, and one that writes; of many equal scores
/// those of `find_bound` in between.
inline void mark_lowest(
    std::span<const score_list> lists, std::size_t n, std::span<std::uint8_t* const> keep)
{
    constexpr std::size_t few = std::size_t{1} << 14;
    std::vector<std::size_t> most;
    std::size_t all = 0;
    for (const score_list& list : lists)
    {
        most.push_back(list.size());
        all += list.size();
    }
    with_order(lists,
        [&]<class Order>(Order)
        {
            if (n > 0 && n <= all && all > few && mark_by_digit<Order>(lists, n, keep))
            {
                return;
            }
            lowest_bound left = find_bound(lists, most, n);
            for (std::size_t l = 0; l < lists.size(); ++l)
            {
                lists[l].visit<Order>(
                    [&](const auto* values, const auto& order)
                    {
                        left.ties = mark_above(values, lists[l].size(), order,
                            static_cast<Order>(left.bound), left.ties, keep[l]);
                    });
            }
        });
}

/// The same of one list.
inline void mark_lowest(const score_list& list, std::size_t n, std::uint8_t* keep)
{
    mark_lowest(std::span(&list, 1), n, std::span(&keep, 1));
}

/// Calls `f(position)` for the `n` lowest scores, ascending by position. Equal scores: the earlier
/// ones. O(scores).
template <class T, class F>
void for_each_lowest(std::span<const T> scores, std::size_t n, const F& f)
{
    lowest_bound left = find_bound<T>(std::span(&scores, 1), n);
    const auto bound = static_cast<structopt::detail::bits_of<T>>(left.bound);
    for (std::size_t i = 0; i < scores.size(); ++i)
    {
        const auto order = order_of(scores[i]);
        if (order < bound || (order == bound && left.ties > 0))
        {
            left.ties -= order == bound ? 1 : 0;
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
