/// @file
/// The arguments of `train::fit` beyond data, loss and optimizer: which kind each is.
#pragma once

#include <structopt/optim/clip.hpp>
#include <structopt/optim/constraint.hpp>
#include <structopt/optim/regularizer.hpp>
#include <structopt/train/context.hpp>
#include <structopt/train/early_stopping.hpp>
#include <structopt/train/metric/concepts.hpp>
#include <structopt/train/rate.hpp>
#include <structopt/train/validation.hpp>

#include <tuple>

STRUCTOPT_BEGIN_NAMESPACE
namespace train::detail
{

template <class E>
inline constexpr bool is_batch_rate = false;

template <class S, bool Momentum>
inline constexpr bool is_batch_rate<batch_rate<S, Momentum>> = true;

template <class E>
inline constexpr bool moves_momentum = false;

template <class S>
inline constexpr bool moves_momentum<batch_rate<S, true>> = true;

/// Sets what an optimizer calls its momentum.
template <class O>
void set_momentum(O& o, double value)
{
    if constexpr (requires { o.momentum = value; })
    {
        o.momentum = value;
    }
    else if constexpr (requires { o.beta = value; })
    {
        o.beta = value;
    }
    else
    {
        o.beta1 = value;
    }
}

template <class O>
concept has_momentum = requires(O& o)
{
    o.momentum = 0.9;
}
|| requires(O& o)
{
    o.beta = 0.9;
}
|| requires(O& o)
{
    o.beta1 = 0.9;
};

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

/// Whether `train::fit` knows what to do with an argument; a const callback without const hooks is
/// none.
template <class E, class Context>
inline constexpr bool is_extra =
    is_rate<std::remove_const_t<E>> || is_validation<std::remove_const_t<E>> ||
    is_stopping<std::remove_const_t<E>> || optim::regularizer<std::remove_const_t<E>> ||
    optim::constraint<std::remove_const_t<E>> || optim::gradient_clip<std::remove_const_t<E>> ||
    metric<std::remove_const_t<E>> || callback<E, Context>;

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

/// An extra as a tuple, if it is a metric: itself, so that the caller finds what it gathered last,
/// or a copy of one that is const.
template <class E>
auto metric_tuple(E& extra)
{
    if constexpr (!metric<std::remove_const_t<E>>)
    {
        return std::tuple<>();
    }
    else if constexpr (std::is_const_v<E>)
    {
        return std::tuple<std::remove_const_t<E>>(extra);
    }
    else
    {
        return std::tuple<E&>(extra);
    }
}

/// Whether the measurement that is watched will exist.
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

} // namespace train::detail
STRUCTOPT_END_NAMESPACE
