/// @file
/// Masks over the weights of a network: single weights, groups of them, N:M patterns.
#pragma once

#include <structopt/nn/parameters.hpp>
#include <structopt/prune/allocation.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/granularity.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Which weights of a network stay: one byte per number, one list per trainable parameter, in the
/// order of `nn::trainable_parameters`. Empty for a parameter that is not pruned (biases).
struct mask
{
    std::vector<std::vector<std::uint8_t>> keep;

    /// Share of removed numbers among those of the masked parameters; 0 if there are none.
    double sparsity() const noexcept
    {
        std::size_t n = 0;
        std::size_t kept = 0;
        for (const auto& list : keep)
        {
            n += list.size();
            for (const std::uint8_t stays : list)
            {
                kept += stays != 0 ? 1 : 0;
            }
        }
        return n == 0 ? 0.0 : static_cast<double>(n - kept) / static_cast<double>(n);
    }

    friend bool operator==(const mask&, const mask&) = default;
};

/// The mask that keeps the weights with the highest scores; weights (role `weight`) of rank 2 and more
/// only.
///
/// How many go is the allocation's to say (`mask_options`, `layer_shares`, `erk`, `grouped`,
/// `threshold`), what goes together the granularity's (`blocks<4, 4>{}`, `rows{}`). Exact counts of
/// groups; of equal scores the earlier groups go first, so that pruning again to the same sparsity
/// changes nothing as long as a criterion gives zeros its lowest score. O(weights). Of a sparse weight
/// the stored numbers count: the others are zero already.
///
/// Throws `argument_error` for a sparsity outside [0, 1), a score that is not finite, and a layer that
/// would lose its last weight. Groups of sparse weights are refused at compile time.
template <class Network, data_free_criterion<Network> Criterion, granularity Granularity = single>
mask make_mask(const Network& network, const Criterion& criterion, const mask_options& options,
    const Granularity& groups = {});

/// The same with any allocation.
template <class Network, data_free_criterion<Network> Criterion, allocation Allocation,
    granularity Granularity = single>
    requires(!std::same_as<Allocation, mask_options>)
mask make_mask(const Network& network, const Criterion& criterion, const Allocation& how_many,
    const Granularity& groups = {});

/// The mask from scores that are there already. Throws `shape_error` if they are another network's.
template <class Network, granularity Granularity = single>
mask make_mask(const Network& network, const scores& found, const mask_options& options,
    const Granularity& groups = {});

template <class Network, allocation Allocation, granularity Granularity = single>
    requires(!std::same_as<Allocation, mask_options>)
mask make_mask(const Network& network, const scores& found, const Allocation& how_many,
    const Granularity& groups = {});

/// The mask of an N:M pattern: of every M consecutive columns the N highest scores stay, of equal ones
/// the later. Throws `argument_error` for a score that is not finite.
template <class Network, data_free_criterion<Network> Criterion, index_t N, index_t M>
mask make_mask(const Network& network, const Criterion& criterion, const nm<N, M>& pattern);

template <class Network, index_t N, index_t M>
mask make_mask(const Network& network, const scores& found, const nm<N, M>& pattern);

/// The mask of the weights that are zero now: to fine-tune a network that was pruned before and came
/// from a file.
template <class Network>
mask mask_of_zeros(const Network& network);

/// Sets every masked number to zero. Throws `shape_error` if the mask is another network's; the
/// network is unchanged then.
template <class Network>
void apply(Network& network, const mask& m);

/// Makes a mask, applies it, and returns it for fine-tuning.
template <class Network, data_free_criterion<Network> Criterion, granularity Granularity = single>
mask apply(Network& network, const Criterion& criterion, const mask_options& options,
    const Granularity& groups = {})
{
    mask m = prune::make_mask(network, criterion, options, groups);
    prune::apply(network, m);
    return m;
}

template <class Network, data_free_criterion<Network> Criterion, class Allocation,
    class... Granularity>
    requires(!std::same_as<Allocation, mask_options>)
