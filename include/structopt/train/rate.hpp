/// @file
/// How a rate schedule is stepped: per batch or per epoch, said explicitly.
#pragma once

#include <structopt/schedule/concepts.hpp>

#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The rate of every step is `schedule(steps done)`.
template <schedule::rate_schedule S>
struct batch_rate
{
    S schedule;
};

/// The rate of every step of an epoch is `schedule(epochs done)`.
template <schedule::rate_schedule S>
struct epoch_rate
{
    S schedule;
};

/// The rate follows a number measured at the end of every epoch.
template <schedule::metric_schedule S>
struct measured_rate
{
    S schedule;
    /// What is watched; empty: the loss on the first validation set, or the training loss.
    std::string watch;
};

/// Steps a schedule with every batch: `train::per_batch(schedule::one_cycle{...})`.
template <schedule::rate_schedule S>
batch_rate<S> per_batch(S s)
{
    return {std::move(s)};
}

/// Steps a schedule with every epoch: `train::per_epoch(schedule::step_decay{...})`.
template <schedule::rate_schedule S>
epoch_rate<S> per_epoch(S s)
{
    return {std::move(s)};
}

/// Tells a schedule the number it watches after every epoch:
/// `train::per_epoch(schedule::reduce_on_plateau{...}, "validation.loss")`.
template <schedule::metric_schedule S>
measured_rate<S> per_epoch(S s, std::string watch = {})
{
    return {std::move(s), std::move(watch)};
}

} // namespace train
STRUCTOPT_END_NAMESPACE
