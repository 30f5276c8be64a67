/// @file
/// Everything a training needs, besides the network, to go on as if it had never been interrupted.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/optim/step.hpp>
#include <structopt/schedule/reduce_on_plateau.hpp>
#include <structopt/train/early_stopping.hpp>
#include <structopt/train/history.hpp>

#include <string>
#include <string_view>
#include <type_traits>

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

/// Calls `visit(name, number)` for every number of a state that is not part of a network, of the
/// random engine or of the history; numbers are `double`, `index_t` or `bool`. What a checkpoint
/// saves besides those.
///
/// A `ScheduleState` of one's own is visited if it has `static void numbers(self, visit)` of the
/// same form.
template <class Run, class Visitor>
void visit_numbers(Run& run, Visitor&& visit)
{
    visit("optimizer.step", run.optimizer.step);
    visit("optimizer.aux", run.optimizer.aux);
    visit("epoch", run.epoch);
    visit("batch", run.batch);
    visit("loss_sum", run.loss_sum);
    visit("penalty_sum", run.penalty_sum);
    visit("samples", run.samples);
    visit("rate", run.rate);
    visit("finished", run.finished);
    visit("stopping.best", run.stopping.best);
    visit("stopping.best_epoch", run.stopping.best_epoch);
    visit("stopping.bad", run.stopping.bad);
    visit("history.restored", run.history.restored);
    visit("history.stopped", run.history.stopped);
    using schedule_type = std::remove_cvref_t<decltype(run.schedule)>;
    if constexpr (std::is_same_v<schedule_type, schedule::plateau_state>)
    {
        visit("schedule.rate", run.schedule.rate);
        visit("schedule.best", run.schedule.best);
        visit("schedule.measured", run.schedule.measured);
        visit("schedule.bad", run.schedule.bad);
        visit("schedule.cooldown", run.schedule.cooldown);
    }
    else
    {
        schedule_type::numbers(run.schedule,
            [&](std::string_view name, auto& number)
            {
                visit("schedule." + std::string(name), number);
            });
    }
}

} // namespace train
STRUCTOPT_END_NAMESPACE
