/// @file
/// Cross-entropy from logits: the loss of classification.
#pragma once

#include <structopt/nn/loss/concepts.hpp>

#include <cmath>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// -sum_c q_c log softmax(y)_c per sample, from logits `y` [batch, classes].
///
/// The target q is one class per sample (labels) or a row of shares (soft targets [batch,
/// classes]); smoothing s replaces it by (1 - s) q + s / classes (Szegedy et al., "Rethinking the
/// Inception Architecture", 2016, section 7). The gradient is softmax(y) sum(q) - q. Logits of any
/// size: the largest of a row is subtracted first. PyTorch's `cross_entropy`.
struct cross_entropy
{
    /// From 0 to 1.
    double label_smoothing = 0.0;
    nn::reduction reduction = nn::reduction::mean;

    /// @throws shape_error, or argument_error for a label that is no class (names the row) and a
    /// smoothing outside [0, 1]; nothing is written then.
    template <class T>
    double operator()(view<const T, 2> y, std::span<const std::int32_t> labels,
        std::type_identity_t<view<T, 2>> dy = {}) const
    {
        detail::check_loss("cross_entropy", y, dy);
        detail::check_labels("cross_entropy", y.shape(), labels);
        check_options();
        const double share = label_smoothing / static_cast<double>(y.shape(1));
        return rows(
            y, dy,
            [&](index_t row, const T*, double log_sum, double logit_sum, T* gradient, T factor)
            {
                const index_t label = labels[static_cast<std::size_t>(row)];
                const double logit = static_cast<double>(y.data()[row * y.shape(1) + label]);
                double value = (1.0 - label_smoothing) * (log_sum - logit);
                if (label_smoothing > 0)
                {
                    value += share * (static_cast<double>(y.shape(1)) * log_sum - logit_sum);
                }
                if (gradient != nullptr)
                {
                    const T each = factor * static_cast<T>(share);
                    for (index_t c = 0; share > 0 && c < y.shape(1); ++c)
                    {
                        gradient[c] -= each;
                    }
                    gradient[label] -= factor * static_cast<T>(1.0 - label_smoothing);
                }
                return value;
            },
            [](const T*)
            {
                return 1.0;
            });
    }

    /// The same against soft targets of the shape of `y`.
    template <class T>
    double operator()(view<const T, 2> y, std::type_identity_t<view<const T, 2>> targets,
        std::type_identity_t<view<T, 2>> dy = {}) const
    {
        detail::check_loss("cross_entropy", y, dy);
        detail::check_target("cross_entropy", y, targets);
        check_options();
        const index_t classes = y.shape(1);
        const double share = label_smoothing / static_cast<double>(classes);
        const auto smooth = [&](T target)
        {
            return (1.0 - label_smoothing) * static_cast<double>(target) + share;
        };
        const auto row_of = [&](const T* logits)
        {
            return targets.data() + (logits - y.data());
        };
        return rows(
            y, dy,
            [&](index_t, const T* logits, double log_sum, double, T* gradient, T factor)
            {
                const T* const target = row_of(logits);
                double value = 0;
                for (index_t c = 0; c < classes; ++c)
                {
                    const double q = smooth(target[c]);
                    value += q == 0 ? 0.0 : q * (log_sum - static_cast<double>(logits[c]));
                    if (gradient != nullptr)
                    {
                        gradient[c] -= factor * static_cast<T>(q);
                    }
                }
                return value;
            },
            [&](const T* logits)
            {
                const T* const target = row_of(logits);
                double sum = 0;
                for (index_t c = 0; c < classes; ++c)
                {
                    sum += smooth(target[c]);
                }
                return sum;
            });
    }

    friend bool operator==(const cross_entropy&, const cross_entropy&) = default;

private:
    void check_options() const
    {
        if (!(label_smoothing >= 0 && label_smoothing <= 1))
        {
            structopt::detail::raise<argument_error>("cross_entropy label_smoothing",
                "a number from 0 to 1", std::to_string(label_smoothing));
        }
    }

    /// Calls `finish` for every row with log(sum(exp(logits))) and the gradient factor * mass *
    /// softmax, from which it subtracts the target; `mass` is the sum of a row's target.
    template <class T, class Finish, class Mass>
    double rows(view<const T, 2> y, view<T, 2> dy, const Finish& finish, const Mass& mass) const
    {
        const index_t classes = y.shape(1);
        const double scale = detail::loss_scale(reduction, y.shape(0), y.shape(0));
        double total = 0;
        for (index_t row = 0; row < y.shape(0); ++row)
        {
            const T* const logits = y.data() + row * classes;
            T* const gradient = dy.data() == nullptr ? nullptr : dy.data() + row * classes;
            T largest = logits[0];
            double logit_sum = 0;
            for (index_t c = 0; c < classes; ++c)
            {
                largest = logits[c] > largest ? logits[c] : largest;
                logit_sum += static_cast<double>(logits[c]);
            }
            double sum = 0;
            for (index_t c = 0; c < classes; ++c)
            {
                const T e = std::exp(logits[c] - largest);
                sum += static_cast<double>(e);
                if (gradient != nullptr)
                {
                    gradient[c] = e;
                }
            }
            if (gradient != nullptr)
            {
                const T factor = static_cast<T>(scale * mass(logits) / sum);
                for (index_t c = 0; c < classes; ++c)
                {
                    gradient[c] *= factor;
                }
            }
            const double log_sum = std::log(sum) + static_cast<double>(largest);
            total += finish(row, logits, log_sum, logit_sum, gradient, static_cast<T>(scale));
        }
        return total * scale;
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
