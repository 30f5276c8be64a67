/// @file
/// Costs of a network in the formats that a plan picks, for `prune::budget`: bytes and measured time.
#pragma once

#include <structopt/compress/latency.hpp>
#include <structopt/nn/plan.hpp>
#include <structopt/prune/cost.hpp>

#include <cstddef>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// Bytes in memory of all parameters and statistics, with the weights in the formats that `nn::plan`
/// picks for bytes.
///
///     prune::apply(net, prune::magnitude{}, prune::budget(compress::planned_bytes<2>{{1, 784}}, 50e3));
template <std::size_t N>
struct planned_bytes
{
    /// Extents of the batches that are planned for.
    shape<N> in{};

    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network>
    double operator()(const Network& network) const
    {
        const auto planned = nn::plan(network, in, {.goal = nn::objective::bytes});
        return static_cast<double>(prune::detail::memory_bytes(planned.network));
    }

    friend bool operator==(const planned_bytes&, const planned_bytes&) = default;
};

/// Measured microseconds of a forward pass, with the weights in the formats that `nn::plan` picks for
/// latency. A measurement: other work on the machine adds to it.
template <std::size_t N>
struct planned_latency
{
    /// Extents of the batch.
    shape<N> in{};
    /// How long to measure.
    latency_options options = {};

    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network>
    double operator()(const Network& network) const
    {
        using T = nn::value_type<Network>;
        const auto planned = nn::plan(network, in);
        return compress::latency_us<T>(planned.network, in, options);
    }
};

} // namespace compress
STRUCTOPT_END_NAMESPACE
