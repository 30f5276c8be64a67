/// @file
/// Taylor expansion of first order, squared: of weights and of whole units.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is (g w)^2, a unit's (sum g w)^2 over its row: the squared change of the loss, to
/// first order, when they become zero. g is the mean gradient of the loss.
///
/// Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019. The
/// contributions of a unit's weights may cancel, which a mean over them would not see.
struct taylor
{
    static constexpr evidence needs = evidence::gradient;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* const w = on.weight.data();
        const T* const g = on.gradient.data();
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            const double change = static_cast<double>(g[i]) * static_cast<double>(w[i]);
            scores[i] = change * change;
        }
    }

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* w = on.weight.data();
        const T* g = on.gradient.data();
        for (double& score : scores)
        {
            double change = 0;
            for (index_t c = 0; c < on.weight.shape(1); ++c)
            {
                change += static_cast<double>(*g++) * static_cast<double>(*w++);
            }
            score = change * change;
        }
    }

    friend bool operator==(const taylor&, const taylor&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
