/// @file
/// Unstructured pruning: masks over the weights of a network.
#pragma once

#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>

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

/// How many weights go, and where.
struct mask_options
{
    /// Share of the weights that become zero, in [0, 1).
    double sparsity = 0.5;
    /// Compare scores within each layer or over the whole network.
    prune::scope scope = prune::scope::per_layer;
};

/// The mask that keeps the weights with the highest scores; weights (role `weight`) of rank 2 and
/// more only. Exactly round(sparsity * n) go, per layer or in all, halves to the even number; of
/// equal scores the earlier weights go first. O(weights). Of a sparse weight, n counts the stored
/// numbers: the others are zero already.
///
/// Throws `argument_error` for a sparsity outside [0, 1) or a score that is not finite.
template <weight_criterion Criterion, class Network>
mask make_mask(const Network& network, const Criterion& criterion, const mask_options& options);

/// The mask of the weights that are zero now: to fine-tune a network that was pruned before and came
/// from a file.
template <class Network>
mask mask_of_zeros(const Network& network);

/// Sets every masked number to zero. Throws `shape_error` if the mask is another network's; the
/// network is unchanged then.
template <class Network>
void apply(Network& network, const mask& m);

/// Makes a mask, applies it, and returns it for fine-tuning.
template <class Network, weight_criterion Criterion>
mask apply(Network& network, const Criterion& criterion, const mask_options& options)
{
    mask m = prune::make_mask(network, criterion, options);
    prune::apply(network, m);
    return m;
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Marks the lowest `share` of the scores of all lists together.
inline void remove_lowest(const std::vector<std::vector<double>>& scores, double share, mask& m)
{
    std::vector<double> all;
    for (const auto& list : scores)
    {
        all.insert(all.end(), list.begin(), list.end());
    }
    std::size_t p = 0;
    std::size_t before = 0;
    for (const std::size_t i :
        detail::lowest(std::span<const double>(all), detail::share_of(share, all.size())))
    {
        while (i >= before + scores[p].size())
        {
            before += scores[p++].size();
        }
        m.keep[p][i - before] = 0;
    }
}

} // namespace detail

template <weight_criterion Criterion, class Network>
mask make_mask(const Network& network, const Criterion& criterion, const mask_options& options)
{
    mask m;
    if constexpr (detail::check_prunable<Network>())
    {
        detail::check_share("sparsity", options.sparsity);
        std::vector<std::vector<double>> scores;
        detail::visit_prunable(network,
            [&]<class Weight>(const nn::parameter_name& name, const Weight& w)
            {
                m.keep.emplace_back();
                scores.emplace_back();
                if constexpr (!std::is_null_pointer_v<Weight>)
                {
                    std::vector<typename Weight::value_type> raw(
                        static_cast<std::size_t>(w.size()));
                    criterion.score(w, std::span(raw));
                    detail::check_scores(name.text(), std::span(std::as_const(raw)));
                    m.keep.back().assign(raw.size(), 1);
                    scores.back().assign(raw.begin(), raw.end());
                }
            });
        if (options.scope == scope::global)
        {
            detail::remove_lowest(scores, options.sparsity, m);
            return m;
        }
        for (std::size_t p = 0; p < scores.size(); ++p)
        {
            const std::size_t n = detail::share_of(options.sparsity, scores[p].size());
            for (const std::size_t i : detail::lowest(std::span(std::as_const(scores[p])), n))
            {
                m.keep[p][i] = 0;
            }
        }
    }
    return m;
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
