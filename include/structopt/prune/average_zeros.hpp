/// @file
/// Average percentage of zeros (APoZ): units that are mostly silent go first.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A unit's score is the share of its activations that are not zero, over all samples and positions:
/// those with the most zeros go first. For activation functions that give exact zeros (ReLU).
///
/// Hu et al., "Network Trimming", 2016, equation 1: APoZ is one minus this.
struct average_zeros
{
    static constexpr evidence needs = evidence::outputs;

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        for (std::size_t u = 0; u < scores.size(); ++u)
        {
            scores[u] = 1 - on.outputs.zero_share[u];
        }
    }

    friend bool operator==(const average_zeros&, const average_zeros&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
