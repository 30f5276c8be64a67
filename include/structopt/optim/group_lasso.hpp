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
        const std::vector<double> norms = detail::group_norms(w, group);
        const double factor = strength * detail::group_weight(w, norms.size(), scale_by_size);
        double sum = 0;
        std::vector<T> slopes;
        for (const double norm : norms)
        {
            sum += norm;
            slopes.push_back(static_cast<T>(norm > 0 ? factor / norm : 0.0));
        }
        if (!gradient.empty())
        {
            T* const into = gradient.data();
            const T* const values = w.values.data();
            detail::with_factors(w, group, slopes,
                [=](index_t at, T slope)
                {
                    into[at] += slope * values[at];
                });
        }
        return factor * sum;
    }

    friend bool operator==(const group_lasso&, const group_lasso&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
