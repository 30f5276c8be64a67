/// @file
/// Everything a training needs, besides the network, to go on as if it had never been interrupted.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/optim/step.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/train/early_stopping.hpp>
#include <structopt/train/history.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The state of a training: a plain value. Copied or saved together with the network, at the end of
/// an epoch or between two batches, it continues bit for bit.
///
/// `ScheduleState` is the state of a rate schedule that follows a measurement.
template <class Net, class ScheduleState = schedule::plateau_state>
struct run_state
{
    optim::state<Net> optimizer;
    /// As it stands at the beginning of the current epoch: order, augmentation and dropout of the
    /// epoch follow from it.
    random_engine rng;
    /// Finished epochs.
    index_t epoch = 0;
    /// Finished batches of the current epoch.
    index_t batch = 0;
    /// Sums over the finished batches of the current epoch, weighted by samples.
    double loss_sum = 0.0;
    double penalty_sum = 0.0;
    index_t samples = 0;
    /// Learning rate of the last step.
    double rate = 0.0;
    ScheduleState schedule{};
    stopping_state<Net> stopping;
    train::history history;
    /// Whether the training has come to its end: resuming does nothing.
    bool finished = false;
};

} // namespace train
STRUCTOPT_END_NAMESPACE
