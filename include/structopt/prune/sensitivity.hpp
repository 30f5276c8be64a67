/// @file
/// Sensitivity: what each layer alone costs in quality when it loses weights, and budgets from it.
#pragma once

#include <structopt/prune/granularity.hpp>
#include <structopt/prune/layer_shares.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The curve of one layer.
struct layer_sensitivity
{
    std::string name;            ///< "0.weight"
    index_t weights = 0;         ///< that can be pruned
    std::vector<double> quality; ///< one per share: of the network with this layer alone pruned

    friend bool operator==(const layer_sensitivity&, const layer_sensitivity&) = default;
};

/// The curves of a network.
struct sensitivity
{
    std::vector<double> shares; ///< ascending, in (0, 1)
    double whole = 0;           ///< quality of the network as it is
    std::vector<layer_sensitivity> layers;

    friend bool operator==(const sensitivity&, const sensitivity&) = default;
};

/// Prunes each layer alone to each of `shares`, by scores, and asks `quality(network)`: accuracy, or
/// minus a loss; more is better. Data that chose the network must not be asked.
///
/// Li et al., "Pruning Filters for Efficient ConvNets", 2017, figure 2; Han et al., "Learning both
/// Weights and Connections", 2015, figure 6. Layers times shares evaluations, one copy of the network.
/// Throws `argument_error` for shares that are not ascending within (0, 1), a quality that is not
/// finite, and what `make_mask` throws (`shape_error` for another network's scores).
template <class Network, class Quality, granularity Granularity = single>
    requires requires(const Quality& quality, const Network& network)
    {
        {
            quality(network)
            } -> std::convertible_to<double>;
    }
sensitivity measure_sensitivity(const Network& network, const scores& found,
    std::span<const double> shares, const Quality& quality, const Granularity& groups = {});

/// For each layer the largest share that alone costs at most `drop` of quality: between two shares
/// that were measured along the line through them, never more than the largest measured.
///
/// Throws `argument_error` for a drop below 0.
inline layer_shares shares_within(const sensitivity& curves, double drop);

/// Shares that remove `sparsity` of all weights where it costs least: steps to measured shares, the
/// one with the least loss of quality per weight first (losses of layers taken to add up; of two steps
/// of a layer the second is never taken for cheaper than both together). O(steps x layers x shares).
///
/// The last step is cut to the number asked for. Throws `argument_error` for a sparsity outside [0, 1)
/// or above what the largest measured shares give.
inline layer_shares shares_for(const sensitivity& curves, double sparsity);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline void check_curve_shares(std::span<const double> shares)
{
    double last = 0;
    for (const double share : shares)
    {
        check_share("sensitivity share", share);
        if (share <= last)
        {
            structopt::detail::raise<argument_error>("sensitivity shares",
                "ascending numbers in (0, 1)",
                std::to_string(share) + " after " + std::to_string(last));
        }
        last = share;
    }
    if (shares.empty())
    {
        structopt::detail::raise<argument_error>("sensitivity shares", "at least one", "none");
    }
}

/// What a layer has lost at share i, made monotone: pruning more never counts as a gain.
inline std::vector<double> losses_of(const sensitivity& curves, const layer_sensitivity& layer)
{
    std::vector<double> losses;
    double most = 0;
    for (const double quality : layer.quality)
    {
        most = std::max(most, curves.whole - quality);
        losses.push_back(most);
    }
    return losses;
}

} // namespace detail

template <class Network, class Quality, granularity Granularity>
    requires requires(const Quality& quality, const Network& network)
    {
        {
            quality(network)
            } -> std::convertible_to<double>;
    }
