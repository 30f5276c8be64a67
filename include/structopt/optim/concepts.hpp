/// @file
/// What an optimizer is: a small aggregate of options with an update on raw spans.
///
/// | member | meaning |
/// |---|---|
/// | `rate` | the learning rate where the caller gives none |
/// | `static constexpr std::size_t slots`, or `slots()` | numbers kept per parameter |
/// | `update(values, gradients, slots, at) const noexcept` | one step of some parameters |
///
/// and, where it needs them:
///
/// | member | for | default |
/// |---|---|---|
/// | `validate()` | options out of range: throws `argument_error` | no check |
/// | `begin(update_step& at) const` | work once per step, before all updates; may change `at.aux` | none |
/// | `slot_start(slot)` | initial value of a slot | 0 |
/// | `static constexpr bool elementwise` | whether tensors may be cut into pieces that are updated on their own, in any order | true |
/// | `static constexpr bool zeroes_gradients` | whether `update` itself heeds `at.zero_gradients` | false |
#pragma once

#include <structopt/nn/parameters.hpp>
#include <structopt/optim/check.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// What an update is told besides the numbers.
struct update_step
{
    /// Number of this step, from 1.
    index_t count = 1;
    double rate = 0.0;
    /// A number that the optimizer keeps between steps; 1 before the first.
    double aux = 1.0;
    /// What the parameter is for: weight decay may leave biases alone.
    nn::role role = nn::role::weight;
    /// Whether the gradients are to be zero afterwards.
    bool zero_gradients = false;
};

namespace detail
{

template <class O>
constexpr std::size_t slot_count(const O& optimizer) noexcept
{
    if constexpr (requires { optimizer.slots(); })
    {
        return optimizer.slots();
    }
    else
    {
        return O::slots;
    }
}

template <class O>
concept has_slots = requires(const O& o)
{
    {
        o.slots()
        } -> std::convertible_to<std::size_t>;
}
|| requires
{
    {
        O::slots
        } -> std::convertible_to<std::size_t>;
};

} // namespace detail

/// An optimizer; see the table at the top of this file.
///
/// `update` gets the values and gradients of one parameter (or a piece of it) and one span per
/// slot, all of the same length. It may overwrite the gradients, must not throw, and must give the
/// same result however a parameter is cut, unless `elementwise` is false.
template <class O>
concept optimizer = std::copy_constructible<O> && detail::has_slots<O> && requires(const O& o,
    std::span<float> values, std::span<const std::span<float>> slots, const update_step& at)
{
    {
        o.rate
        } -> std::convertible_to<double>;
    o.update(values, values, slots, at);
};

/// Checks the options: calls `o.validate()` where there is one.
template <class O>
void validate(const O& o)
{
    if constexpr (requires { o.validate(); })
    {
        o.validate();
    }
}

namespace detail
{

/// Element type of a network's parameters.
template <class Net>
struct element_of
{
    using type = float;
};

template <class Net>
    requires requires
    {
        typename Net::value_type;
    } && std::floating_point<typename Net::value_type>
struct element_of<Net>
{
    using type = typename Net::value_type;
};

/// The decay of one parameter: all of it, or none for biases and scales where those are spared.
inline double decay_for(double decay, bool biases, nn::role role) noexcept
{
    return biases || role == nn::role::weight ? decay : 0.0;
}

} // namespace detail

/// Element type of a network's parameters: its `value_type`, else float.
template <class Net>
using element_type = typename detail::element_of<Net>::type;

} // namespace optim
STRUCTOPT_END_NAMESPACE
