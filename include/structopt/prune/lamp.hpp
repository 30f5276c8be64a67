/// @file
/// Layer-adaptive magnitude: one global ranking chooses the share of every layer.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lamp_shares.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/radix_sort.hpp>
#include <structopt/prune/score_list.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
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
/// relative to the largest weight. Scores: a sort, 16 bytes for each weight of a layer. One ranking of
/// single weights sorts and stores the scores of a few only.
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
        // Sizes and positions in one number where both fit, which sorts several times as fast.
        if constexpr (sizeof(T) == 4)
        {
            if (values.size() <= (std::size_t{1} << 32))
            {
                std::vector<std::uint64_t> order(values.size());
                for (std::size_t i = 0; i < values.size(); ++i)
                {
                    const std::uint64_t size =
                        std::bit_cast<std::uint32_t>(values[i]) & std::uint32_t{0x7fffffff};
                    order[i] = (size << 32) | i;
                }
                detail::radix_sort(order, 32);
                double left = 0;
                for (std::size_t k = order.size(); k-- > 0;)
                {
                    const auto i = static_cast<std::size_t>(order[k] & 0xffffffff);
                    left = add(values[i], largest, left, scores[i]);
                }
                return;
            }
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
        double left = 0;
        for (const std::size_t i : order)
        {
            left = add(values[i], largest, left, scores[i]);
        }
    }

    /// How many of the `n` lowest scores of all layers are each layer's; see `size_ranking_criterion`.
    /// Of scores that agree as floats those of earlier layers are lower.
    std::vector<std::size_t> shares(
        std::span<const score_list> sizes, std::span<const std::size_t> most, std::size_t n) const
    {
        if (detail::orders_are_short(sizes))
        {
            return detail::lamp_shares(sizes, most, n);
        }
        std::vector<std::vector<double>> scores(sizes.size());
        std::vector<score_list> lists;
        for (std::size_t l = 0; l < sizes.size(); ++l)
        {
            scores[l].resize(sizes[l].size());
            std::vector<double> w(sizes[l].size());
            for (std::size_t i = 0; i < w.size(); ++i)
            {
                w[i] = sizes[l][i];
            }
            score(view<const double, 2>(w.data(), shape<2>{1, static_cast<index_t>(w.size())}),
                std::span<double>(scores[l]));
            lists.emplace_back(scores[l]);
        }
        return detail::shares_of_lowest(lists, most, n);
    }

    friend bool operator==(const lamp&, const lamp&) = default;

private:
    /// Adds the square of a weight to those of the larger ones, and sets its share of them.
    template <class T>
    static double add(T value, double largest, double sum, T& score) noexcept
    {
        const double relative = static_cast<double>(value) / largest;
        const double square = relative * relative;
        sum += square;
        score = static_cast<T>(square / sum);
        return sum;
    }
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
