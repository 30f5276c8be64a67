/// @file
/// The Kullback-Leibler divergence of predicted from wanted distributions.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// t (log t - y) per element, from log-probabilities `y` and probabilities t, for tensors of any
/// rank; a target of 0 adds nothing. PyTorch's `kl_div`.
///
/// The default reduction divides by the batch, which is the definition; `mean` divides by the
/// number of elements, as PyTorch's default does.
struct kl_divergence
{
    /// Whether the targets are log-probabilities too.
    bool log_target = false;
    nn::reduction reduction = nn::reduction::batch_mean;

    /// @throws shape_error where extents differ or a view has gaps.
    template <class T, std::size_t N>
    double operator()(view<const T, N> y, std::type_identity_t<view<const T, N>> target,
        std::type_identity_t<view<T, N>> dy = {}) const
    {
        return detail::elementwise_loss("kl_divergence", reduction, y, target, dy,
            [this](T output, T wanted, index_t)
            {
                if (log_target)
                {
                    const T p = std::exp(wanted);
                    return detail::loss_term<T>{p == 0 ? T(0) : p * (wanted - output), -p};
                }
                return detail::loss_term<T>{
                    wanted == 0 ? T(0) : wanted * (std::log(wanted) - output), -wanted};
            });
    }

    friend bool operator==(const kl_divergence&, const kl_divergence&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
