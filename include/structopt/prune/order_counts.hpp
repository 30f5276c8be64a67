/// @file
/// Counting scores by the bits of their order: the passes over the scores that a selection makes.
#pragma once

#include <structopt/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// Bits of an order that one pass looks at.
inline constexpr int digit_bits = 16;
/// Values of these bits.
inline constexpr std::size_t digits = std::size_t{1} << digit_bits;
/// Numbers that are compared at a time, with one question whether any of them matters.
inline constexpr std::size_t compared_at_once = 32;

/// Where the uppermost digit of an order begins.
template <class Order>
inline constexpr int upper_digit = 8 * static_cast<int>(sizeof(Order)) - digit_bits;

/// Adds to `bins` how many numbers have each value of the upper 16 bits of their order.
///
/// In four histograms at a time, because equal digits in a row would wait for each other.
template <class Order, class T, class OrderOf>
void count_orders(const T* values, std::size_t n, const OrderOf& order, std::size_t* bins)
{
    constexpr int shift = upper_digit<Order>;
    if (n < 4 * digits)
    {
        for (std::size_t i = 0; i < n; ++i)
        {
            ++bins[order(values[i]) >> shift];
        }
        return;
    }
    constexpr std::size_t most = std::size_t{1} << 31; // what 32 bits count
    std::vector<std::uint32_t> parts(4 * digits);
    std::uint32_t* const p = parts.data();
    for (std::size_t first = 0; first < n; first += most)
    {
        const std::size_t last = std::min(n, first + most);
        std::size_t i = first;
        for (; i + 4 <= last; i += 4)
        {
            ++p[static_cast<std::size_t>(order(values[i]) >> shift)];
            ++p[digits + static_cast<std::size_t>(order(values[i + 1]) >> shift)];
            ++p[2 * digits + static_cast<std::size_t>(order(values[i + 2]) >> shift)];
            ++p[3 * digits + static_cast<std::size_t>(order(values[i + 3]) >> shift)];
        }
        for (; i < last; ++i)
        {
            ++p[static_cast<std::size_t>(order(values[i]) >> shift)];
        }
        for (std::size_t b = 0; b < digits; ++b)
        {
            bins[b] += std::size_t{p[b]} + p[digits + b] + p[2 * digits + b] + p[3 * digits + b];
        }
        std::fill(parts.begin(), parts.end(), 0);
    }
}

/// Calls `f(i)`, ascending, for the numbers whose order, without its lower `shift` bits, is from
/// `first` to `last`. Fast where these are few.
template <class Order, class T, class OrderOf, class F>
void for_each_between(const T* values, std::size_t n, const OrderOf& order, int shift, Order first,
    Order last, const F& f)
{
    const Order width = last - first;
    std::size_t i = 0;
    for (; i + compared_at_once <= n; i += compared_at_once)
    {
        unsigned any = 0;
        for (std::size_t j = 0; j < compared_at_once; ++j)
        {
            const auto above = static_cast<Order>((order(values[i + j]) >> shift) - first);
            any |= above <= width ? 1u : 0u;
        }
        if (any == 0)
        {
            continue;
        }
        for (std::size_t j = 0; j < compared_at_once; ++j)
        {
            if (static_cast<Order>((order(values[i + j]) >> shift) - first) <= width)
            {
                f(i + j);
            }
        }
    }
    for (; i < n; ++i)
    {
        if (static_cast<Order>((order(values[i]) >> shift) - first) <= width)
        {
            f(i);
        }
    }
}

/// Adds to `bins` how many of the numbers whose higher bits are `prefix` have each value of the 16 bits
/// from `shift` on.
template <class Order, class T, class OrderOf>
void count_orders_within(const T* values, std::size_t n, const OrderOf& order, int shift,
    Order prefix, std::size_t* bins)
{
    for_each_between<Order>(values, n, order, shift + digit_bits, prefix, prefix,
        [&](std::size_t i)
        {
            ++bins[static_cast<std::size_t>(order(values[i]) >> shift) & (digits - 1)];
        });
}

