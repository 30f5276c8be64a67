/// @file
/// The training loop.
#pragma once

#include <structopt/nn/cache.hpp>
#include <structopt/nn/loss/concepts.hpp>
#include <structopt/optim/clip.hpp>
#include <structopt/optim/constraint.hpp>
#include <structopt/optim/regularizer.hpp>
#include <structopt/train/context.hpp>
#include <structopt/train/evaluate.hpp>
#include <structopt/train/metric/mean_loss.hpp>
#include <structopt/train/rate.hpp>
#include <structopt/train/validation.hpp>

#include <chrono>
#include <tuple>

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

namespace detail
{

template <class E>
inline constexpr bool is_batch_rate = false;

template <class S>
inline constexpr bool is_batch_rate<batch_rate<S>> = true;

template <class E>
inline constexpr bool is_epoch_rate = false;

template <class S>
inline constexpr bool is_epoch_rate<epoch_rate<S>> = true;

template <class E>
inline constexpr bool is_measured_rate = false;

template <class S>
inline constexpr bool is_measured_rate<measured_rate<S>> = true;

template <class E>
inline constexpr bool is_rate = is_batch_rate<E> || is_epoch_rate<E> || is_measured_rate<E>;

template <class E>
inline constexpr bool is_validation = false;

template <class D>
inline constexpr bool is_validation<validation_set<D>> = true;

template <class E>
inline constexpr bool is_stopping = std::is_same_v<E, early_stopping>;

template <class E, class Context>
inline constexpr bool is_extra =
    is_rate<E> || is_validation<E> || is_stopping<E> || optim::regularizer<E> ||
    optim::constraint<E> || optim::gradient_clip<E> || metric<E> || callback<E, Context>;

/// State of the first schedule that follows a measurement.
template <class... Extras>
struct schedule_state
{
    using type = schedule::plateau_state;
};

template <class First, class... Rest>
struct schedule_state<First, Rest...> : schedule_state<Rest...>
{
};

template <class S, class... Rest>
struct schedule_state<measured_rate<S>, Rest...>
{
    using type = typename S::state_type;
};

/// Of two wishes the one that counts: stop before pause before go on.
constexpr control stronger(control a, control b) noexcept
{
    return a == control::stop || b == control::stop     ? control::stop
           : a == control::pause || b == control::pause ? control::pause
                                                        : control::go_on;
}

/// Calls a hook; one that returns nothing lets the training go on.
template <class Hook>
control ask(const Hook& hook)
{
    if constexpr (std::is_void_v<decltype(hook())>)
    {
        hook();
        return control::go_on;
    }
    else
    {
        return hook();
    }
}

/// A copy of an extra, if it is a metric, as a tuple.
template <class E>
auto metric_tuple(const E& extra)
{
    if constexpr (metric<E>)
    {
        E copy = extra;
        copy.reset();
        return std::tuple<E>(copy);
    }
    else
    {
        return std::tuple<>();
    }
}

inline void check_watch(
    const char* who, const std::string& watch, const std::vector<std::string>& names)
{
    std::string known = "one of loss, penalty";
    bool found = watch.empty() || watch == "loss" || watch == "penalty";
    for (const std::string& name : names)
    {
        known += ", " + name;
        found = found || watch == name;
    }
    if (!found)
    {
        structopt::detail::raise<argument_error>(std::string(who) + ".watch", known, watch);
    }
}

/// The number that is watched; by default the first validation loss, or the training loss.
inline double watched(const epoch_record& record, const std::string& watch)
{
    if (!watch.empty())
    {
        return record.at(watch);
    }
    return record.measured.empty() ? record.loss : record.measured.front().value;
}

template <class Net>
bool same_extents(Net& a, Net& b)
{
    using T = optim::element_type<Net>;
    return optim::detail::same_sizes(
        nn::trainable_parameters<T>(a), nn::trainable_parameters<T>(b));
}

} // namespace detail

template <class Net, optim::optimizer O, class... Extras>
auto start(const Net& network, const O& optimizer, random_engine& rng, const Extras&... extras)
{
    using state_type = typename detail::schedule_state<Extras...>::type;
    run_state<Net, state_type> run;
    run.optimizer = optim::make_state(optimizer, network);
    run.rng = rng.split();
    run.rate = static_cast<double>(optimizer.rate);
    const auto prepare = [&](const auto& extra)
    {
        using E = std::remove_cvref_t<decltype(extra)>;
        if constexpr (detail::is_measured_rate<E>)
        {
            run.schedule = extra.schedule.make_state();
        }
    };
    (prepare(extras), ...);
    return run;
}

