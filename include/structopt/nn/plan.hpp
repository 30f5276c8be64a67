/// @file
/// `plan`: every weight of a network in the format that is fastest, or smallest, on this machine.
///
/// nn/plan/ has the parts: what is known of a matrix (`pattern_of`), measured times (`plan_table`,
/// `measure_plan`) and the choice (`choose_format`, `plan_matrix`), which need no network.
#pragma once

#include <structopt/nn/chain.hpp>
#include <structopt/nn/plan/built_in_plan_table.hpp>
#include <structopt/nn/plan/choose_format.hpp>
#include <structopt/nn/plan/instruction_set.hpp>
#include <structopt/nn/plan/measure_plan.hpp>
#include <structopt/nn/plan/plan_table.hpp>
#include <structopt/nn/plan/planned_weight.hpp>
#include <structopt/nn/plan/weight_format.hpp>
#include <structopt/nn/plan/weight_pattern.hpp>
#include <structopt/nn/transform.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// What was chosen for one layer.
struct planned_layer
{
    std::string name; ///< "0.2": its place in the network
    std::string type; ///< "dense"
    plan_choice choice;

    friend bool operator==(const planned_layer&, const planned_layer&) = default;
};

/// A network whose weights are `planned_weight`s, and why they are in the formats that they are in.
template <class Network>
struct planned
{
    Network network;
    std::vector<planned_layer> layers;
};

/// Chooses the format of every weight for batches of shape `in`, as `plan_matrix` does, and returns
/// the network with its weights in these formats beside the choices.
///
/// A convolution is planned for the images that it gets in `in` and their positions; convolutions in
/// groups stay dense. Layers of a container other than `sequential` are planned for the container's
/// input. The network computes the same up to the order of summation (formats do not multiply what is
/// zero: an infinite or NaN input reaches only the outputs that have a weight there), does not train,
/// and is saved with the formats that were chosen. `unpack` gives the canonical weights back.
///
/// Throws as `choose_format`, and `shape_error` if the network does not take `in`. Weights that are
/// quantized are refused at compile time.
template <class L, std::size_t N>
auto plan(const L& network, const shape<N>& in, const plan_options& options = {},
    const plan_table& table = built_in_plan_table());

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// What a plan carries through a network.
struct plan_walk
{
    const plan_options& options;
    const plan_table& table;
    std::vector<planned_layer>& layers;
};

template <class L, std::size_t N>
auto plan_layer(const L& layer, const parameter_name* path, const shape<N>& in, plan_walk& walk);

/// The layers of a chain from I on, behind those that are done.
template <std::size_t I, class L, std::size_t N, class... Done>
auto plan_chain(
    const L& chain, const parameter_name* path, const shape<N>& in, plan_walk& walk, Done&&... done)
{
    if constexpr (I == std::tuple_size_v<decltype(chain.layers)>)
    {
        return sequential<std::remove_cvref_t<Done>...>(std::move(done)...);
    }
    else
    {
        const auto& layer = std::get<I>(chain.layers);
        const parameter_name name(index_text<I>::value, path);
        const auto out = nn::output_shape(layer, in);
        return plan_chain<I + 1>(
            chain, path, out, walk, std::move(done)..., plan_layer(layer, &name, in, walk));
    }
}

/// How a weight is used by a layer that gets a batch of shape `in`.
template <class L, std::size_t N>
weight_use use_of(const L& layer, const shape<N>& in)
{
    if constexpr (N == 4)
    {
        const auto out = nn::output_shape(layer, in);
        bool pointwise = false;
        if constexpr (requires {
                          layer.options().dilation;
                          layer.options().padding;
                      })
        {
            pointwise = detail::window_of(layer.options(), in, out).trivial();
        }
        return {
            pointwise ? layer_kind::pointwise : layer_kind::convolution, out[2] * out[3], in[0]};
    }
    else
    {
        const index_t columns = in[N - 1];
        return {layer_kind::dense, columns > 0 ? count(in) / columns : in[0], 1};
    }
}

template <class L>
index_t groups_of(const L& layer)
{
    if constexpr (requires { layer.options().groups; })
    {
        return layer.options().groups;
    }
    else
    {
        return 1;
    }
}

template <class L, std::size_t N>
auto plan_weight(const L& layer, const shape<N>& in, const plan_walk& walk)
{
    using storage = std::remove_cvref_t<decltype(layer.weight)>;
    using traits = storage_traits<storage>;
    using T = typename traits::value_type;
    const weight_use use = use_of(layer, in);
    const auto chosen = [&](view<const T, 2> w)
    {
        if (groups_of(layer) > 1)
        {
            check_plan(use, walk.options);
            const weight_format format =
                walk.options.goal == objective::bytes ? weight_format::dense : fastest_dense;
            planned_matrix<T> plain{nn::pack_as(format, w), {}};
            plain.choice.format = format;
            plain.choice.bytes = storage_traits<planned_weight<T>>::bytes(plain.weight);
            plain.choice.candidates = {{format, 0, plain.choice.bytes}};
            plain.choice.reason =
                std::string(name_of(format)) +
                ": sparse formats do not take the groups of a convolution, of which "
                "there are " +
                std::to_string(groups_of(layer));
            return plain;
        }
        return nn::plan_matrix<T>(w, use, walk.options, walk.table);
    };
    if constexpr (requires { traits::matrix(layer.weight); })
    {
        return chosen(traits::matrix(layer.weight));
    }
    else
    {
        const tensor<T, 2> w = traits::unpack(layer.weight);
        return chosen(as_view(w));
    }
}

template <class L, std::size_t N>
auto plan_layer(const L& layer, const parameter_name* path, const shape<N>& in, plan_walk& walk)
{
    if constexpr (is_sequential<L>)
    {
        return plan_chain<0>(layer, path, in, walk);
    }
    else if constexpr (transformable<L>)
    {
        std::vector<std::string> names;
        if constexpr (has_children<const L>)
        {
            L::children(layer,
                [&](std::string_view name, const auto&)
                {
                    names.emplace_back(name);
                });
        }
        std::size_t number = 0;
        return layer.transform(
            [&](const auto& child)
            {
                const std::string_view part =
                    number < names.size() ? std::string_view(names[number]) : "layer";
                ++number;
                const parameter_name name(part, path);
                return plan_layer(child, &name, in, walk);
            });
    }
    else if constexpr (weighted<L>)
    {
        auto found = plan_weight(layer, in, walk);
        walk.layers.push_back({path != nullptr ? path->text() : std::string(),
            std::string(layer_traits<L>::name()), std::move(found.choice)});
        return layer.with_weight(std::move(found.weight));
    }
    else
    {
        return layer;
    }
}

} // namespace detail

template <class L, std::size_t N>
auto plan(
    const L& network, const shape<N>& in, const plan_options& options, const plan_table& table)
{
    if constexpr (detail::check_conversion<L>())
    {
        nn::output_shape(network, in);
        std::vector<planned_layer> layers;
        detail::plan_walk walk{options, table, layers};
        auto changed = detail::plan_layer(network, nullptr, in, walk);
        return planned<decltype(changed)>{std::move(changed), std::move(layers)};
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
