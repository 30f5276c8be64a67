/// @file
/// What dynamic sparse trainings share: a mask of constant size whose places move.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/prune/mask.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune::detail
{

/// An engine for what a callback draws after a step: it follows from the state of the run alone, so
/// that a paused training goes on with the same numbers.
template <class Context>
random_engine draw_for_step(const Context& at) noexcept
{
    random_engine base = at.run.rng;
    return random_engine(
        base() ^ (0x9e3779b97f4a7c15u * (static_cast<std::uint64_t>(at.run.optimizer.step) + 1)));
}

/// A mask in force from the first step to the last, with gradients and optimizer state zero wherever
/// the mask is.
class rewired_mask
{
public:
    explicit rewired_mask(prune::mask m)
        : m_mask(std::move(m))
    {
    }

    const prune::mask& mask() const noexcept
    {
        return m_mask;
    }

    /// Before the first step. Without a mask, the network's zeros are it.
    template <class Context>
    void begin(Context& at)
    {
        if (m_mask.keep.empty())
        {
            m_mask = prune::mask_of_zeros(at.network);
        }
        prune::apply(at.network, m_mask);
        for (auto& slot : at.run.optimizer.slots)
        {
            prune::apply(slot, m_mask);
        }
    }

    /// Before the step: masked weights have no gradient, so their optimizer state stays zero.
    template <class Context>
    void mask_gradients(Context& at) const
    {
        prune::apply(at.gradients, m_mask);
    }

    /// After the step.
    template <class Context>
    void hold(Context& at) const
    {
        prune::apply(at.network, m_mask);
    }

    /// Moves weights of every layer: `drop(values, active)` names positions to leave, and
    /// `grow(gradients, candidates, n)` picks n of the positions that are free then. Weights that
    /// are new start at zero, with optimizer state zero; one that is dropped and grown again at once
    /// goes on as it was.
    template <class Context, class Drop, class Grow>
    void move(Context& at, const Drop& drop, const Grow& grow)
    {
        using T = nn::value_type<std::remove_cvref_t<decltype(at.network)>>;
        const auto values = nn::trainable_parameters<T>(at.network);
        const auto slopes = nn::trainable_parameters<T>(at.gradients);
        // A copy: the mask stays whole where a score is refused.
        prune::mask moved = m_mask;
        for (std::size_t p = 0; p < moved.keep.size(); ++p)
        {
            auto& keep = moved.keep[p];
            std::vector<std::size_t> active;
            for (std::size_t i = 0; i < keep.size(); ++i)
            {
                if (keep[i] != 0)
                {
                    active.push_back(i);
                }
            }
            const std::vector<std::size_t> dropped =
                drop(std::span<const T>(values[p].values), active);
            if (dropped.empty())
            {
                continue;
            }
            for (const std::size_t i : dropped)
            {
                keep[i] = 0;
            }
            std::vector<std::size_t> candidates;
            for (std::size_t i = 0; i < keep.size(); ++i)
            {
                if (keep[i] == 0)
                {
                    candidates.push_back(i);
                }
            }
            for (const std::size_t i :
                grow(std::span<const T>(slopes[p].values), candidates, dropped.size()))
            {
                keep[i] = 1;
            }
        }
        m_mask = std::move(moved);
        begin(at);
    }

private:
    prune::mask m_mask;
};

/// Of `positions` those with the n lowest scores; `score(i)` of a position must be finite.
template <class Score>
std::vector<std::size_t> lowest_of(
    const std::vector<std::size_t>& positions, std::size_t n, const char* what, const Score& score)
{
    std::vector<double> scores;
    scores.reserve(positions.size());
    for (const std::size_t i : positions)
    {
        scores.push_back(static_cast<double>(score(i)));
    }
    check_scores(what, std::span(std::as_const(scores)));
    std::vector<std::size_t> chosen;
    for (const std::size_t j : lowest(std::span(std::as_const(scores)), n))
    {
        chosen.push_back(positions[j]);
    }
    return chosen;
}

/// fraction / 2 (1 + cos(pi step / end)): from `fraction` at 0 to 0 at `end`.
inline double cosine_fraction(double fraction, index_t step, index_t end) noexcept
{
    return step >= end ? 0.0
                       : fraction / 2 *
                             (1 + std::cos(std::numbers::pi * static_cast<double>(step) /
                                           static_cast<double>(end)));
}

/// Throws `argument_error` for options of a rewiring that are out of range.
inline void check_rewiring(const std::string& who, index_t every, double fraction, double until)
{
    if (every < 1)
    {
        structopt::detail::raise<argument_error>(
            who + " every", "at least 1 step", std::to_string(every));
    }
    if (!structopt::detail::is_finite(fraction) || fraction < 0 || fraction > 1)
    {
        structopt::detail::raise<argument_error>(
            who + " fraction", "a share in [0, 1]", std::to_string(fraction));
    }
    if (!structopt::detail::is_finite(until) || until < 0 || until > 1)
    {
        structopt::detail::raise<argument_error>(
            who + " until", "a share of the steps in [0, 1]", std::to_string(until));
    }
}

} // namespace prune::detail
STRUCTOPT_END_NAMESPACE
