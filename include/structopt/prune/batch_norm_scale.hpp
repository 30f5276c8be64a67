/// @file
/// Batch norm's scale (network slimming): channels that batch norm scales down go first.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cmath>
#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A unit's score is |gamma|, the factor of the batch norm that follows its layer in a `sequential`.
/// Needs no samples: `score_rows(net, batch_norm_scale{})`.
///
/// Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017, with an L1
/// penalty on gamma in training. Layers without a batch norm get no scores.
struct batch_norm_scale
{
    static constexpr evidence needs = evidence::scale;

    template <class T>
    bool applies(const layer_evidence<T>& on) const noexcept
    {
        return !on.scale.empty();
    }

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        for (std::size_t u = 0; u < scores.size(); ++u)
        {
            scores[u] = std::abs(static_cast<double>(on.scale[u]));
        }
    }

    friend bool operator==(const batch_norm_scale&, const batch_norm_scale&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
