/// @file
/// Gathering evidence on a network from samples.
#pragma once

#include <structopt/calibrate/moments.hpp>
#include <structopt/calibrate/tap.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/loss/concepts.hpp>
#include <structopt/prune/column_squares.hpp>
#include <structopt/prune/gradient_probe.hpp>
#include <structopt/prune/observations.hpp>
#include <structopt/train/dataset.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Which samples `observe` looks at, and how.
struct observe_options
{
    /// So many samples, drawn at random without repetition; 0 or more than there are: all of them.
    index_t samples = 0;
    /// Samples per pass. No influence on the evidence but by rounding, unless `training` is set.
    index_t batch = 64;
    /// Differentiate the form of training instead of that of inference: batch norm by the batch's own
    /// statistics (a network that was never trained has no others), and dropout. Evidence then depends
    /// on the batches; gradients sample by sample do not exist (`argument_error`).
    bool training = false;

    friend bool operator==(const observe_options&, const observe_options&) = default;
};

/// Gathers exactly the evidence that a criterion needs (its member `needs`) on a network, from samples
/// with their targets. Changes nothing; `rng` draws the samples.
///
/// The gradient of a sample is that of the loss on it alone; a loss without a member `reduction` is
/// taken for a mean over samples. Sums run in double over batches: memory depends on the network and
/// the batch, not on the number of samples. Gradients cost a forward and a backward pass, squares
/// of every sample's gradient the same and one more product per dense layer, and of other layers
/// with parameters a further forward pass, one sample at a time. Inputs and outputs cost a forward
/// pass. A user's layer is differentiated in its form of training; a container of one's own takes part
/// by `children` and `transform`, and counts as one layer otherwise.
///
/// Throws `argument_error` for an empty dataset, options out of range, samples that are NaN or infinite
/// and evidence that becomes so (both found by their bits; the message names layer and position), and
/// for inputs asked of a layer that does not tell them (`calibrate::layer_with_rows`); `shape_error`
/// where the samples do not fit the network.
///
/// Networks with packed or quantized weights do not compile (one line), nor does a criterion that needs
/// `movement`: that comes from `track_movement`.
template <class Network, train::dataset Data, class Loss, needs_evidence Criterion>
observations<Network> observe(const Network& network, const Data& data, const Loss& loss,
    const Criterion& criterion, const observe_options& options, random_engine& rng);

/// The same for criteria that need no gradients, and so no loss.
template <class Network, train::dataset Data, needs_evidence Criterion>
observations<Network> observe(const Network& network, const Data& data, const Criterion& criterion,
    const observe_options& options, random_engine& rng);

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline constexpr evidence gradient_kinds = evidence::gradient | evidence::squared_gradient;
inline constexpr evidence activation_kinds = evidence::inputs | evidence::outputs;

constexpr bool any_of(evidence which, evidence of) noexcept
{
    return (which & of) != evidence::none;
}

/// Whether the evidence can be had from samples; says why not.
template <class Network, evidence Needs, bool HasLoss>
constexpr bool check_observable() noexcept
{
    constexpr bool moves = includes(Needs, evidence::movement);
    constexpr bool misses_loss = !moves && !HasLoss && any_of(Needs, gradient_kinds);
    static_assert(!moves, "movement is gathered while training: pass a prune::track_movement to "
                          "train::fit, and score by its observations");
    static_assert(!misses_loss, "this criterion needs gradients: prune::observe(network, data, "
                                "loss, criterion, options, rng)");
    if constexpr (moves || misses_loss)
    {
        return false;
    }
    else if constexpr (any_of(Needs, activation_kinds))
    {
        return check_prunable<Network>() && check_removable<Network>();
    }
    else
    {
        return check_prunable<Network>();
    }
}

/// Stands for the loss where there is none.
struct no_loss
{
};

/// What to multiply the gradient of a batch's loss by, so that a sample's part of it is the gradient of
/// the loss on that sample alone.
template <class Loss>
double samples_per_loss(const Loss& loss, index_t samples)
{
    if constexpr (requires { loss.reduction == nn::reduction::sum; })
    {
        return loss.reduction == nn::reduction::sum ? 1.0 : static_cast<double>(samples);
    }
    else
    {
        return static_cast<double>(samples);
    }
}

