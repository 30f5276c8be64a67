/// @file
/// Metrics of a network over a dataset, in its inference form.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/train/dataset.hpp>
#include <structopt/train/metric/concepts.hpp>

#include <array>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// Options of `evaluate`.
struct evaluation
{
    /// Samples per forward pass: no influence on the result, but on its time.
    index_t batch = 256;
};

namespace detail
{

inline void check_batch(const char* option, index_t batch)
{
    if (batch < 1)
    {
        structopt::detail::raise<argument_error>(option, "at least 1", std::to_string(batch));
    }
}

/// Calls `body(x, target)` for the dataset's batches in order.
template <class Data, class Body>
void for_each_batch(const Data& data, index_t size, const Body& body)
{
    const auto n = static_cast<index_t>(data.size());
    typename Data::batch_type batch;
    std::vector<index_t> rows;
    for (index_t first = 0; first < n; first += size)
    {
        const index_t last = first + size < n ? first + size : n;
        if constexpr (sliceable<Data>)
        {
            const auto part = data.slice(first, last);
            body(part.x, part.target);
        }
        else
        {
            rows.clear();
            for (index_t row = first; row < last; ++row)
            {
                rows.push_back(row);
            }
            data.gather(std::span<const index_t>(rows), batch);
            body(as_view(std::as_const(batch.x)), batch.target);
        }
    }
}

} // namespace detail

/// Accumulates metrics of a network over a dataset; returns their values, in order. The metrics
/// begin anew and keep what they gathered (`confusion_matrix`). One output tensor and one scratch
/// serve all batches of a size.
/// @throws argument_error for an empty dataset or a batch below 1, shape_error where the samples do
/// not fit the network.
template <class Net, dataset Data, metric... Metrics>
std::array<double, sizeof...(Metrics)> evaluate(
    const Net& network, const Data& data, const evaluation& how, Metrics&... metrics)
{
    using batch_type = typename Data::batch_type;
    using T = typename batch_type::value_type;
    constexpr std::size_t rank = batch_type::rank;
    detail::check_batch("train::evaluate batch", how.batch);
    if (static_cast<index_t>(data.size()) < 1)
    {
        structopt::detail::raise<argument_error>("train::evaluate data", "samples", "none");
    }
    (metrics.reset(), ...);
    tensor<T, nn::output_rank<Net, rank>> y;
    buffer<std::byte> bytes;
    detail::for_each_batch(data, how.batch,
        [&](view<const T, rank> x, const auto& target)
        {
            resize(y, nn::output_shape(network, x.shape()));
            const std::size_t needed = nn::scratch_bytes<T>(network, x.shape());
            if (bytes.size() < needed)
            {
                bytes.resize(needed);
            }
            nn::forward(network, x, as_view(y), nn::scratch(bytes.data(), bytes.size()));
            (metrics.accumulate(as_view(std::as_const(y)), target), ...);
        });
    return {static_cast<double>(metrics.value())...};
}

template <class Net, dataset Data, metric... Metrics>
std::array<double, sizeof...(Metrics)> evaluate(
    const Net& network, const Data& data, Metrics&... metrics)
{
    return train::evaluate(network, data, evaluation{}, metrics...);
}

} // namespace train
STRUCTOPT_END_NAMESPACE
