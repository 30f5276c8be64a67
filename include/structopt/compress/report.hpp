/// @file
/// What a network costs: parameters, bytes, multiply-adds, memory and time, per layer and in all.
#pragma once

#include <structopt/compress/latency.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/chain.hpp>
#include <structopt/nn/transform.hpp>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// One layer of a report.
struct layer_report
{
    std::string name;          ///< "0.2": its place in the network
    std::string type;          ///< "dense"
    std::string format;        ///< of its weight: "dense", "csr8"; empty without one
    index_t parameters = 0;    ///< numbers of its tensors, zeros included
    index_t nonzeros = 0;      ///< of these, not zero (of a packed format: stored)
    std::size_t bytes = 0;     ///< of its tensors as they are stored, indices and scales included
    index_t multiply_adds = 0; ///< of one sample

    friend bool operator==(const layer_report&, const layer_report&) = default;
};

/// What a network costs. Times are measured, everything else is counted.
struct report
{
    std::string name;
    double accuracy = 0; ///< a fraction; the caller's measurement
    std::vector<layer_report> layers;
    index_t parameters = 0;
    index_t nonzeros = 0;
    std::size_t bytes = 0;            ///< of the safetensors file, header included
    index_t multiply_adds = 0;        ///< of one sample
    std::size_t activation_bytes = 0; ///< the largest input and output that live at once, batch 1
    std::size_t scratch_bytes = 0;    ///< what the forward pass asks for, batch 1
    double latency_us_batch1 = 0;
    double latency_us_batch64 = 0;
};

/// Measures a network on samples of shape `sample` (a batch of any size; its first extent is
/// ignored). Dense weights are packed for the timing, as in deployment.
template <class Network, std::size_t N>
report measure(const Network& network, const shape<N>& sample, std::string name,
    double accuracy = 0, const latency_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class P>
index_t stored_nonzeros(const P& parameter)
{
    if constexpr (io::detail::is_tensor<P>)
    {
        using T = typename P::value_type;
        return static_cast<index_t>(
            std::count_if(parameter.data(), parameter.data() + parameter.size(),
                [](T value)
                {
                    return value != T(0);
                }));
    }
    else
    {
        return nn::storage_traits<P>::nonzeros(parameter);
    }
}

template <class P>
std::size_t stored_bytes(const P& parameter)
{
    if constexpr (io::detail::is_tensor<P>)
    {
        return parameter.size() * sizeof(typename P::value_type);
    }
    else
    {
        return nn::storage_traits<P>::bytes(parameter);
    }
}

template <class L>
std::string weight_format(const L& layer)
{
    if constexpr (requires { layer.weight.format(); })
    {
        return std::string(layer.weight.format());
    }
    else if constexpr (nn::weighted<L>)
    {
        return std::string(nn::storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::name());
    }
    else
    {
        return {};
    }
}

} // namespace detail

template <class Network, std::size_t N>
report measure(const Network& network, const shape<N>& sample, std::string name, double accuracy,
    const latency_options& options)
{
    using T = nn::value_type<Network>;
    shape<N> one = sample;
    one[0] = 1;
    report r;
    r.name = std::move(name);
    r.accuracy = accuracy;
    nn::walk_layers(network, one,
        [&](const std::string& path, const auto& layer, const auto& in, const auto& out)
        {
            using L = std::remove_cvref_t<decltype(layer)>;
            layer_report row;
            row.name = path;
            row.type = nn::layer_traits<L>::name();
            row.format = detail::weight_format(layer);
            nn::visit_parameters(layer,
                [&](const nn::parameter_name&, const auto& parameter, nn::role)
                {
                    row.parameters += static_cast<index_t>(parameter.size());
                    row.nonzeros += detail::stored_nonzeros(parameter);
                    row.bytes += detail::stored_bytes(parameter);
                });
            row.multiply_adds = nn::multiply_adds(layer, in);
            r.parameters += row.parameters;
            r.nonzeros += row.nonzeros;
            r.multiply_adds += row.multiply_adds;
            r.activation_bytes = std::max(
                r.activation_bytes, static_cast<std::size_t>(count(in) + count(out)) * sizeof(T));
            r.layers.push_back(std::move(row));
        });
    r.bytes = io::state_bytes(network);
    const auto deployed = nn::pack(network);
    r.scratch_bytes = nn::scratch_bytes<T>(deployed, one);
    r.latency_us_batch1 = compress::latency_us<T>(deployed, one, options);
    one[0] = 64;
    r.latency_us_batch64 = compress::latency_us<T>(deployed, one, options);
    return r;
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
