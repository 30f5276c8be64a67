/// @file
/// Penalties on parameters: what a regularizer is, and how a list of them is applied.
#pragma once

#include <structopt/optim/parameter_block.hpp>
#include <structopt/optim/step.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// A penalty: `add(w, gradient)` returns the penalty of one parameter and adds its gradient to
/// `gradient`, unless that is empty.
///
/// Weights alone are penalized, unless the regularizer has `bool applies(nn::role) const`. A
/// subgradient at 0 is 0.
template <class R>
concept regularizer = std::copy_constructible<R> &&
    requires(const R& r, const parameter_block<const float>& w, std::span<float> gradient)
{
    {
        r.add(w, gradient)
        } -> std::convertible_to<double>;
};

namespace detail
{

template <class R>
bool applies(const R& r, nn::role role)
{
    if constexpr (requires { r.applies(role); })
    {
        return r.applies(role);
    }
    else
    {
        return role == nn::role::weight;
    }
}

template <class T, class... Regularizers>
double add_penalties(const std::vector<parameter_block<T>>& weights,
    const std::vector<nn::parameter_span<T>>& gradients, const Regularizers&... regularizers)
{
    double total = 0;
    for (std::size_t p = 0; p < weights.size(); ++p)
    {
        const auto& w = weights[p];
        const parameter_block<const T> fixed{w.values, w.rows, w.columns, w.block, w.role, w.rank};
        const std::span<T> slope = gradients.empty() ? std::span<T>() : gradients[p].values;
        [[maybe_unused]] const auto one = [&](const auto& r)
        {
            total += applies(r, w.role) ? static_cast<double>(r.add(fixed, slope)) : 0.0;
        };
        (one(regularizers), ...);
    }
    return total;
}

} // namespace detail

/// Adds the gradients of all penalties on `network` to `gradients`; returns their sum, which
/// belongs to the loss.
/// @throws argument_error for options out of range, shape_error for gradients of other extents.
template <class Net, regularizer... Regularizers>
double regularize(const Net& network, Net& gradients, const Regularizers&... regularizers)
{
    using T = element_type<Net>;
    (optim::validate(regularizers), ...);
    // The list is of mutable spans; only the gradients are written.
    const auto weights = detail::parameter_blocks<T>(const_cast<Net&>(network));
    const auto slopes = nn::trainable_parameters<T>(gradients);
    bool fits = weights.size() == slopes.size();
    for (std::size_t p = 0; fits && p < slopes.size(); ++p)
    {
        fits = weights[p].values.size() == slopes[p].values.size();
    }
    if (!fits)
    {
        structopt::detail::raise<shape_error>("optim::regularize gradients",
            "gradients of the network's extents (nn::zeros_like)", detail::describe_sizes(slopes));
    }
    return slopes.empty() ? 0.0 : detail::add_penalties(weights, slopes, regularizers...);
}

/// The sum of all penalties on `network`.
/// @throws argument_error for options out of range.
template <class Net, regularizer... Regularizers>
double penalty(const Net& network, const Regularizers&... regularizers)
{
    using T = element_type<Net>;
    (optim::validate(regularizers), ...);
    const auto weights = detail::parameter_blocks<T>(const_cast<Net&>(network));
    return detail::add_penalties(weights, std::vector<nn::parameter_span<T>>(), regularizers...);
}

} // namespace optim
STRUCTOPT_END_NAMESPACE
