/// @file
/// How many units go, by what the smaller network costs: parameters, bytes, multiply-adds, time.
#pragma once

#include <structopt/prune/budget.hpp>
#include <structopt/prune/cost.hpp>
#include <structopt/prune/units.hpp>

#include <cstddef>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Removes as few units as the budget allows, lowest scores of the whole network first; of `options`
/// all but sparsity and scope count. Bisection over the ranking: about log2(units) smaller networks are
/// made and asked for their cost.
///
/// Of the budget cost and limit count; the cost is asked of networks of the type of this one, with
/// `sample`, whose extent 1 follows where features of the input go. Of a cost that is measured the limit
/// held when it was measured.
///
/// Throws `argument_error` for a cost or limit that is NaN, and for a budget that cannot be met, naming
/// the least that can.
template <class Network, std::size_t N, class Cost, std::size_t M>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const budget<Cost, mask_options, M>& within, const unit_options& options = {});

/// The same by the scores of a criterion. They are compared across layers.
template <class Network, std::size_t N, row_criterion Criterion, class Cost, std::size_t M>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const budget<Cost, mask_options, M>& within, const unit_options& options = {})
{
    return prune::choose_units(network, sample,
        prune::score_units(network, sample, criterion, options.inputs), within, options);
}

// ---------------------------------------------------------------------------------------------

template <class Network, std::size_t N, class Cost, std::size_t M>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const budget<Cost, mask_options, M>& within, const unit_options& options)
{
    kept_units best;
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network> &&
                  detail::check_cost<Cost, Network, N>())
    {
        detail::check_options(options);
        detail::check_limit(within.limit());
        auto graph = detail::find_units(network, sample, options.inputs);
        const auto ranking = detail::rank_units(network, sample, graph, scores, options.becomes);
        kept_units chosen;
        // What the network costs without the n lowest units.
        const auto cost_without = [&](std::size_t n)
        {
            std::vector<std::size_t> removed(graph.ranges.size(), 0);
            std::size_t list = 0;
            for (const std::size_t unit : ranking.lowest(0, graph.units, n))
            {
                while (static_cast<index_t>(unit) >=
                       graph.ranges[list].first + graph.ranges[list].units)
                {
                    ++list;
                }
                ++removed[list];
            }
            chosen = detail::keep_without_lowest(graph, ranking, removed, options);
            const auto removal = detail::removal_of(graph, chosen);
            shape<N> smaller = sample;
            smaller[1] = static_cast<index_t>(removal.kept(graph.input).size());
            return detail::ask_cost(within.cost(),
                detail::rebuild(
                    network, detail::unit_change<nn::value_type<Network>>{graph, removal, {}}),
                smaller);
        };
        std::size_t low = 0;
        auto high = static_cast<std::size_t>(graph.units);
        const double whole = cost_without(0);
        best = chosen;
        if (!(whole <= within.limit()))
        {
            const double least = cost_without(high);
            best = chosen;
            if (!(least <= within.limit()))
            {
                detail::raise_unmet(least, "without all units that may go", within.limit());
            }
            while (high - low > 1)
            {
                const std::size_t middle = low + (high - low) / 2;
                if (cost_without(middle) <= within.limit())
                {
                    high = middle;
                    best = chosen;
                }
                else
                {
                    low = middle;
                }
            }
        }
    }
    return best;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
