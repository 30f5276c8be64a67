/// @file
/// Synaptic flow: which weights carry what flows through a network, without any data.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/identity.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/prune/allocation.hpp>
#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The score of a weight is |w| dR/d|w|, where R is the sum of the outputs of the network for an input
/// of ones when every weight is replaced by its absolute value: the total of the products of |w| along
/// all paths through that weight.
///
/// Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow",
/// 2020, equation 2 and algorithm 1. Scores are computed in `rounds` rounds: after round k only
/// (1 - sparsity)^(k / rounds) of all weights are left, and what goes earlier scores lower. Choose with
/// `scope::global` and the same (or a lower) sparsity.
///
/// R is of the weights alone: biases count as 0, batch norm is a factor of |weight| / sqrt(variance +
/// eps) per channel (its inference form), dropout and penalties on activations do nothing. Made for networks of activations that
/// let positive numbers pass, as ReLU, and without softmax at the end. Works on a copy: the network
/// that is asked stays as it is. Two copies of the network are held.
///
/// N is the rank of the network's input: `prune::synaptic_flow<2>{.sample = {1, 784}}`.
template <std::size_t N>
struct synaptic_flow
{
    /// Extents of an input; the batch counts as 1.
    shape<N> sample{};
    /// What is left after the last round, in [0, 1): what the mask will be asked for.
    double sparsity = 0.9;
    /// Rounds of scoring, at least 1. With one round whole layers may be lost.
    int rounds = 100;

    /// Throws `shape_error` if the network does not take `sample`, and `argument_error` for options out
    /// of range or a flow that is not finite.
    template <class Network>
    scores score_network(const Network& network) const;

    friend bool operator==(const synaptic_flow&, const synaptic_flow&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Multiplies every channel (axis 1) by a positive number: batch norm as synaptic flow sees it.
template <class T>
class channel_factors
{
public:
    using value_type = T;

    static constexpr std::string_view name = "channel_factors";

    explicit channel_factors(const nn::batch_norm<T>& from)
        : m_factors(static_cast<std::size_t>(from.options().features))
    {
        for (std::size_t c = 0; c < m_factors.size(); ++c)
        {
            const T scale = from.weight.size() != 0 ? std::abs(from.weight.data()[c]) : T(1);
            m_factors[c] =
                scale / std::sqrt(from.running_var.data()[c] + static_cast<T>(from.options().eps));
        }
    }

    template <std::size_t N>
    shape<N> output_shape(const shape<N>& in) const
    {
        if (in[1] != static_cast<index_t>(m_factors.size()))
        {
            structopt::detail::raise<shape_error>(
                "batch_norm input", std::to_string(m_factors.size()) + " channels", describe(in));
        }
        return in;
    }

    template <std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, nn::scratch) const noexcept
    {
        multiply(x, y);
    }

    template <std::size_t N>
    void backward(view<const T, N>, view<const T, N>, view<const T, N> dy, view<T, N> dx,
        typename nn::layer_traits<channel_factors>::template cache<T, N>&, channel_factors&) const
    {
        if (dx.data() != nullptr)
        {
            multiply(dy, dx);
        }
    }

private:
    template <std::size_t N>
    void multiply(view<const T, N> from, view<T, N> to) const noexcept
    {
        const auto channels = static_cast<index_t>(m_factors.size());
        const index_t inner = from.shape(0) == 0 ? 0 : from.size() / (from.shape(0) * channels);
        for (index_t i = 0; i < from.shape(0) * channels; ++i)
        {
            const T factor = m_factors[static_cast<std::size_t>(i % channels)];
            for (index_t j = i * inner; j < (i + 1) * inner; ++j)
            {
                to.data()[j] = factor * from.data()[j];
            }
        }
    }

    std::vector<T> m_factors;
};

template <class T>
channel_factors<T> linear_layer(const nn::batch_norm<T>& layer)
{
    return channel_factors<T>(layer);
}

inline nn::identity linear_layer(const nn::dropout&)
{
    return {};
}

/// Its penalty's gradient is no flow.
inline nn::identity linear_layer(const nn::activity_regularizer&)
{
    return {};
}

/// The network as synaptic flow sees it, but for the signs of its weights.
template <class L>
auto linear_layer(const L& layer)
{
    if constexpr (nn::transformable<L>)
    {
        return layer.transform(
            [](const auto& child)
            {
                return detail::linear_layer(child);
            });
    }
    else
    {
        return layer;
    }
}

/// The gradients of R with respect to the weights, for inputs and gradients of `size` at both ends.
/// Returns the largest of that parameter where it is smallest, or -1 if something is not finite.
template <class T, class L, class X>
double add_flow(const L& network, const X& x, L& gradients, double size)
{
    auto scaled = x;
    std::fill_n(scaled.data(), scaled.size(), static_cast<T>(size));
    random_engine none;
    auto kept = nn::make_cache(network, scaled, none);
    const auto& y = nn::forward(network, as_view(std::as_const(scaled)), kept);
    auto dy = y;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        if (!structopt::detail::is_finite(y.data()[i]))
        {
            return -1;
        }
        dy.data()[i] = static_cast<T>(size);
    }
    nn::set_zero(gradients);
    nn::backward(network, as_view(std::as_const(dy)), kept, gradients);
    double smallest = std::numeric_limits<double>::max();
    for (const auto& parameter : nn::trainable_parameters<T>(gradients))
    {
        double largest = 0;
        for (const T value : parameter.values)
        {
            if (!structopt::detail::is_finite(value))
            {
                return -1;
            }
            largest = std::max(largest, std::abs(static_cast<double>(value)));
        }
        smallest = std::min(smallest, largest);
    }
    return smallest;
}

