/// @file
/// What the loop shows to callbacks.
#pragma once

#include <structopt/train/options.hpp>
#include <structopt/train/run_state.hpp>

#include <concepts>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The running training, as a hook sees it: everything may be read, and network, gradients and
/// state may be changed.
template <class Net, class ScheduleState = schedule::plateau_state>
struct context
{
    Net& network;
    /// Filled between `on_gradients` and the step, zero otherwise.
    Net& gradients;
    run_state<Net, ScheduleState>& run;
    const train::options& options;
    /// Batches per epoch.
    index_t batches = 0;
    /// Samples of the current batch, its loss and penalty.
    index_t samples = 0;
    double loss = 0.0;
    double penalty = 0.0;
    /// The finished epoch, in `on_epoch_end` and `on_end`; else null.
    const epoch_record* record = nullptr;
};

namespace detail
{

template <class C, class Context>
concept hears_begin = requires(C& c, Context& at)
{
    c.on_begin(at);
};

template <class C, class Context>
concept hears_epoch_begin = requires(C& c, Context& at)
{
    c.on_epoch_begin(at);
};

template <class C, class Context>
concept hears_gradients = requires(C& c, Context& at)
{
    c.on_gradients(at);
};

template <class C, class Context>
concept hears_step = requires(C& c, Context& at)
{
    c.on_step(at);
};

template <class C, class Context>
concept hears_batch_end = requires(C& c, Context& at)
{
    c.on_batch_end(at);
};

template <class C, class Context>
concept hears_epoch_end = requires(C& c, Context& at)
{
    c.on_epoch_end(at);
};

template <class C, class Context>
concept hears_end = requires(C& c, Context& at)
{
    c.on_end(at);
};

} // namespace detail

/// A callback: a struct with any of these hooks, each taking `auto& at` (a `train::context`) and
/// returning void or a `train::control`.
///
/// | hook | when |
/// |---|---|
/// | `on_begin` | once, before the first epoch of a `fit` or `resume` |
/// | `on_epoch_begin` | before the first batch of an epoch |
/// | `on_gradients` | after backward and penalties, before clipping and the step |
/// | `on_step` | after the optimizer's step and the constraints: masks are applied again here |
/// | `on_batch_end` | after all hooks of `on_step` |
/// | `on_epoch_end` | when the epoch is measured and recorded |
/// | `on_end` | once, after the last epoch (not on a pause) |
template <class C, class Context>
concept callback = detail::hears_begin<C, Context> || detail::hears_epoch_begin<C, Context> ||
    detail::hears_gradients<C, Context> || detail::hears_step<C, Context> ||
    detail::hears_batch_end<C, Context> || detail::hears_epoch_end<C, Context> ||
    detail::hears_end<C, Context>;

/// A callback out of a function: `train::after_step([&](auto& at) { ... })`.
template <class F>
struct step_callback
{
    F function;

    template <class Context>
    auto on_step(Context& at)
    {
        return function(at);
    }
};

template <class F>
step_callback<F> after_step(F function)
{
    return {std::move(function)};
}

/// A callback out of a function: `train::after_epoch([&](auto& at) { ... })`.
template <class F>
struct epoch_callback
{
    F function;

    template <class Context>
    auto on_epoch_end(Context& at)
    {
        return function(at);
    }
};

template <class F>
epoch_callback<F> after_epoch(F function)
{
    return {std::move(function)};
}

} // namespace train
STRUCTOPT_END_NAMESPACE