template <class Numbers>
void check_finite(const std::string& what, const Numbers& numbers)
{
    std::size_t i = 0;
    for (const auto value : numbers)
    {
        if (!structopt::detail::is_finite(value))
        {
            structopt::detail::raise<argument_error>("prune::observe, " + what, "finite numbers",
                "NaN or infinity at position " + std::to_string(i));
        }
        ++i;
    }
}

/// Fills in what a tapped network shows.
class activation_recorder
{
public:
    /// One weighted layer.
    struct place
    {
        index_t input_leaf = -1;
        index_t output_leaf = -1;
        index_t units = 0;
        column_squares inputs = column_squares();
        calibrate::moments outputs = {};
        bool fits = true;        ///< inputs and outputs have the form of the weight
        index_t not_finite = -1; ///< first unit that put out NaN or infinity
    };

    explicit activation_recorder(std::vector<place> places)
        : m_places(std::move(places))
    {
    }

    template <class L, class T, std::size_t N, std::size_t M>
    void operator()(index_t index, const L& layer, view<const T, N> x, view<const T, M> y) noexcept
    {
        for (place& each : m_places)
        {
            if (each.input_leaf == index)
            {
                each.fits = each.inputs.add(layer, x) && each.fits;
            }
            if (each.output_leaf == index)
            {
                add_outputs(y, each);
            }
        }
    }

    const std::vector<place>& places() const noexcept
    {
        return m_places;
    }

private:
    template <class T, std::size_t N>
    static void add_outputs(view<const T, N> y, place& to) noexcept
    {
        if constexpr (N >= 2)
        {
            to.fits = to.fits && y.shape(1) == to.units;
            const index_t inner = count(tail(tail(y.shape())));
            for (index_t i = 0; to.fits && to.not_finite < 0 && i < y.size(); ++i)
            {
                if (!structopt::detail::is_finite(y.data()[i]))
                {
                    to.not_finite = i / inner % to.units;
                }
            }
            if (to.fits && to.not_finite < 0)
            {
                to.outputs.add(y);
            }
        }
        else
        {
            to.fits = false;
        }
    }

    std::vector<place> m_places;
};

/// The samples to look at, ascending.
template <class Data>
std::vector<index_t> chosen_samples(
    const Data& data, const observe_options& options, random_engine& rng)
{
    const auto size = static_cast<index_t>(data.size());
    if (size < 1)
    {
        structopt::detail::raise<argument_error>(
            "prune::observe data", "at least one sample", "none");
    }
    if (options.samples < 0 || options.batch < 1)
    {
        structopt::detail::raise<argument_error>("prune::observe options",
            "samples of at least 0 and a batch of at least 1",
            std::to_string(options.samples) + " and " + std::to_string(options.batch));
    }
    const index_t n = options.samples == 0 ? size : std::min(size, options.samples);
    std::vector<index_t> rows(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < rows.size(); ++i)
    {
        rows[i] = static_cast<index_t>(i);
    }
    if (n < size)
    {
        structopt::shuffle(std::span<index_t>(rows), rng);
        rows.resize(static_cast<std::size_t>(n));
        std::sort(rows.begin(), rows.end());
    }
    return rows;
}

/// Calls `pass(batch)` for batches of the samples `rows`.
template <class Data, class Pass>
void for_each_observed(
    const Data& data, std::span<const index_t> rows, index_t size, const Pass& pass)
{
    typename Data::batch_type batch;
    for (std::size_t first = 0; first < rows.size(); first += static_cast<std::size_t>(size))
    {
        const std::size_t length = std::min(static_cast<std::size_t>(size), rows.size() - first);
        const auto part = rows.subspan(first, length);
        data.gather(part, batch);
        const std::size_t each = batch.x.size() / length;
        for (std::size_t i = 0; i < batch.x.size(); ++i)
        {
            if (!structopt::detail::is_finite(batch.x.data()[i]))
            {
                structopt::detail::raise<argument_error>("prune::observe data", "finite numbers",
                    "NaN or infinity in sample " + std::to_string(part[i / each]));
            }
        }
        pass(batch);
    }
}

