/// @file
/// How a rate schedule is stepped: per batch or per epoch, said explicitly.
#pragma once

#include <structopt/schedule/concepts.hpp>

#include <concepts>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// A rate schedule that also moves the momentum, as `schedule::one_cycle` does.
template <class S>
concept momentum_schedule = schedule::rate_schedule<S> && requires(const S& s, index_t step)
{
    {
        s.momentum(step)
        } -> std::convertible_to<double>;
};

/// Asks `per_batch` to move the momentum too.
struct with_momentum
{
};

/// The rate of every step is `schedule(steps done)`; with `Momentum`, the optimizer's momentum
/// (`momentum`, `beta` or `beta1`) is `schedule.momentum(steps done)`.
template <schedule::rate_schedule S, bool Momentum = false>
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

/// ... and the momentum with it, as PyTorch's `OneCycleLR` does by default:
/// `train::per_batch(schedule::one_cycle{...}, train::with_momentum{})`.
template <momentum_schedule S>
batch_rate<S, true> per_batch(S s, with_momentum)
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
