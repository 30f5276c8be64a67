/// @file
/// Mean absolute error.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// |y - target| per element, for tensors of any rank; the subgradient at 0 is 0. PyTorch's
/// `l1_loss`.
struct mae
{
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error where extents differ or a view has gaps.
    template <class T, std::size_t N>
    double operator()(view<const T, N> y, std::type_identity_t<view<const T, N>> target,
        std::type_identity_t<view<T, N>> dy = {}) const
    {
        return detail::elementwise_loss("mae", reduction, y, target, dy,
            [](T output, T wanted, index_t)
            {
                const T d = output - wanted;
                const T sign = static_cast<T>((d > 0) - (d < 0));
                return detail::loss_term<T>{d < 0 ? -d : d, sign};
            });
    }

    friend bool operator==(const mae&, const mae&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
