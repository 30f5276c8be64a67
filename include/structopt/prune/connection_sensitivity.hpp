/// @file
/// Connection sensitivity (SNIP): pruning once, before training.
#pragma once

#include <structopt/prune/gradient_times_weight.hpp>
#include <structopt/prune/scores.hpp>

#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A connection's score is |dL/dc| / sum |dL/dc| over the network, where c = 1 is a switch on the
/// connection: L is the loss with c w in place of w, so that dL/dc = g w.
///
/// Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", 2019, section
/// 4. Meant for the network at initialization, one batch of samples and `scope::global`; a
/// network with batch norm is differentiated in training's form there (`observe_options::training`).
/// A unit's score is the sum over its row.
struct connection_sensitivity
{
    static constexpr evidence needs = evidence::gradient;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        gradient_times_weight{}.score(on, scores);
    }

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        gradient_times_weight{}.score_units(on, scores);
    }

    /// Divides by the sum over the network, unless that is zero.
    void finish(std::span<layer_scores> layers) const
    {
        double sum = 0;
        for (const layer_scores& layer : layers)
        {
            for (const double value : layer.values)
            {
                sum += value;
            }
        }
        for (layer_scores& layer : layers)
        {
            for (double& value : layer.values)
            {
                value = sum > 0 ? value / sum : value;
            }
        }
    }

    friend bool operator==(const connection_sensitivity&, const connection_sensitivity&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
