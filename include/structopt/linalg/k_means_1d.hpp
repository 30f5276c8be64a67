/// @file
/// k-means of numbers: Lloyd's iteration over sorted values, exact and cheap.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/random.hpp>
#include <structopt/core/tensor.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace linalg
{

/// Where the centers begin.
enum class k_means_start
{
    linear,  ///< equally spaced between the smallest and the largest value
    density, ///< at quantiles: an equal share of the weight between two
    random   ///< at values drawn without repetition
};

/// How `k_means_1d` ended.
struct k_means_result
{
    double cost = 0; ///< sum of weight * squared distance to the center
    int iterations = 0;
    bool converged = false; ///< the last iteration moved no value to another center

    friend bool operator==(const k_means_result&, const k_means_result&) = default;
};

/// Finds `centers.size()` centers, ascending, for the values, each weighted by `weights` (empty: all
/// alike; all zero counts as alike too).
///
/// Lloyd's iteration (1957): every value belongs to the nearest center, of two equally near ones the
/// lower, and every center is the mean of its values. In one dimension clusters are runs of the
/// sorted values, so an iteration is a binary search per border and a difference of prefix
/// sums: O(n) to sort, O(k log n) per iteration. A center without values goes to the value that is
/// farthest from its center in one of the clusters of largest cost. With fewer different values than
/// centers the last ones repeat; without values all centers are 0. Values must be finite, weights
/// at least 0. `rng` is used by `random` alone. 12 to 24 bytes per value while it works.
inline k_means_result k_means_1d(std::span<const float> values, std::span<const float> weights,
    std::span<float> centers, k_means_start start, random_engine& rng, int most_iterations = 300);

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sorts numbers, and weights with them where there are some: by digits of 11 bits, three passes.
inline void sort_weighted(buffer<float>& values, buffer<float>& weights)
{
    const std::size_t n = values.size();
    const bool weighted = !weights.empty();
    if (n < 2048 && !weighted)
    {
        std::sort(values.begin(), values.end());
        return;
    }
    constexpr int digit = 11;
    constexpr std::size_t digits = std::size_t{1} << digit;
    const auto key = [](float x) noexcept
    {
        const auto bits = std::bit_cast<std::uint32_t>(x);
        return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
    };
    buffer<float> other(n);
    buffer<float> other_weights(weighted ? n : 0);
    std::vector<std::size_t> places(digits);
    for (int shift = 0; shift < 32; shift += digit)
    {
        std::fill(places.begin(), places.end(), std::size_t{0});
        for (std::size_t i = 0; i < n; ++i)
        {
            ++places[key(values[i]) >> shift & (digits - 1)];
        }
        std::exclusive_scan(places.begin(), places.end(), places.begin(), std::size_t{0});
        for (std::size_t i = 0; i < n; ++i)
        {
            const std::size_t to = places[key(values[i]) >> shift & (digits - 1)]++;
            other[to] = values[i];
            if (weighted)
            {
                other_weights[to] = weights[i];
            }
        }
        values.swap(other);
        weights.swap(other_weights);
    }
}

/// Sorted values with the prefix sums that clusters are made of.
class sorted_values
{
public:
    /// Values of weight 0 are left out, unless all are.
    sorted_values(std::span<const float> values, std::span<const float> weights)
    {
        for (std::size_t i = 0; i < weights.size(); ++i)
        {
            if (weights[i] > 0)
            {
                m_values.push_back(values[i]);
                m_weights.push_back(weights[i]);
            }
        }
        const bool weighted = !m_values.empty();
        if (!weighted)
        {
            m_values.assign(values.begin(), values.end());
        }
        sort_weighted(m_values, m_weights);
        m_sums.resize(m_values.size() + 1);
        m_masses.resize(weighted ? m_sums.size() : 0);
        for (std::size_t i = 0; i < m_values.size(); ++i)
        {
            const double w = weight(i);
            m_sums[i + 1] = m_sums[i] + w * static_cast<double>(m_values[i]);
            if (weighted)
            {
                m_masses[i + 1] = m_masses[i] + w;
            }
        }
    }

    std::size_t size() const noexcept
    {
        return m_values.size();
    }

    double operator[](std::size_t i) const noexcept
    {
        return static_cast<double>(m_values[i]);
    }

    double weight(std::size_t i) const noexcept
    {
        return m_weights.empty() ? 1.0 : static_cast<double>(m_weights[i]);
    }

    /// Sum of the weights of values [0, i).
    double mass(std::size_t i) const noexcept
    {
        return m_masses.empty() ? static_cast<double>(i) : m_masses[i];
    }

    /// The first value above `border`.
    std::size_t above(double border) const noexcept
    {
        return static_cast<std::size_t>(std::upper_bound(m_values.begin(), m_values.end(), border,
                                            [](double b, float x)
                                            {
                                                return b < static_cast<double>(x);
                                            }) -
                                        m_values.begin());
    }

    /// Weighted mean of values [first, last), whose mass is above 0.
    double mean(std::size_t first, std::size_t last) const noexcept
    {
        const double mean = (m_sums[last] - m_sums[first]) / (mass(last) - mass(first));
        // Rounding of the sums must not move a center out of its cluster.
        return std::clamp(mean, (*this)[first], (*this)[last - 1]);
    }

    /// Sum of weight * squared distance of values [first, last).
    double cost(std::size_t first, std::size_t last, double center) const noexcept
    {
        double sum = 0;
        for (std::size_t i = first; i < last; ++i)
        {
            const double d = (*this)[i] - center;
            sum += weight(i) * d * d;
        }
        return sum;
    }

private:
    buffer<float> m_values;
    buffer<float> m_weights;
    std::vector<double> m_sums;
    std::vector<double> m_masses;
};

/// The centers that the iteration begins with, ascending.
inline std::vector<double> start_centers(
    const sorted_values& values, std::size_t k, k_means_start start, random_engine& rng)
{
    const std::size_t n = values.size();
    const double low = values[0];
    const double high = values[n - 1];
    std::vector<double> centers(k);
    if (start == k_means_start::random)
    {
        std::vector<std::size_t> drawn;
        while (drawn.size() < std::min(k, n))
        {
            const auto i = static_cast<std::size_t>(uniform_index(rng, static_cast<index_t>(n)));
            if (std::find(drawn.begin(), drawn.end(), i) == drawn.end())
            {
                drawn.push_back(i);
            }
        }
        for (std::size_t j = 0; j < k; ++j)
        {
            centers[j] = values[drawn[std::min(j, drawn.size() - 1)]];
        }
        std::sort(centers.begin(), centers.end());
        return centers;
    }
    std::size_t at = 0;
    for (std::size_t j = 0; j < k; ++j)
    {
        if (start == k_means_start::linear)
        {
            const double part = k == 1 ? 0.5 : static_cast<double>(j) / static_cast<double>(k - 1);
            centers[j] = low + part * (high - low);
        }
        else
        {
            const double share =
                (static_cast<double>(j) + 0.5) / static_cast<double>(k) * values.mass(n);
            while (at + 1 < n && values.mass(at + 1) <= share)
            {
                ++at;
            }
            centers[j] = values[at];
        }
    }
    return centers;
}

} // namespace detail

