/// @file
/// What the loop shows to callbacks, and what a callback is.
#pragma once

#include <structopt/train/options.hpp>
#include <structopt/train/run_state.hpp>

#include <limits>
#include <type_traits>
#include <utility>

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

    /// Steps of the whole training, or the largest number where they are more.
    index_t steps() const noexcept
    {
        constexpr index_t most = std::numeric_limits<index_t>::max();
        return batches > 0 && options.epochs > most / batches ? most : options.epochs * batches;
    }
};

namespace detail
{

struct begin_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_begin(at))
    {
        return c.on_begin(at);
    }
};

struct epoch_begin_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_epoch_begin(at))
    {
        return c.on_epoch_begin(at);
    }
};

struct gradients_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_gradients(at))
    {
        return c.on_gradients(at);
    }
};

struct step_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_step(at))
    {
        return c.on_step(at);
    }
};

struct batch_end_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_batch_end(at))
    {
        return c.on_batch_end(at);
    }
};

struct epoch_end_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_epoch_end(at))
    {
        return c.on_epoch_end(at);
    }
};

struct end_hook
{
    template <class C, class Context>
    auto operator()(C& c, Context& at) const -> decltype(c.on_end(at))
    {
        return c.on_end(at);
    }
};

/// Of two wishes the one that counts: stop before pause before go on.
constexpr control stronger(control a, control b) noexcept
{
    return a == control::stop || b == control::stop     ? control::stop
           : a == control::pause || b == control::pause ? control::pause
                                                        : control::go_on;
}

/// Calls a hook of every extra that has it, in order; one that returns nothing wishes to go on.
template <class Hook, class Context, class... Extras>
control notify(const Hook& hook, Context& at, Extras&... extras)
{
    control wish = control::go_on;
    [[maybe_unused]] const auto one = [&](auto& extra)
    {
        using E = std::remove_reference_t<decltype(extra)>;
        if constexpr (std::is_invocable_v<const Hook&, E&, Context&>)
        {
            if constexpr (std::is_void_v<std::invoke_result_t<const Hook&, E&, Context&>>)
            {
                hook(extra, at);
            }
            else
            {
                wish = stronger(wish, hook(extra, at));
            }
        }
    };
    (one(extras), ...);
    return wish;
}

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
concept callback = std::is_invocable_v<detail::begin_hook, C&, Context&> ||
    std::is_invocable_v<detail::epoch_begin_hook, C&, Context&> ||
    std::is_invocable_v<detail::gradients_hook, C&, Context&> ||
    std::is_invocable_v<detail::step_hook, C&, Context&> ||
    std::is_invocable_v<detail::batch_end_hook, C&, Context&> ||
    std::is_invocable_v<detail::epoch_end_hook, C&, Context&> ||
    std::is_invocable_v<detail::end_hook, C&, Context&>;

/// A callback out of a function: see `after_step`.
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

/// Calls a function after every step: `train::after_step([&](auto& at) { ... })`.
template <class F>
step_callback<F> after_step(F function)
{
    return {std::move(function)};
}

/// A callback out of a function: see `after_epoch`.
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

/// Calls a function after every epoch: `train::after_epoch([&](auto& at) { ... })`.
template <class F>
epoch_callback<F> after_epoch(F function)
{
    return {std::move(function)};
}

} // namespace train
STRUCTOPT_END_NAMESPACE
