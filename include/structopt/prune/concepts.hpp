/// @file
/// What a pruning criterion is: scores, of which the lowest go first.
#pragma once

#include <structopt/core/view.hpp>
#include <structopt/nn/every_weight.hpp>

#include <span>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Scores every weight of a matrix [outputs, inputs] (of a convolution: [outputs, inputs x kernel]).
///
/// `score(w, scores)` writes one finite number per weight, row by row; weights with the lowest
/// scores are pruned first. A criterion of one's own is one struct with this member.
template <class C>
concept weight_criterion = requires(const C& c, view<const float, 2> w, std::span<float> scores)
{
    c.score(w, scores);
};

/// Scores whole units: `score_units(w, scores)` writes one finite number per row of the matrix.
template <class C>
concept unit_criterion = requires(const C& c, view<const float, 2> w, std::span<float> scores)
{
    c.score_units(w, scores);
};

/// Where scores are compared.
enum class scope
{
    per_layer, ///< every layer loses the same share
    global     ///< the lowest scores of the whole network go
};

namespace detail
{

template <class L>
constexpr bool owns_numbers() noexcept;

template <template <class...> class Container, class... Layers>
constexpr bool any_owns_numbers(std::type_identity<Container<Layers...>>) noexcept
{
    return (owns_numbers<Layers>() || ...);
}

/// What a container of another kind holds is not known.
constexpr bool any_owns_numbers(...) noexcept
{
    return true;
}

/// Whether a layer has parameters, or layers that may have some.
template <class L>
constexpr bool owns_numbers() noexcept
{
    if constexpr (nn::has_children<L>)
    {
        return detail::any_owns_numbers(std::type_identity<L>{});
    }
    else
    {
        return nn::has_parameters<L>;
    }
}

/// Whether a network says what its numbers are, or has none. A container has the element type of its
/// first layer with one.
template <class Network>
inline constexpr bool has_value_type =
    !std::is_void_v<nn::value_type<Network>> || !owns_numbers<std::remove_cv_t<Network>>();

/// Whether the weights of a network are numbers that can become zero; says why not.
template <class Network>
constexpr bool check_prunable() noexcept
{
    constexpr bool prunable = nn::every_weight<Network, nn::is_trainable>;
    static_assert(prunable, "packed and quantized weights are not pruned: prune before nn::pack or "
                            "quantize::convert, or go on from nn::unpack(net)");
    static_assert(has_value_type<Network>, "a network without value_type has nothing to prune: add "
                                           "'using value_type = float;' to the layer "
                                           "or container that owns the weights");
    return has_value_type<Network> && prunable;
}

/// Whether a weight is a matrix in memory, of which rows and columns can be taken, as an answer for
/// `every_weight`.
template <class S>
    struct has_units : std::bool_constant < requires(const S& s)
{
    nn::storage_traits<S>::matrix(s);
} > {};

/// Whether units can be removed from a network; says why not.
template <class Network>
constexpr bool check_removable() noexcept
{
    constexpr bool removable = nn::every_weight<Network, has_units>;
    static_assert(removable, "units are removed from dense weights: prune::compact before "
                             "nn::convert, nn::pack or "
                             "quantize::convert, or go on from nn::unpack(net)");
    static_assert(has_value_type<Network>, "a network without value_type has nothing to prune: add "
                                           "'using value_type = float;' to the layer "
                                           "or container that owns the weights");
    return has_value_type<Network> && removable;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
