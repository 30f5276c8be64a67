// A teacher's logits beside the classes: how the networks of the structured experiments are fine-tuned.
#pragma once

#include <structopt/core.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace prune_results
{

using namespace structopt;

/// (1 - share) CE(y, class) + share T^2 CE(softmax(y / T), softmax(teacher / T)), mean over samples
/// (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2).
/// A row of the target has the share of every class, then the teacher's logits.
struct distilled
{
    double temperature = 3;
    double share = 0.7;

    double operator()(
        view<const float, 2> y, view<const float, 2> target, view<float, 2> dy = {}) const
    {
        const index_t n = y.shape(0);
        const index_t classes = y.shape(1);
        double sum = 0;
        for (index_t i = 0; i < n; ++i)
        {
            const float* const logits = y.data() + i * classes;
            const float* const wanted = target.data() + i * 2 * classes;
            const float* const teacher = wanted + classes;
            const double log_sum = log_sum_exp(logits, classes, 1);
            const double soft_sum = log_sum_exp(logits, classes, temperature);
            const double teacher_sum = log_sum_exp(teacher, classes, temperature);
            for (index_t c = 0; c < classes; ++c)
            {
                const double logit = static_cast<double>(logits[c]);
                const double hard = static_cast<double>(wanted[c]);
                const double soft =
                    std::exp(static_cast<double>(teacher[c]) / temperature - teacher_sum);
                sum += (1 - share) * hard * (log_sum - logit) +
                       share * temperature * temperature * soft * (soft_sum - logit / temperature);
                if (!dy.empty())
                {
                    const double slope =
                        (1 - share) * (std::exp(logit - log_sum) - hard) +
                        share * temperature * (std::exp(logit / temperature - soft_sum) - soft);
                    dy.data()[i * classes + c] = static_cast<float>(slope / static_cast<double>(n));
                }
            }
        }
        return sum / static_cast<double>(n);
    }

private:
    static double log_sum_exp(const float* logits, index_t n, double temperature)
    {
        const double top = static_cast<double>(*std::max_element(logits, logits + n)) / temperature;
        double sum = 0;
        for (index_t c = 0; c < n; ++c)
        {
            sum += std::exp(static_cast<double>(logits[c]) / temperature - top);
        }
        return top + std::log(sum);
    }
};

/// Targets of `distilled` for a batch.
inline void write_targets(std::span<const std::int32_t> labels, std::span<const index_t> rows,
    const tensor<float, 2>& teacher, tensor<float, 2>& target)
{
    const index_t n = shape_of(teacher)[0];
    const index_t classes = shape_of(teacher)[1];
    resize(target, shape<2>{n, 2 * classes});
    for (index_t i = 0; i < n; ++i)
    {
        float* const row = target.data() + i * 2 * classes;
        std::fill_n(row, classes, 0.0f);
        row[labels[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])]] = 1.0f;
        std::copy_n(teacher.data() + i * classes, classes, row + classes);
    }
}

/// Of all units of a list, the `n` of the highest scores.
inline void keep_best(std::vector<index_t>& units, const std::vector<double>& scores, index_t n)
{
    std::stable_sort(units.begin(), units.end(),
        [&](index_t a, index_t b)
        {
            return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
        });
    units.resize(static_cast<std::size_t>(n));
    std::sort(units.begin(), units.end());
}

} // namespace prune_results
