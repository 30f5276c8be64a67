/// @file
/// Pruning down to a budget: the least sparsity whose cost is low enough.
#pragma once

#include <structopt/prune/cost.hpp>
#include <structopt/prune/mask.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// An allocation whose total share is one number, which a budget can look for.
template <class A>
concept shared_allocation = allocation<A> && requires(A& a)
{
    a.sparsity = 0.5;
    a.minimum = index_t{1};
};

/// A limit on a cost: `make_mask(net, criterion, budget(cost, limit))` removes as few of the lowest
/// scores as the limit allows.
///
/// The cost is one of prune/cost.hpp (numbers, bytes, multiply-adds), a measured one as
/// `compress::planned_latency`, or any function of a network; of the masked network it must not rise
/// with the number of zeros, up to noise. How the zeros are spread is the allocation's to say: by
/// default one ranking of all layers. Every layer keeps at least one weight (or group).
template <class Cost, shared_allocation Allocation = mask_options>
class budget
{
public:
    /// `spread.sparsity` is not used.
    budget(Cost cost, double limit, Allocation spread = by_default())
        : m_cost(std::move(cost))
        , m_limit(limit)
        , m_spread(std::move(spread))
    {
        m_spread.minimum = std::max<index_t>(m_spread.minimum, 1);
    }

    const Cost& cost() const noexcept
    {
        return m_cost;
    }

    double limit() const noexcept
    {
        return m_limit;
    }

    const Allocation& spread() const noexcept
    {
        return m_spread;
    }

private:
    static Allocation by_default()
    {
        Allocation a{};
        if constexpr (std::same_as<Allocation, mask_options>)
        {
            a.scope = scope::global;
        }
        return a;
    }

    Cost m_cost;
    double m_limit;
    Allocation m_spread;
};

/// The mask that removes the fewest weights (or groups) with which the network costs at most the limit,
/// found by bisection: about log2(weights) masks, copies of the network and costs. Of a cost that is
/// measured the limit held when it was measured.
///
/// Throws `argument_error` for a limit below what is left when every layer keeps its minimum, naming
/// that cost, for a cost or limit that is NaN, and as `make_mask`.
template <class Network, data_free_criterion<Network> Criterion, network_cost<Network> Cost,
    class Allocation, granularity Granularity = single>
mask make_mask(const Network& network, const Criterion& criterion,
    const budget<Cost, Allocation>& within, const Granularity& groups = {});

/// The same from scores that are there already.
template <class Network, network_cost<Network> Cost, class Allocation,
    granularity Granularity = single>
mask make_mask(const Network& network, const scores& found, const budget<Cost, Allocation>& within,
    const Granularity& groups = {});

/// Makes a mask, applies it, and returns it for fine-tuning.
template <class Network, data_free_criterion<Network> Criterion, network_cost<Network> Cost,
    class Allocation, granularity Granularity = single>
mask apply(Network& network, const Criterion& criterion, const budget<Cost, Allocation>& within,
    const Granularity& groups = {})
{
    mask m = prune::make_mask(network, criterion, within, groups);
    prune::apply(network, m);
    return m;
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class Network, class Cost>
double cost_of(const Network& network, const Cost& cost, const mask& m)
{
    Network masked = network;
    prune::apply(masked, m);
    const double value = cost(std::as_const(masked));
    if (structopt::detail::is_nan(value))
    {
        structopt::detail::raise<argument_error>("budget", "a cost that is a number", "NaN");
    }
    return value;
}

} // namespace detail

template <class Network, network_cost<Network> Cost, class Allocation, granularity Granularity>
mask make_mask(const Network& network, const scores& found, const budget<Cost, Allocation>& within,
    const Granularity& groups)
{
    mask best;
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        prune::check_scores(found);
        Allocation spread = within.spread();
        index_t all = 0;
        index_t removable = 0;
        for (const layer_scores& layer : found.layers)
        {
            const index_t n = groups.groups(layer.extents());
            all += n;
            removable += n - std::min(n, spread.minimum);
        }
        // Per layer the minimum stops each layer on its own.
        index_t most = std::max<index_t>(all - 1, 0);
        if constexpr (std::same_as<Allocation, mask_options>)
        {
            most = spread.scope == scope::global ? removable : most;
        }
        const auto attempt = [&](index_t removed)
        {
            spread.sparsity =
                all > 0 ? static_cast<double>(removed) / static_cast<double>(all) : 0.0;
            mask m = detail::choose(network, found, spread, groups);
            const double cost = detail::cost_of(network, within.cost(), m);
            return std::pair<mask, double>(std::move(m), cost);
        };
        auto [whole, dearest] = attempt(0);
        if (dearest <= within.limit())
        {
            return std::move(whole);
        }
        auto [least, cheapest] = attempt(most);
        if (!(cheapest <= within.limit()))
        {
            structopt::detail::raise<argument_error>("budget",
                "a limit of at least " + std::to_string(cheapest) +
                    ", the cost when every layer keeps " + std::to_string(spread.minimum),
                std::to_string(within.limit()));
        }
        best = std::move(least);
        index_t low = 0; // too few
        index_t high = most;
        while (high - low > 1)
        {
            const index_t middle = low + (high - low) / 2;
            auto [m, cost] = attempt(middle);
            if (cost <= within.limit())
            {
                high = middle;
                best = std::move(m);
            }
            else
            {
                low = middle;
            }
        }
    }
    return best;
}

template <class Network, data_free_criterion<Network> Criterion, network_cost<Network> Cost,
    class Allocation, granularity Granularity>
mask make_mask(const Network& network, const Criterion& criterion,
    const budget<Cost, Allocation>& within, const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        return prune::make_mask(network, prune::score(network, criterion), within, groups);
    }
    return {};
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
