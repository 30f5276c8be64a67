/// @file
/// Filters near the geometric median of their layer, which the others can replace, go first.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/prune/concepts.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The score of a unit is the mean of the Euclidean distances of its row to the other rows:
/// 1 / (n - 1) sum_j |w_i - w_j|.
///
/// He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks
/// Acceleration", 2019 (FPGM), equation 5 (the mean in place of the sum compares layers of different
/// width; within a layer the order is that of the sum). Rows of nothing but zeros are removed already:
/// they score 0, and no distances to them count. Exact, in double: O(rows^2 columns), and no memory.
struct geometric_median
{
    template <std::floating_point T>
    void score_units(view<const T, 2> w, std::span<T> scores) const
    {
        std::vector<index_t> there;
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            const auto row = w[r].flat();
            const bool gone = std::all_of(row.begin(), row.end(),
                [](T value)
                {
                    return structopt::detail::is_zero(value);
                });
            scores[static_cast<std::size_t>(r)] = 0;
            if (!gone)
            {
                there.push_back(r);
            }
        }
        std::vector<double> sums(there.size());
        for (std::size_t i = 0; i < there.size(); ++i)
        {
            for (std::size_t j = i + 1; j < there.size(); ++j)
            {
                const double apart = distance<T>(w[there[i]].flat(), w[there[j]].flat());
                sums[i] += apart;
                sums[j] += apart;
            }
        }
        // A single row has no others: its own norm, so that it does not look removed.
        if (there.size() == 1)
        {
            const auto row = w[there[0]].flat();
            const std::vector<T> origin(row.size());
            sums[0] = distance<T>(row, origin);
        }
        const double others = std::max(1.0, static_cast<double>(there.size()) - 1);
        for (std::size_t i = 0; i < there.size(); ++i)
        {
            scores[static_cast<std::size_t>(there[i])] = static_cast<T>(sums[i] / others);
        }
    }

    friend bool operator==(const geometric_median&, const geometric_median&) = default;

private:
    /// Four sums at a time: their additions do not wait for each other.
    template <class T>
    static double distance(std::span<const T> a, std::span<const T> b) noexcept
    {
        double sums[4] = {};
        std::size_t i = 0;
        for (; i + 4 <= a.size(); i += 4)
        {
            for (std::size_t k = 0; k < 4; ++k)
            {
                const double d = static_cast<double>(a[i + k]) - static_cast<double>(b[i + k]);
                sums[k] += d * d;
            }
        }
        for (; i < a.size(); ++i)
        {
            const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
            sums[0] += d * d;
        }
        return std::sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
    }
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