template <class Net, class ScheduleState, dataset Data, class Loss, optim::optimizer O,
    class... Extras>
void resume(Net& network, run_state<Net, ScheduleState>& run, const Data& data, const Loss& loss,
    const O& optimizer, const options& how, Extras&&... extras)
{
    using context_type = context<Net, ScheduleState>;
    using batch_type = typename Data::batch_type;
    using T = typename batch_type::value_type;
    using target_type = std::remove_cvref_t<decltype(std::declval<batch_type&>().target)>;
    constexpr std::size_t rank = batch_type::rank;
    constexpr std::size_t out_rank = nn::output_rank<Net, rank>;
    constexpr std::size_t validations =
        (0 + ... + static_cast<std::size_t>(detail::is_validation<std::remove_cvref_t<Extras>>));
    static_assert((detail::is_extra<std::remove_cvref_t<Extras>, context_type> && ...),
        "an argument of train::fit is none of: per_batch or per_epoch of a schedule, regularizer, "
        "clip, constraint, validate_on, metric, early_stopping, callback");
    static_assert(nn::loss_function<Loss, target_type, T, out_rank>,
        "this loss does not compare the network's output with the targets of this dataset");
    static_assert((0 + ... + static_cast<int>(detail::is_rate<std::remove_cvref_t<Extras>>)) <= 1,
        "train::fit takes one learning-rate schedule");
    static_assert(
        (0 + ... + static_cast<int>(detail::is_stopping<std::remove_cvref_t<Extras>>)) <= 1,
        "train::fit takes one early_stopping");
    static_assert(validations > 0 || !(metric<std::remove_cvref_t<Extras>> || ...),
        "metrics are measured on validation sets: add train::validate_on(data)");

    // Everything that can be wrong is found before anything changes.
    how.validate();
    optim::validate(optimizer);
    auto metrics = std::tuple_cat(
        std::tuple<mean_loss<Loss>>(mean_loss<Loss>{loss}), detail::metric_tuple(extras)...);
    std::vector<std::string> names;
    const auto n = static_cast<index_t>(data.size());
    const index_t batches = how.drop_last ? n / how.batch : (n + how.batch - 1) / how.batch;
    if (batches < 1)
    {
        structopt::detail::raise<argument_error>("train::fit data",
            how.drop_last ? "at least one batch of " + std::to_string(how.batch) + " samples"
                          : std::string("at least one sample"),
            std::to_string(n) + " samples");
    }
    const auto check_names = [&](const auto& extra)
    {
        using E = std::remove_cvref_t<decltype(extra)>;
        if constexpr (detail::is_validation<E>)
        {
            if (static_cast<index_t>(extra.data.size()) < 1)
            {
                structopt::detail::raise<argument_error>(
                    "train::fit " + extra.name + " data", "at least one sample", "0 samples");
            }
            std::apply(
                [&](const auto&... each)
                {
                    const auto add = [&](const auto& one)
                    {
                        names.push_back(extra.name + "." + std::string(one.name));
                    };
                    (add(each), ...);
                },
                metrics);
        }
    };
    (check_names(extras), ...);
    const auto check_extra = [&](const auto& extra)
    {
        using E = std::remove_cvref_t<decltype(extra)>;
        if constexpr (detail::is_rate<E>)
        {
            schedule::validate(extra.schedule);
        }
        if constexpr (requires { extra.validate(); })
        {
            extra.validate();
        }
        if constexpr (detail::is_measured_rate<E>)
        {
            detail::check_watch("train::per_epoch", extra.watch, names);
        }
        if constexpr (detail::is_stopping<E>)
        {
            detail::check_watch("train::early_stopping", extra.watch, names);
        }
    };
    (check_extra(extras), ...);

    Net gradients = nn::zeros_like(network);
    context_type at{network, gradients, run, how, batches, 0, 0.0, 0.0, nullptr};
    control wish = control::go_on;

    if (run.finished)
    {
        return;
    }
    const auto on_begin = [&](auto& extra)
    {
        if constexpr (detail::hears_begin<std::remove_reference_t<decltype(extra)>, context_type>)
        {
            const auto hook = [&]
            {
                return extra.on_begin(at);
            };
            wish = detail::stronger(wish, detail::ask(hook));
        }
    };
    (on_begin(extras), ...);

    batch_type batch;
    tensor<T, out_rank> dy;
    std::vector<index_t> order;
    nn::network_cache<Net, T, rank> kept;

    while (wish == control::go_on && run.epoch < how.epochs)
    {
        const auto clock = std::chrono::steady_clock::now();
        random_engine rng = run.rng;
        order.resize(static_cast<std::size_t>(n));
        for (index_t i = 0; i < n; ++i)
        {
            order[static_cast<std::size_t>(i)] = i;
        }
        if (how.shuffle)
        {
            structopt::shuffle(std::span<index_t>(order), rng);
        }
        if (run.batch == 0)
        {
            const auto on_epoch_begin = [&](auto& extra)
            {
                if constexpr (detail::hears_epoch_begin<std::remove_reference_t<decltype(extra)>,
                                  context_type>)
                {
                    const auto hook = [&]
                    {
                        return extra.on_epoch_begin(at);
                    };
                    wish = detail::stronger(wish, detail::ask(hook));
                }
            };
            (on_epoch_begin(extras), ...);
        }
        for (index_t done = 0; done < run.batch; ++done)
        {
            rng.split();
        }

        while (wish == control::go_on && batches > run.batch)
        {
            // A callback may have made the network smaller.
            if ((callback<std::remove_cvref_t<Extras>, context_type> || ...))
            {
                if (!detail::same_extents(network, gradients))
                {
                    gradients = nn::zeros_like(network);
                }
            }

            random_engine batch_rng = rng.split();
            const index_t first = run.batch * how.batch;
            const index_t last = first + how.batch < n ? first + how.batch : n;
            const auto rows = std::span<const index_t>(order).subspan(
                static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
            nn::layer_traits<Net>::seed(kept.layers, batch_rng);
            detail::gather_random(data, rows, batch, batch_rng);

            const auto& y = nn::forward(network, as_view(std::as_const(batch.x)), kept);
            resize(dy, shape_of(y));
            at.samples = last - first;
            at.loss = static_cast<double>(loss(as_view(y), batch.target, as_view(dy)));
            if (!optim::is_finite(at.loss) && how.nonfinite != nonfinite::ignore)
            {
                if (how.nonfinite == nonfinite::raise)
                {
                    structopt::detail::raise<nonfinite_error>("train::fit", "a finite loss",
                        optim::detail::number_text(at.loss) + " in epoch " +
                            std::to_string(run.epoch + 1) + ", batch " +
                            std::to_string(run.batch + 1));
                }
                wish = control::stop;
                break;
            }
            nn::backward(network, as_view(std::as_const(dy)), kept, gradients);

            at.penalty = 0.0;
            const auto regularize = [&](const auto& extra)
            {
                if constexpr (optim::regularizer<std::remove_cvref_t<decltype(extra)>>)
                {
                    at.penalty += optim::regularize(network, gradients, extra);
                }
            };
            (regularize(extras), ...);
            const auto on_gradients = [&](auto& extra)
            {
                if constexpr (detail::hears_gradients<std::remove_reference_t<decltype(extra)>,
                                  context_type>)
                {
                    const auto hook = [&]
                    {
                        return extra.on_gradients(at);
                    };
                    wish = detail::stronger(wish, detail::ask(hook));
                }
            };
            (on_gradients(extras), ...);
            const auto clip = [&](const auto& extra)
            {
                if constexpr (optim::gradient_clip<std::remove_cvref_t<decltype(extra)>>)
                {
                    extra(gradients);
                }
            };
            (clip(extras), ...);

            double rate = static_cast<double>(optimizer.rate);
            const auto schedule_rate = [&](const auto& extra)
            {
                using E = std::remove_cvref_t<decltype(extra)>;
                if constexpr (detail::is_batch_rate<E>)
                {
                    rate = static_cast<double>(extra.schedule(run.optimizer.step));
                }
                else if constexpr (detail::is_epoch_rate<E>)
                {
                    rate = static_cast<double>(extra.schedule(run.epoch));
                }
                else if constexpr (detail::is_measured_rate<E>)
                {
                    rate = static_cast<double>(extra.schedule.rate(run.schedule));
                }
            };
            (schedule_rate(extras), ...);
            optim::step(
                optimizer, network, gradients, run.optimizer, rate, {.zero_gradients = true});
            const auto constrain = [&](const auto& extra)
            {
                if constexpr (optim::constraint<std::remove_cvref_t<decltype(extra)>>)
                {
                    optim::constrain(network, rate, extra);
                }
            };
            (constrain(extras), ...);
            nn::update_statistics(network, kept);

            ++run.batch;
            run.rate = rate;
            run.samples += at.samples;
            run.loss_sum += at.loss * static_cast<double>(at.samples);
            run.penalty_sum += at.penalty * static_cast<double>(at.samples);
            const auto on_step = [&](auto& extra)
            {
                if constexpr (detail::hears_step<std::remove_reference_t<decltype(extra)>,
                                  context_type>)
                {
                    const auto hook = [&]
                    {
                        return extra.on_step(at);
                    };
                    wish = detail::stronger(wish, detail::ask(hook));
                }
            };
            (on_step(extras), ...);
            const auto on_batch_end = [&](auto& extra)
            {
                if constexpr (detail::hears_batch_end<std::remove_reference_t<decltype(extra)>,
                                  context_type>)
                {
                    const auto hook = [&]
                    {
                        return extra.on_batch_end(at);
                    };
                    wish = detail::stronger(wish, detail::ask(hook));
                }
            };
            (on_batch_end(extras), ...);
        }
        if (wish != control::go_on)
        {
            break;
        }

        epoch_record record;
        const auto samples = static_cast<double>(run.samples);
        record.epoch = run.epoch + 1;
        record.loss = run.loss_sum / samples;
        record.penalty = run.penalty_sum / samples;
        record.rate = run.rate;
        record.steps = run.optimizer.step;
        const auto measure = [&](const auto& extra)
        {
            if constexpr (detail::is_validation<std::remove_cvref_t<decltype(extra)>>)
            {
                std::apply(
                    [&](auto&... each)
                    {
                        const auto values = train::evaluate(
                            network, extra.data, evaluation{how.evaluation_batch}, each...);
                        for (const double value : values)
                        {
                            record.measured.push_back({names[record.measured.size()], value});
                        }
                    },
                    metrics);
            }
        };
        (measure(extras), ...);
        record.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();

        run.rng = rng;
        ++run.epoch;
        run.batch = 0;
        run.samples = 0;
        run.loss_sum = 0.0;
        run.penalty_sum = 0.0;
        run.history.epochs.push_back(record);
        at.record = &record;
        const auto judge = [&](const auto& extra)
        {
            using E = std::remove_cvref_t<decltype(extra)>;
            if constexpr (detail::is_measured_rate<E>)
            {
                extra.schedule.update(run.schedule, detail::watched(record, extra.watch));
            }
            if constexpr (detail::is_stopping<E>)
            {
                if (extra.update(run.stopping, detail::watched(record, extra.watch), run.epoch,
                        std::as_const(network)))
                {
                    wish = control::stop;
                }
            }
        };
        (judge(extras), ...);
        run.finished = wish == control::stop;
        const auto on_epoch_end = [&](auto& extra)
        {
            if constexpr (detail::hears_epoch_end<std::remove_reference_t<decltype(extra)>,
                              context_type>)
            {
                const auto hook = [&]
                {
                    return extra.on_epoch_end(at);
                };
                wish = detail::stronger(wish, detail::ask(hook));
            }
        };
        (on_epoch_end(extras), ...);
        at.record = nullptr;
    }

    if (wish == control::pause)
    {
        return;
    }
    run.finished = wish == control::stop;
    run.history.stopped = run.finished;
    if (run.stopping.network.has_value())
    {
        network = *run.stopping.network;
        run.history.restored = run.stopping.best_epoch;
    }
    at.record = run.history.empty() ? nullptr : &run.history.epochs.back();
    const auto on_end = [&](auto& extra)
    {
        if constexpr (detail::hears_end<std::remove_reference_t<decltype(extra)>, context_type>)
        {
            const auto hook = [&]
            {
                return extra.on_end(at);
            };
            static_cast<void>(detail::ask(hook));
        }
    };
    (on_end(extras), ...);
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
