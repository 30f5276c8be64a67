/// @file
/// The max-norm constraint.
#pragma once

#include <structopt/optim/constraint.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace optim
{

/// Scales every group of weights whose Euclidean norm is above `max` back to it (Srebro and
/// Shraibman, 2005; for networks Srivastava et al., "Dropout", 2014, section 5.1: the weights into
/// one unit).
struct max_norm
{
    double max = 3.0;
    optim::group group = optim::group::rows;

    /// @throws argument_error
    void validate() const
    {
        detail::option_check{"optim::max_norm"}.not_negative("max", max);
    }

    template <class T>
    void apply(const parameter_block<T>& w, double) const
    {
        if (!detail::has_groups(w, group))
        {
            return;
        }
        std::vector<T> factors;
        for (const double norm : detail::group_norms(w, group))
        {
            factors.push_back(norm > max ? static_cast<T>(max / norm) : T(1));
        }
        detail::scale_groups(w, group, factors);
    }

    friend bool operator==(const max_norm&, const max_norm&) = default;
};

} // namespace optim
STRUCTOPT_END_NAMESPACE
