/// @file
/// The training loop: start, resume, and both in one.
#pragma once

#include <structopt/train/loop.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The state of a training before its first step; `extras` as they will be given to `resume`.
/// Draws one number from `rng`.
/// @throws argument_error for options out of range.
template <class Net, optim::optimizer O, class... Extras>
auto start(const Net& network, const O& optimizer, random_engine& rng, const Extras&... extras);

/// Trains `network` from `run` on, up to `how.epochs`; everything else as in `fit`.
///
/// A training that was paused, or copied by a callback, goes on bit for bit as if it had not been
/// interrupted, given the same data, options and extras.
template <class Net, class ScheduleState, dataset Data, class Loss, optim::optimizer O,
    class... Extras>
void resume(Net& network, run_state<Net, ScheduleState>& run, const Data& data, const Loss& loss,
    const O& optimizer, const options& how, Extras&&... extras);

/// Trains a network: batches of `data` in a new order every epoch, forward, loss, backward, step.
///
/// What else is to happen is said by the extras, in any order; several of a kind are applied in the
/// order given:
///
/// | extra | effect |
/// |---|---|
/// | `train::per_batch(s)`, `train::per_epoch(s)` | learning rate by a schedule, instead of the optimizer's own |
/// | `optim::l1`, ... (regularizers) | penalties, added to the gradients |
/// | `optim::clip_norm`, `optim::clip_value` | gradients limited before the step |
/// | `optim::max_norm`, ... (constraints) | parameters moved after the step |
/// | `train::validate_on(data)` | loss and metrics on that data after every epoch |
/// | `train::accuracy`, ... (metrics) | what is measured there besides the loss |
/// | `train::early_stopping` | ends the training, restores the best network |
/// | callbacks | see `train::callback` |
///
/// Equal seeds give bit-equal networks, whatever the number of threads. The network is trained in
/// place; a training that throws leaves it as it was after the last step.
/// @returns one record per epoch.
/// @throws argument_error for options out of range or an empty dataset, shape_error where data,
/// network and loss do not fit, nonfinite_error for a loss that is NaN or infinite.
template <class Net, dataset Data, class Loss, optim::optimizer O, class... Extras>
history fit(Net& network, const Data& data, const Loss& loss, const O& optimizer,
    const options& how, random_engine& rng, Extras&&... extras);

// ---------------------------------------------------------------------------------------------

template <class Net, optim::optimizer O, class... Extras>
auto start(const Net& network, const O& optimizer, random_engine& rng, const Extras&... extras)
{
    run_state<Net, typename detail::schedule_state<Extras...>::type> run;
    run.optimizer = optim::make_state(optimizer, network);
    run.rate = static_cast<double>(optimizer.rate);
    [[maybe_unused]] const auto prepare = [&](const auto& extra)
    {
        if constexpr (detail::is_measured_rate<std::remove_cvref_t<decltype(extra)>>)
        {
            run.schedule = extra.schedule.make_state();
        }
    };
    (prepare(extras), ...);
    run.rng = rng.split();
    return run;
}

template <class Net, class ScheduleState, dataset Data, class Loss, optim::optimizer O,
    class... Extras>
void resume(Net& network, run_state<Net, ScheduleState>& run, const Data& data, const Loss& loss,
    const O& optimizer, const options& how, Extras&&... extras)
{
    using check =
        detail::call_check<Net, ScheduleState, Data, Loss, O, std::remove_reference_t<Extras>...>;
    static_assert(check::extras,
        "an argument of train::fit is none of: per_batch or per_epoch of a schedule, regularizer, "
        "clip, constraint, validate_on, metric, early_stopping, callback (not const)");
    static_assert(check::loss,
        "this loss does not compare the network's output with the targets of this dataset");
    static_assert(check::rates, "train::fit takes one learning-rate schedule");
    static_assert(check::stops, "train::fit takes one early_stopping");
    static_assert(
        check::metrics, "metrics are measured on validation sets: add train::validate_on(data)");
    static_assert(check::momentum, "with_momentum needs an optimizer with a momentum");
    if constexpr (check::all)
    {
        detail::loop<Net, ScheduleState, Data, Loss, O, std::remove_reference_t<Extras>...>(
            network, run, data, loss, optimizer, how, extras...)
            .run();
    }
}

template <class Net, dataset Data, class Loss, optim::optimizer O, class... Extras>
history fit(Net& network, const Data& data, const Loss& loss, const O& optimizer,
    const options& how, random_engine& rng, Extras&&... extras)
{
    auto run = train::start(network, optimizer, rng, extras...);
    train::resume(network, run, data, loss, optimizer, how, extras...);
    return std::move(run.history);
}

} // namespace train
STRUCTOPT_END_NAMESPACE
