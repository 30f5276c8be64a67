/// @file
/// Gradient times weight: the first-order change of the loss when a weight becomes zero.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cmath>
#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is |g w|, g being the mean gradient of the loss: how much the loss changes, to
/// first order, when the weight becomes zero. A unit's is the sum over its row.
///
/// Mozer and Smolensky, "Skeletonization", 1989; Lee et al., "SNIP", 2019, and Molchanov et al., 2019,
/// are this with other normalizations.
struct gradient_times_weight
{
    static constexpr evidence needs = evidence::gradient;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* const w = on.weight.data();
        const T* const g = on.gradient.data();
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = std::abs(static_cast<double>(g[i]) * static_cast<double>(w[i]));
        }
    }

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* w = on.weight.data();
        const T* g = on.gradient.data();
        for (double& score : scores)
        {
            score = 0;
            for (index_t c = 0; c < on.weight.shape(1); ++c)
            {
                score += std::abs(static_cast<double>(*g++) * static_cast<double>(*w++));
            }
        }
    }

    friend bool operator==(const gradient_times_weight&, const gradient_times_weight&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