mask apply(Network& network, const Criterion& criterion, const Allocation& how_many,
    const Granularity&... groups)
{
    mask m = prune::make_mask(network, criterion, how_many, groups...);
    prune::apply(network, m);
    return m;
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Whether groups of weights can be chosen in a network; says why not.
template <class Network, class Granularity>
constexpr bool check_groups() noexcept
{
    constexpr bool possible =
        std::same_as<Granularity, single> || nn::every_weight<Network, has_units>;
    static_assert(possible,
        "groups of weights lie in dense weights: prune before nn::convert, or go "
        "on from nn::unpack(net)");
    return possible;
}

/// A mask that keeps everything. Throws `shape_error` if the scores are another network's.
template <class Network>
mask full_mask(const Network& network, const scores& found)
{
    mask m;
    std::size_t next = 0;
    detail::visit_prunable_extents(network,
        [&]<class Weight>(
            const nn::parameter_name& name, const weight_extents& extents, const Weight&)
        {
            m.keep.emplace_back();
            if constexpr (!std::is_null_pointer_v<Weight>)
            {
                const bool fits =
                    next < found.layers.size() && found.layers[next].extents() == extents &&
                    found.layers[next].parameter == static_cast<index_t>(m.keep.size()) - 1;
                if (!fits)
                {
                    structopt::detail::raise<shape_error>("scores",
                        "an entry for " + name.text() + " of " + std::to_string(extents.size()) +
                            " weights at place " + std::to_string(next),
                        next < found.layers.size()
                            ? found.layers[next].name + " of " +
                                  std::to_string(found.layers[next].extents().size())
                            : std::to_string(found.layers.size()) + " entries");
                }
                ++next;
                m.keep.back().assign(static_cast<std::size_t>(extents.size()), 1);
            }
        });
    if (next != found.layers.size())
    {
        structopt::detail::raise<shape_error>("scores",
            std::to_string(next) + " entries, one per weight that can be pruned",
            std::to_string(found.layers.size()));
    }
    return m;
}

/// Throws `argument_error` unless an allocation's numbers leave something of every layer.
inline void check_removed(
    std::span<const layer_ranking> layers, const std::vector<std::size_t>& removed)
{
    if (removed.size() != layers.size())
    {
        structopt::detail::raise<argument_error>("allocation",
            std::to_string(layers.size()) + " numbers, one per layer",
            std::to_string(removed.size()));
    }
    for (std::size_t l = 0; l < layers.size(); ++l)
    {
        const std::size_t n = layers[l].scores.size();
        if (n > 0 && removed[l] >= n)
        {
            structopt::detail::raise<argument_error>(std::string(layers[l].name),
                "something of the layer to stay (the option minimum sees to that)",
                std::to_string(removed[l]) + " of " + std::to_string(n) + " to remove");
        }
    }
}

template <class Network, class Allocation, class Granularity>
mask choose(const Network& network, const scores& found, const Allocation& how_many,
    const Granularity& groups)
{
    mask m = detail::full_mask(network, found);
    std::vector<std::vector<double>> ranked(found.layers.size());
    std::vector<layer_ranking> layers;
    for (std::size_t l = 0; l < found.layers.size(); ++l)
    {
        const layer_scores& layer = found.layers[l];
        if constexpr (std::same_as<Granularity, single>)
        {
            layers.push_back({layer.name, layer.extents(), layer.values});
        }
        else
        {
            ranked[l] = detail::group_scores(groups, layer);
            layers.push_back({layer.name, layer.extents(), ranked[l]});
        }
    }
    const std::vector<std::size_t> removed = how_many.removed(layers);
    detail::check_removed(layers, removed);
    for (std::size_t l = 0; l < found.layers.size(); ++l)
    {
        auto& keep = m.keep[static_cast<std::size_t>(found.layers[l].parameter)];
        if constexpr (std::same_as<Granularity, single>)
        {
            detail::for_each_lowest(layers[l].scores, removed[l],
                [&](std::size_t i)
                {
                    keep[i] = 0;
                });
        }
        else
        {
            std::vector<std::uint8_t> stays(layers[l].scores.size(), 1);
            detail::for_each_lowest(layers[l].scores, removed[l],
                [&](std::size_t g)
                {
                    stays[g] = 0;
                });
            detail::for_each_member(groups, layers[l].extents,
                [&](std::size_t i, std::size_t g)
                {
                    keep[i] = stays[g];
                });
        }
    }
    return m;
}

} // namespace detail

template <class Network, data_free_criterion<Network> Criterion, granularity Granularity>
mask make_mask(const Network& network, const Criterion& criterion, const mask_options& options,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        detail::check_share("sparsity", options.sparsity);
        return detail::choose(network, prune::score(network, criterion), options, groups);
    }
    return {};
}

template <class Network, data_free_criterion<Network> Criterion, allocation Allocation,
    granularity Granularity>
    requires(!std::same_as<Allocation, mask_options>)
mask make_mask(const Network& network, const Criterion& criterion, const Allocation& how_many,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        return detail::choose(network, prune::score(network, criterion), how_many, groups);
    }
    return {};
}

template <class Network, granularity Granularity>
mask make_mask(const Network& network, const scores& found, const mask_options& options,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        prune::check_scores(found);
        return detail::choose(network, found, options, groups);
    }
    return {};
}

