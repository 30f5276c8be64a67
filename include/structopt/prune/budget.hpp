/// @file
/// Budgets: limits on a cost; and masks, the least sparsity whose cost is low enough.
#pragma once

#include <structopt/core/finite.hpp>
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

/// A limit on a cost (prune/cost.hpp), for masks and for units alike:
/// `make_mask(net, criterion, budget(cost, limit))` removes as few of the lowest scores as the limit
/// allows, `choose_units(net, sample, criterion, budget(cost, limit))` as few units.
///
/// A mask's budget for a cost that depends on the batch needs its shape: `budget(cost, limit, shape<4>{1,
/// 3, 32, 32})`; with units the sample of the call counts. How zeros are spread over layers is the
/// allocation's to say: by default one ranking of all layers, each of which keeps at least one weight (or
/// group); units are always ranked together.
template <class Cost, shared_allocation Allocation = mask_options, std::size_t N = 0>
class budget
{
public:
    budget(Cost cost, double limit) requires(N == 0 && std::same_as<Allocation, mask_options>)
        : budget(std::move(cost), limit, {.scope = scope::global})
    {
    }

    budget(Cost cost, double limit, const shape<N>& sample) requires(
        N != 0 && std::same_as<Allocation, mask_options>)
        : budget(std::move(cost), limit, sample, {.scope = scope::global})
    {
    }

    /// `spread.sparsity` is not used.
    budget(Cost cost, double limit, Allocation spread) requires(N == 0)
        : m_cost(std::move(cost))
        , m_limit(limit)
        , m_spread(std::move(spread))
    {
    }

    budget(Cost cost, double limit, const shape<N>& sample, Allocation spread) requires(N != 0)
        : m_cost(std::move(cost))
        , m_limit(limit)
        , m_sample(sample)
        , m_spread(std::move(spread))
    {
    }

    const Cost& cost() const noexcept
    {
        return m_cost;
    }

    double limit() const noexcept
    {
        return m_limit;
    }

    /// Extents of a batch; empty where none was named.
    const shape<N>& sample() const noexcept
    {
        return m_sample;
    }

    const Allocation& spread() const noexcept
    {
        return m_spread;
    }

private:
    Cost m_cost;
    double m_limit;
    shape<N> m_sample{};
    Allocation m_spread;
};

template <class Cost>
budget(Cost, double) -> budget<Cost>;

template <class Cost, shared_allocation Allocation>
budget(Cost, double, Allocation) -> budget<Cost, Allocation>;

template <class Cost, std::size_t N>
budget(Cost, double, shape<N>) -> budget<Cost, mask_options, N>;

template <class Cost, std::size_t N, shared_allocation Allocation>
budget(Cost, double, shape<N>, Allocation) -> budget<Cost, Allocation, N>;

/// The mask that removes the fewest weights (or groups) with which the network costs at most the limit,
/// found by bisection: about log2(weights) masks, copies of the network and costs. Of a cost that is
/// measured the limit held when it was measured.
///
/// Throws `argument_error` for a limit below what is left when every layer keeps its minimum, naming
/// that cost, for a cost or limit that is NaN, and as `make_mask`.
template <class Network, data_free_criterion<Network> Criterion, class Cost, class Allocation,
    std::size_t N, granularity Granularity = single>
mask make_mask(const Network& network, const Criterion& criterion,
    const budget<Cost, Allocation, N>& within, const Granularity& groups = {});

/// The same from scores that are there already.
template <class Network, class Cost, class Allocation, std::size_t N,
    granularity Granularity = single>
mask make_mask(const Network& network, const scores& found,
    const budget<Cost, Allocation, N>& within, const Granularity& groups = {});

/// Makes a mask, applies it, and returns it for fine-tuning.
template <class Network, data_free_criterion<Network> Criterion, class Cost, class Allocation,
    std::size_t N, granularity Granularity = single>
mask apply(Network& network, const Criterion& criterion, const budget<Cost, Allocation, N>& within,
    const Granularity& groups = {})
{
    mask m = prune::make_mask(network, criterion, within, groups);
    prune::apply(network, m);
    return m;
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Whether a cost can be asked of a network; says what it takes.
template <class Cost, class Network, std::size_t N>
constexpr bool check_cost() noexcept
{
    constexpr bool asked = network_cost<Cost, Network, N>;
    static_assert(N == 0 || asked,
        "a cost is a function of a network, cost(network), or of a network "
        "and the shape of a batch, cost(network, sample)");
    static_assert(N != 0 || asked,
        "this cost asks for the shape of a batch: budget(cost, limit, shape<4>{1, 3, 32, 32})");
    return asked;
}

inline void check_limit(double limit)
{
    if (structopt::detail::is_nan(limit))
    {
        structopt::detail::raise<argument_error>("budget", "a limit that is a number", "NaN");
    }
}

/// Throws `argument_error`: `least` is the cost of what cannot go.
[[noreturn]] inline void raise_unmet(double least, const std::string& of_what, double limit)
{
    structopt::detail::raise<argument_error>("budget",
        "a limit of at least " + std::to_string(least) + ", the cost " + of_what,
        std::to_string(limit));
}

/// The mask that removes the fewest of the lowest scores with which the network costs little enough.
template <class Network, class Cost, class Allocation, std::size_t N, class Granularity>
mask choose_within(const Network& network, const std::vector<ranked_layer>& ranked,
    const budget<Cost, Allocation, N>& within, const Granularity& groups)
{
    detail::check_limit(within.limit());
    Allocation spread = within.spread();
    spread.minimum = std::max<index_t>(spread.minimum, 1);
    index_t all = 0;
    index_t removable = 0;
    for (const ranked_layer& layer : ranked)
    {
        const auto n = static_cast<index_t>(layer.scores.size());
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
        spread.sparsity = all > 0 ? static_cast<double>(removed) / static_cast<double>(all) : 0.0;
        mask m = detail::choose(network, ranked, spread, groups);
        Network masked = network;
        prune::apply(masked, m);
        const double cost = detail::ask_cost(within.cost(), std::as_const(masked), within.sample());
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
        detail::raise_unmet(
            cheapest, "when every layer keeps " + std::to_string(spread.minimum), within.limit());
    }
    mask best = std::move(least);
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
    return best;
}

} // namespace detail

template <class Network, class Cost, class Allocation, std::size_t N, granularity Granularity>
mask make_mask(const Network& network, const scores& found,
    const budget<Cost, Allocation, N>& within, const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() &&
                  detail::check_groups<Network, Granularity>() &&
                  detail::check_cost<Cost, Network, N>())
    {
        prune::check_scores(found);
        detail::check_fits(network, found);
        return detail::choose_within(network, detail::rank_scores(found, groups), within, groups);
    }
    return {};
}

template <class Network, data_free_criterion<Network> Criterion, class Cost, class Allocation,
    std::size_t N, granularity Granularity>
mask make_mask(const Network& network, const Criterion& criterion,
    const budget<Cost, Allocation, N>& within, const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() &&
                  detail::check_groups<Network, Granularity>() &&
                  detail::check_cost<Cost, Network, N>())
    {
        return detail::with_ranking(network, criterion, groups,
            [&](const std::vector<detail::ranked_layer>& ranked)
            {
                return detail::choose_within(network, ranked, within, groups);
            });
    }
    return {};
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
