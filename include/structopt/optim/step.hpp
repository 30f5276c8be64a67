/// @file
/// One step of an optimizer over all parameters of a network, and the state between steps.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/optim/concepts.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// What an optimizer keeps between steps: a plain value that copies, saves and restores.
///
/// Every slot is a network of the trained one's type and extents: whatever removes units of the
/// network removes them here, and whatever saves the network saves the slots.
template <class Net>
struct state
{
    std::vector<Net> slots;
    /// Steps done.
    index_t step = 0;
    /// A number of the optimizer's own (Nadam: the product of its momenta).
    double aux = 1.0;
};

/// How `step` treats the gradients.
struct step_options
{
    /// Sets the gradients to zero in the same pass, ready for the next `backward`, which adds.
    bool zero_gradients = false;
};

/// Most slots an optimizer may have.
inline constexpr std::size_t max_slots = 8;

namespace detail
{

/// Elements per piece when a large parameter is updated on several threads.
inline constexpr index_t update_grain = 1 << 15;

/// Whether two networks show the same trainable parameters: as many, of the same sizes.
template <class T>
bool same_sizes(const std::vector<nn::parameter_span<T>>& a,
    const std::vector<nn::parameter_span<T>>& b) noexcept
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
        [](const auto& x, const auto& y)
        {
            return x.values.size() == y.values.size();
        });
}

template <class T>
std::string describe_sizes(const std::vector<nn::parameter_span<T>>& list)
{
    std::string text = "parameters of";
    for (const auto& parameter : list)
    {
        text += ' ' + std::to_string(parameter.values.size());
    }
    return text;
}

template <class T>
void check_sizes(const std::string& what, const std::vector<nn::parameter_span<T>>& expected,
    const std::vector<nn::parameter_span<T>>& found)
{
    if (!same_sizes(expected, found))
    {
        structopt::detail::raise<shape_error>(
            what, describe_sizes(expected), describe_sizes(found));
    }
}

} // namespace detail

/// The state of an optimizer before its first step on `network`.
/// @throws argument_error for options out of range.
template <optimizer O, class Net>
state<Net> make_state(const O& o, const Net& network)
{
    optim::validate(o);
    const std::size_t count = detail::slot_count(o);
    if (count > max_slots)
    {
        structopt::detail::raise<argument_error>(
            "optimizer slots", "at most " + std::to_string(max_slots), std::to_string(count));
    }
    state<Net> kept;
    for (std::size_t slot = 0; slot < count; ++slot)
    {
        kept.slots.push_back(nn::zeros_like(network));
        if constexpr (requires { o.slot_start(slot); })
        {
            using T = element_type<Net>;
            for (auto& parameter : nn::trainable_parameters<T>(kept.slots.back()))
            {
                std::fill(parameter.values.begin(), parameter.values.end(),
                    static_cast<T>(o.slot_start(slot)));
            }
        }
    }
    return kept;
}

/// One step at the given rate: changes `network` along `gradients`, and `kept` with it.
///
/// The result is bit-equal for every number of threads. Instruction sets differ by rounding: where
/// there is a fused multiply-add, it is used.
/// @throws argument_error for options or a rate out of range, shape_error for gradients or a state
/// that do not belong to the network; nothing has changed then.
template <optimizer O, class Net>
void step(const O& o, Net& network, Net& gradients, state<Net>& kept, double rate,
    const step_options& options = {})
{
    using T = element_type<Net>;
    optim::validate(o);
    detail::option_check{"optim::step"}.not_negative("rate", rate);
    const std::size_t count = detail::slot_count(o);
    if (kept.slots.size() != count || count > max_slots)
    {
        structopt::detail::raise<argument_error>("optim::step state",
            std::to_string(count) + " slots (optim::make_state of this optimizer)",
            std::to_string(kept.slots.size()));
    }
    const auto values = nn::trainable_parameters<T>(network);
    const auto slopes = nn::trainable_parameters<T>(gradients);
    detail::check_sizes("optim::step gradients", values, slopes);
    std::vector<std::vector<nn::parameter_span<T>>> slots;
    for (Net& slot : kept.slots)
    {
        slots.push_back(nn::trainable_parameters<T>(slot));
        detail::check_sizes("optim::step state", values, slots.back());
    }

    update_step at{kept.step + 1, rate, kept.aux, nn::role::weight, options.zero_gradients};
    if constexpr (requires { o.begin(at); })
    {
        o.begin(at);
    }
    constexpr bool elementwise = []
    {
        if constexpr (requires { O::elementwise; })
        {
            return static_cast<bool>(O::elementwise);
        }
        else
        {
            return true;
        }
    }();
    for (std::size_t p = 0; p < values.size(); ++p)
    {
        at.role = values[p].role;
        const auto n = static_cast<index_t>(values[p].values.size());
        structopt::parallel_for(n, elementwise ? detail::update_grain : (n > 0 ? n : 1),
            [&](index_t first, index_t last)
            {
                const auto from = static_cast<std::size_t>(first);
                const auto length = static_cast<std::size_t>(last - first);
                std::array<std::span<T>, max_slots> pieces;
                for (std::size_t s = 0; s < count; ++s)
                {
                    pieces[s] = slots[s][p].values.subspan(from, length);
                }
                const auto slope = slopes[p].values.subspan(from, length);
                o.update(values[p].values.subspan(from, length), slope,
                    std::span<const std::span<T>>(pieces.data(), count), at);
                if constexpr (!requires { requires O::zeroes_gradients; })
                {
                    if (at.zero_gradients)
                    {
                        std::fill(slope.begin(), slope.end(), T(0));
                    }
                }
            });
    }
    kept.step = at.count;
    kept.aux = at.aux;
}

/// One step at the optimizer's own rate.
template <optimizer O, class Net>
void step(
    const O& o, Net& network, Net& gradients, state<Net>& kept, const step_options& options = {})
{
    optim::step(o, network, gradients, kept, static_cast<double>(o.rate), options);
}

} // namespace optim
STRUCTOPT_END_NAMESPACE
