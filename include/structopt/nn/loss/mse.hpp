/// @file
/// Mean squared error.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// (y - target)^2 per element, for tensors of any rank. PyTorch's `mse_loss`.
struct mse
{
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error where extents differ or a view has gaps.
    template <class T, std::size_t N>
    double operator()(view<const T, N> y, std::type_identity_t<view<const T, N>> target,
        std::type_identity_t<view<T, N>> dy = {}) const
    {
        return detail::elementwise_loss("mse", reduction, y, target, dy,
            [](T output, T wanted, index_t)
            {
                const T d = output - wanted;
                return detail::loss_term<T>{d * d, T(2) * d};
            });
    }

    friend bool operator==(const mse&, const mse&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
