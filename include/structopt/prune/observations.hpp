/// @file
/// Evidence on a whole network, and scores from it.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/prune/evidence.hpp>
#include <structopt/prune/lowest.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/prune/unit_flow.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Statistics of one weighted layer; lists that nobody asked for are empty.
struct layer_statistics
{
    index_t parameter = 0; ///< position of its weight in `nn::trainable_parameters`
    index_t groups = 1;
    std::vector<double> input_norm; ///< [groups, columns]
    std::vector<double> mean;       ///< of the units, as `unit_statistics`
    std::vector<double> mean_absolute;
    std::vector<double> variance;
    std::vector<double> zero_share;

    friend bool operator==(const layer_statistics&, const layer_statistics&) = default;
};

/// What `observe` found out about a network, or `track_movement`. Gradients are networks: what removes
/// units from a network removes them here.
template <class Network>
struct observations
{
    evidence have = evidence::none;
    /// How many samples (of `movement`: steps) they rest on.
    index_t samples = 0;
    /// Mean loss of these samples, where gradients were asked for.
    double loss = 0;
    std::optional<Network> gradient = {};
    std::optional<Network> squared_gradient = {};
    std::optional<Network> movement = {};
    std::vector<layer_statistics> layers = {};
};

/// The scores of a network's weights by a criterion that needs evidence; of one that only scores units
/// each weight gets its row's. O(weights).
///
/// Throws `argument_error` where the observations lack what the criterion needs, for a layer to which it
/// does not apply and, naming layer and position, for a score that is NaN or infinite; `shape_error` where they are of a network with
/// other extents.
template <class Network, informed_criterion Criterion>
scores score(const Network& network, const Criterion& criterion, const observations<Network>& seen);

/// The scores of rows, one per unit of each weight (`inputs` and `window` are 1): by the criterion's
/// `score_units`, or where the criterion has none by the mean of the row's scores. A weight for which
/// the criterion has a member `applies(evidence)` that answers false gets no values.
template <class Network, informed_criterion Criterion>
scores score_rows(
    const Network& network, const Criterion& criterion, const observations<Network>& seen);

/// The same by a criterion that needs nothing but what the network holds (`evidence::scale`).
template <class Network, informed_criterion Criterion>
    requires(includes(evidence::scale, Criterion::needs))
scores score_rows(const Network& network, const Criterion& criterion)
{
    return prune::score_rows(network, criterion, observations<Network>{});
}

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Throws unless the observations hold what is needed, and are of a network of these extents.
template <class Network>
void check_observations(const Network& network, const observations<Network>& seen, evidence needed)
{
    if (!includes(seen.have | evidence::scale, needed))
    {
        structopt::detail::raise<argument_error>(
            "observations", evidence_names(needed), evidence_names(seen.have));
    }
    const auto expected = nn::trainable_parameters<const nn::value_type<Network>>(network);
    const auto check = [&](const char* what, const std::optional<Network>& other)
    {
        if (!other.has_value())
        {
            return;
        }
        const auto found = nn::trainable_parameters<const nn::value_type<Network>>(*other);
        for (std::size_t p = 0; p < expected.size() || p < found.size(); ++p)
        {
            const std::size_t n = p < expected.size() ? expected[p].values.size() : 0;
            const std::size_t m = p < found.size() ? found[p].values.size() : 0;
            if (n != m)
            {
                structopt::detail::raise<shape_error>(
                    std::string("observations, ") + what + " of parameter " + std::to_string(p),
                    std::to_string(n) + " numbers", std::to_string(m));
            }
        }
    };
    check("gradient", seen.gradient);
    check("squared gradient", seen.squared_gradient);
    check("movement", seen.movement);
}

/// The statistics in `seen` of a weight, checked against its extents.
template <class Weight>
const layer_statistics* statistics_of(const std::vector<layer_statistics>& layers,
    index_t parameter, const std::string& name, const Weight& w, evidence needed)
{
    const layer_statistics* found = nullptr;
    for (const layer_statistics& each : layers)
    {
        found = each.parameter == parameter ? &each : found;
    }
    const auto check = [&](const char* what, index_t expected, std::size_t n)
    {
        if (expected != static_cast<index_t>(n))
        {
            structopt::detail::raise<shape_error>(
                "observations, " + std::string(what) + " of " + name,
                std::to_string(expected) + " numbers", std::to_string(n));
        }
    };
    if (includes(needed, evidence::inputs))
    {
        check("inputs", w.shape(1) * (found == nullptr ? 1 : found->groups),
            found == nullptr ? 0 : found->input_norm.size());
    }
    if (includes(needed, evidence::outputs))
    {
        check("outputs", w.shape(0), found == nullptr ? 0 : found->mean.size());
    }
    return found;
}

