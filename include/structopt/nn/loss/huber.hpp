/// @file
/// The Huber loss: squared near zero, absolute far from it.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = y - target, for tensors of
/// any rank (Huber, "Robust Estimation of a Location Parameter", 1964). PyTorch's `huber_loss`.
struct huber
{
    /// Above 0.
    double delta = 1.0;
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error where extents differ or a view has gaps, argument_error for delta <= 0.
    template <class T, std::size_t N>
    double operator()(view<const T, N> y, std::type_identity_t<view<const T, N>> target,
        std::type_identity_t<view<T, N>> dy = {}) const
    {
        if (!(delta > 0))
        {
            structopt::detail::raise<argument_error>(
                "huber delta", "a number above 0", std::to_string(delta));
        }
        const T bound = static_cast<T>(delta);
        return detail::elementwise_loss("huber", reduction, y, target, dy,
            [bound](T output, T wanted, index_t)
            {
                const T d = output - wanted;
                const T size = d < 0 ? -d : d;
                // A NaN takes the first way and stays one.
                return !(size > bound) ? detail::loss_term<T>{d * d / 2, d}
                                       : detail::loss_term<T>{
                                             bound * (size - bound / 2), d < 0 ? -bound : bound};
            });
    }

    friend bool operator==(const huber&, const huber&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
