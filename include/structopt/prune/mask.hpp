/// @file
/// Masks over the weights of a network: single weights, groups of them, N:M patterns.
#pragma once

#include <structopt/nn/parameters.hpp>
#include <structopt/prune/allocation.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/granularity.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/ranked_layers.hpp>
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

namespace detail
{

/// How many bytes are not zero.
inline std::size_t count_kept(const std::uint8_t* keep, std::size_t n) noexcept
{
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n; ++i)
    {
        kept += keep[i] != 0 ? 1u : 0u;
    }
    return kept;
}

} // namespace detail

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
            kept += detail::count_kept(list.data(), list.size());
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

/// A mask that keeps everything.
template <class Network>
mask full_mask(const Network& network)
{
    mask m;
    detail::visit_prunable_extents(network,
        [&](const nn::parameter_name&, const weight_extents& extents, const auto&)
        {
            m.keep.emplace_back(static_cast<std::size_t>(extents.size()), std::uint8_t{1});
        });
    return m;
}

/// Throws `shape_error` if the scores are another network's.
template <class Network>
void check_fits(const Network& network, const scores& found)
{
    std::size_t next = 0;
    index_t position = 0;
    detail::visit_prunable_extents(network,
        [&]<class Weight>(
            const nn::parameter_name& name, const weight_extents& extents, const Weight&)
        {
            if constexpr (!std::is_null_pointer_v<Weight>)
            {
                const bool fits = next < found.layers.size() &&
                                  found.layers[next].extents() == extents &&
                                  found.layers[next].parameter == position;
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
            }
            ++position;
        });
    if (next != found.layers.size())
    {
        structopt::detail::raise<shape_error>("scores",
            std::to_string(next) + " entries, one per weight that can be pruned",
            std::to_string(found.layers.size()));
    }
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

/// The mask without the `removed[l]` lowest scores of each layer.
template <class Network, class Granularity>
mask cut(const Network& network, const std::vector<ranked_layer>& ranked,
    const std::vector<std::size_t>& removed, const Granularity& groups)
{
    detail::check_removed(detail::rankings_of(ranked), removed);
    mask m = detail::full_mask(network);
    for (std::size_t l = 0; l < ranked.size(); ++l)
    {
        const ranked_layer& layer = ranked[l];
        auto& keep = m.keep[static_cast<std::size_t>(layer.parameter)];
        if constexpr (std::same_as<Granularity, single>)
        {
            detail::mark_lowest(layer.scores, removed[l], keep.data());
        }
        else
        {
            std::vector<std::uint8_t> stays(layer.scores.size());
            detail::mark_lowest(layer.scores, removed[l], stays.data());
            detail::for_each_member(groups, layer.extents,
                [&](std::size_t i, std::size_t g)
                {
                    keep[i] = stays[g];
                });
        }
    }
    return m;
}

/// `choose` of single weights in one ranking, which marks as it ranks. A layer that would lose more than
/// its minimum allows loses just that, and the others are ranked again for the rest.
template <class Network>
mask cut_together(
    const Network& network, const std::vector<ranked_layer>& ranked, const mask_options& options)
{
    const std::vector<layer_ranking> layers = detail::rankings_of(ranked);
    joint_ranking joint = detail::join(options, layers);
    mask m = detail::full_mask(network);
    std::vector<std::uint8_t*> keep;
    std::vector<std::size_t> open; // layers that are not at their minimum
    for (std::size_t l = 0; l < ranked.size(); ++l)
    {
        keep.push_back(m.keep[static_cast<std::size_t>(ranked[l].parameter)].data());
        open.push_back(l);
    }
    std::vector<std::size_t> removed(ranked.size());
    for (bool again = true; again;)
    {
        std::vector<score_list> lists;
        std::vector<std::uint8_t*> marks;
        for (const std::size_t l : open)
        {
            lists.push_back(joint.lists[l]);
            marks.push_back(keep[l]);
        }
        detail::mark_lowest(lists, joint.removed, marks);
        std::vector<std::size_t> left;
        for (const std::size_t l : open)
        {
            const std::size_t n = joint.lists[l].size();
            removed[l] = n - detail::count_kept(keep[l], n);
            if (removed[l] <= joint.most[l])
            {
                left.push_back(l);
                continue;
            }
            removed[l] = joint.most[l];
            joint.removed -= removed[l];
            detail::mark_lowest(joint.lists[l], removed[l], keep[l]);
        }
        again = left.size() < open.size();
        open = left;
    }
    detail::check_removed(layers, removed);
    return m;
}

template <class Network, class Allocation, class Granularity>
mask choose(const Network& network, const std::vector<ranked_layer>& ranked,
    const Allocation& how_many, const Granularity& groups)
{
    if constexpr (std::same_as<Allocation, mask_options> && std::same_as<Granularity, single>)
    {
        if (how_many.scope == scope::global)
        {
            return detail::cut_together(network, ranked, how_many);
        }
    }
    return detail::cut(network, ranked, how_many.removed(detail::rankings_of(ranked)), groups);
}

/// Calls `f(ranked)` with the layers of a network as a criterion ranks them.
template <class Network, class Criterion, class Granularity, class F>
mask with_ranking(
    const Network& network, const Criterion& criterion, const Granularity& groups, const F& f)
{
    if constexpr (network_criterion<Criterion, Network>)
    {
        const scores found = prune::score(network, criterion);
        detail::check_fits(network, found);
        return f(detail::rank_scores(found, groups));
    }
    else
    {
        constexpr bool sizes = std::same_as<Granularity, single> && size_criterion<Criterion>;
        return f(detail::rank_weights<sizes>(network, criterion, groups));
    }
}

template <class Network, class Criterion, class Allocation, class Granularity>
mask choose_by(const Network& network, const Criterion& criterion, const Allocation& how_many,
    const Granularity& groups)
{
    if constexpr (std::same_as<Allocation, mask_options> && std::same_as<Granularity, single> &&
                  size_ranking_criterion<Criterion> && !network_criterion<Criterion, Network>)
    {
        const auto ranked = detail::rank_weights<true>(network, criterion, groups);
        if (how_many.scope != scope::global)
        {
            return detail::choose(network, ranked, how_many, groups);
        }
        const joint_ranking joint = detail::join(how_many, detail::rankings_of(ranked));
        return detail::cut(
            network, ranked, criterion.shares(joint.lists, joint.most, joint.removed), groups);
    }
    else
    {
        return detail::with_ranking(network, criterion, groups,
            [&](const std::vector<ranked_layer>& ranked)
            {
                return detail::choose(network, ranked, how_many, groups);
            });
    }
}

/// The mask from scores that are there already.
template <class Network, class Allocation, class Granularity>
mask choose_from(const Network& network, const scores& found, const Allocation& how_many,
    const Granularity& groups)
{
    prune::check_scores(found);
    detail::check_fits(network, found);
    return detail::choose(network, detail::rank_scores(found, groups), how_many, groups);
}

} // namespace detail

