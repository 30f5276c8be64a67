/// @file
/// Magnitude: small weights, and units of small norm, go first.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/prune/concepts.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>

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
    /// The p of a unit's norm: 1 or 2.
    int norm = 2;

    template <std::floating_point T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        const auto values = w.flat();
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            scores[i] = std::abs(values[i]);
        }
    }

    /// Throws `argument_error` for a norm other than 1 and 2.
    template <std::floating_point T>
    void score_units(view<const T, 2> w, std::span<T> scores) const
    {
        if (norm != 1 && norm != 2)
        {
            structopt::detail::raise<argument_error>(
                "magnitude norm", "1 or 2", std::to_string(norm));
        }
        const double columns = w.shape(1) > 0 ? static_cast<double>(w.shape(1)) : 1.0;
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            double sum = 0;
            for (const T value : w[r].flat())
            {
                const double size = std::abs(static_cast<double>(value));
                sum += norm == 1 ? size : size * size;
            }
            sum /= columns;
            scores[static_cast<std::size_t>(r)] = static_cast<T>(norm == 1 ? sum : std::sqrt(sum));
        }
    }

    friend bool operator==(const magnitude&, const magnitude&) = default;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
