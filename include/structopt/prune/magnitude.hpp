/// @file
/// Magnitude: small weights, and units of small norm, go first.
#pragma once

#include <structopt/prune/concepts.hpp>
#include <structopt/prune/norm.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// A weight's score is |w|; a unit's is the norm of its row, (sum |w|^p / n)^(1/p).
///
/// Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015; for
/// units Li et al., "Pruning Filters for Efficient ConvNets", 2017 (p = 1). The mean over the n
/// weights of a row, in place of the sum, makes layers of different width comparable; within one
/// layer the order is that of the norm.
struct magnitude
{
    /// The p of a unit's norm, above 0; infinity: the largest.
    double norm = 2;

    /// A mask of single weights reads them off the weights.
    static constexpr bool scores_are_sizes = true;

    template <std::floating_point T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        const auto values = w.flat();
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            scores[i] = std::abs(values[i]);
        }
    }

    /// Throws `argument_error` for a norm that is not above 0.
    template <std::floating_point T>
    void score_units(view<const T, 2> w, std::span<T> scores) const
    {
        detail::check_norm("magnitude norm", norm);
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            scores[static_cast<std::size_t>(r)] =
                static_cast<T>(detail::mean_norm(w[r].flat(), norm));
        }
    }

    friend bool operator==(const magnitude&, const magnitude&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
