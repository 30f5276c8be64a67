/// @file
/// Iterative pruning: rounds of pruning and fine-tuning.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/schedule/exponential_sparsity.hpp>

#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
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

/// The mask that keeps the weights with the highest of the given scores, none that `before` has
/// removed: exactly round(sparsity * n) go, per layer or in all, and those of `before` are among
/// them.
///
/// `scores` has one list per trainable parameter, empty for those that are not pruned, as
/// `mask::keep`. Throws `argument_error` for scores that are not finite, a sparsity outside [0, 1),
/// and where `before` has removed more already; `shape_error` for another network's mask.
inline mask make_nested_mask(
    std::vector<std::vector<double>> scores, const mask_options& options, const mask& before);

/// The same, of the scores of a criterion.
template <weight_criterion Criterion, class Network>
mask make_nested_mask(const Network& network, const Criterion& criterion,
    const mask_options& options, const mask& before);

/// Prunes in rounds, and lets the caller train in between: for every sparsity a mask is chosen,
/// applied, and `train(network, mask, round)` is called, round = 0, 1, ...
///
/// `choose` is a weight criterion, or a function `choose(network, mask_options, mask before)` that
/// returns a mask, for criteria that look at data. Weights that an earlier round removed stay
/// removed; the sparsity of every round is exact. `train` fine-tunes under the mask, typically
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

inline mask make_nested_mask(
    std::vector<std::vector<double>> scores, const mask_options& options, const mask& before)
{
    detail::check_share("sparsity", options.sparsity);
    mask m;
    for (std::size_t p = 0; p < scores.size(); ++p)
    {
        detail::check_scores(
            "scores of parameter " + std::to_string(p), std::span(std::as_const(scores[p])));
        m.keep.emplace_back(scores[p].size(), std::uint8_t{1});
    }
    if (!before.keep.empty())
    {
        bool fits = before.keep.size() == scores.size();
        for (std::size_t p = 0; fits && p < scores.size(); ++p)
        {
            fits = before.keep[p].size() == scores[p].size();
        }
        if (!fits)
        {
            structopt::detail::raise<shape_error>(
                "make_nested_mask before", "a mask of the same network", "other extents");
        }
    }
    std::vector<std::vector<std::size_t>> groups;
    if (options.scope == scope::global)
    {
        groups.emplace_back();
        for (std::size_t p = 0; p < scores.size(); ++p)
        {
            groups.back().push_back(p);
        }
    }
    else
    {
        for (std::size_t p = 0; p < scores.size(); ++p)
        {
            groups.push_back({p});
        }
    }
    for (const auto& group : groups)
    {
        std::vector<double> all;
        std::size_t gone = 0;
        for (const std::size_t p : group)
        {
            for (std::size_t i = 0; i < scores[p].size(); ++i)
            {
                const bool removed = !before.keep.empty() && before.keep[p][i] == 0;
                gone += removed ? 1 : 0;
                all.push_back(removed ? -std::numeric_limits<double>::max() : scores[p][i]);
            }
        }
        const std::size_t n = detail::share_of(options.sparsity, all.size());
        if (n < gone)
        {
            structopt::detail::raise<argument_error>("make_nested_mask sparsity",
                "at least the " + std::to_string(gone) + " weights removed before",
                std::to_string(n));
        }
        std::size_t p = 0;
        std::size_t first = 0;
        for (const std::size_t i : detail::lowest(std::span<const double>(all), n))
        {
            while (i >= first + scores[group[p]].size())
            {
                first += scores[group[p++]].size();
            }
            m.keep[group[p]][i - first] = 0;
        }
    }
    return m;
}

template <weight_criterion Criterion, class Network>
mask make_nested_mask(const Network& network, const Criterion& criterion,
    const mask_options& options, const mask& before)
{
    std::vector<std::vector<double>> scores;
    if constexpr (detail::check_prunable<Network>())
    {
        detail::visit_prunable(network,
            [&]<class Weight>(const nn::parameter_name& name, const Weight& w)
            {
                auto& list = scores.emplace_back();
                if constexpr (!std::is_null_pointer_v<Weight>)
                {
                    std::vector<typename Weight::value_type> raw(
                        static_cast<std::size_t>(w.size()));
                    criterion.score(w, std::span(raw));
                    detail::check_scores(name.text(), std::span(std::as_const(raw)));
                    list.assign(raw.begin(), raw.end());
                }
            });
    }
    return prune::make_nested_mask(std::move(scores), options, before);
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
        const mask_options how{.sparsity = sparsity, .scope = options.scope};
        if constexpr (weight_criterion<Choose>)
        {
            m = prune::make_nested_mask(network, choose, how, m);
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