template <class Network, data_free_criterion<Network> Criterion, granularity Granularity>
mask make_mask(const Network& network, const Criterion& criterion, const mask_options& options,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        detail::check_share("sparsity", options.sparsity);
        return detail::choose_by(network, criterion, options, groups);
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
        return detail::choose_by(network, criterion, how_many, groups);
    }
    return {};
}

template <class Network, granularity Granularity>
mask make_mask(const Network& network, const scores& found, const mask_options& options,
    const Granularity& groups)
{
    if constexpr (detail::check_prunable<Network>() && detail::check_groups<Network, Granularity>())
    {
        return detail::choose_from(network, found, options, groups);
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
        return detail::choose_from(network, found, how_many, groups);
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
        detail::check_fits(network, found);
        m = detail::full_mask(network);
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
                    const auto values = w.flat();
                    keep.resize(values.size());
                    for (std::size_t i = 0; i < values.size(); ++i)
                    {
                        keep[i] = structopt::detail::is_zero(values[i]) ? 0 : 1;
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
            T* const values = parameters[p].values.data();
            const std::uint8_t* const keep = m.keep[p].data();
            for (std::size_t i = 0; i < m.keep[p].size(); ++i)
            {
                values[i] = keep[i] != 0 ? values[i] : T(0);
            }
        }
    }
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
