// A stream of digits whose distribution changes: a static mask against one that moves.
#pragma once

#include "prune_nets.hpp"

#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace prune_results
{

/// The phases of the stream, one after the other.
inline constexpr std::array<const char*, 6> phases{
    "upright", "moved", "quarter turn", "inverted", "mirrored and moved", "upright again"};

/// One image of 28 x 28 pixels as it looks in a phase. Moved: 7 pixels down and to the right, over the
/// border and in again on the other side.
inline void transform_digit(const float* from, float* to, std::size_t phase)
{
    for (index_t r = 0; r < 28; ++r)
    {
        for (index_t c = 0; c < 28; ++c)
        {
            index_t row = r;
            index_t column = c;
            float value = 0;
            switch (phase)
            {
            case 1:
                row = (r + 21) % 28;
                column = (c + 21) % 28;
                break;
            case 2:
                row = c;
                column = 27 - r;
                break;
            case 4:
                row = (r + 7) % 28;
                column = 27 - (c + 7) % 28;
                break;
            default:
                break;
            }
            value = from[row * 28 + column];
            to[r * 28 + c] = phase == 3 ? 1 - value : value;
        }
    }
}

/// Training images in the order of the stream: `batches` of 64 per phase.
struct digit_stream
{
    using batch_type = train::batch<float, 2, std::vector<std::int32_t>>;

    const data::samples* set;
    index_t batches;

    index_t size() const noexcept
    {
        return static_cast<index_t>(phases.size()) * batches * 64;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        const auto n = static_cast<index_t>(rows.size());
        resize(into.x, shape<2>{n, 784});
        into.target.resize(rows.size());
        const index_t images = shape_of(set->x)[0];
        for (index_t i = 0; i < n; ++i)
        {
            const index_t row = rows[static_cast<std::size_t>(i)];
            // 7919 is prime: neighbours in the stream are no neighbours in the file.
            const index_t image = row * 7919 % images;
            transform_digit(set->x.data() + image * 784, into.x.data() + i * 784,
                static_cast<std::size_t>(row / (batches * 64)));
            into.target[static_cast<std::size_t>(i)] = set->labels[static_cast<std::size_t>(image)];
        }
    }
};

/// Accuracy over time: measured on images of the current phase, twice a phase.
class drift_watch
{
public:
    drift_watch(const data::samples& test, index_t batches)
        : m_batches(batches)
    {
        for (std::size_t phase = 0; phase < phases.size(); ++phase)
        {
            auto& set = m_sets.emplace_back(test);
            for (index_t i = 0; i < shape_of(test.x)[0]; ++i)
            {
                transform_digit(test.x.data() + i * 784, set.x.data() + i * 784, phase);
            }
        }
    }

    template <class Context>
    void on_step(Context& at)
    {
        const index_t step = at.run.optimizer.step;
        if (step % (m_batches / 4) == 0)
        {
            const auto& set = m_sets[static_cast<std::size_t>((step - 1) / m_batches)];
            train::accuracy metric;
            m_right.push_back(
                train::evaluate(std::as_const(at.network), labelled<lenet300>(set), metric)[0]);
        }
    }

    /// Four numbers per phase.
    const std::vector<double>& right() const noexcept
    {
        return m_right;
    }

private:
    std::vector<data::samples> m_sets;
    index_t m_batches;
    std::vector<double> m_right;
};

/// Accuracies over the stream of one network: dense, under a static mask, or under RigL's.
enum class drift_method
{
    dense,
    static_mask,
    rigl
};

/// The network is trained upright for `epochs` of 200 batches, pruned to `sparsity` by magnitude and
/// fine-tuned, then sees the stream once at a constant rate.
inline std::vector<double> run_drift(const data::samples& training, const data::samples& test,
    drift_method method, double sparsity, index_t batches, std::uint64_t seed)
{
    random_engine rng(seed);
    auto net = lenet300::make(rng);
    const auto all = labelled<lenet300>(training);
    const optim::momentum optimizer{.rate = 0.1, .beta = 0.9, .weight_decay = 1e-4};
    const index_t first = std::min(all.size(), index_t{64} * 4 * batches);
    const auto upright = train::range(all, 0, first);
    train::fit(net, upright, nn::cross_entropy{}, optimizer, {.epochs = 1, .batch = 64}, rng);
    prune::mask mask = prune::mask_of_zeros(net);
    if (method != drift_method::dense)
    {
        mask = prune::iterative(net, prune::magnitude{},
            {.sparsities = prune::exponential_levels(sparsity, 4), .scope = prune::scope::global},
            [&](auto& network, const prune::mask& m, index_t)
            {
                train::fit(network, upright, nn::cross_entropy{}, optimizer,
                    {.epochs = 1, .batch = 64}, rng, prune::hold(m));
            });
    }
    drift_watch watch(test, batches);
    const digit_stream stream{&training, batches};
    const train::options once{.epochs = 1, .batch = 64, .shuffle = false};
    const optim::momentum steady{.rate = 0.05, .beta = 0.9, .weight_decay = 1e-4};
    if (method == drift_method::rigl)
    {
        // The stream has no end that is known: the share that moves stays.
        prune::rigl moving{
            mask, {.every = 20, .fraction = 0.2, .final_fraction = 0.2, .until = 1.0}};
        train::fit(net, stream, nn::cross_entropy{}, steady, once, rng, moving, watch);
    }
    else if (method == drift_method::static_mask)
    {
        train::fit(net, stream, nn::cross_entropy{}, steady, once, rng, prune::hold(mask), watch);
    }
    else
    {
        train::fit(net, stream, nn::cross_entropy{}, steady, once, rng, watch);
    }
    return watch.right();
}

} // namespace prune_results