/// Calls `visit(place, evidence)` for every prunable weight, with the entry of its scores.
template <class Network, class Visitor>
void visit_evidence(const Network& network, const observations<Network>& seen, evidence needed,
    scores& list, const Visitor& visit)
{
    using T = nn::value_type<Network>;
    detail::check_observations(network, seen, needed);
    const auto addresses = nn::trainable_addresses(network);
    const auto flows = detail::unit_flows(network);
    const auto numbers = [](const std::optional<Network>& from)
    {
        return from.has_value() ? nn::trainable_parameters<const T>(*from)
                                : std::vector<nn::parameter_span<const T>>();
    };
    const auto gradient = numbers(seen.gradient);
    const auto squared = numbers(seen.squared_gradient);
    const auto movement = numbers(seen.movement);
    std::size_t next = 0;
    detail::visit_prunable(network,
        [&]<class Weight>(const nn::parameter_name&, const Weight& w)
        {
            if constexpr (!std::is_null_pointer_v<Weight>)
            {
                layer_scores& place = list.layers[next++];
                const auto p = static_cast<std::size_t>(place.parameter);
                const auto matrix = [&](const auto& from, evidence kind)
                {
                    return includes(needed, kind)
                               ? view<const T, 2>(from[p].values.data(), w.shape())
                               : view<const T, 2>();
                };
                layer_evidence<T> on;
                on.name = place.name;
                on.weight = w;
                on.gradient = matrix(gradient, evidence::gradient);
                on.squared_gradient = matrix(squared, evidence::squared_gradient);
                on.movement = matrix(movement, evidence::movement);
                const layer_statistics* const statistics =
                    detail::statistics_of(seen.layers, place.parameter, place.name, w, needed);
                if (statistics != nullptr)
                {
                    on.groups = statistics->groups;
                    on.input_norm = statistics->input_norm;
                    on.outputs = {statistics->mean, statistics->mean_absolute, statistics->variance,
                        statistics->zero_share};
                }
                for (const auto& flow : flows)
                {
                    if (flow.weight == addresses[p] &&
                        static_cast<index_t>(flow.scale.size()) == w.shape(0))
                    {
                        on.scale = flow.scale;
                    }
                }
                visit(place, on);
            }
        });
}

/// Lets a criterion see all scores at the end, if it wants to.
template <class Criterion>
void finish(const Criterion& criterion, scores& list)
{
    if constexpr (requires { criterion.finish(std::span<layer_scores>(list.layers)); })
    {
        criterion.finish(std::span<layer_scores>(list.layers));
    }
    for (const layer_scores& layer : list.layers)
    {
        check_scores(layer.name, std::span(layer.values));
    }
}

} // namespace detail

template <class Network, informed_criterion Criterion>
scores score(const Network& network, const Criterion& criterion, const observations<Network>& seen)
{
    scores result;
    if constexpr (detail::check_prunable<Network>())
    {
        result = detail::empty_scores(network);
        if constexpr (informed_weight_criterion<Criterion>)
        {
            detail::visit_evidence(network, seen, Criterion::needs, result,
                [&](layer_scores& place, const auto& on)
                {
                    place.values.resize(static_cast<std::size_t>(on.weight.size()));
                    criterion.score(on, std::span<double>(place.values));
                });
            detail::finish(criterion, result);
        }
        else
        {
            const scores rows = prune::score_rows(network, criterion, seen);
            for (std::size_t i = 0; i < rows.layers.size(); ++i)
            {
                layer_scores& place = result.layers[i];
                if (rows.layers[i].values.empty())
                {
                    structopt::detail::raise<argument_error>(
                        place.name, "a layer to which the criterion applies", "another one");
                }
                for (const double value : rows.layers[i].values)
                {
                    place.values.insert(place.values.end(),
                        static_cast<std::size_t>(place.inputs * place.window), value);
                }
            }
        }
    }
    return result;
}

template <class Network, informed_criterion Criterion>
scores score_rows(
    const Network& network, const Criterion& criterion, const observations<Network>& seen)
{
    scores result;
    if constexpr (detail::check_prunable<Network>())
    {
        result = detail::empty_scores(network);
        detail::visit_evidence(network, seen, Criterion::needs, result,
            [&](layer_scores& place, const auto& on)
            {
                const index_t columns = on.weight.shape(1);
                place.inputs = 1;
                place.window = 1;
                place.window_sum = 0;
                if constexpr (requires { criterion.applies(on); })
                {
                    if (!criterion.applies(on))
                    {
                        return;
                    }
                }
                place.values.assign(static_cast<std::size_t>(place.rows), 0.0);
                if constexpr (informed_unit_criterion<Criterion>)
                {
                    criterion.score_units(on, std::span<double>(place.values));
                }
                else
                {
                    std::vector<double> each(static_cast<std::size_t>(on.weight.size()));
                    criterion.score(on, std::span<double>(each));
                    for (std::size_t i = 0; i < each.size(); ++i)
                    {
                        place.values[i / static_cast<std::size_t>(columns)] +=
                            each[i] / static_cast<double>(columns);
                    }
                }
            });
        detail::finish(criterion, result);
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
