/// @file
/// Variance of activations: units that put out a constant go first.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A unit's score is the variance of its activations, over all samples and positions. A unit that puts
/// out a constant does nothing that the next layer's bias could not do.
///
/// Polyak and Wolf, "Channel-Level Acceleration of Deep Face Representations", 2015 (inbound
/// pruning).
struct activation_variance
{
    static constexpr evidence needs = evidence::outputs;

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        for (std::size_t u = 0; u < scores.size(); ++u)
        {
            scores[u] = on.outputs.variance[u];
        }
    }

    friend bool operator==(const activation_variance&, const activation_variance&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