sensitivity measure_sensitivity(const Network& network, const scores& found,
    std::span<const double> shares, const Quality& quality, const Granularity& groups)
{
    detail::check_curve_shares(shares);
    const auto ask = [&](const Network& candidate, const std::string& where)
    {
        const auto value = static_cast<double>(quality(candidate));
        if (!structopt::detail::is_finite(value))
        {
            structopt::detail::raise<argument_error>(
                "quality, " + where, "a finite number", std::to_string(value));
        }
        return value;
    };
    sensitivity curves;
    curves.shares.assign(shares.begin(), shares.end());
    curves.whole = ask(network, "the whole network");
    layer_shares one{.sparsities = std::vector<double>(found.layers.size()), .minimum = 1};
    Network trial = network;
    for (std::size_t i = 0; i < found.layers.size(); ++i)
    {
        const layer_scores& layer = found.layers[i];
        layer_sensitivity curve{layer.name, layer.extents().size(), {}};
        for (const double share : shares)
        {
            one.sparsities[i] = share;
            trial = network;
            prune::apply(trial, prune::make_mask(network, found, one, groups));
            curve.quality.push_back(ask(trial, layer.name + " at " + std::to_string(share)));
        }
        one.sparsities[i] = 0;
        curves.layers.push_back(std::move(curve));
    }
    return curves;
}

inline layer_shares shares_within(const sensitivity& curves, double drop)
{
    detail::check_curve_shares(curves.shares);
    if (!structopt::detail::is_finite(drop) || drop < 0)
    {
        structopt::detail::raise<argument_error>(
            "drop of quality", "a number of at least 0", std::to_string(drop));
    }
    layer_shares result;
    for (const layer_sensitivity& layer : curves.layers)
    {
        const std::vector<double> losses = detail::losses_of(curves, layer);
        double share = 0;
        double loss = 0;
        for (std::size_t i = 0; i < losses.size(); ++i)
        {
            if (losses[i] > drop)
            {
                share += (curves.shares[i] - share) * (drop - loss) / (losses[i] - loss);
                break;
            }
            share = curves.shares[i];
            loss = losses[i];
        }
        result.sparsities.push_back(share);
    }
    return result;
}

inline layer_shares shares_for(const sensitivity& curves, double sparsity)
{
    detail::check_curve_shares(curves.shares);
    detail::check_share("sparsity", sparsity);
    const std::size_t layers = curves.layers.size();
    std::vector<std::vector<double>> losses;
    double all = 0;
    for (const layer_sensitivity& layer : curves.layers)
    {
        losses.push_back(detail::losses_of(curves, layer));
        all += static_cast<double>(layer.weights);
    }
    if (sparsity > curves.shares.back())
    {
        structopt::detail::raise<argument_error>("sparsity",
            "at most " + std::to_string(curves.shares.back()) + ", the largest share measured",
            std::to_string(sparsity));
    }
    layer_shares result{.sparsities = std::vector<double>(layers)};
    std::vector<std::size_t> steps(layers, 0); // shares of a layer that are behind it
    double left = sparsity * all;
    while (left > 0)
    {
        // The step along the lower hull of a curve: to whichever share costs least per weight.
        std::size_t best = layers;
        std::size_t best_step = 0;
        double least = 0;
        for (std::size_t l = 0; l < layers; ++l)
        {
            const double from = result.sparsities[l];
            const double loss = steps[l] == 0 ? 0.0 : losses[l][steps[l] - 1];
            for (std::size_t i = steps[l]; i < curves.shares.size(); ++i)
            {
                const double weights =
                    (curves.shares[i] - from) * static_cast<double>(curves.layers[l].weights);
                const double price = (losses[l][i] - loss) / weights;
                // Of equal prices the longer step, and the larger layer.
                if (weights > 0 &&
                    (best == layers || price < least ||
                        (price == least &&
                            weights > (curves.shares[best_step] - result.sparsities[best]) *
                                          static_cast<double>(curves.layers[best].weights))))
                {
                    best = l;
                    best_step = i;
                    least = price;
                }
            }
        }
        if (best == layers)
        {
            break; // rounding: all layers are at their largest share
        }
        const auto n = static_cast<double>(curves.layers[best].weights);
        const double weights = (curves.shares[best_step] - result.sparsities[best]) * n;
        result.sparsities[best] =
            weights <= left ? curves.shares[best_step] : result.sparsities[best] + left / n;
        steps[best] = best_step + 1;
        left -= std::min(weights, left);
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
