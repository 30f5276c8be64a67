/// @file
/// Which units of a network go together: labels that flow through its layers.
///
/// Every position of axis 1 of every tensor carries a label. A layer that mixes its inputs makes new
/// labels, one that lets units pass hands them on (flatten: one label for a block of features), a sum
/// unites those of its branches, a concatenation joins their lists. What blocks, and the network's
/// ends, pins labels. A class of united labels that is not pinned is a unit: its rows in the layers
/// that make it, its columns in those that take it and its parameters in between go at once.
///
/// A container takes part through `walk_units(walk, in)`: it calls `walk(child, units)` for the
/// children in the order of the data, `walk.sum(a, b)` where tensors are added and `walk.join(a, b)`
/// where they lie side by side along axis 1, and returns the units of its output.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/nn/layer_identity.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/storage.hpp>
#include <structopt/prune/kept_units.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

namespace detail
{

struct named_layer
{
    nn::layer_identity key;
    std::string name;
};

/// All layers of a network, containers too, with their names.
template <class L>
void list_layers(const L& layer, const nn::parameter_name* path, std::vector<named_layer>& list)
{
    list.push_back({nn::layer_identity::of(layer), path != nullptr ? path->text() : std::string()});
    if constexpr (nn::has_children<const L>)
    {
        L::children(layer,
            [&](std::string_view part, const auto& child)
            {
                const nn::parameter_name name(part, path);
                detail::list_layers(child, &name, list);
            });
    }
}

/// Sets of labels that were united.
class label_sets
{
public:
    /// n new labels, one after the other; returns them.
    std::vector<index_t> make(index_t n)
    {
        std::vector<index_t> labels;
        for (index_t i = 0; i < n; ++i)
        {
            labels.push_back(static_cast<index_t>(m_parent.size()));
            m_parent.push_back(labels.back());
        }
        return labels;
    }

    index_t root(index_t label) noexcept
    {
        while (at(label) != label)
        {
            at(label) = at(at(label));
            label = at(label);
        }
        return label;
    }

    void unite(index_t a, index_t b) noexcept
    {
        a = root(a);
        b = root(b);
        at(std::max(a, b)) = std::min(a, b);
    }

    std::size_t size() const noexcept
    {
        return m_parent.size();
    }

private:
    index_t& at(index_t label) noexcept
    {
        return m_parent[static_cast<std::size_t>(label)];
    }

    std::vector<index_t> m_parent;
};

/// What the walk found out about one layer. `in` and `out` name the unit of every position of axis 1;
/// -1 where it stays for good.
struct unit_record
{
    nn::layer_identity key;
    std::string name;
    nn::coupling coupling = nn::coupling::blocks;
    /// Whether its rows are units: it mixes, and has a weight.
    bool producer = false;
    /// Whether the network uses it more than once.
    bool shared = false;
    index_t groups = 1;
    std::vector<index_t> in;
    std::vector<index_t> out;
};

/// Units that belong to one tensor: first .. first + units - 1.
struct unit_range
{
    std::string name;
    index_t first = 0;
    index_t units = 0;
};

/// The units of a network.
struct unit_graph
{
    std::vector<unit_record> records;
    std::vector<unit_range> ranges;
    /// Positions of the network's input.
    std::vector<index_t> input;
    index_t units = 0;
    /// Units below this number are the input's: what is removed of them is columns alone.
    index_t input_units = 0;

    const unit_record* find(const nn::layer_identity& key) const noexcept
    {
        for (const unit_record& record : records)
        {
            if (record.key == key)
            {
                return &record;
            }
        }
        return nullptr;
    }
};

/// Which units go.
struct unit_removal
{
    std::vector<std::uint8_t> gone;
    removed_unit becomes = removed_unit::zero;

    bool removes(index_t unit) const noexcept
    {
        return unit >= 0 && gone[static_cast<std::size_t>(unit)] != 0;
    }

    bool removes_any(const std::vector<index_t>& units) const noexcept
    {
        return std::any_of(units.begin(), units.end(),
            [this](index_t unit)
            {
                return removes(unit);
            });
    }

    /// The positions that stay.
    std::vector<index_t> kept(const std::vector<index_t>& units) const
    {
        std::vector<index_t> positions;
        for (std::size_t i = 0; i < units.size(); ++i)
        {
            if (!removes(units[i]))
            {
                positions.push_back(static_cast<index_t>(i));
            }
        }
        return positions;
    }
};

/// Whether a layer's weight is a matrix in memory whose rows are its outputs.
template <class L>
concept row_weighted = nn::selectable<L> && requires(const L& layer)
{
    nn::storage_traits<std::remove_cvref_t<decltype(layer.weight)>>::matrix(layer.weight);
};

/// Whether a layer has parameters of its own for every unit that passes.
template <class L>
concept unit_owner = nn::has_parameters<L> &&
    requires(const L& layer, std::span<const index_t> indices)
{
    layer.select_units(indices);
};

/// Sets what a layer keeps for the units that go to zero (statistics excepted).
template <class L>
void clear_units(L& layer, const unit_record& record, const unit_removal& removal)
{
    L::parameters(layer,
        [&](std::string_view, auto& parameter, nn::role kind)
        {
            if constexpr (requires { shape_of(parameter)[0]; })
            {
                if (kind == nn::role::statistic || parameter.size() == 0)
                {
                    return;
                }
                const index_t n = shape_of(parameter)[0];
                const auto matches = [n](const std::vector<index_t>& units)
                {
                    return n == static_cast<index_t>(units.size());
                };
                if (!matches(record.in) && !matches(record.out))
                {
                    return;
                }
                const auto& units = matches(record.in) ? record.in : record.out;
                const index_t block = static_cast<index_t>(parameter.size()) / n;
                for (index_t i = 0; i < n; ++i)
                {
                    if (removal.removes(units[static_cast<std::size_t>(i)]))
                    {
                        std::fill_n(parameter.data() + i * block, block, 0);
                    }
                }
            }
        });
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