template <class Network, allocation Allocation, granularity Granularity>
    requires(!std::same_as<Allocation, mask_options>)
mask make_mask(const Network& network, const scores& found, const Allocation& how_many,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        prune::check_scores(found);
        return detail::choose(network, found, how_many, groups);
    }
    return {};
}

template <class Network, data_free_criterion<Network> Criterion, index_t N, index_t M>
mask make_mask(const Network& network, const Criterion& criterion, const nm<N, M>& pattern)
{
    if constexpr (detail::check_prunable<Network>())
    {
        return prune::make_mask(network, prune::score(network, criterion), pattern);
    }
    return {};
}

template <class Network, index_t N, index_t M>
mask make_mask(const Network& network, const scores& found, const nm<N, M>&)
{
    mask m;
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, nm<N, M>>())
    {
        prune::check_scores(found);
        m = detail::full_mask(network, found);
        for (const layer_scores& layer : found.layers)
        {
            auto& keep = m.keep[static_cast<std::size_t>(layer.parameter)];
            const index_t columns = layer.extents().columns();
            for (index_t r = 0; r < layer.rows; ++r)
            {
                for (index_t c = 0; c < columns; c += M)
                {
                    const index_t width = std::min(M, columns - c);
                    const double* const first = layer.values.data() + r * columns + c;
                    std::array<std::uint64_t, static_cast<std::size_t>(M)> order{};
                    for (index_t i = 0; i < width; ++i)
                    {
                        order[static_cast<std::size_t>(i)] = detail::order_of(first[i]);
                    }
                    for (index_t i = 0; i < width; ++i)
                    {
                        const std::uint64_t own = order[static_cast<std::size_t>(i)];
                        index_t above = 0;
                        for (index_t j = 0; j < width; ++j)
                        {
                            const std::uint64_t other = order[static_cast<std::size_t>(j)];
                            above += other > own || (other == own && j > i) ? 1 : 0;
                        }
                        keep[static_cast<std::size_t>(r * columns + c + i)] = above < N ? 1 : 0;
                    }
                }
            }
        }
    }
    return m;
}

namespace detail
{

template <class>
inline constexpr bool pattern_without_share = false;

} // namespace detail

/// Not possible: the pattern says how many weights go.
template <class Network, class Criterion, class Allocation, index_t N, index_t M>
mask make_mask(const Network&, const Criterion&, const Allocation&, const nm<N, M>&)
{
    static_assert(detail::pattern_without_share<Allocation>,
        "an N:M pattern fixes how many weights go: make_mask(net, criterion, nm<N, M>{}), without "
        "an "
        "allocation");
    return {};
}

/// The same with options in braces.
template <class Network, class Criterion, index_t N, index_t M>
mask make_mask(const Network&, const Criterion&, const mask_options&, const nm<N, M>&)
{
    static_assert(detail::pattern_without_share<Network>,
        "an N:M pattern fixes how many weights go: make_mask(net, criterion, nm<N, M>{}), without "
        "an "
        "allocation");
    return {};
}

template <class Network>
mask mask_of_zeros(const Network& network)
{
    mask m;
    if constexpr (detail::check_prunable<Network>())
    {
        detail::visit_prunable(network,
            [&]<class Weight>(const nn::parameter_name&, const Weight& w)
            {
                auto& keep = m.keep.emplace_back();
                if constexpr (!std::is_null_pointer_v<Weight>)
                {
                    for (const auto value : w.flat())
                    {
                        keep.push_back(structopt::detail::is_zero(value) ? 0 : 1);
                    }
                }
            });
    }
    return m;
}

template <class Network>
void apply(Network& network, const mask& m)
{
    if constexpr (detail::check_prunable<Network>())
    {
        using T = nn::value_type<Network>;
        const auto parameters = nn::trainable_parameters<T>(network);
        if (parameters.size() != m.keep.size())
        {
            structopt::detail::raise<shape_error>("mask",
                std::to_string(parameters.size()) + " lists, one per trainable parameter",
                std::to_string(m.keep.size()));
        }
        for (std::size_t p = 0; p < parameters.size(); ++p)
        {
            if (!m.keep[p].empty() && m.keep[p].size() != parameters[p].values.size())
            {
                structopt::detail::raise<shape_error>("mask of parameter " + std::to_string(p),
                    std::to_string(parameters[p].values.size()) + " numbers",
                    std::to_string(m.keep[p].size()));
            }
        }
        for (std::size_t p = 0; p < parameters.size(); ++p)
        {
            for (std::size_t i = 0; i < m.keep[p].size(); ++i)
            {
                if (m.keep[p][i] == 0)
                {
                    parameters[p].values[i] = T(0);
                }
            }
        }
    }
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