/// Writes sums, divided, into a network.
template <class Network>
Network filled(const Network& like, const std::vector<std::vector<double>>& sums, double factor)
{
    using T = nn::value_type<Network>;
    Network result = nn::zeros_like(like);
    const auto parameters = nn::trainable_parameters<T>(result);
    for (std::size_t p = 0; p < parameters.size(); ++p)
    {
        for (std::size_t i = 0; i < sums[p].size(); ++i)
        {
            parameters[p].values[i] = static_cast<T>(factor * sums[p][i]);
        }
    }
    return result;
}

/// Throws where a network of gradients holds NaN or infinity, naming the parameter.
template <class Network>
void check_gradients(const char* what, const Network& gradients)
{
    nn::visit_parameters(gradients,
        [&](const nn::parameter_name& name, const auto& parameter, nn::role kind)
        {
            if constexpr (nn::trainable_parameter<const std::remove_cvref_t<decltype(parameter)>>)
            {
                if (kind != nn::role::statistic)
                {
                    detail::check_finite(what + name.text(), nn::trainable_values(parameter));
                }
            }
        });
}

template <evidence Needs, class Network, class Data, class Loss>
void observe_gradients(const Network& network, const Data& data, const Loss& loss,
    std::span<const index_t> rows, const observe_options& options, random_engine& rng,
    observations<Network>& seen)
{
    using T = typename Data::batch_type::value_type;
    constexpr std::size_t rank = Data::batch_type::rank;
    gradient_tally tally;
    tally.squares = includes(Needs, evidence::squared_gradient);
    tally.training = options.training;
    if (tally.squares && tally.training)
    {
        structopt::detail::raise<argument_error>("prune::observe options.training",
            "false where gradients are squared sample by sample", "true");
    }
    auto probed = detail::probe(network, tally);
    nn::network_cache<decltype(probed), T, rank> cache;
    nn::layer_traits<decltype(probed)>::seed(cache.layers, rng);
    tensor<T, nn::output_rank<Network, rank>> dy;
    double total = 0;
    detail::for_each_observed(data, rows, options.batch,
        [&](const auto& batch)
        {
            const auto& y = nn::forward(probed, as_view(batch.x), cache);
            resize(dy, shape_of(y));
            const double value = static_cast<double>(loss(as_view(y), batch.target, as_view(dy)));
            const double weight = detail::samples_per_loss(loss, shape_of(batch.x)[0]);
            total += weight * value;
            for (std::size_t i = 0; i < dy.size(); ++i)
            {
                dy.data()[i] *= static_cast<T>(weight);
            }
            nn::backward(probed, as_view(std::as_const(dy)), cache, probed);
        });
    const double factor = 1 / static_cast<double>(rows.size());
    seen.loss = factor * total;
    seen.gradient = detail::filled(network, tally.gradient, factor);
    detail::check_gradients("gradient of ", *seen.gradient);
    if constexpr (includes(Needs, evidence::squared_gradient))
    {
        seen.squared_gradient = detail::filled(network, tally.squared, factor);
        detail::check_gradients("squared gradient of ", *seen.squared_gradient);
    }
    seen.have = seen.have | evidence::gradient | (Needs & evidence::squared_gradient);
    detail::check_finite("loss", std::span<const double>(&seen.loss, 1));
}

