/// @file
/// What a network costs, as budgets count it: numbers, bytes, multiply-adds.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/nn/transform.hpp>

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A number that a network is to stay below: `cost(network)`, of a network whose removed weights are
/// zero. Any function of a network is one, a lambda that measures its latency too.
template <class C, class Network>
concept network_cost = requires(const C& cost, const Network& network)
{
    {
        cost(network)
        } -> std::convertible_to<double>;
};

/// The trainable numbers that are not zero, biases included.
struct nonzero_parameters
{
    template <class Network>
    double operator()(const Network& network) const;

    friend bool operator==(const nonzero_parameters&, const nonzero_parameters&) = default;
};

/// Bytes in memory of all parameters and statistics, with every weight in whichever of the formats
/// takes the fewest: of `nn::convert_smallest<Formats...>(network)`, which it packs.
template <class... Formats>
struct smallest_bytes
{
    template <class Network>
    double operator()(const Network& network) const;

    friend bool operator==(const smallest_bytes&, const smallest_bytes&) = default;
};

/// Multiply-adds of one forward pass that skips the zeros among the weights.
///
///     prune::multiply_adds<4>{.in = {1, 3, 32, 32}}
template <std::size_t N>
struct multiply_adds
{
    /// Extents of the batch.
    shape<N> in{};

    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network>
    double operator()(const Network& network) const;

    friend bool operator==(const multiply_adds&, const multiply_adds&) = default;
};

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Bytes in memory of a network's parameters and statistics.
template <class Network>
std::size_t memory_bytes(const Network& network)
{
    std::size_t bytes = 0;
    nn::visit_parameters(network,
        [&]<class P>(const nn::parameter_name&, const P& parameter, nn::role)
        {
            if constexpr (nn::weight_storage<P>)
            {
                bytes += nn::storage_traits<P>::bytes(parameter);
            }
            else
            {
                bytes += parameter.size() * sizeof(*parameter.data());
            }
        });
    return bytes;
}

/// The number of a weight's non-zeros in the place of the weight.
template <class T>
struct counted_weight
{
    using value_type = T;

    index_t rows = 0;
    index_t columns = 0;
    index_t nonzeros = 0;

    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(rows * columns);
    }
};

} // namespace detail
} // namespace prune

namespace nn
{

/// Counts, and computes nothing.
template <class T>
struct storage_traits<prune::detail::counted_weight<T>>
{
    using storage = prune::detail::counted_weight<T>;
    using value_type = T;

    static constexpr bool takes_groups = true;

    static constexpr std::string_view name() noexcept
    {
        return "counted";
    }

    static index_t rows(const storage& s) noexcept
    {
        return s.rows;
    }

    static index_t columns(const storage& s) noexcept
    {
        return s.columns;
    }

    static index_t nonzeros(const storage& s) noexcept
    {
        return s.nonzeros;
    }

    static std::size_t bytes(const storage&) noexcept
    {
        return 0;
    }

    static tensor<T, 2> unpack(const storage& s)
    {
        return structopt::zeros<T>(shape<2>{s.rows, s.columns});
    }

    static std::size_t scratch_bytes(const storage&, index_t) noexcept
    {
        return 0;
    }

    static void product(const storage&, view<const T, 2>, const T*, view<T, 2>, scratch) noexcept
    {
    }
};

} // namespace nn

namespace prune
{

template <class Network>
double nonzero_parameters::operator()(const Network& network) const
{
    index_t n = 0;
    nn::visit_parameters(network,
        [&]<class P>(const nn::parameter_name&, const P& parameter, nn::role kind)
        {
            if constexpr (nn::trainable_parameter<const P>)
            {
                if (kind != nn::role::statistic)
                {
                    for (const auto value : nn::trainable_values(parameter))
                    {
                        n += structopt::detail::is_zero(value) ? 0 : 1;
                    }
                }
            }
        });
    return static_cast<double>(n);
}

template <class... Formats>
template <class Network>
double smallest_bytes<Formats...>::operator()(const Network& network) const
{
    return static_cast<double>(detail::memory_bytes(nn::convert_smallest<Formats...>(network)));
}

template <std::size_t N>
template <class Network>
double multiply_adds<N>::operator()(const Network& network) const
{
    const auto counted = nn::transform_weights(network,
        []<class Layer>(const Layer& layer)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            using traits = nn::storage_traits<storage>;
            using T = typename traits::value_type;
            detail::counted_weight<T> count{
                traits::rows(layer.weight), traits::columns(layer.weight), 0};
            if constexpr (nn::trainable_parameter<const storage>)
            {
                for (const auto value : nn::trainable_values(layer.weight))
                {
                    count.nonzeros += structopt::detail::is_zero(value) ? 0 : 1;
                }
            }
            else
            {
                count.nonzeros = traits::nonzeros(layer.weight);
            }
            return count;
        });
    nn::output_shape(counted, in);
    return static_cast<double>(nn::multiply_adds(counted, in));
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
