/// @file
/// What a network costs: parameters, bytes, multiply-adds, memory and time, per layer and in all.
#pragma once

#include <structopt/compress/latency.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/chain.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/transform.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
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
    index_t parameters = 0;    ///< numbers that were trained, zeros included; statistics are none
    index_t nonzeros = 0;      ///< of these, not zero (of a format of its own: stored)
    std::size_t bytes = 0;     ///< of its tensors as a file holds them, indices and scales included
    index_t multiply_adds = 0; ///< of one sample

    friend bool operator==(const layer_report&, const layer_report&) = default;
};

/// What a network costs. Times are measured, everything else is counted.
struct report
{
    std::string name;
    std::optional<double> accuracy; ///< a fraction; the caller's measurement, if there is one
    std::vector<layer_report> layers;
    index_t parameters = 0;           ///< tied ones count once
    index_t nonzeros = 0;             ///< tied ones count once
    std::size_t bytes = 0;            ///< of the safetensors file, header included
    index_t multiply_adds = 0;        ///< of one sample
    std::size_t activation_bytes = 0; ///< the most that exist at once, batch 1
    std::size_t scratch_bytes = 0;    ///< all that a forward pass needs beside x and y, batch 1
    double latency_us_batch1 = 0;     ///< microseconds of a forward pass of one sample
    double latency_us_batch64 = 0;    ///< microseconds of a forward pass of 64 samples

    friend bool operator==(const report&, const report&) = default;
};

/// Measures a network on samples of shape `sample` (a batch of any size; its first extent is
/// ignored). Dense weights are packed for the timing and the scratch, as in deployment: scratch
/// holds the activations between the layers as well as what the kernels ask for. Of the activations
/// those count that exist while a layer runs: its input and output (once, where it overwrites the one
/// with the other), and what a sum or a concatenation around it keeps meanwhile.
///
/// Throws `shape_error` if the network does not take such samples.
template <class Network, std::size_t N>
report measure(const Network& network, const shape<N>& sample, std::string name,
    std::optional<double> accuracy = {}, const latency_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <class P>
index_t stored_nonzeros(const P& parameter)
{
    if constexpr (io::detail::is_tensor<P>)
    {
        using T = typename P::value_type;
        return static_cast<index_t>(parameter.size()) -
               static_cast<index_t>(
                   std::count_if(parameter.data(), parameter.data() + parameter.size(),
                       [](T value)
                       {
                           return structopt::detail::is_zero(value);
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

/// Adds up what `nn::visit_parameters` shows.
template <class L>
void count_parameters(const L& layer, index_t& parameters, index_t& nonzeros, std::size_t& bytes)
{
    nn::visit_parameters(layer,
        [&](const nn::parameter_name&, const auto& parameter, nn::role kind)
        {
            bytes += stored_bytes(parameter);
            if (kind != nn::role::statistic)
            {
                parameters += static_cast<index_t>(parameter.size());
                nonzeros += stored_nonzeros(parameter);
            }
        });
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

/// Visits the layers of a network, `visit(name, layer, in, live)`: `in` is the shape of its input, `live`
/// the number of elements that exist while it runs: its input and output, and what a sum or a
/// concatenation around it keeps meanwhile. Containers of one's own count as one layer.
template <class Visitor>
class layer_walk
{
public:
    explicit layer_walk(const Visitor& visit)
        : m_visit(visit)
    {
    }

    /// `held` elements exist beside the layer's input and output; with `keeps_input` the input is among
    /// them and must not be overwritten.
    template <class L, std::size_t N>
    auto operator()(const L& layer, const nn::parameter_name* path, const shape<N>& in,
        index_t held = 0, bool keeps_input = false)
    {
        if constexpr (nn::is_sequential<L>)
        {
            return walk_from<0>(layer, path, in, held, keeps_input);
        }
        else
        {
            const auto out = nn::layer_traits<L>::output_shape(layer, in);
            walk(layer, path, in, held + (keeps_input ? 0 : count(in)), count(out),
                nn::layer_traits<L>::in_place() && !keeps_input);
            return out;
        }
    }

private:
    template <std::size_t I, class L, std::size_t N>
    auto walk_from(const L& chain, const nn::parameter_name* path, const shape<N>& in, index_t held,
        bool keeps_input)
    {
        if constexpr (I == std::tuple_size_v<decltype(chain.layers)>)
        {
            return in;
        }
        else
        {
            const nn::parameter_name name(nn::detail::index_text<I>::value, path);
            const auto out = (*this)(std::get<I>(chain.layers), &name, in, held, keeps_input);
            return walk_from<I + 1>(chain, path, out, held, false);
        }
    }

    /// `before`: all that exists when the layer begins, its input included.
    template <class Branch, class Shortcut, std::size_t N>
    void walk(const nn::residual<Branch, Shortcut>& layer, const nn::parameter_name* path,
        const shape<N>& in, index_t before, index_t out, bool)
    {
        const nn::parameter_name branch("branch", path);
        (*this)(layer.branch, &branch, in, before, true);
        if constexpr (!std::is_same_v<Shortcut, nn::identity>)
        {
            const nn::parameter_name shortcut("shortcut", path);
            (*this)(layer.shortcut, &shortcut, in, before + out, true);
        }
    }

    template <class First, class Second, std::size_t N>
    void walk(const nn::concat<First, Second>& layer, const nn::parameter_name* path,
        const shape<N>& in, index_t before, index_t, bool)
    {
        const nn::parameter_name first("0", path);
        const index_t half = count((*this)(layer.first, &first, in, before, true));
        const nn::parameter_name second("1", path);
        (*this)(layer.second, &second, in, before + half, true);
    }

    template <class L, std::size_t N>
    void walk(const L& layer, const nn::parameter_name* path, const shape<N>& in, index_t before,
        index_t out, bool overwrites)
    {
        // The first layer has the caller's input, which it leaves alone.
        const bool reuses = overwrites && !m_first;
        m_first = false;
        m_visit(path != nullptr ? path->text() : std::string(), layer, in,
            reuses ? before : before + out);
    }

    const Visitor& m_visit;
    bool m_first = true;
};

} // namespace detail

template <class Network, std::size_t N>
report measure(const Network& network, const shape<N>& sample, std::string name,
    std::optional<double> accuracy, const latency_options& options)
{
    using T = nn::value_type<Network>;
    shape<N> one = sample;
    one[0] = 1;
    report r;
    r.name = std::move(name);
    r.accuracy = accuracy;
    std::size_t in_memory = 0;
    detail::count_parameters(network, r.parameters, r.nonzeros, in_memory);
    const auto visit = [&](const std::string& path, const auto& layer, const auto& in, index_t live)
    {
        using L = std::remove_cvref_t<decltype(layer)>;
        layer_report row;
        row.name = path;
        row.type = nn::layer_traits<L>::name();
        row.format = detail::weight_format(layer);
        detail::count_parameters(layer, row.parameters, row.nonzeros, row.bytes);
        row.multiply_adds = nn::multiply_adds(layer, in);
        r.multiply_adds += row.multiply_adds;
        r.activation_bytes =
            std::max(r.activation_bytes, static_cast<std::size_t>(live) * sizeof(T));
        r.layers.push_back(std::move(row));
    };
    detail::layer_walk walk(visit);
    walk(network, nullptr, one);
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