template <evidence Needs, class Network, class Data>
void observe_activations(const Network& network, const Data& data, std::span<const index_t> rows,
    const observe_options& options, observations<Network>& seen)
{
    constexpr bool inputs = includes(Needs, evidence::inputs);
    constexpr bool outputs = includes(Needs, evidence::outputs);
    const auto flows = detail::unit_flows(network);
    const auto addresses = nn::trainable_addresses(network);
    std::vector<std::string> names;
    nn::visit_parameters(network,
        [&](const nn::parameter_name& name, const auto& parameter, nn::role)
        {
            names.resize(addresses.size());
            const auto at =
                std::find(addresses.begin(), addresses.end(), static_cast<const void*>(&parameter));
            if (at != addresses.end())
            {
                names[static_cast<std::size_t>(at - addresses.begin())] = name.text();
            }
        });
    std::vector<activation_recorder::place> places;
    for (const auto& flow : flows)
    {
        activation_recorder::place place;
        if constexpr (inputs)
        {
            place.input_leaf = flow.leaf;
            place.inputs = column_squares(flow.groups, flow.columns);
        }
        if constexpr (outputs)
        {
            place.output_leaf = flow.output;
            place.units = flow.rows;
        }
        places.push_back(std::move(place));
    }
    activation_recorder recorder(std::move(places));
    const auto tapped = calibrate::tap(network, recorder);
    detail::for_each_observed(data, rows, options.batch,
        [&](const auto& batch)
        {
            nn::forward(tapped, batch.x);
        });
    for (std::size_t i = 0; i < flows.size(); ++i)
    {
        const auto& place = recorder.places()[i];
        const auto at = std::find(addresses.begin(), addresses.end(), flows[i].weight);
        const auto parameter = static_cast<std::size_t>(at - addresses.begin());
        if (at == addresses.end())
        {
            continue;
        }
        const std::string& name = names[parameter];
        if (!place.fits)
        {
            structopt::detail::raise<argument_error>("prune::observe, " + name,
                "a dense layer or a convolution, with units along axis 1",
                "inputs or outputs of another form");
        }
        layer_statistics found;
        found.parameter = static_cast<index_t>(parameter);
        found.groups = flows[i].groups;
        if constexpr (inputs)
        {
            found.input_norm = place.inputs.norms();
            detail::check_finite("inputs of " + name, found.input_norm);
        }
        if constexpr (outputs)
        {
            if (place.not_finite >= 0)
            {
                structopt::detail::raise<argument_error>("prune::observe, outputs of " + name,
                    "finite numbers",
                    "NaN or infinity from unit " + std::to_string(place.not_finite));
            }
            for (index_t u = 0; u < flows[i].rows; ++u)
            {
                found.mean.push_back(place.outputs.mean(u));
                found.mean_absolute.push_back(place.outputs.mean_absolute(u));
                found.variance.push_back(place.outputs.variance(u));
                found.zero_share.push_back(place.outputs.zero_share(u));
            }
        }
        seen.layers.push_back(std::move(found));
    }
    seen.have = seen.have | (Needs & activation_kinds);
}

} // namespace detail

template <class Network, train::dataset Data, class Loss, needs_evidence Criterion>
observations<Network> observe(const Network& network, const Data& data, const Loss& loss,
    const Criterion&, const observe_options& options, random_engine& rng)
{
    observations<Network> seen;
    constexpr evidence needs = Criterion::needs;
    constexpr bool has_loss = !std::is_same_v<Loss, detail::no_loss>;
    // The first condition is asked here as well, for a short message.
    if constexpr (detail::check_prunable<Network>() &&
                  detail::check_observable<Network, needs, has_loss>())
    {
        const auto rows = detail::chosen_samples(data, options, rng);
        seen.samples = static_cast<index_t>(rows.size());
        if constexpr (detail::any_of(needs, detail::gradient_kinds))
        {
            detail::observe_gradients<needs>(
                network, data, loss, std::span<const index_t>(rows), options, rng, seen);
        }
        if constexpr (detail::any_of(needs, detail::activation_kinds))
        {
            detail::observe_activations<needs>(
                network, data, std::span<const index_t>(rows), options, seen);
        }
        seen.have = seen.have | (needs & evidence::scale);
    }
    return seen;
}

template <class Network, train::dataset Data, needs_evidence Criterion>
observations<Network> observe(const Network& network, const Data& data, const Criterion& criterion,
    const observe_options& options, random_engine& rng)
{
    return prune::observe(network, data, detail::no_loss{}, criterion, options, rng);
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
