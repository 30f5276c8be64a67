/// @file
/// Mean activation: units that put out little go first.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A unit's score is the mean of |a| over its activations a, all samples and positions.
///
/// Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017,
/// section 2.2; their mean of a is that of |a| behind a ReLU, and `absolute = false` elsewhere.
struct mean_activation
{
    static constexpr evidence needs = evidence::outputs;

    /// The mean of |a| or of a.
    bool absolute = true;

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        for (std::size_t u = 0; u < scores.size(); ++u)
        {
            scores[u] = absolute ? on.outputs.mean_absolute[u] : on.outputs.mean[u];
        }
    }

    friend bool operator==(const mean_activation&, const mean_activation&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
