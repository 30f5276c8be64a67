/// @file
/// Where the units of a layer are seen: behind which activation, through which batch norm.
#pragma once

#include <structopt/calibrate/tap.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/chain.hpp>
#include <structopt/nn/layer.hpp>

#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune::detail
{

/// A layer with a weight, and what its units meet in the `sequential` behind it.
template <class T>
struct unit_flow
{
    const void* weight = nullptr; ///< address of the parameter
    index_t leaf = 0;             ///< the layer, as `calibrate::leaf_layers` counts
    index_t output = 0;           ///< the layer whose output counts as the units' activation
    index_t rows = 0;
    index_t columns = 0;
    index_t groups = 1;
    std::span<const T> scale; ///< batch norm's weight
};

/// Walks the leaves in the order of `calibrate::visit_layers`.
template <class T>
class unit_flow_walk
{
public:
    template <class L>
    void walk(const L& layer)
    {
        if constexpr (nn::is_sequential<L> && calibrate::detail::open_container<L>)
        {
            L::children(layer,
                [&](std::string_view, const auto& child)
                {
                    walk(child);
                });
        }
        else if constexpr (calibrate::detail::open_container<L>)
        {
            m_follows = false;
            L::children(layer,
                [&](std::string_view, const auto& child)
                {
                    walk(child);
                    m_follows = false;
                });
        }
        else
        {
            leaf(layer);
            ++m_index;
        }
    }

    std::vector<unit_flow<T>> found;

private:
    template <class L>
    void leaf(const L& layer)
    {
        if constexpr (nn::weighted<L>)
        {
            using storage = std::remove_cvref_t<decltype(layer.weight)>;
            unit_flow<T> flow;
            flow.weight = &layer.weight;
            flow.leaf = flow.output = m_index;
            flow.rows = nn::storage_traits<storage>::rows(layer.weight);
            flow.columns = nn::storage_traits<storage>::columns(layer.weight);
            flow.groups = nn::layer_traits<L>::unit_groups(layer);
            found.push_back(flow);
            m_follows = true;
            m_activated = false;
        }
        else if (m_follows)
        {
            if constexpr (nn::pointwise<L>)
            {
                found.back().output = m_activated ? found.back().output : m_index;
                m_activated = true;
            }
            else if constexpr (requires(const nn::batch_norm<T>*& norm) { norm = &layer; })
            {
                if (!m_activated)
                {
                    found.back().output = m_index;
                }
                if (found.back().scale.empty())
                {
                    found.back().scale = {layer.weight.data(), layer.weight.size()};
                }
            }
            else
            {
                // What renumbers its units (flatten) ends the run, as does what mixes them.
                constexpr bool renumbers = requires
                {
                    layer.map_units(std::span<const index_t>(), shape<4>());
                };
                m_follows =
                    !renumbers && nn::layer_traits<L>::unit_coupling(layer) == nn::coupling::passes;
            }
        }
    }

    index_t m_index = 0;
    bool m_follows = false;   ///< the units of the last weight are what this layer gets
    bool m_activated = false; ///< and they have been through an activation function
};

template <class Network>
auto unit_flows(const Network& network)
{
    unit_flow_walk<nn::value_type<Network>> flows;
    flows.walk(network);
    return flows.found;
}

} // namespace prune::detail
STRUCTOPT_END_NAMESPACE
