/// @file
/// Negative log-likelihood: cross-entropy for networks that end in log-softmax.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

#include <algorithm>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// -y[label] per sample, from log-probabilities `y` [batch, classes]. PyTorch's `nll_loss`.
struct nll
{
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error, or argument_error for a label that is no class (names the row).
    template <class T>
    double operator()(view<const T, 2> y, std::span<const std::int32_t> labels,
        std::type_identity_t<view<T, 2>> dy = {}) const
    {
        detail::check_loss("nll", y, dy);
        detail::check_labels("nll", y.shape(), labels);
        const double scale = detail::loss_scale(reduction, y.shape(0), y.shape(0));
        if (dy.data() != nullptr)
        {
            std::fill_n(dy.data(), dy.size(), T(0));
        }
        double sum = 0;
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            const index_t at = row * y.shape(1) + labels[static_cast<std::size_t>(row)];
            sum -= static_cast<double>(y.data()[at]);
            if (dy.data() != nullptr)
            {
                dy.data()[at] = static_cast<T>(-scale);
            }
        }
        return sum * scale;
    }

    friend bool operator==(const nll&, const nll&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
