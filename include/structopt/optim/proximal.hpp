/// @file
/// Proximal steps: L1 and group lasso that reach exact zeros.
#pragma once

#include <structopt/optim/constraint.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Soft thresholding after every step: w = sign(w) max(|w| - rate strength, 0) (Daubechies et al.,
/// 2004; Parikh and Boyd, "Proximal Algorithms", 2014, section 6.5.2).
///
/// Minimises the same as `l1`, but reaches zero, where the subgradient only swings around it. Exact
/// for plain gradient descent; with adaptive optimizers the threshold stays `rate strength`.
struct proximal_l1
{
    double strength = 1e-4;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::proximal_l1"}.not_negative("strength", strength);
    }

    template <class T>
    void apply(const parameter_block<T>& w, double rate) const noexcept
    {
        const T threshold = static_cast<T>(rate * strength);
        for (T& v : w.values)
        {
            v = v > threshold ? v - threshold : v < -threshold ? v + threshold : v - v;
        }
    }

    friend bool operator==(const proximal_l1&, const proximal_l1&) = default;
};

/// Group soft thresholding after every step: w_g *= max(1 - rate strength sqrt(|g|) / ||w_g||, 0)
/// (Yuan and Lin, 2006; Parikh and Boyd, 2014, section 6.5.4). Whole groups become zero.
struct proximal_group_lasso
{
    double strength = 1e-4;
    optim::group group = optim::group::rows;
    bool scale_by_size = true;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::proximal_group_lasso"}.not_negative("strength", strength);
    }

    template <class T>
    void apply(const parameter_block<T>& w, double rate) const
    {
        if (!detail::has_groups(w, group))
        {
            return;
        }
        const std::vector<double> norms = detail::group_norms(w, group);
        const double threshold =
            rate * strength * detail::group_weight(w, norms.size(), scale_by_size);
        std::vector<T> factors;
        for (const double norm : norms)
        {
            factors.push_back(static_cast<T>(norm > threshold ? 1.0 - threshold / norm : 0.0));
        }
        detail::scale_groups(w, group, factors);
    }

    friend bool operator==(const proximal_group_lasso&, const proximal_group_lasso&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
