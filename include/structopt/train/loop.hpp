/// @file
/// The inside of `train::fit`: one epoch, one step.
#pragma once

#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/loss/concepts.hpp>
#include <structopt/optim/nonfinite_error.hpp>
#include <structopt/train/evaluate.hpp>
#include <structopt/train/extras.hpp>
#include <structopt/train/metric/mean_loss.hpp>

#include <algorithm>
#include <chrono>

STRUCTOPT_BEGIN_NAMESPACE
namespace train::detail
{

template <class... Kinds>
constexpr int number_of(Kinds... kinds) noexcept
{
    return (0 + ... + static_cast<int>(kinds));
}

/// What a call of `train::fit` is asked at compile time, before its inside is compiled, so that the
/// compiler says one thing only.
template <class Net, class ScheduleState, class Data, class Loss, class O, class... Extras>
struct call_check
{
    using batch_type = typename Data::batch_type;
    using target_type = std::remove_cvref_t<decltype(std::declval<batch_type&>().target)>;

    static constexpr bool extras = (is_extra<Extras, context<Net, ScheduleState>> && ...);
    static constexpr bool loss = nn::loss_function<Loss, target_type,
        typename batch_type::value_type, nn::output_rank<Net, batch_type::rank>>;
    static constexpr bool rates = number_of(is_rate<std::remove_const_t<Extras>>...) <= 1;
    static constexpr bool stops = number_of(is_stopping<std::remove_const_t<Extras>>...) <= 1;
    static constexpr bool metrics = number_of(is_validation<std::remove_const_t<Extras>>...) > 0 ||
                                    number_of(metric<std::remove_const_t<Extras>>...) == 0;
    static constexpr bool momentum =
        has_momentum<O> || !(moves_momentum<std::remove_const_t<Extras>> || ...);
    static constexpr bool all = extras && loss && rates && stops && metrics && momentum;
};

/// Everything one call of `train::resume` works with. `Extras` are the types as passed, without
/// references.
template <class Net, class ScheduleState, class Data, class Loss, class O, class... Extras>
class loop
{
    using context_type = context<Net, ScheduleState>;
    using batch_type = typename Data::batch_type;
    using T = typename batch_type::value_type;
    static constexpr std::size_t rank = batch_type::rank;
    static constexpr std::size_t out_rank = nn::output_rank<Net, rank>;

public:
    loop(Net& network, run_state<Net, ScheduleState>& run, const Data& data, const Loss& loss,
        const O& optimizer, const options& how, Extras&... extras)
        : m_network(network)
        , m_run(run)
        , m_data(data)
        , m_loss(loss)
        , m_optimizer(optimizer)
        , m_how(how)
        , m_extras(extras...)
        , m_metrics(std::tuple_cat(
              std::tuple<mean_loss<Loss>>(mean_loss<Loss>{loss}), metric_tuple(extras)...))
        , m_gradients(network)
        , m_at{network, m_gradients, run, how}
    {
    }

    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;

    /// From the state as it is to the last epoch, a stop or a pause.
    void run()
    {
        check();
        if (m_run.finished && m_run.history.stopped)
        {
            return;
        }
        nn::set_zero(m_gradients);
        control wish = tell(begin_hook{});
        if (m_run.finished)
        {
            // Saved by a hook of the epoch in which the decision fell: the end is still to come.
            wish = stronger(wish, control::stop);
        }
        while (wish == control::go_on && m_run.epoch < m_how.epochs)
        {
            wish = epoch();
        }
        if (wish == control::pause)
        {
            return;
        }
        m_run.finished = wish == control::stop;
        m_run.history.stopped = m_run.finished;
        if (m_run.stopping.network.has_value())
        {
            m_network = *m_run.stopping.network;
            m_run.history.restored = m_run.stopping.best_epoch;
        }
        m_at.record = m_run.history.empty() ? nullptr : &m_run.history.epochs.back();
        tell(end_hook{});
    }

private:
    template <class Hook>
    control tell(const Hook& hook)
    {
        return std::apply(
            [&](Extras&... extras)
            {
                return notify(hook, m_at, extras...);
            },
            m_extras);
    }

    /// Calls `f(extra)` for every extra.
    template <class F>
    void for_each_extra(const F& f)
    {
        std::apply(
            [&](Extras&... extras)
            {
                (f(std::as_const(extras)), ...);
            },
            m_extras);
    }