/// The same in a size in which gradients have all their digits, from `size` on, which is changed to it.
/// R is linear in the input and in the gradient of the output: another size changes all scores by one
/// factor.
template <class T, class L, class X>
void find_flow(const L& network, const X& x, L& gradients, double& size)
{
    constexpr double limit = 1e18;
    constexpr double small =
        static_cast<double>(std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon());
    bool less = false;
    for (;;)
    {
        const double slope = detail::add_flow<T>(network, x, gradients, size);
        if (slope < 0)
        {
            less = true;
            size *= 1e-6;
            if (size * limit < 1)
            {
                structopt::detail::raise<argument_error>("synaptic_flow",
                    "a network whose products of weights are finite", "NaN or infinity");
            }
        }
        else if (!less && slope < small && size < limit)
        {
            size *= 1e6;
        }
        else
        {
            return;
        }
    }
}

} // namespace detail

template <std::size_t N>
template <class Network>
scores synaptic_flow<N>::score_network(const Network& network) const
{
    using T = nn::value_type<Network>;
    detail::check_share("synaptic_flow sparsity", sparsity);
    if (rounds < 1)
    {
        structopt::detail::raise<argument_error>(
            "synaptic_flow rounds", "at least 1", std::to_string(rounds));
    }
    shape<N> one = sample;
    one[0] = 1;
    nn::output_shape(network, one);
    scores result = detail::empty_scores(network);

    auto linear = detail::linear_layer(network);
    auto gradients = nn::zeros_like(linear);
    const auto places = detail::empty_scores(linear).layers;
    if (places.size() != result.layers.size())
    {
        structopt::detail::raise<argument_error>("synaptic_flow",
            std::to_string(result.layers.size()) + " weights in the network's linear form",
            std::to_string(places.size()));
    }
    const auto weights = nn::trainable_parameters<T>(linear);
    const auto slopes = nn::trainable_parameters<T>(gradients);
    std::vector<bool> pruned(weights.size(), false);
    for (const layer_scores& place : places)
    {
        pruned[static_cast<std::size_t>(place.parameter)] = true;
    }
    for (std::size_t p = 0; p < weights.size(); ++p)
    {
        for (T& value : weights[p].values)
        {
            value = pruned[p] || weights[p].role != nn::role::bias ? std::abs(value) : T(0);
        }
    }

    for (std::size_t l = 0; l < places.size(); ++l)
    {
        detail::check_scores(result.layers[l].name,
            std::span<const T>(weights[static_cast<std::size_t>(places[l].parameter)].values));
    }
    const auto x = structopt::zeros<T>(one);
    std::vector<std::span<const double>> lists;
    std::size_t all = 0;
    for (layer_scores& layer : result.layers)
    {
        layer.values.resize(static_cast<std::size_t>(layer.extents().size()));
        lists.emplace_back(layer.values);
        all += layer.values.size();
    }
    std::size_t gone = 0;
    double size = 1;
    for (int round = 1; round <= rounds; ++round)
    {
        detail::find_flow<T>(linear, x, gradients, size);
        // Removed weights keep their negative scores.
        for (std::size_t l = 0; l < places.size(); ++l)
        {
            const auto p = static_cast<std::size_t>(places[l].parameter);
            auto& values = result.layers[l].values;
            for (std::size_t i = 0; i < values.size(); ++i)
            {
                if (values[i] >= 0)
                {
                    values[i] = static_cast<double>(weights[p].values[i]) *
                                static_cast<double>(slopes[p].values[i]);
                }
            }
        }
        const double left = std::pow(1 - sparsity, static_cast<double>(round) / rounds);
        const std::size_t target = detail::share_of(1 - left, all);
        if (round == rounds || target <= gone)
        {
            continue;
        }
        detail::lowest_bound bound = detail::find_bound<double>(lists, target);
        gone = target;
        for (std::size_t l = 0; l < places.size(); ++l)
        {
            const auto p = static_cast<std::size_t>(places[l].parameter);
            auto& values = result.layers[l].values;
            for (std::size_t i = 0; i < values.size(); ++i)
            {
                const std::uint64_t order = detail::order_of(values[i]);
                if (order < bound.bound || (order == bound.bound && bound.ties > 0))
                {
                    bound.ties -= order == bound.bound ? 1 : 0;
                    if (values[i] >= 0)
                    {
                        values[i] = static_cast<double>(round - rounds);
                        weights[p].values[i] = T(0);
                    }
                }
            }
        }
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
