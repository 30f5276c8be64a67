/// @file
/// Constraints: what is done to parameters after a step, and how a list of them is applied.
#pragma once

#include <structopt/optim/parameter_block.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Something that moves a parameter back to where it may be: `apply(w, rate)`, after a step at that
/// rate. On weights alone, unless there is `bool applies(nn::role) const`.
template <class C>
concept constraint = std::copy_constructible<C> &&
    requires(const C& c, const parameter_block<float>& w, double rate)
{
    c.apply(w, rate);
};

/// Applies all constraints to all parameters of a network, in the order given.
/// @throws argument_error for options out of range.
template <class Net, constraint... Constraints>
void constrain(Net& network, double rate, const Constraints&... constraints)
{
    using T = element_type<Net>;
    (optim::validate(constraints), ...);
    for (const auto& w : detail::parameter_blocks<T>(network))
    {
        [[maybe_unused]] const auto one = [&](const auto& c)
        {
            bool wanted = w.role == nn::role::weight;
            if constexpr (requires { c.applies(w.role); })
            {
                wanted = c.applies(w.role);
            }
            if (wanted)
            {
                c.apply(w, rate);
            }
        };
        (one(constraints), ...);
    }
}

} // namespace optim
STRUCTOPT_END_NAMESPACE
