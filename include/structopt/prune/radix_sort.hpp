/// @file
/// Sorting numbers by some of their bits.
#pragma once

#include <structopt/config.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

/// Sorts by the bits from `first` on, ascending; items that agree in them keep their order. O(n) for
/// each 11 bits, and a second list in memory.
template <std::unsigned_integral Item>
void radix_sort(std::vector<Item>& items, int first)
{
    constexpr int step = 11;
    constexpr std::size_t buckets = std::size_t{1} << step;
    std::vector<Item> other(items.size());
    for (int shift = first; shift < 8 * static_cast<int>(sizeof(Item)); shift += step)
    {
        const auto bucket = [&](Item item)
        {
            return static_cast<std::size_t>(item >> shift) & (buckets - 1);
        };
        std::array<std::size_t, buckets> next{};
        for (const Item item : items)
        {
            ++next[bucket(item)];
        }
        if (std::find(next.begin(), next.end(), items.size()) != next.end())
        {
            continue; // all agree
        }
        std::size_t before = 0;
        for (std::size_t& n : next)
        {
            const std::size_t here = n;
            n = before;
            before += here;
        }
        for (const Item item : items)
        {
            other[next[bucket(item)]++] = item;
        }
        items.swap(other);
    }
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
