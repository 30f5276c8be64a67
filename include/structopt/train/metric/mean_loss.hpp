/// @file
/// Any loss as a metric.
#pragma once

#include <structopt/nn/loss/concepts.hpp>
#include <structopt/train/metric/concepts.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace train
{

/// The mean of a loss over batches, weighted by their samples: with a loss that averages over
/// samples, the mean over all samples.
template <class Loss>
struct mean_loss
{
    static constexpr std::string_view name = "loss";

    Loss loss;
    double sum = 0.0;
    index_t samples = 0;

    void reset() noexcept
    {
        sum = 0.0;
        samples = 0;
    }

    /// Throws what the loss throws.
    template <class T, std::size_t N, class Target>
    void accumulate(view<const T, N> y, const Target& target)
    {
        sum += static_cast<double>(y.shape(0)) * nn::loss_value(loss, y, target);
        samples += y.shape(0);
    }

    double value() const noexcept
    {
        return samples == 0 ? 0.0 : sum / static_cast<double>(samples);
    }
};

} // namespace train
STRUCTOPT_END_NAMESPACE
