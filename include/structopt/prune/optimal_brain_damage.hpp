/// @file
/// Optimal brain damage: the second-order change of the loss when a weight becomes zero.
#pragma once

#include <structopt/prune/evidence.hpp>

#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is its saliency h w^2 / 2, with Fisher's diagonal for h: the mean over the samples
/// of the squared gradient of each sample's loss. A unit's is the sum over its row.
///
/// LeCun, Denker and Solla, "Optimal Brain Damage", 1990: for a network that is trained to
/// a minimum, with a diagonal Hessian. They compute its diagonal by a second backward pass; here it
/// is the empirical Fisher information, which equals it in expectation where the network's
/// probabilities are those of the data (a likelihood as loss), and is never negative. Theis et al.,
/// "Faster gaze prediction with dense networks and Fisher pruning", 2018, derive the same score.
struct optimal_brain_damage
{
    static constexpr evidence needs = evidence::squared_gradient;

    template <class T>
    void score(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* const w = on.weight.data();
        const T* const h = on.squared_gradient.data();
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = saliency(h[i], w[i]);
        }
    }

    template <class T>
    void score_units(const layer_evidence<T>& on, std::span<double> scores) const
    {
        const T* w = on.weight.data();
        const T* h = on.squared_gradient.data();
        for (double& score : scores)
        {
            score = 0;
            for (index_t c = 0; c < on.weight.shape(1); ++c)
            {
                score += saliency(*h++, *w++);
            }
        }
    }

    friend bool operator==(const optimal_brain_damage&, const optimal_brain_damage&) = default;

private:
    template <class T>
    static double saliency(T curvature, T weight) noexcept
    {
        const auto w = static_cast<double>(weight);
        return static_cast<double>(curvature) * w * w / 2;
    }
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
