/// @file
/// Pruning while training: callbacks of `train::fit` that keep masks in force.
#pragma once

#include <structopt/prune/mask.hpp>
#include <structopt/schedule/concepts.hpp>

#include <limits>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Fine-tuning under a fixed mask: before the first step and after every one the masked weights are
/// zero, exactly, whatever momentum and weight decay say.
///
///     train::fit(net, data, loss, optimizer, options, rng, prune::hold(prune::mask_of_zeros(net)));
class hold
{
public:
    explicit hold(prune::mask m)
        : m_mask(std::move(m))
    {
    }

    template <class Context>
    void on_begin(Context& at)
    {
        prune::apply(at.network, m_mask);
    }

    template <class Context>
    void on_step(Context& at)
    {
        prune::apply(at.network, m_mask);
    }

    const prune::mask& mask() const noexcept
    {
        return m_mask;
    }

private:
    prune::mask m_mask;
};

/// Gradual pruning: the sparsity follows a schedule, step by step, while training goes on.
///
/// At every step where the schedule is due the mask is chosen anew by the criterion, over weights of
/// which the masked ones are zero: with a magnitude criterion and a rising schedule a mask only
/// grows. Every layer keeps at least one weight. In between the mask is held as by `hold`. Zhu and
/// Gupta, "To prune, or not to prune", 2017, is this with `schedule::cubic_sparsity` and `magnitude`.
/// Throws what `make_mask` throws, during training: a schedule that reaches 1 is refused there.
///
///     prune::gradual sparser{schedule::cubic_sparsity{.target = 0.9, .end = 500}, prune::magnitude{}};
///     train::fit(net, data, loss, optimizer, options, rng, sparser);
///
/// A training too short for the schedule is refused before its first step. `train::early_stopping`
/// begins to watch when the schedule has reached its last sparsity: what it gives back is as sparse
/// as was asked for.
///
/// Steps count the optimizer's steps of the whole run. A training that is resumed with a new `gradual`
/// takes the zeros of the network for the mask in force.
template <schedule::sparsity_schedule Schedule, weight_criterion Criterion>
class gradual
{
public:
    gradual(Schedule when, Criterion what, prune::scope where = prune::scope::per_layer)
        : m_schedule(std::move(when))
        , m_criterion(std::move(what))
        , m_scope(where)
    {
        schedule::validate(m_schedule);
    }

    template <class Context>
    void on_begin(Context& at)
    {
        const index_t step = at.run.optimizer.step;
        const index_t all = at.steps();
        if (all > 0 && !settled(all))
        {
            structopt::detail::raise<argument_error>("prune::gradual schedule",
                "its last sparsity " + std::to_string(last_sparsity()) + " within the " +
                    std::to_string(all) + " steps of this training",
                std::to_string(m_schedule.sparsity(all)) + " at the end");
        }
        if (step == 0)
        {
            m_mask = {};
            on_step(at);
        }
        else if (m_mask.keep.empty() && m_schedule.sparsity(step) > 0)
        {
            m_mask = prune::mask_of_zeros(at.network);
        }
    }

    template <class Context>
    void on_step(Context& at)
    {
        const index_t step = at.run.optimizer.step;
        if (m_schedule.due(step))
        {
            m_mask = prune::make_mask(at.network, m_criterion,
                {.sparsity = m_schedule.sparsity(step), .scope = m_scope, .minimum = 1});
        }
        if (!m_mask.keep.empty())
        {
            prune::apply(at.network, m_mask);
        }
    }

    /// Whether the schedule has reached its last sparsity at a step.
    bool settled(index_t step) const
    {
        return m_schedule.sparsity(step) >= last_sparsity();
    }

    /// The mask in force; empty before the first update.
    const prune::mask& mask() const noexcept
    {
        return m_mask;
    }

private:
    double last_sparsity() const
    {
        return m_schedule.sparsity(std::numeric_limits<index_t>::max());
    }

    Schedule m_schedule;
    Criterion m_criterion;
    prune::scope m_scope;
    prune::mask m_mask;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