/// How many orders are below a bound, and how many at it.
struct counted_orders
{
    std::size_t below = 0;
    std::size_t at = 0;
};

template <class Order, class T, class OrderOf>
counted_orders count_below(const T* values, std::size_t n, const OrderOf& order, Order bound)
{
    constexpr std::size_t block = 1024;
    counted_orders found;
    const auto add = [&](std::size_t first, std::size_t size)
    {
        Order below = 0;
        Order at = 0;
        for (std::size_t j = 0; j < size; ++j)
        {
            const Order own = order(values[first + j]);
            below += own < bound ? 1u : 0u;
            at += own == bound ? 1u : 0u;
        }
        found.below += static_cast<std::size_t>(below);
        found.at += static_cast<std::size_t>(at);
    };
    std::size_t i = 0;
    for (; i + block <= n; i += block)
    {
        add(i, block);
    }
    add(i, n - i);
    return found;
}

/// Writes 0 for the numbers below `bound` and the first `ties` at it, 1 for the others. Returns how many
/// of the ties are left.
template <class Order, class T, class OrderOf>
std::size_t mark_above(const T* values, std::size_t n, const OrderOf& order, Order bound,
    std::size_t ties, std::uint8_t* keep) noexcept
{
    constexpr std::size_t block = 64;
    std::size_t i = 0;
    for (; i + block <= n; i += block)
    {
        std::uint8_t stays[block]; // apart from the numbers, so that it can be in registers
        unsigned any = 0;
        for (std::size_t j = 0; j < block; ++j)
        {
            const Order own = order(values[i + j]);
            stays[j] = own >= bound ? 1 : 0;
            any |= own == bound ? 1u : 0u;
        }
        for (std::size_t j = 0; any != 0 && ties > 0 && j < block; ++j)
        {
            if (order(values[i + j]) == bound)
            {
                stays[j] = 0;
                --ties;
            }
        }
        std::memcpy(keep + i, stays, block);
    }
    for (; i < n; ++i)
    {
        const Order own = order(values[i]);
        const bool tie = own == bound && ties > 0;
        ties -= tie ? 1 : 0;
        keep[i] = own >= bound && !tie ? 1 : 0;
    }
    return ties;
}

/// Writes 0 for the numbers whose uppermost digit is at most `digit`, 1 for the others, and calls
/// `f(i)`, ascending, for those at it. Fast where these are few.
template <class Order, class T, class OrderOf, class F>
void mark_above_digit(const T* values, std::size_t n, const OrderOf& order, Order digit,
    std::uint8_t* keep, const F& f)
{
    constexpr int shift = upper_digit<Order>;
    constexpr std::size_t block = compared_at_once;
    std::size_t i = 0;
    for (; i + block <= n; i += block)
    {
        std::uint8_t stays[block];
        unsigned any = 0;
        for (std::size_t j = 0; j < block; ++j)
        {
            const auto own = static_cast<Order>(order(values[i + j]) >> shift);
            stays[j] = own > digit ? 1 : 0;
            any |= own == digit ? 1u : 0u;
        }
        std::memcpy(keep + i, stays, block);
        for (std::size_t j = 0; any != 0 && j < block; ++j)
        {
            if (static_cast<Order>(order(values[i + j]) >> shift) == digit)
            {
                f(i + j);
            }
        }
    }
    for (; i < n; ++i)
    {
        const auto own = static_cast<Order>(order(values[i]) >> shift);
        keep[i] = own > digit ? 1 : 0;
        if (own == digit)
        {
            f(i);
        }
    }
}

/// Whether no counted order is that of NaN or an infinity, whose upper 16 bits no finite number has.
template <class Order>
bool counts_are_finite(const std::size_t* bins) noexcept
{
    constexpr std::size_t ends = sizeof(Order) == 4 ? 0x80 : 0x10;
    std::size_t found = 0;
    for (std::size_t b = 0; b < ends; ++b)
    {
        found += bins[b] + bins[digits - ends + b];
    }
    return found == 0;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
