/// @file
/// Units leave a network in the middle of its training: momentum and averages shrink with it.
#pragma once

#include <structopt/optim/step.hpp>
#include <structopt/prune/units.hpp>
#include <structopt/train/run_state.hpp>

#include <optional>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{
namespace detail
{

template <class Net, std::size_t N>
std::vector<Net> select_slots(
    const std::vector<Net>& slots, const shape<N>& sample, const kept_units& kept)
{
    std::vector<Net> smaller;
    for (const Net& slot : slots)
    {
        smaller.push_back(prune::select_units(slot, sample, kept));
    }
    return smaller;
}

} // namespace detail

/// Compacts a network and the state of its optimizer: every kept number keeps what the optimizer knows
/// of it (momentum, second moments). Errors as of `compact`; nothing has changed then.
template <class Net, std::size_t N>
void compact(Net& network, optim::state<Net>& state, const shape<N>& sample, const kept_units& kept)
{
    std::vector<Net> slots = detail::select_slots(state.slots, sample, kept);
    network = prune::compact(std::as_const(network), sample, kept);
    state.slots = std::move(slots);
}

/// Compacts a network and the state of its training, the best network so far included:
/// `train::resume` goes on with the smaller one. The measurements of early stopping stay.
template <class Net, class ScheduleState, std::size_t N>
void compact(Net& network, train::run_state<Net, ScheduleState>& run, const shape<N>& sample,
    const kept_units& kept)
{
    std::optional<Net> best;
    if (run.stopping.network)
    {
        best.emplace(prune::compact(std::as_const(*run.stopping.network), sample, kept));
    }
    prune::compact(network, run.optimizer, sample, kept);
    run.stopping.network = std::move(best);
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