    /// Everything that can be wrong is found here, before anything changes.
    void check()
    {
        m_how.validate();
        optim::validate(m_optimizer);
        m_samples = static_cast<index_t>(m_data.size());
        m_at.batches =
            m_how.drop_last ? m_samples / m_how.batch : (m_samples + m_how.batch - 1) / m_how.batch;
        if (m_at.batches < 1)
        {
            structopt::detail::raise<argument_error>("train::fit data",
                m_how.drop_last
                    ? "at least one batch of " + std::to_string(m_how.batch) + " samples"
                    : std::string("at least one sample"),
                std::to_string(m_samples) + " samples");
        }
        if (m_run.batch > m_at.batches)
        {
            structopt::detail::raise<argument_error>("train::resume state",
                "at most " + std::to_string(m_at.batches) + " finished batches of this data",
                std::to_string(m_run.batch));
        }
        check_training();
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (is_validation<std::remove_cvref_t<decltype(extra)>>)
                {
                    add_names(extra.name);
                    if (static_cast<index_t>(extra.data.size()) < 1)
                    {
                        structopt::detail::raise<argument_error>(
                            "train::fit " + extra.name + " data", "at least one sample",
                            "0 samples");
                    }
                    check_validation(extra.data);
                }
            });
        for_each_extra(
            [&](const auto& extra)
            {
                using E = std::remove_cvref_t<decltype(extra)>;
                if constexpr (is_rate<E>)
                {
                    schedule::validate(extra.schedule);
                }
                if constexpr (moves_momentum<E>)
                {
                    check_momentum(extra.schedule);
                }
                if constexpr (requires { extra.validate(); })
                {
                    extra.validate();
                }
                if constexpr (is_measured_rate<E>)
                {
                    check_watch("train::per_epoch", extra.watch, m_names);
                }
                if constexpr (is_stopping<E>)
                {
                    check_watch("train::early_stopping", extra.watch, m_names);
                }
            });
    }

    /// Every momentum that the schedule will set must be one for this optimizer, and may not do away
    /// with its state.
    template <class Schedule>
    void check_momentum(const Schedule& s)
    {
        O moved = m_optimizer;
        // Early stopping may end a training that was given any number of epochs.
        const index_t last = std::min(m_at.steps(), m_run.optimizer.step + 1'000'000);
        for (index_t step = m_run.optimizer.step; step < last; ++step)
        {
            set_momentum(moved, static_cast<double>(s.momentum(step)));
            optim::validate(moved);
            if (optim::detail::slot_count(moved) != optim::detail::slot_count(m_optimizer))
            {
                structopt::detail::raise<argument_error>("train::with_momentum",
                    "an optimizer and a schedule whose momentum is never 0",
                    optim::detail::number_text(static_cast<double>(s.momentum(step))) +
                        " at step " + std::to_string(step));
            }
        }
    }

    /// Labels that are no class of the network's output, where the dataset can tell.
    template <class Set>
    void check_targets(const Set& data, const shape<out_rank>& output)
    {
        if constexpr (requires { data.check_target(output, index_t{}); })
        {
            for (index_t row = 0; row < static_cast<index_t>(data.size()); ++row)
            {
                data.check_target(output, row);
            }
        }
    }

    template <class Set>
    typename Set::batch_type first_sample(const Set& data)
    {
        typename Set::batch_type sample;
        const index_t first[] = {0};
        data.gather(std::span<const index_t>(first), sample);
        return sample;
    }

    /// What the first step would not find: labels of later samples, and a last batch of one sample,
    /// which batch norm does not take.
    void check_training()
    {
        const bool single = m_how.batch == 1 || (!m_how.drop_last && m_samples % m_how.batch == 1);
        constexpr bool labelled = requires(const shape<out_rank>& output)
        {
            m_data.check_target(output, index_t{});
        };
        if (labelled || single)
        {
            const auto sample = first_sample(m_data);
            check_targets(m_data, nn::output_shape(std::as_const(m_network), shape_of(sample.x)));
            if (single)
            {
                nn::forward(m_network, as_view(sample.x), m_cache);
            }
        }
    }

    /// One sample goes through everything that measures.
    template <class Set>
    void check_validation(const Set& data)
    {
        const auto sample = first_sample(data);
        const auto y = nn::forward(std::as_const(m_network), sample.x);
        check_targets(data, shape_of(y));
        const auto probe = [&](auto metric)
        {
            metric.reset();
            metric.accumulate(as_view(y), sample.target);
        };
        std::apply(
            [&](const auto&... metrics)
            {
                (probe(metrics), ...);
            },
            m_metrics);
    }

    void add_names(const std::string& set)
    {
        std::apply(
            [&](const auto&... metrics)
            {
                (m_names.push_back(
                     set + "." + std::string(std::remove_cvref_t<decltype(metrics)>::name)),
                    ...);
            },
            m_metrics);
    }

    /// The rest of the current epoch, from its first batch or from where it was left.
    control epoch()
    {
        const auto begin = std::chrono::steady_clock::now();
        random_engine rng = m_run.rng;
        m_order.resize(static_cast<std::size_t>(m_samples));
        for (index_t i = 0; i < m_samples; ++i)
        {
            m_order[static_cast<std::size_t>(i)] = i;
        }
        if (m_how.shuffle)
        {
            structopt::shuffle(std::span<index_t>(m_order), rng);
        }
        control wish = control::go_on;
        if (m_run.batch == 0)
        {
            wish = tell(epoch_begin_hook{});
        }
        for (index_t done = 0; done < m_run.batch; ++done)
        {
            rng.split();
        }
        while (wish == control::go_on && m_at.batches > m_run.batch)
        {
            wish = step(rng.split());
        }
        return wish == control::go_on ? finish_epoch(rng, begin) : wish;
    }

    control step(random_engine rng)
    {
        if constexpr ((callback<Extras, context_type> || ...))
        {
            // A callback may have made the network smaller.
            using number_type = optim::element_type<Net>;
            if (!optim::detail::same_sizes(nn::trainable_parameters<number_type>(m_network),
                    nn::trainable_parameters<number_type>(m_gradients)))
            {
                m_gradients = nn::zeros_like(m_network);
            }
        }
        const index_t first = m_run.batch * m_how.batch;
        const index_t last = first + m_how.batch < m_samples ? first + m_how.batch : m_samples;
        const auto rows = std::span<const index_t>(m_order).subspan(
            static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
        nn::layer_traits<Net>::seed(m_cache.layers, rng);
        gather_random(m_data, rows, m_batch, rng);

        const auto& y = nn::forward(m_network, as_view(std::as_const(m_batch.x)), m_cache);
        resize(m_dy, shape_of(y));
        m_at.samples = last - first;
        m_at.loss = static_cast<double>(m_loss(as_view(y), m_batch.target, as_view(m_dy)));
        if (!optim::is_finite(m_at.loss) && m_how.nonfinite != nonfinite::ignore)
        {
            if (m_how.nonfinite == nonfinite::stop)
            {
                return control::stop;
            }
            structopt::detail::raise<nonfinite_error>("train::fit", "a finite loss",
                optim::detail::number_text(m_at.loss) + " in epoch " +
                    std::to_string(m_run.epoch + 1) + ", batch " + std::to_string(m_run.batch + 1));
        }
        nn::backward(m_network, as_view(std::as_const(m_dy)), m_cache, m_gradients);

        m_at.penalty = nn::activity_penalty(m_cache);
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (optim::regularizer<std::remove_cvref_t<decltype(extra)>>)
                {
                    m_at.penalty += optim::regularize(std::as_const(m_network), m_gradients, extra);
                }
            });
        control wish = tell(gradients_hook{});
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (optim::gradient_clip<std::remove_cvref_t<decltype(extra)>>)
                {
                    extra(m_gradients);
                }
            });
        m_run.rate = rate();
        if constexpr ((moves_momentum<std::remove_const_t<Extras>> || ...))
        {
            O moved = m_optimizer;
            for_each_extra(
                [&](const auto& extra)
                {
                    if constexpr (moves_momentum<std::remove_cvref_t<decltype(extra)>>)
                    {
                        set_momentum(moved,
                            static_cast<double>(extra.schedule.momentum(m_run.optimizer.step)));
                    }
                });
            optim::step(moved, m_network, m_gradients, m_run.optimizer, m_run.rate,
                {.zero_gradients = true});
        }
        else
        {
            optim::step(m_optimizer, m_network, m_gradients, m_run.optimizer, m_run.rate,
                {.zero_gradients = true});
        }
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (optim::constraint<std::remove_cvref_t<decltype(extra)>>)
                {
                    optim::constrain(m_network, m_run.rate, extra);
                }
            });
        nn::update_statistics(m_network, m_cache);

        ++m_run.batch;
        m_run.samples += m_at.samples;
        m_run.loss_sum += m_at.loss * static_cast<double>(m_at.samples);
        m_run.penalty_sum += m_at.penalty * static_cast<double>(m_at.samples);
        wish = stronger(wish, tell(step_hook{}));
        return stronger(wish, tell(batch_end_hook{}));
    }

    /// The learning rate of the next step.
    double rate()
    {
        double value = static_cast<double>(m_optimizer.rate);
        for_each_extra(
            [&](const auto& extra)
            {
                using E = std::remove_cvref_t<decltype(extra)>;
                if constexpr (is_batch_rate<E>)
                {
                    value = static_cast<double>(extra.schedule(m_run.optimizer.step));
                }
                else if constexpr (is_epoch_rate<E>)
                {
                    value = static_cast<double>(extra.schedule(m_run.epoch));
                }
                else if constexpr (is_measured_rate<E>)
                {
                    value = static_cast<double>(extra.schedule.rate(m_run.schedule));
                }
            });
        return value;
    }

    control finish_epoch(const random_engine& rng, std::chrono::steady_clock::time_point begin)
    {
        const auto samples = static_cast<double>(m_run.samples);
        epoch_record record;
        record.epoch = m_run.epoch + 1;
        record.loss = m_run.loss_sum / samples;
        record.penalty = m_run.penalty_sum / samples;
        record.rate = m_run.rate;
        record.steps = m_run.optimizer.step;
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (is_validation<std::remove_cvref_t<decltype(extra)>>)
                {
                    measure(extra.data, record);
                }
            });
        record.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

        // From here on the state is that of the next epoch's beginning: hooks may save it.
        m_run.rng = rng;
        ++m_run.epoch;
        m_run.batch = 0;
        m_run.samples = 0;
        m_run.loss_sum = 0.0;
        m_run.penalty_sum = 0.0;
        m_run.history.epochs.push_back(record);
        for_each_extra(
            [&](const auto& extra)
            {
                using E = std::remove_cvref_t<decltype(extra)>;
                if constexpr (is_measured_rate<E>)
                {
                    extra.schedule.update(m_run.schedule, watched(record, extra.watch));
                }
                if constexpr (is_stopping<E>)
                {
                    if (settled())
                    {
                        m_run.finished = extra.update(m_run.stopping, watched(record, extra.watch),
                            m_run.epoch, std::as_const(m_network));
                    }
                }
            });
        m_at.record = &record;
        const control wish = tell(epoch_end_hook{});
        m_at.record = nullptr;
        return m_run.finished ? control::stop : wish;
    }

    /// Whether every callback that works towards something has reached it: networks on the way there
    /// are not what was asked for, and early stopping must not give one back.
    bool settled()
    {
        bool all = true;
        for_each_extra(
            [&](const auto& extra)
            {
                if constexpr (requires { extra.settled(m_run.optimizer.step); })
                {
                    all = all && extra.settled(m_run.optimizer.step);
                }
            });
        return all;
    }

    template <class Set>
    void measure(const Set& data, epoch_record& record)
    {
        std::apply(
            [&](auto&... metrics)
            {
                for (const double value : train::evaluate(std::as_const(m_network), data,
                         evaluation{m_how.evaluation_batch}, metrics...))
                {
                    record.measured.push_back({m_names[record.measured.size()], value});
                }
            },
            m_metrics);
    }

    Net& m_network;
    run_state<Net, ScheduleState>& m_run;
    const Data& m_data;
    const Loss& m_loss;
    const O& m_optimizer;
    const options& m_how;
    std::tuple<Extras&...> m_extras;
    decltype(std::tuple_cat(std::declval<std::tuple<mean_loss<Loss>>>(),
        metric_tuple(std::declval<Extras&>())...)) m_metrics;
    std::vector<std::string> m_names;
    Net m_gradients;
    context_type m_at;
    index_t m_samples = 0;
    std::vector<index_t> m_order;
    batch_type m_batch;
    tensor<T, out_rank> m_dy;
    nn::network_cache<Net, T, rank> m_cache;
};

} // namespace train::detail
STRUCTOPT_END_NAMESPACE
