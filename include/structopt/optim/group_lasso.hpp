/// @file
/// The group lasso: a penalty that empties whole rows, columns or filters.
#pragma once

#include <structopt/optim/regularizer.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// strength sum_g sqrt(|g|) ||w_g||_2 over the groups g of each weight (Yuan and Lin, "Model
/// selection and estimation in regression with grouped variables", 2006, equation 3; for networks
/// Wen et al., "Learning Structured Sparsity in Deep Neural Networks", 2016).
///
/// The gradient strength sqrt(|g|) w / ||w_g|| is 0 for a group of zeros. Biases, and formats
/// without rows and columns, are left alone.
struct group_lasso
{
    double strength = 1e-4;
    optim::group group = optim::group::rows;
    /// Whether a group counts with the root of its size.
    bool scale_by_size = true;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::group_lasso"}.not_negative("strength", strength);
    }

    template <class T>
    double add(const parameter_block<const T>& w, std::span<T> gradient) const
    {
        if (!detail::has_groups(w, group))
        {
            return 0.0;
        }
        std::vector<double> norms = detail::group_norms(w, group);
        const double size = static_cast<double>(w.values.size()) /
                            static_cast<double>(norms.empty() ? 1 : norms.size());
        const double factor = strength * (scale_by_size ? std::sqrt(size) : 1.0);
        double sum = 0;
        for (double& norm : norms)
        {
            sum += norm;
            norm = norm > 0 ? factor / norm : 0.0;
        }
        if (!gradient.empty())
        {
            detail::for_each_run(w, group,
                [&](index_t g, index_t first, index_t last)
                {
                    const T scale = static_cast<T>(norms[static_cast<std::size_t>(g)]);
                    for (index_t i = first; i < last; ++i)
                    {
                        const auto at = static_cast<std::size_t>(i);
                        gradient[at] += scale * w.values[at];
                    }
                });
        }
        return factor * sum;
    }

    friend bool operator==(const group_lasso&, const group_lasso&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
