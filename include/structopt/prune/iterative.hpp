/// @file
/// Iterative pruning: rounds of pruning and fine-tuning.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/schedule/exponential_sparsity.hpp>

#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Sparsities of rounds that each remove the same share of what is left, the last one `target`:
/// 1 - (1 - target)^(k / rounds), k = 1 .. rounds.
///
/// Throws `argument_error` for a target outside [0, 1) and for less than one round.
inline std::vector<double> exponential_levels(double target, index_t rounds)
{
    detail::check_share("exponential_levels target", target);
    if (rounds < 1)
    {
        structopt::detail::raise<argument_error>(
            "exponential_levels rounds", "at least 1", std::to_string(rounds));
    }
    const schedule::exponential_sparsity curve{.target = target, .end = rounds};
    std::vector<double> levels;
    for (index_t k = 1; k <= rounds; ++k)
    {
        levels.push_back(curve.sparsity(k));
    }
    return levels;
}

/// The rounds of `iterative`.
struct iterative_options
{
    /// Share of zeros after each round's cut, ascending, in [0, 1); see `exponential_levels`.
    std::vector<double> sparsities;
    /// Compare scores within each layer or over the whole network.
    prune::scope scope = prune::scope::per_layer;

    /// @throws argument_error
    void validate() const
    {
        if (sparsities.empty())
        {
            structopt::detail::raise<argument_error>(
                "iterative sparsities", "at least one round", "none");
        }
        for (std::size_t i = 0; i < sparsities.size(); ++i)
        {
            detail::check_share("iterative sparsities", sparsities[i]);
            if (i > 0 && sparsities[i] < sparsities[i - 1])
            {
                structopt::detail::raise<argument_error>("iterative sparsities", "ascending shares",
                    std::to_string(sparsities[i]) + " after " + std::to_string(sparsities[i - 1]));
            }
        }
    }

    friend bool operator==(const iterative_options&, const iterative_options&) = default;
};

/// The mask that keeps the weights with the highest scores, none that `before` has removed: exactly
/// round(sparsity * n) go, per layer or in all, and those of `before` are among them. An empty
/// `before` has removed none.
///
/// Throws as `make_mask`, for a layer that would lose its last weight too, and `argument_error` where
/// `before` has removed more already; `shape_error` for another network's mask or scores.
template <class Network>
mask make_nested_mask(
    const Network& network, const scores& found, const mask_options& options, const mask& before);

/// The same, by a criterion on weights alone.
template <class Network, data_free_criterion<Network> Criterion>
mask make_nested_mask(const Network& network, const Criterion& criterion,
    const mask_options& options, const mask& before)
{
    return prune::make_nested_mask(network, prune::score(network, criterion), options, before);
}

/// Prunes in rounds, and lets the caller train in between: for every sparsity a mask is chosen,
/// applied, and `train(network, mask, round)` is called, round = 0, 1, ...
///
/// `choose` is a criterion on weights alone, or a function `choose(network)` that returns `scores`,
/// for criteria that look at data, or a function `choose(network, mask_options, mask before)` that
/// returns a mask, for methods that also move the survivors. With scores, weights that an earlier
/// round removed stay removed and the sparsity of every round is exact; every layer keeps at least one
/// weight (others go instead, or per layer one fewer). `train` fine-tunes under the mask, typically
///
///     prune::iterative(net, prune::magnitude{}, {.sparsities = prune::exponential_levels(0.95, 5)},
///         [&](auto& network, const prune::mask& mask, index_t)
///         { train::fit(network, data, loss, optimizer, options, rng, prune::hold(mask)); });
///
/// Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015. With
/// `prune::rewind` before the training in `train` it is the lottery ticket procedure.
///
/// Throws `argument_error` for options out of range, what choosing a mask throws, and where `train`
/// has brought masked weights back.
template <class Network, class Choose, class Train>
mask iterative(
    Network& network, const Choose& choose, const iterative_options& options, Train&& train);

// ---------------------------------------------------------------------------------------------

template <class Network>
mask make_nested_mask(
    const Network& network, const scores& found, const mask_options& options, const mask& before)
{
    mask m;
    if constexpr (detail::check_prunable<Network>())
    {
        if (before.keep.empty())
        {
            return prune::make_mask(network, found, options);
        }
        prune::check_scores(found);
        detail::check_fits(network, found);
        const mask all = detail::full_mask(network);
        bool fits = before.keep.size() == all.keep.size();
        for (std::size_t p = 0; fits && p < all.keep.size(); ++p)
        {
            fits = before.keep[p].size() == all.keep[p].size();
        }
        if (!fits)
        {
            structopt::detail::raise<shape_error>(
                "make_nested_mask before", "a mask of the same network", "other extents");
        }
        scores ranked = found;
        for (layer_scores& layer : ranked.layers)
        {
            const auto& keep = before.keep[static_cast<std::size_t>(layer.parameter)];
            for (std::size_t i = 0; i < keep.size(); ++i)
            {
                // Not infinity, of which -ffast-math knows nothing.
                if (keep[i] == 0)
                {
                    layer.values[i] = std::numeric_limits<
                        std::remove_cvref_t<decltype(layer.values[i])>>::lowest();
                }
            }
        }
        m = prune::make_mask(network, ranked, options);
        for (const layer_scores& layer : ranked.layers)
        {
            const auto p = static_cast<std::size_t>(layer.parameter);
            for (std::size_t i = 0; i < m.keep[p].size(); ++i)
            {
                if (m.keep[p][i] > before.keep[p][i])
                {
                    structopt::detail::raise<argument_error>("make_nested_mask sparsity",
                        "as many weights to remove as were removed before",
                        std::to_string(options.sparsity) + ", with which some of " + layer.name +
                            " would come back");
                }
            }
        }
    }
    return m;
}

template <class Network, class Choose, class Train>
mask iterative(
    Network& network, const Choose& choose, const iterative_options& options, Train&& train)
{
    options.validate();
    mask m;
    index_t round = 0;
    for (const double sparsity : options.sparsities)
    {
        const mask_options how{.sparsity = sparsity, .scope = options.scope, .minimum = 1};
        if constexpr (data_free_criterion<Choose, Network>)
        {
            m = prune::make_nested_mask(network, choose, how, m);
        }
        else if constexpr (requires { prune::check_scores(choose(network)); })
        {
            m = prune::make_nested_mask(network, choose(network), how, m);
        }
        else
        {
            m = choose(network, how, std::as_const(m));
        }
        prune::apply(network, m);
        train(network, std::as_const(m), round);
        const auto parameters = nn::trainable_parameters<nn::value_type<Network>>(network);
        for (std::size_t p = 0; p < m.keep.size(); ++p)
        {
            for (std::size_t i = 0; i < m.keep[p].size(); ++i)
            {
                if (m.keep[p][i] == 0 && !structopt::detail::is_zero(parameters[p].values[i]))
                {
                    structopt::detail::raise<argument_error>("prune::iterative train function",
                        "masked weights that stay zero (prune::hold)",
                        "another value in parameter " + std::to_string(p) + ", position " +
                            std::to_string(i) + ", after round " + std::to_string(round));
                }
            }
        }
        ++round;
    }
    return m;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
