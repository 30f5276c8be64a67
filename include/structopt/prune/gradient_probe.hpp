/// @file
/// Gradients sample by sample: a network whose layers report what the backward pass finds.
#pragma once

#include <structopt/calibrate/tap.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/layer_identity.hpp>
#include <structopt/prune/unit_flow.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune::detail
{

/// Sums over samples, one list per trainable parameter, in the order of `nn::trainable_parameters`.
struct gradient_tally
{
    bool squares = false;  ///< of every sample's gradient, besides the sum of the gradients
    bool training = false; ///< differentiate the form of training: batch norm by the batch, dropout
    std::vector<std::vector<double>> gradient;
    std::vector<std::vector<double>> squared;
};

template <class L>
inline constexpr bool is_batch_norm = false;

template <class T>
inline constexpr bool is_batch_norm<nn::batch_norm<T>> = true;

/// Gradients of a sample are products dy x^T, so that the sum of their squares is one product too.
template <class L>
inline constexpr bool is_dense_layer = false;

template <class W>
inline constexpr bool is_dense_layer<nn::dense<W>> = true;

/// Layers that do something in training only.
template <class L>
inline constexpr bool passes_in_inference =
    std::is_same_v<L, nn::dropout> || std::is_same_v<L, nn::activity_regularizer>;

/// A layer in training that adds the gradients of its parameters, and the squares of every sample's, to a
/// tally instead of a network. `dy` of a sample must be the gradient of that sample's own loss.
///
/// Batch norm normalizes by its running averages and dropout lets pass, unless the tally asks for the
/// form of training. Squares of a dense layer take one more product; of other layers with
/// parameters, passes of one sample each through that layer.
template <class L>
class gradient_probe
{
    using traits = nn::layer_traits<L>;

public:
    static constexpr std::string_view name = traits::name();
    static constexpr std::size_t input_rank = nn::detail::declared_input_rank<L>();
    static constexpr std::size_t output_rank = nn::detail::declared_output_rank<L>();

    using value_type = nn::value_type<L>;

    gradient_probe(const L& layer, gradient_tally& tally, std::vector<std::size_t> positions)
        : m_layer(&layer)
        , m_tally(&tally)
        , m_positions(std::move(positions))
    {
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const requires nn::layer_on<L, N>
    {
        return traits::output_shape(*m_layer, in);
    }

    template <class T, std::size_t N>
    struct cache
    {
        typename traits::template cache<T, N> batch;
        typename traits::template cache<T, N> single;
        std::optional<L> gradient;
        tensor<T, N> x;
        tensor<T, nn::output_rank<L, N>> y;

        void seed(random_engine& rng)
        {
            traits::seed(batch, rng);
            traits::seed(single, rng);
        }
    };

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, cache<T, N>& kept) const
    {
        if constexpr (passes_in_inference<L> || is_batch_norm<L>)
        {
            if (!m_tally->training)
            {
                buffer<std::byte> bytes(traits::template scratch_bytes<T>(*m_layer, x.shape()));
                traits::forward(*m_layer, x, y, nn::scratch(bytes.data(), bytes.size()));
                return;
            }
        }
        traits::forward(*m_layer, x, y, kept.batch);
    }

    template <class T, std::size_t N, std::size_t M>
    void backward(view<const T, N> x, view<const T, M> y, view<const T, M> dy, view<T, N> dx,
        cache<T, N>& kept, gradient_probe&) const
    {
        if constexpr (passes_in_inference<L>)
        {
            if (!m_tally->training)
            {
                if (dx.data() != nullptr)
                {
                    std::copy_n(dy.data(), dy.size(), dx.data());
                }
                return;
            }
        }
        if constexpr (is_batch_norm<L>)
        {
            if (!m_tally->training)
            {
                backward_fixed(x, dy, dx);
                return;
            }
        }
        if (!kept.gradient.has_value())
        {
            kept.gradient.emplace(nn::zeros_like(*m_layer));
        }
        if (m_positions.empty() || !m_tally->squares)
        {
            traits::backward(*m_layer, x, y, dy, dx, kept.batch, *kept.gradient);
            take<T>(*kept.gradient, false);
        }
        else if constexpr (is_dense_layer<L>)
        {
            traits::backward(*m_layer, x, y, dy, dx, kept.batch, *kept.gradient);
            take<T>(*kept.gradient, false);
            square(x, kept.x);
            square(dy, kept.y);
            traits::backward(*m_layer, as_view(std::as_const(kept.x)), y,
                as_view(std::as_const(kept.y)), view<T, N>(), kept.batch, *kept.gradient);
            take_squares<T>(*kept.gradient);
        }
        else
        {
            auto one = x.shape();
            auto one_out = y.shape();
            one[0] = one_out[0] = 1;
            resize(kept.y, one_out);
            const index_t in = count(one);
            const index_t out = count(one_out);
            for (index_t i = 0; i < x.shape(0); ++i)
            {
                const view<const T, N> sample(x.data() + i * in, one);
                traits::forward(*m_layer, sample, as_view(kept.y), kept.single);
                traits::backward(*m_layer, sample, as_view(std::as_const(kept.y)),
                    view<const T, M>(dy.data() + i * out, one_out),
                    dx.data() == nullptr ? view<T, N>() : view<T, N>(dx.data() + i * in, one),
                    kept.single, *kept.gradient);
                take<T>(*kept.gradient, true);
            }
        }
    }

    /// None of its own, but containers ask whether a layer has some: gradients are carried to those.
    template <class Self, class Visitor>
        requires(nn::has_parameters<L> || nn::has_children<L>)
    static void parameters(Self&, Visitor&&) noexcept
    {
    }

private:
    /// Moves gradients to the tally, with their squares if they are one sample's.
    template <class T>
    void take(L& gradient, bool with_squares) const
    {
        const auto parameters = nn::trainable_parameters<T>(gradient);
        for (std::size_t p = 0; p < m_positions.size(); ++p)
        {
            auto& sums = m_tally->gradient[m_positions[p]];
            double* const squares =
                with_squares ? m_tally->squared[m_positions[p]].data() : nullptr;
            for (std::size_t i = 0; i < sums.size(); ++i)
            {
                const double g = static_cast<double>(parameters[p].values[i]);
                sums[i] += g;
                if (squares != nullptr)
                {
                    squares[i] += g * g;
                }
                parameters[p].values[i] = T(0);
            }
        }
    }

    /// Moves sums of squares to the tally.
    template <class T>
    void take_squares(L& gradient) const
    {
        const auto parameters = nn::trainable_parameters<T>(gradient);
        for (std::size_t p = 0; p < m_positions.size(); ++p)
        {
            auto& sums = m_tally->squared[m_positions[p]];
            for (std::size_t i = 0; i < sums.size(); ++i)
            {
                sums[i] += static_cast<double>(parameters[p].values[i]);
                parameters[p].values[i] = T(0);
            }
        }
    }

    template <class T, std::size_t N>
    static void square(view<const T, N> from, tensor<T, N>& to)
    {
        resize(to, from.shape());
        for (index_t i = 0; i < from.size(); ++i)
        {
            to.data()[i] = from.data()[i] * from.data()[i];
        }
    }

    /// Batch norm as the affine function that it is in inference.
    template <class T, std::size_t N>
    void backward_fixed(view<const T, N> x, view<const T, N> dy, view<T, N> dx) const
    {
        const index_t channels = x.shape(1);
        const index_t inner = count(tail(tail(x.shape())));
        const bool affine = !m_positions.empty();
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t c = 0; c < channels; ++c)
            {
                const auto channel = static_cast<std::size_t>(c);
                const index_t first = (b * channels + c) * inner;
                const double mean = static_cast<double>(m_layer->running_mean.data()[c]);
                const double slope =
                    1 / std::sqrt(static_cast<double>(m_layer->running_var.data()[c]) +
                                  m_layer->options().eps);
                const double factor =
                    affine ? slope * static_cast<double>(m_layer->weight.data()[c]) : slope;
                double sum = 0;
                double product = 0;
                for (index_t i = first; i < first + inner; ++i)
                {
                    const double d = static_cast<double>(dy.data()[i]);
                    sum += d;
                    product += d * (static_cast<double>(x.data()[i]) - mean);
                    if (dx.data() != nullptr)
                    {
                        dx.data()[i] = static_cast<T>(d * factor);
                    }
                }
                if (affine)
                {
                    product *= slope;
                    m_tally->gradient[m_positions[0]][channel] += product;
                    m_tally->gradient[m_positions[1]][channel] += sum;
                    if (m_tally->squares)
                    {
                        m_tally->squared[m_positions[0]][channel] += product * product;
                        m_tally->squared[m_positions[1]][channel] += sum * sum;
                    }
                }
            }
        }
    }

    const L* m_layer;
    gradient_tally* m_tally;
    std::vector<std::size_t> m_positions;
};

