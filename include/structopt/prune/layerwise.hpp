/// @file
/// Second-order pruning of a whole network, layer by layer, from calibration data.
#pragma once

#include <structopt/calibrate/gram.hpp>
#include <structopt/calibrate/tap.hpp>
#include <structopt/prune/concepts.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/reconstruction.hpp>
#include <structopt/train/dataset.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Where calibration takes its samples from.
struct calibration_options
{
    /// The first so many samples; 0 is all of them.
    index_t samples = 0;
    /// Samples that run at once; changes memory, not the result (up to the rounding of the layers).
    index_t batch = 256;

    friend bool operator==(const calibration_options&, const calibration_options&) = default;
};

/// What became of one layer.
struct pruned_layer
{
    std::string name;       ///< "0.branch.2"
    index_t parameter = -1; ///< position of the weight in `nn::trainable_parameters`
    double sparsity = 0;    ///< share of its weights that are zero
    double output = 0;      ///< mean square of its outputs before the bias, summed over them
    double change = 0;      ///< mean squared change of these outputs
};

/// What `layerwise` did: a mask for `apply` and `hold`, and the layers.
struct layerwise_result
{
    prune::mask mask;
    std::vector<pruned_layer> layers;
};

namespace detail
{

template <class Chooser>
concept chooses_pruner = requires(const Chooser& choose, const calibrate::layer_place& place)
{
    requires matrix_pruner<typename std::remove_cvref_t<decltype(choose(place))>::value_type>;
};

} // namespace detail

/// Prunes the dense layers and convolutions of a network by a `matrix_pruner`, one after the other.
///
/// `data` is a dataset of `train`, of which the inputs count, or a tensor of samples. Each layer's
/// X^T X is gathered with the layers before it pruned already, so that it makes up for their errors
/// too; groups of a convolution are matrices of their own. `method` may also be a function of a
/// `calibrate::layer_place` that returns a std::optional of a method: none leaves the layer as it is.
///
///     auto done = prune::layerwise(net, data, prune::sparse_gpt{.sparsity = 0.5});
///     train::fit(net, data, loss, optimizer, options, rng, prune::hold(done.mask));
///
/// Time: the forward passes up to each layer, the grams, and the method's. Memory: a copy of the
/// network, one batch, one layer's gram, whatever the number of samples.
///
/// Throws `argument_error` for no data, for data that is NaN or infinite (by the layer's name) and what
/// the method throws; `shape_error` for data that does not fit. The network is unchanged then.
template <class Network, class Data, class Method>
    requires(matrix_pruner<Method> || detail::chooses_pruner<Method>)
