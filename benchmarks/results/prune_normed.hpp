// Batch norm behind every convolution of a network that has none, for training; `nn::fold_batch_norm`
// takes it away again.
#pragma once

#include <structopt/nn.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <type_traits>
#include <utility>

namespace prune_results
{

using namespace structopt;

template <class L>
inline constexpr bool is_convolution = false;

template <class W>
inline constexpr bool is_convolution<nn::conv2d<W>> = true;

template <class L>
inline constexpr bool is_batch_norm = false;

template <class T>
inline constexpr bool is_batch_norm<nn::batch_norm<T>> = true;

/// The same network with a batch norm that changes nothing (weight 1, bias 0, mean 0, variance 1)
/// behind every convolution, which hands over its bias.
template <class L>
auto with_batch_norm(const L& layer)
{
    if constexpr (is_convolution<L>)
    {
        auto options = layer.options();
        nn::batch_norm norm{{.features = options.out}};
        norm.bias = layer.bias;
        options.bias = false;
        return nn::sequential{L(options, layer.weight), std::move(norm)};
    }
    else if constexpr (nn::transformable<L>)
    {
        return layer.transform(
            [](const auto& child)
            {
                return prune_results::with_batch_norm(child);
            });
    }
    else
    {
        return layer;
    }
}

/// Calls `visit(norm)` for every batch norm, in the order of the forward pass.
template <class L, class Visitor>
void visit_norms(L& layer, const Visitor& visit)
{
    if constexpr (is_batch_norm<L>)
    {
        visit(layer);
    }
    else if constexpr (nn::transformable<L>)
    {
        L::children(layer,
            [&](std::string_view, auto& child)
            {
                prune_results::visit_norms(child, visit);
            });
    }
}

/// Running averages become those of this one batch.
template <class L>
void measure_norms(L& network, view<const float, 4> x)
{
    const auto clear = [](auto& norm)
    {
        std::fill(norm.running_mean.begin(), norm.running_mean.end(), 0.0f);
        std::fill(norm.running_var.begin(), norm.running_var.end(), 0.0f);
    };
    const auto scale = [](auto& norm)
    {
        const auto whole = static_cast<float>(1 / norm.options().momentum);
        for (index_t c = 0; c < size_of(norm.running_mean); ++c)
        {
            norm.running_mean.data()[c] *= whole;
            norm.running_var.data()[c] *= whole;
        }
    };
    random_engine rng(0);
    auto kept = nn::make_cache(network, x, rng);
    nn::forward(std::as_const(network), x, kept);
    prune_results::visit_norms(network, clear);
    nn::update_statistics(network, kept);
    prune_results::visit_norms(network, scale);
}

/// Norms take over the mean and the deviation of their input, so that training starts with what the
/// network computes now.
template <class L>
void start_norms(L& network, view<const float, 4> x)
{
    int count = 0;
    prune_results::visit_norms(network,
        [&](auto&)
        {
            ++count;
        });
    // Each depends on those in front of it.
    for (int done = 0; done < count; ++done)
    {
        prune_results::measure_norms(network, x);
        int at = 0;
        prune_results::visit_norms(network,
            [&](auto& norm)
            {
                for (index_t c = 0; at == done && c < size_of(norm.weight); ++c)
                {
                    norm.bias.data()[c] += norm.running_mean.data()[c];
                    norm.weight.data()[c] = std::sqrt(norm.running_var.data()[c] + 1e-5f);
                }
                ++at;
            });
    }
}

} // namespace prune_results
