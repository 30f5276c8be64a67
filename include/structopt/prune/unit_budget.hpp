/// @file
/// How many units go, by what the smaller network costs: parameters, bytes, multiply-adds, time.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/prune/units.hpp>

#include <cstddef>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Trainable parameters. A cost is anything with `cost(network, sample)`, a number that gets smaller
/// with the network; `sample` is the shape of a batch. `compress::latency_cost` measures time.
struct parameter_cost
{
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>&) const
    {
        return static_cast<double>(nn::parameter_count(network));
    }
};

/// Bytes of all parameters, statistics included.
struct byte_cost
{
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>&) const
    {
        std::size_t bytes = 0;
        nn::visit_parameters(network,
            [&](const nn::parameter_name&, const auto& parameter, nn::role)
            {
                using value = typename std::remove_cvref_t<decltype(parameter)>::value_type;
                bytes += static_cast<std::size_t>(parameter.size()) * sizeof(value);
            });
        return static_cast<double>(bytes);
    }
};

/// Multiply-adds of a batch of the sample's shape.
struct multiply_add_cost
{
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>& sample) const
    {
        return static_cast<double>(nn::multiply_adds(network, sample));
    }
};

/// At most `limit` of a cost: `prune::unit_budget{prune::multiply_add_cost{}, 1e6}`.
template <class Cost>
struct unit_budget
{
    Cost cost;
    double limit = 0;
};

template <class Cost>
unit_budget(Cost, double) -> unit_budget<Cost>;

/// Removes as few units as the budget allows, lowest scores of the whole network first; of `options`
/// all but sparsity and scope count. Bisection over the ranking: about log2(units) smaller networks are
/// made and asked for their cost.
///
/// Throws `argument_error` for a limit that is not a positive number, and for a budget that cannot be
/// met.
template <class Network, std::size_t N, class Cost>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const unit_budget<Cost>& budget, const unit_options& options = {});

/// The same by the scores of a criterion. They are compared across layers.
template <class Network, std::size_t N, row_criterion Criterion, class Cost>
kept_units choose_units(const Network& network, const shape<N>& sample, const Criterion& criterion,
    const unit_budget<Cost>& budget, const unit_options& options = {})
{
    return prune::choose_units(network, sample,
        prune::score_units(network, sample, criterion, options.inputs), budget, options);
}

// ---------------------------------------------------------------------------------------------

template <class Network, std::size_t N, class Cost>
kept_units choose_units(const Network& network, const shape<N>& sample, const unit_scores& scores,
    const unit_budget<Cost>& budget, const unit_options& options)
{
    kept_units best;
    if constexpr (detail::check_removable<Network>() && detail::has_element_type<Network>)
    {
        detail::check_options(options);
        if (!structopt::detail::is_finite(budget.limit) || !(budget.limit > 0))
        {
            structopt::detail::raise<argument_error>(
                "unit budget", "a limit above 0", std::to_string(budget.limit));
        }
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
            return static_cast<double>(
                budget.cost(detail::rebuild(network,
                                detail::unit_change<nn::value_type<Network>>{graph, removal, {}}),
                    smaller));
        };
        std::size_t low = 0;
        auto high = static_cast<std::size_t>(graph.units);
        const double whole = cost_without(0);
        best = chosen;
        if (whole > budget.limit)
        {
            const double least = cost_without(high);
            best = chosen;
            if (least > budget.limit)
            {
                structopt::detail::raise<argument_error>("unit budget",
                    "a limit of at least " + std::to_string(least) +
                        ", the cost without all units that may go",
                    std::to_string(budget.limit));
            }
            while (high - low > 1)
            {
                const std::size_t middle = low + (high - low) / 2;
                if (cost_without(middle) > budget.limit)
                {
                    low = middle;
                }
                else
                {
                    high = middle;
                    best = chosen;
                }
            }
        }
    }
    return best;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
