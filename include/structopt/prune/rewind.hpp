/// @file
/// Lottery tickets: survivors of a pruning go back to the values they had early in the training.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/prune/mask.hpp>

#include <optional>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Callback of `train::fit` that keeps a copy of the network as it is after so many steps of the
/// optimizer; 0: before the first.
///
///     prune::rewind_point<decltype(net)> early{.step = 500};
///     train::fit(net, data, loss, optimizer, options, rng, early);
template <class Network>
struct rewind_point
{
    index_t step = 0;
    /// Empty until the step is reached. A training that is resumed later than that leaves it alone.
    std::optional<Network> network = {};

    /// @throws argument_error where the training ends before the step.
    template <class Context>
    void on_begin(Context& at)
    {
        if (step < 0 || step > at.steps())
        {
            structopt::detail::raise<argument_error>("prune::rewind_point step",
                "one of the " + std::to_string(at.steps()) + " steps of this training",
                std::to_string(step));
        }
        on_step(at);
    }

    template <class Context>
    void on_step(Context& at)
    {
        if (at.run.optimizer.step == step)
        {
            network = at.network;
        }
    }
};

/// Gives every parameter and statistic the value it has in `early`, and masked weights zero.
///
/// Frankle and Carbin, "The Lottery Ticket Hypothesis", 2019 (early: the initialization); Frankle,
/// Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket Hypothesis", 2020
/// (early: some epochs on). The network goes on to be trained under `prune::hold(m)`.
///
/// Throws `shape_error` if the mask is not one of `early`; the network is unchanged then.
template <class Network>
void rewind(Network& network, const Network& early, const mask& m)
{
    Network start = early;
    prune::apply(start, m);
    network = std::move(start);
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
