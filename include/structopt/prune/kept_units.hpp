/// @file
/// Which units of a network stay, by layer.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/nn/storage.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// What a unit that is removed stands for in the network before.
enum class removed_unit
{
    zero,    ///< nothing: scale and shift of the layers it passes (batch norm) are zero as well
    constant ///< weights and bias of zero: what it passes puts out a constant, the next bias takes it
};

/// The units that stay: of every layer that can lose some, in the order of the data, the ascending
/// numbers of those it keeps.
///
/// Layers whose outputs are added have their units in common: they stand under the first of these
/// layers. Of a convolution in groups, unit j is channel j of every group. A list is named after its
/// layer ("2.branch.0"); that of the input's features, where these are units, is the first one and
/// named "input".
class kept_units
{
public:
    kept_units() = default;

    /// By position, without names: `kept_units{{0, 2}, {1}}`.
    kept_units(std::initializer_list<std::vector<index_t>> each)
        : lists(each)
    {
    }

    std::size_t size() const noexcept
    {
        return lists.size();
    }

    std::vector<index_t>& operator[](std::size_t list) noexcept
    {
        return lists[list];
    }

    const std::vector<index_t>& operator[](std::size_t list) const noexcept
    {
        return lists[list];
    }

    /// The units of a layer. Throws `argument_error` for a layer that has none of its own: one that
    /// must keep its width (the output layer), or shares its units with an earlier one.
    std::vector<index_t>& at(std::string_view layer)
    {
        std::string known;
        for (std::size_t i = 0; i < names.size(); ++i)
        {
            if (names[i] == layer)
            {
                return lists[i];
            }
            known += (i == 0 ? "" : ", ") + names[i];
        }
        structopt::detail::raise<argument_error>(
            "kept units", "a layer that can lose units (" + known + ")", std::string(layer));
    }

    void push_back(std::vector<index_t> list)
    {
        lists.push_back(std::move(list));
    }

    void emplace_back()
    {
        lists.emplace_back();
    }

    std::vector<index_t>& back() noexcept
    {
        return lists.back();
    }

    /// The features (channels) of the input that stay, by position. Throws `argument_error` where they
    /// were no units.
    std::vector<index_t> input_features() const
    {
        if (!inputs || lists.empty())
        {
            structopt::detail::raise<argument_error>(
                "kept units", "features of the input among the units (.inputs = true)", "none");
        }
        if (unit_of_feature.empty())
        {
            return lists.front();
        }
        std::vector<index_t> features;
        for (std::size_t i = 0; i < unit_of_feature.size(); ++i)
        {
            const index_t unit = unit_of_feature[i];
            if (unit < 0 || std::binary_search(lists.front().begin(), lists.front().end(), unit))
            {
                features.push_back(static_cast<index_t>(i));
            }
        }
        return features;
    }

    friend bool operator==(const kept_units& a, const kept_units& b)
    {
        return a.lists == b.lists && a.inputs == b.inputs && a.becomes == b.becomes;
    }

    std::vector<std::vector<index_t>> lists;
    /// The names of the layers; empty where nobody said them. A network with other layers is refused.
    std::vector<std::string> names;
    /// Whether the first list is that of the input's features.
    bool inputs = false;
    /// The unit of every feature of the input (-1: it stays), because a layer with groups ties some;
    /// empty: unit i is feature i.
    std::vector<index_t> unit_of_feature;
    removed_unit becomes = removed_unit::zero;
};

/// A batch with those features (channels) of the input alone that stay: what a network takes that
/// was compacted with `.inputs = true`. Throws `argument_error` where input features were no units.
template <class T, std::size_t N>
tensor<T, N> take_inputs(const tensor<T, N>& batch, const kept_units& kept)
{
    const std::vector<index_t> features = kept.input_features();
    return nn::take_columns(batch, std::span<const index_t>(features));
}

} // namespace prune
STRUCTOPT_END_NAMESPACE
