/// @file
/// RigL: a sparse network whose weights move to where the loss falls fastest.
#pragma once

#include <structopt/prune/rewire.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// Options of `rigl`.
struct rigl_options
{
    /// Steps between two updates.
    index_t every = 100;
    /// Share of a layer's weights that move at the first update.
    double fraction = 0.3;
    /// Where that share falls to, along a cosine; 0 in the paper. The same as `fraction` for streams
    /// without an end.
    double final_fraction = 0.0;
    /// The share of the training's steps after which the mask stays.
    double until = 0.75;

    /// @throws argument_error
    void validate() const
    {
        detail::check_rewiring("prune::rigl", every, fraction, until);
        detail::check_rewiring("prune::rigl final", every, final_fraction, until);
    }

    friend bool operator==(const rigl_options&, const rigl_options&) = default;
};

/// Sparse training with a moving mask, a callback of `train::fit`: every so many steps each layer
/// drops its smallest weights and grows as many where the gradient of the dense layer is largest.
///
/// Evci et al., "Rigging the Lottery: Making All Tickets Winners", 2020, algorithm 1. At update t a
/// layer of n weights drops round(fraction / 2 (1 + cos(pi t / t_end)) n) of them. New weights start
/// at zero with optimizer state zero; one that is dropped and grown again at once goes on as it was.
/// The sparsity of every layer is, exactly, that of the first mask all the way. Between updates
/// masked weights are zero after every step, whatever momentum and weight decay say. Ties by
/// position. O(weights) per update, one pass over the weights per step besides.
///
///     prune::rigl moving{prune::make_mask(net, ...), {.every = 100}};
///     train::fit(net, data, loss, optimizer, options, rng, moving);
///
/// Without a first mask the zeros of the network are it. A training that was paused goes on bit for
/// bit with `rigl{paused.mask(), options}`. `train::early_stopping` begins to watch when the mask
/// no longer moves.
class rigl
{
public:
    explicit rigl(prune::mask m = {}, const rigl_options& options = {})
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
    void on_gradients(Context& at)
    {
        const index_t step = at.run.optimizer.step;
        if (step > 0 && step < m_end && step % m_options.every == 0)
        {
            const double share =
                m_options.final_fraction +
                detail::cosine_fraction(m_options.fraction - m_options.final_fraction, step, m_end);
            m_mask.move(
                at,
                [&]<class T>(std::span<const T> values, const std::vector<std::size_t>& active)
                {
                    return detail::lowest_of(active, detail::share_of(share, active.size()),
                        "prune::rigl weights",
                        [&](std::size_t i)
                        {
                            return std::abs(values[i]);
                        });
                },
                [&]<class T>(std::span<const T> slopes, const std::vector<std::size_t>& candidates,
                    std::size_t n)
                {
                    return detail::lowest_of(candidates, n, "prune::rigl gradients",
                        [&](std::size_t i)
                        {
                            return -std::abs(slopes[i]);
                        });
                });
        }
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
    rigl_options m_options;
    index_t m_end = 0;
};

} // namespace prune
STRUCTOPT_END_NAMESPACE
