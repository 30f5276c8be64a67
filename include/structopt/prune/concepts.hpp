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

/// Whether the weights of a network are numbers that can become zero; says why not.
template <class Network>
constexpr bool check_prunable() noexcept
{
    constexpr bool prunable = nn::every_weight<Network, nn::is_trainable>;
    static_assert(prunable, "packed and quantized weights are not pruned: prune before nn::pack or "
                            "quantize::convert, or go on from nn::unpack(net)");
    return prunable;
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
    return removable;
}

} // namespace detail
} // namespace prune
STRUCTOPT_END_NAMESPACE
