/// @file
/// Static int8: ranges of activations from samples, then a network of integers.
#pragma once

#include <structopt/nn/every_weight.hpp>
#include <structopt/nn/fold_batch_norm.hpp>
#include <structopt/quantize/integer/build.hpp>
#include <structopt/quantize/integer/network.hpp>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Post-training static quantization of a network: show it batches, then take `network()`.
///
/// Batch norms behind dense layers and convolutions are folded first (`nn::fold_batch_norm`). An
/// observer looks at the input and behind every layer, and its range becomes the scale and the zero
/// point of int8 codes (`affine<8, true>`). Weights have one symmetric scale per output. A ReLU right
/// behind a dense layer, a convolution or a residual sum is computed by that layer; other functions of
/// one number become tables; see `integer_form` for what each layer becomes. The network does not
/// train.
///
/// Memory: the folded network, and an observer per layer, whatever the number of samples.
template <class Network, observer Observer = min_max>
class static_calibration
{
    using folded = decltype(nn::fold_batch_norm(std::declval<const Network&>()));
    static_assert(nn::every_weight<Network, nn::is_exact>,
        "the weights are quantized already: calibrate the float network");

public:
    /// Keeps a copy of the network. Every place gets a copy of the observer.
    explicit static_calibration(const Network& network, const Observer& observer = {})
        : m_network(nn::fold_batch_norm(network))
        , m_observers(detail::places<folded>::count + 1, observer)
    {
    }

    /// Takes a batch of samples in, one after the other: how they are divided into batches does not
    /// matter, to the bit. Throws what the network throws for its shape, and
    /// `argument_error` for activations that are not finite; such a batch has been taken in part.
    template <class X>
    void add(const X& batch)
    {
        const auto all = as_view(batch);
        auto extents = all.shape();
        const index_t samples = std::exchange(extents[0], 1);
        const auto x = structopt::copy(all);
        auto one = make_tensor<float>(extents);
        for (index_t i = 0; i < samples; ++i)
        {
            std::copy_n(x.data() + i * size_of(one), size_of(one), one.data());
            Observer* at = m_observers.data();
            detail::observe_samples(*at++, one);
            detail::observed_forward(m_network, one, at);
        }
    }

    /// The network of integers, an `integer_network`. Throws `argument_error` without samples.
    auto network() const
    {
        std::vector<value_range> ranges;
        for (const Observer& place : m_observers)
        {
            ranges.push_back(place.range());
        }
        const value_range* at = ranges.data();
        const scale_and_zero input = activation_scheme{}.fit(*at++);
        auto built = detail::build(m_network, input, at, false);
        return integer_network<decltype(built.layer)>(std::move(built.layer), input, built.output);
    }

private:
    folded m_network;
    std::vector<Observer> m_observers;
};

/// The network in int8 codes and integer arithmetic, its ranges taken from one batch of samples.
/// `static_calibration` takes several.
template <class Network, class X, observer Observer = min_max>
auto static_int8(const Network& network, const X& samples, const Observer& observer = {})
{
    static_calibration<Network, Observer> calibration(network, observer);
    calibration.add(samples);
    return calibration.network();
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
