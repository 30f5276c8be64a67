/// @file
/// Layer-adaptive magnitude: one global ranking chooses the share of every layer.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/prune/concepts.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The score of a weight is w^2 over the sum of the squares of all weights of its layer that are not
/// smaller (of equally large ones, of those that come later too). For `scope::global`: within a layer
/// the order is that of the magnitude.
///
/// Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", 2021, equation 3. The
/// largest weight of every layer scores 1, the highest score there is; zeros score 0. Sums in double,
/// relative to the largest weight. O(n log n) for n weights of a layer, 4 + 8 bytes each.
struct lamp
{
    template <std::floating_point T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        const auto values = w.flat();
        double largest = 0;
        bool finite = true;
        for (const T value : values)
        {
            finite = finite && structopt::detail::is_finite(value);
            largest = std::max(largest, std::abs(static_cast<double>(value)));
        }
        if (!finite || structopt::detail::is_zero(largest))
        {
            // A weight that is not finite shows as such in its score.
            for (std::size_t i = 0; i < values.size(); ++i)
            {
                scores[i] = std::abs(values[i]);
            }
            return;
        }
        std::vector<std::size_t> order(values.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b)
            {
                const T x = std::abs(values[a]);
                const T y = std::abs(values[b]);
                return x > y || (!(y > x) && a > b);
            });
        double sum = 0;
        for (const std::size_t i : order)
        {
            const double relative = static_cast<double>(values[i]) / largest;
            const double square = relative * relative;
            sum += square;
            scores[i] = static_cast<T>(square / sum);
        }
    }

    friend bool operator==(const lamp&, const lamp&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
