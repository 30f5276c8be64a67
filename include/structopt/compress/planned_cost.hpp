/// @file
/// Costs for `prune::budget` of a network in the formats that a plan picks: bytes and measured time.
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
///     prune::apply(net, prune::magnitude{},
///         prune::budget(compress::planned_byte_cost{}, 50e3, shape<2>{1, 784}));
struct planned_byte_cost
{
    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>& sample) const
    {
        const auto planned = nn::plan(network, sample, {.goal = nn::objective::bytes});
        return static_cast<double>(prune::detail::memory_bytes(planned.network));
    }

    friend bool operator==(const planned_byte_cost&, const planned_byte_cost&) = default;
};

/// Measured microseconds of a forward pass over a batch, with the weights in the formats that `nn::plan`
/// picks for latency. A measurement: other work on the machine adds to it.
struct planned_latency_cost
{
    /// How long to measure.
    latency_options options = {};

    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>& sample) const
    {
        using T = nn::value_type<Network>;
        const auto planned = nn::plan(network, sample);
        return compress::latency_us<T>(planned.network, sample, options);
    }
};

} // namespace compress
STRUCTOPT_END_NAMESPACE
