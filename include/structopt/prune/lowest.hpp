/// @file
/// Choosing the lowest scores: an exact count, ties by position, NaN refused.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
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

/// Positions of the `n` lowest scores, ascending by position. Equal scores: the earlier ones.
/// O(scores) on average.
template <class T>
std::vector<std::size_t> lowest(std::span<const T> scores, std::size_t n)
{
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto before = [&](std::size_t a, std::size_t b)
    {
        return scores[a] < scores[b] || (scores[a] == scores[b] && a < b);
    };
    if (n < order.size())
    {
        std::nth_element(
            order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(), before);
        order.resize(n);
    }
    std::sort(order.begin(), order.end());
    return order;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
