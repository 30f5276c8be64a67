/// @file
/// Measured time of a forward pass.
#pragma once

#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// How long to measure.
struct latency_options
{
    /// Seconds of measuring, warm-up not counted.
    double seconds = 0.05;
    /// Timed groups of passes, of whose means the median is taken.
    int groups = 9;
};

/// Microseconds of one forward pass over a batch of shape `in`, in the allocation-free form with
/// inputs and scratch in place: the median over groups of passes. The caller's threads and pinning
/// apply.
template <class T, class Network, std::size_t N>
double latency_us(const Network& network, const shape<N>& in, const latency_options& options = {})
{
    using clock = std::chrono::steady_clock;
    const auto out = nn::output_shape(network, in);
    auto x = structopt::full<T>(in, T(0.5));
    auto y = make_tensor<T>(out);
    buffer<std::byte> bytes(nn::scratch_bytes<T>(network, in));
    const auto passes = [&](int n)
    {
        const auto start = clock::now();
        for (int i = 0; i < n; ++i)
        {
            nn::forward(
                network, view<const T, N>(x), as_view(y), nn::scratch(bytes.data(), bytes.size()));
        }
        return std::chrono::duration<double>(clock::now() - start).count();
    };
    passes(3);
    int n = 1;
    const double group = options.seconds / std::max(1, options.groups);
    while (n < (1 << 24) && passes(n) < group / 2)
    {
        n *= 2;
    }
    std::vector<double> times;
    for (int g = 0; g < std::max(1, options.groups); ++g)
    {
        times.push_back(passes(n) / n);
    }
    std::nth_element(
        times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    return 1e6 * times[times.size() / 2];
}

/// A cost for `prune::budget`: measured microseconds of a batch of the sample's shape, of the network as it
/// is, on this machine, with the threads in force.
struct latency_cost
{
    latency_options options = {};

    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>& sample) const
    {
        return compress::latency_us<nn::value_type<Network>>(network, sample, options);
    }
};

} // namespace compress
STRUCTOPT_END_NAMESPACE
