/// @file
/// Ends a training that no longer gets better.
#pragma once

#include <structopt/optim/check.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/train/history.hpp>

#include <optional>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// What early stopping knows between epochs: a plain value to keep and to save.
template <class Net>
struct stopping_state
{
    double best = 0.0;
    /// The epoch of the best measurement, from 1; 0 before any.
    index_t best_epoch = 0;
    /// Epochs since.
    index_t bad = 0;
    /// The network of that epoch, where it is to be restored.
    std::optional<Net> network;
};

/// Stops after `patience` epochs in a row whose measurement was no better than the best by more
/// than `min_delta`, and gives the network of the best epoch back (Prechelt, "Early Stopping - But
/// When?", 1998).
///
/// The best network comes back at the end of the training however it ends, unless it is paused. A
/// measurement that is NaN or infinite never is better.
struct early_stopping
{
    /// What is watched; empty: the loss on the first validation set, or the training loss.
    std::string watch = {};
    index_t patience = 5;
    double min_delta = 0.0;
    schedule::goal mode = schedule::goal::minimum;
    bool restore_best = true;

    /// @throws argument_error
    void validate() const
    {
        if (patience < 1)
        {
            structopt::detail::raise<argument_error>(
                "train::early_stopping.patience", "at least 1 epoch", std::to_string(patience));
        }
        optim::detail::option_check{"train::early_stopping"}.not_negative("min_delta", min_delta);
    }

    /// Takes one epoch's measurement; true if the training is to stop.
    template <class Net>
    bool update(stopping_state<Net>& state, double value, index_t epoch, const Net& network) const
    {
        const bool better = optim::is_finite(value) &&
                            (state.best_epoch == 0 ||
                                (mode == schedule::goal::minimum ? value < state.best - min_delta
                                                                 : value > state.best + min_delta));
        if (better)
        {
            state.best = value;
            state.best_epoch = epoch;
            state.bad = 0;
            if (restore_best)
            {
                state.network = network;
            }
            return false;
        }
        return ++state.bad >= patience;
    }

    friend bool operator==(const early_stopping&, const early_stopping&) = default;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