/// A container that is looked into; one with parameters of its own is differentiated as one layer.
template <class L>
concept probed_inside = calibrate::detail::open_container<L> && !nn::has_parameters<const L>;

template <class L>
auto probe_below(const L& layer, gradient_tally& tally, const std::vector<const void*>& parameters,
    const std::vector<nn::layer_identity>& leaves)
{
    if constexpr (probed_inside<L>)
    {
        return layer.transform(
            [&](const auto& child)
            {
                return detail::probe_below(child, tally, parameters, leaves);
            });
    }
    else
    {
        std::vector<std::size_t> positions;
        for (const void* const address : nn::trainable_addresses(layer))
        {
            positions.push_back(static_cast<std::size_t>(
                std::find(parameters.begin(), parameters.end(), address) - parameters.begin()));
        }
        const auto self = nn::layer_identity::of(layer);
        const bool known =
            positions.empty()
                ? std::find(leaves.begin(), leaves.end(), self) != leaves.end()
                : *std::max_element(positions.begin(), positions.end()) < parameters.size();
        if (!known)
        {
            structopt::detail::raise<argument_error>("prune::observe",
                "a container whose transform hands out the layers that its children shows",
                "another " + std::string(nn::layer_traits<L>::name()));
        }
        return gradient_probe<L>(layer, tally, std::move(positions));
    }
}

/// The network with every leaf layer probed; copies no weights, network and tally must outlive it. The
/// tally's lists get their lengths. Its `backward` takes itself as the network of gradients.
template <class Network>
auto probe(const Network& network, gradient_tally& tally)
{
    nn::visit_parameters(network,
        [&](const nn::parameter_name&, const auto& parameter, nn::role kind)
        {
            if constexpr (nn::trainable_parameter<const std::remove_cvref_t<decltype(parameter)>>)
            {
                if (kind != nn::role::statistic)
                {
                    const std::size_t n = nn::trainable_values(parameter).size();
                    tally.gradient.emplace_back(n, 0.0);
                    tally.squared.emplace_back(tally.squares ? n : 0, 0.0);
                }
            }
        });
    std::vector<nn::layer_identity> leaves;
    calibrate::visit_layers(network,
        [&](index_t, const auto& layer)
        {
            leaves.push_back(nn::layer_identity::of(layer));
        });
    return detail::probe_below(network, tally, nn::trainable_addresses(network), leaves);
}

} // namespace prune::detail
STRUCTOPT_END_NAMESPACE