inline k_means_result k_means_1d(std::span<const float> numbers, std::span<const float> weights,
    std::span<float> centers, k_means_start start, random_engine& rng, int most_iterations)
{
    k_means_result result;
    const std::size_t k = centers.size();
    if (numbers.empty() || k == 0)
    {
        std::fill(centers.begin(), centers.end(), 0.0f);
        result.converged = true;
        return result;
    }
    const detail::sorted_values values(numbers, weights);
    auto at = detail::start_centers(values, k, start, rng);
    std::vector<std::size_t> ends(k + 1);
    std::vector<std::size_t> before;
    const auto place = [&]
    {
        ends[k] = values.size();
        for (std::size_t j = 1; j < k; ++j)
        {
            // Of equal centers the first has the values.
            ends[j] =
                at[j - 1] < at[j] ? values.above((at[j - 1] + at[j]) / 2) : values.above(at[j]);
        }
        for (std::size_t j = 1; j < k; ++j)
        {
            ends[j] = std::max(ends[j], ends[j - 1]);
        }
    };
    const auto is_empty = [&](std::size_t j)
    {
        return !(values.mass(ends[j + 1]) - values.mass(ends[j]) > 0);
    };
    while (result.iterations < most_iterations && !result.converged)
    {
        ++result.iterations;
        before = ends;
        place();
        std::size_t empty = 0;
        for (std::size_t j = 0; j < k; ++j)
        {
            if (is_empty(j))
            {
                ++empty;
            }
            else
            {
                at[j] = values.mean(ends[j], ends[j + 1]);
            }
        }
        bool moved = false;
        if (empty > 0)
        {
            // The costliest clusters give their farthest value to the centers without any.
            std::vector<std::pair<double, std::size_t>> costs;
            for (std::size_t j = 0; j < k; ++j)
            {
                const double cost = is_empty(j) ? 0.0 : values.cost(ends[j], ends[j + 1], at[j]);
                if (cost > 0)
                {
                    costs.emplace_back(-cost, j);
                }
            }
            std::sort(costs.begin(), costs.end());
            std::size_t donor = 0;
            for (std::size_t j = 0; j < k && donor < costs.size(); ++j)
            {
                if (is_empty(j))
                {
                    const std::size_t from = costs[donor++].second;
                    const double low = values[ends[from]];
                    const double high = values[ends[from + 1] - 1];
                    at[j] = at[from] - low > high - at[from] ? low : high;
                    moved = true;
                }
            }
            std::sort(at.begin(), at.end());
        }
        result.converged = !moved && ends == before;
    }
    // As floats, which decide to whom a value belongs.
    for (std::size_t j = 0; j < k; ++j)
    {
        centers[j] = static_cast<float>(at[j]);
        at[j] = static_cast<double>(centers[j]);
    }
    place();
    for (std::size_t j = 0; j < k; ++j)
    {
        result.cost += values.cost(ends[j], ends[j + 1], at[j]);
    }
    return result;
}

} // namespace linalg
STRUCTOPT_END_NAMESPACE
