/// @file
/// What a network costs, as budgets count it: numbers, bytes, multiply-adds.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/nn/transform.hpp>

#include <cstddef>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// What budgets limit: `cost(network, sample)`, a number that falls with every weight or unit that goes,
/// up to noise; `sample` is the shape of a batch. A cost that needs no batch is `cost(network)`. Any
/// function of a network is one, a lambda too.
///
/// Budgets of masks ask for the cost of networks whose removed weights are zero, budgets of units for
/// that of smaller networks: the costs here count both.
template <class C, class Network, std::size_t N = 0>
concept network_cost =
    (N != 0 && std::is_invocable_r_v<double, const C&, const Network&, const shape<N>&>) ||
    std::is_invocable_r_v<double, const C&, const Network&>;

/// Trainable numbers; zeros among the weights are none.
struct parameter_cost
{
    template <class Network>
    double operator()(const Network& network) const;

    friend bool operator==(const parameter_cost&, const parameter_cost&) = default;
};

/// Bytes in memory of all parameters and statistics: of the network as it is, or, with formats, with
/// every weight in whichever of them takes the fewest (`nn::convert_smallest`, which packs it). Zeros
/// alone save none in dense weights: budgets of masks name formats.
///
///     prune::byte_cost{}                                        // units
///     prune::byte_cost<tensor<float, 2>, sparse::csr<float>>{}  // masks
template <class... Formats>
struct byte_cost
{
    template <class Network>
    double operator()(const Network& network) const;

    friend bool operator==(const byte_cost&, const byte_cost&) = default;
};

/// Multiply-adds of a forward pass over a batch, by weights that are not zero.
struct multiply_add_cost
{
    /// Throws `shape_error` if the network does not take such a batch.
    template <class Network, std::size_t N>
    double operator()(const Network& network, const shape<N>& sample) const;

    friend bool operator==(const multiply_add_cost&, const multiply_add_cost&) = default;
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
double parameter_cost::operator()(const Network& network) const
{
    index_t n = 0;
    nn::visit_parameters(network,
        [&]<class P>(const nn::parameter_name&, const P& parameter, nn::role kind)
        {
            if (kind == nn::role::statistic)
            {
                return;
            }
            if constexpr (nn::trainable_parameter<const P>)
            {
                if (kind == nn::role::weight)
                {
                    for (const auto value : nn::trainable_values(parameter))
                    {
                        n += structopt::detail::is_zero(value) ? 0 : 1;
                    }
                }
                else
                {
                    n += static_cast<index_t>(nn::trainable_values(parameter).size());
                }
            }
            else if constexpr (nn::weight_storage<P>)
            {
                n += nn::storage_traits<P>::nonzeros(parameter);
            }
        });
    return static_cast<double>(n);
}

template <class... Formats>
template <class Network>
double byte_cost<Formats...>::operator()(const Network& network) const
{
    if constexpr (sizeof...(Formats) == 0)
    {
        return static_cast<double>(detail::memory_bytes(network));
    }
    else
    {
        return static_cast<double>(detail::memory_bytes(nn::convert_smallest<Formats...>(network)));
    }
}

template <class Network, std::size_t N>
double multiply_add_cost::operator()(const Network& network, const shape<N>& sample) const
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
    nn::output_shape(counted, sample);
    return static_cast<double>(nn::multiply_adds(counted, sample));
}

namespace detail
{

/// The cost of a network; `sample` is ignored by a cost that needs none. Throws `argument_error` for
/// one that is NaN.
template <class Cost, class Network, std::size_t N>
double ask_cost(const Cost& cost, const Network& network, const shape<N>& sample)
{
    double value = 0;
    if constexpr (!network_cost<Cost, Network>)
    {
        value = static_cast<double>(cost(network, sample));
    }
    else
    {
        value = static_cast<double>(cost(network));
    }
    if (structopt::detail::is_nan(value))
    {
        structopt::detail::raise<argument_error>("budget", "a cost that is a number", "NaN");
    }
    return value;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
