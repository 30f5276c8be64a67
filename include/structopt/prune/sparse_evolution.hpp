/// @file
/// Sparse evolutionary training (SET): a sparse network whose weights move at random.
#pragma once

#include <structopt/prune/rewire.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Options of `sparse_evolution`.
struct evolution_options
{
    /// Epochs between two updates.
    index_t every = 1;
    /// Share of a layer's positive weights, and of its negative ones, that go.
    double fraction = 0.3;
    /// The share of the training's steps after which the mask stays; the paper leaves the last
    /// epoch alone.
    double until = 1.0;

    /// @throws argument_error
    void validate() const
    {
        detail::check_rewiring("prune::sparse_evolution", every, fraction, until);
    }

    friend bool operator==(const evolution_options&, const evolution_options&) = default;
};

/// Sparse training with a moving mask, a callback of `train::fit`: at the beginning of an epoch each
/// layer drops the share `fraction` of its positive weights that are nearest to zero, and of its
/// negative ones, and grows as many at random free places.
///
/// Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity
/// inspired by network science", 2018, algorithm 1. New weights start at zero, with optimizer state
/// zero. The sparsity of every layer is, exactly, that of the first mask all the way; masked weights
/// are zero after every step. The random places follow from the engine of the run: equal seeds give
/// equal networks. O(weights) per epoch, one pass over the weights per step besides.
///
/// Without a first mask the zeros of the network are it. A training that was paused goes on bit for
/// bit with `sparse_evolution{paused.mask(), options}`. `train::early_stopping` begins to watch when
/// the mask no longer moves: give an `until` below 1 with it.
class sparse_evolution
{
public:
    explicit sparse_evolution(prune::mask m = {}, const evolution_options& options = {})
        : m_mask(std::move(m))
        , m_options(options)
    {
        m_options.validate();
    }

    template <class Context>
    void on_begin(Context& at)
    {
        m_end = static_cast<index_t>(m_options.until * static_cast<double>(at.steps()));
        m_mask.begin(at);
    }

    template <class Context>
    void on_epoch_begin(Context& at)
    {
        const index_t epoch = at.run.epoch;
        if (epoch == 0 || epoch % m_options.every != 0 || at.run.optimizer.step >= m_end)
        {
            return;
        }
        random_engine rng = detail::draw_for_step(at);
        m_mask.move(
            at,
            [&]<class T>(std::span<const T> values, const std::vector<std::size_t>& active)
            {
                std::vector<std::size_t> sides[2];
                for (const std::size_t i : active)
                {
                    sides[values[i] < T(0) ? 1 : 0].push_back(i);
                }
                std::vector<std::size_t> dropped;
                for (const auto& side : sides)
                {
                    const auto out =
                        detail::lowest_of(side, detail::share_of(m_options.fraction, side.size()),
                            "prune::sparse_evolution weights",
                            [&](std::size_t i)
                            {
                                return std::abs(values[i]);
                            });
                    dropped.insert(dropped.end(), out.begin(), out.end());
                }
                return dropped;
            },
            [&]<class T>(
                std::span<const T>, const std::vector<std::size_t>& candidates, std::size_t n)
            {
                auto places = candidates;
                structopt::shuffle(std::span<std::size_t>(places), rng);
                places.resize(n);
                return places;
            });
    }

    template <class Context>
    void on_gradients(Context& at)
    {
        m_mask.mask_gradients(at);
    }

    template <class Context>
    void on_step(Context& at)
    {
        m_mask.hold(at);
    }

    /// Whether the mask no longer moves.
    bool settled(index_t step) const noexcept
    {
        return step >= m_end;
    }

    /// The mask in force.
    const prune::mask& mask() const noexcept
    {
        return m_mask.mask();
    }

private:
    detail::rewired_mask m_mask;
    evolution_options m_options;
    index_t m_end = 0;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