layerwise_result layerwise(Network& network, const Data& data, const Method& method,
    const calibration_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class X, class Function>
void calibration_slices(const X& x, index_t samples, index_t batch, const Function& f)
{
    for (index_t first = 0; first < samples; first += batch)
    {
        f(x.slice(first, std::min(first + batch, samples)));
    }
}

/// Calls `f(x)` for the batches of calibration.
template <class Data, class Function>
void calibration_batches(const Data& data, const calibration_options& options, const Function& f)
{
    const auto count = [&](index_t size)
    {
        return options.samples == 0 ? size : std::min(options.samples, size);
    };
    if constexpr (structopt::detail::is_view<Data>)
    {
        detail::calibration_slices(data, count(data.shape(0)), options.batch, f);
    }
    else if constexpr (train::dataset<Data>)
    {
        const index_t samples = count(static_cast<index_t>(data.size()));
        typename Data::batch_type batch;
        std::vector<index_t> rows;
        for (index_t first = 0; first < samples; first += options.batch)
        {
            const index_t last = std::min(first + options.batch, samples);
            if constexpr (train::detail::sliceable<Data>)
            {
                f(data.slice(first, last).x);
            }
            else
            {
                rows.resize(static_cast<std::size_t>(last - first));
                std::iota(rows.begin(), rows.end(), first);
                data.gather(std::span<const index_t>(rows), batch);
                f(batch.x);
            }
        }
    }
    else
    {
        const auto x = as_view(data);
        detail::calibration_slices(x, count(x.shape(0)), options.batch, f);
    }
}

/// Calls `visit(index, layer)` for every leaf layer, as `calibrate::visit_layers`, to change it.
template <class L, class Visitor>
void visit_mutable_leaves(L& layer, index_t& index, Visitor& visit)
{
    if constexpr (calibrate::detail::open_container<L>)
    {
        L::children(layer,
            [&](std::string_view, auto& child)
            {
                detail::visit_mutable_leaves(child, index, visit);
            });
    }
    else
    {
        visit(index++, layer);
    }
}

/// A layer whose weight is a matrix in memory.
template <class L>
concept dense_weighted = nn::weighted<L> && requires(L& layer)
{
    nn::storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::matrix(layer.weight);
};

/// Prunes one layer by the grams of its groups.
template <class L, class T, class Method>
pruned_layer prune_layer(L& layer, const calibrate::layer_gram<T>& seen, const Method& method,
    std::vector<std::uint8_t>& keep)
{
    const auto w = nn::storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::matrix(
        std::as_const(layer.weight));
    const index_t groups = static_cast<index_t>(seen.groups.size());
    const index_t rows = w.shape(0) / groups;
    pruned_layer report{seen.place.name, seen.place.parameter, 0, 0, 0};
    const auto values = nn::trainable_values(layer.weight);
    std::size_t zeros = 0;
    for (index_t g = 0; g < groups; ++g)
    {
        const auto part = w.slice(g * rows, (g + 1) * rows);
        const tensor<double, 2> gram = seen.groups[static_cast<std::size_t>(g)].matrix();
        const pruned_matrix<T> done = method.prune(part, as_view(gram));
        const auto none = structopt::zeros<T>(part.shape());
        report.output += prune::output_change(part, as_view(none), as_view(gram));
        report.change += prune::output_change(part, as_view(done.weight), as_view(gram));
        std::copy_n(done.weight.data(), part.size(), values.data() + g * part.size());
        keep.insert(keep.end(), done.keep.begin(), done.keep.end());
        for (const T value : done.weight)
        {
            zeros += structopt::detail::is_zero(value) ? 1 : 0;
        }
    }
    report.sparsity =
        values.empty() ? 0.0 : static_cast<double>(zeros) / static_cast<double>(values.size());
    return report;
}

} // namespace detail

template <class Network, class Data, class Method>
    requires(matrix_pruner<Method> || detail::chooses_pruner<Method>)
layerwise_result layerwise(
    Network& network, const Data& data, const Method& method, const calibration_options& options)
{
    layerwise_result result;
    if constexpr (detail::check_prunable<Network>())
    {
        using T = nn::value_type<Network>;
        if (options.samples < 0 || options.batch < 1)
        {
            structopt::detail::raise<argument_error>("prune::layerwise",
                "samples of at least 0, a batch of at least 1",
                std::to_string(options.samples) + " and " + std::to_string(options.batch));
        }
        Network changed = network;
        result.mask.keep.resize(nn::trainable_parameters<const T>(network).size());
        const auto places = calibrate::leaf_layers(network);
        index_t index = 0;
        auto visit = [&]<class L>(index_t at, L& layer)
        {
            if constexpr (detail::dense_weighted<L>)
            {
                const calibrate::layer_place& place = places[static_cast<std::size_t>(at)];
                const auto chosen = [&]
                {
                    if constexpr (matrix_pruner<Method>)
                    {
                        return std::optional<Method>(method);
                    }
                    else
                    {
                        return method(place);
                    }
                }();
                if (!chosen || place.parameter < 0)
                {
                    return;
                }
                calibrate::grams<T> seen(at);
                detail::calibration_batches(data, options,
                    [&](const auto& x)
                    {
                        seen.add(std::as_const(changed), x);
                    });
                if (seen.layers().empty())
                {
                    structopt::detail::raise<argument_error>(
                        "prune::layerwise, layer " + place.name,
                        "at least one sample that reaches it", "none");
                }
                result.layers.push_back(detail::prune_layer(layer, seen.layers()[0], *chosen,
                    result.mask.keep[static_cast<std::size_t>(place.parameter)]));
            }
        };
        detail::visit_mutable_leaves(changed, index, visit);
        network = std::move(changed);
    }
    return result;
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
