/// @file
/// Movement: weights that fine-tuning moves towards zero go first.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/prune/evidence.hpp>
#include <structopt/prune/observations.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is S = -sum over the steps of w dL/dw: it grows while steps of gradient descent move
/// the weight away from zero. A unit's is the mean over its row.
///
/// Sanh, Wolf and Rush, "Movement Pruning: Adaptive Sparsity by Fine-Tuning", 2020, with a
/// constant rate, whose factor does not change the order. From `track_movement`.
struct movement
{
    static constexpr evidence needs = evidence::movement;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* const moved = on.movement.data();
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = static_cast<double>(moved[i]);
        }
    }

    friend bool operator==(const movement&, const movement&) = default;
};

/// A callback of `train::fit` that adds up the movement of every parameter: -w g at each step, with
/// penalties in g, before clipping. Holds 8 bytes per parameter; changes nothing.
///
///     prune::track_movement tracked;
///     train::fit(net, data, loss, optimizer, options, rng, tracked);
///     const auto scores = prune::score(net, prune::movement{}, tracked.observations(net));
///
/// Weights that a mask holds at zero do not move.
class track_movement
{
public:
    template <class Context>
    void on_gradients(Context& at)
    {
        add(at.network, at.gradients);
    }

    /// One step by hand: adds -w g for every parameter. Throws `shape_error` for a network with other
    /// extents than before.
    template <class Network>
    void add(const Network& network, const Network& gradients)
    {
        using T = nn::value_type<Network>;
        const auto weights = nn::trainable_parameters<const T>(network);
        const auto slopes = nn::trainable_parameters<const T>(gradients);
        if (m_sums.empty())
        {
            for (const auto& each : weights)
            {
                m_sums.emplace_back(each.values.size(), 0.0);
            }
        }
        check(weights);
        check(slopes);
        for (std::size_t p = 0; p < m_sums.size(); ++p)
        {
            for (std::size_t i = 0; i < m_sums[p].size(); ++i)
            {
                m_sums[p][i] -= static_cast<double>(weights[p].values[i]) *
                                static_cast<double>(slopes[p].values[i]);
            }
        }
        ++m_steps;
    }

    /// Steps so far.
    index_t steps() const noexcept
    {
        return m_steps;
    }

    /// What was found out about a network. Throws `argument_error` before the first step and for sums that
    /// are NaN or infinite, `shape_error` for a network with other extents.
    template <class Network>
    prune::observations<Network> observations(const Network& network) const
    {
        using T = nn::value_type<Network>;
        if (m_steps == 0)
        {
            structopt::detail::raise<argument_error>(
                "prune::track_movement", "at least one step of training", "none");
        }
        check(nn::trainable_parameters<const T>(network));
        prune::observations<Network> seen;
        seen.have = evidence::movement;
        seen.samples = m_steps;
        seen.movement = nn::zeros_like(network);
        const auto sums = nn::trainable_parameters<T>(*seen.movement);
        for (std::size_t p = 0; p < m_sums.size(); ++p)
        {
            for (std::size_t i = 0; i < m_sums[p].size(); ++i)
            {
                sums[p].values[i] = static_cast<T>(m_sums[p][i]);
            }
        }
        return seen;
    }

private:
    template <class List>
    void check(const List& parameters) const
    {
        bool same = parameters.size() == m_sums.size();
        for (std::size_t p = 0; same && p < m_sums.size(); ++p)
        {
            same = parameters[p].values.size() == m_sums[p].size();
        }
        if (!same)
        {
            structopt::detail::raise<shape_error>("prune::track_movement",
                "the network of the steps before", "one with other extents");
        }
    }

    std::vector<std::vector<double>> m_sums;
    index_t m_steps = 0;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
