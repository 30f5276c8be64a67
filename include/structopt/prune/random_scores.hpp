/// @file
/// Random pruning: what every other criterion has to beat.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/random.hpp>
#include <structopt/prune/concepts.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Scores drawn uniformly from (0, 1], for weights as for units; weights that are zero, and units of
/// nothing but zeros, get 0, so that what is pruned stays so.
///
///     random_engine rng(1);
///     prune::apply(net, prune::random_scores(rng), {.sparsity = 0.9});
///
/// The engine must live as long as the criterion; every call draws on. Gale et al., "The State of
/// Sparsity in Deep Neural Networks", 2019, compare with it.
class random_scores
{
public:
    explicit random_scores(random_engine& rng) noexcept
        : m_rng(&rng)
    {
    }

    template <std::floating_point T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        const auto values = w.flat();
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            const T drawn = T(1) - uniform<T>(*m_rng);
            scores[i] = structopt::detail::is_zero(values[i]) ? T(0) : drawn;
        }
    }

    template <std::floating_point T>
    void score_units(view<const T, 2> w, std::span<T> scores) const
    {
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            const auto row = w[r].flat();
            const T drawn = T(1) - uniform<T>(*m_rng);
            const bool gone = std::all_of(row.begin(), row.end(),
                [](T value)
                {
                    return structopt::detail::is_zero(value);
                });
            scores[static_cast<std::size_t>(r)] = gone ? T(0) : drawn;
        }
    }

private:
    random_engine* m_rng;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
