/// @file
/// Binary cross-entropy from logits: independent yes-or-no questions.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

#include <cmath>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// -(w t log sigmoid(y) + (1 - t) log(1 - sigmoid(y))) per element, for tensors of any rank.
///
/// Targets t are 0, 1 or between. `pos_weight` holds one weight w of the positive answer per
/// position of the last axis, or one for all, or none (1). Logits of any size. PyTorch's
/// `binary_cross_entropy_with_logits`.
struct bce_with_logits
{
    std::vector<double> pos_weight = {};
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error where extents differ, a view has gaps, or the weights are of another
    /// number.
    template <class T, std::size_t N>
    double operator()(view<const T, N> y, std::type_identity_t<view<const T, N>> target,
        std::type_identity_t<view<T, N>> dy = {}) const
    {
        const index_t last = y.shape(N - 1);
        const auto weights = static_cast<index_t>(pos_weight.size());
        if (weights > 1 && weights != last)
        {
            structopt::detail::raise<shape_error>("bce_with_logits pos_weight",
                "none, 1 or " + std::to_string(last) + " weights", std::to_string(weights));
        }
        return detail::elementwise_loss("bce_with_logits", reduction, y, target, dy,
            [&](T x, T t, index_t i)
            {
                const T weight =
                    weights == 0
                        ? T(1)
                        : static_cast<T>(
                              pos_weight[static_cast<std::size_t>(weights == 1 ? 0 : i % last)]);
                const T e = std::exp(x < 0 ? x : -x);
                const T positive = T(1) + (weight - T(1)) * t;
                // -log sigmoid(x), and sigmoid(-x), each without overflow.
                const T cost = std::log1p(e) + (x < 0 ? -x : T(0));
                const T rest = (x < 0 ? T(1) : e) / (T(1) + e);
                return detail::loss_term<T>{
                    (T(1) - t) * x + positive * cost, (T(1) - t) - positive * rest};
            });
    }

    friend bool operator==(const bce_with_logits&, const bce_with_logits&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
