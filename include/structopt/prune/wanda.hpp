/// @file
/// Wanda: weights times the size of the activations they meet.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cmath>
#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is |w_ij| ||x_j||, x_j being column j's input over all samples.
///
/// Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", 2023, equation 1.
/// The norm here is the root of the mean square, which differs by one factor per layer, so that
/// layers compare whatever their number of positions. The paper compares scores within each row.
struct wanda
{
    static constexpr evidence needs = evidence::inputs;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* w = on.weight.data();
        double* to = scores.data();
        for (index_t r = 0; r < on.weight.shape(0); ++r)
        {
            for (const double norm : on.inputs_of(r))
            {
                *to++ = std::abs(static_cast<double>(*w++)) * norm;
            }
        }
    }

    friend bool operator==(const wanda&, const wanda&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
