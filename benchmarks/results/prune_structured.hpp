// 784-300-100-10 that loses inputs and units in rounds, and is fine-tuned by what the whole network says.
#pragma once

#include "prune_distilled.hpp"
#include "prune_nets.hpp"

#include <structopt/compress/latency.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

using wide_network = decltype(lenet300::make(std::declval<random_engine&>()));

/// How it is trained and pruned; chosen on the validation split.
struct structured_settings
{
    std::array<index_t, 3> widths = {97, 71, 33};
    double rate = 1e-3;
    double weight_decay = 0;
    index_t batch = 64;
    index_t dense_epochs = 20;
    index_t rounds = 12;
    index_t round_epochs = 2;
    index_t last_epochs = 60;
    distilled loss = {};
    /// Pixels by which images are moved while the dense network is trained, and while the pruned one is.
    index_t dense_move = 1;
    index_t move = 0;
    /// 0: magnitude, 1: Wanda, 2: optimal brain damage.
    int criterion = 2;
    index_t samples = 5000;
};

/// The pixels that are left of the first `n` images, with the classes and the teacher's logits.
struct taught_digits
{
    using batch_type = train::batch<float, 2, tensor<float, 2>>;

    moved_digits<lenet300> images;
    const wide_network* teacher;
    const std::vector<index_t>* pixels;

    index_t size() const noexcept
    {
        return images.size();
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        moved_digits<lenet300>::batch_type whole;
        images.gather(rows, whole);
        finish(rows, whole.x, into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const
    {
        moved_digits<lenet300>::batch_type whole;
        images.gather(rows, whole, rng);
        finish(rows, whole.x, into);
    }

private:
    void finish(
        std::span<const index_t> rows, const tensor<float, 2>& whole, batch_type& into) const
    {
        write_targets(images.set->labels, rows, nn::forward(*teacher, whole), into.target);
        into.x = nn::take_columns(whole, std::span<const index_t>(*pixels));
    }
};

/// Percent of wrong images, the first `first` left out.
inline double wrong_digits(const wide_network& net, const std::vector<index_t>& pixels,
    const data::samples& set, index_t first)
{
    const auto x = nn::take_columns(set.x, std::span<const index_t>(pixels));
    const auto all = train::labelled(x, set.labels);
    train::accuracy metric;
    return 100 * (1 - train::evaluate(net, train::range(all, first, all.size()), metric)[0]);
}

/// Trains the dense network on the first `n` images.
inline wide_network train_wide(
    const data::samples& set, index_t n, const structured_settings& how, random_engine& rng)
{
    auto net = lenet300::make(rng);
    const index_t steps = how.dense_epochs * ((n + how.batch - 1) / how.batch);
    train::fit(net, moved_digits<lenet300>{&set, n, how.dense_move}, nn::cross_entropy{},
        optim::adam{.rate = how.rate}, {.epochs = how.dense_epochs, .batch = how.batch}, rng,
        train::per_batch(schedule::cosine_decay{.rate = how.rate, .steps = steps}));
    return net;
}

/// A network, and the pixels that it takes.
struct narrow_network
{
    wide_network network;
    std::vector<index_t> pixels;
};

/// Prunes inputs and units in rounds down to `how.widths`; `see(net, pixels)` after every round.
template <class See>
narrow_network narrow(const wide_network& teacher, const data::samples& set, index_t n,
    const structured_settings& how, random_engine& rng, const See& see)
{
    narrow_network small{teacher, std::vector<index_t>(784)};
    std::iota(small.pixels.begin(), small.pixels.end(), index_t{0});
    const taught_digits data{{&set, n, how.move}, &teacher, &small.pixels};
    const index_t steps = (n + how.batch - 1) / how.batch;
    const auto fit = [&](index_t epochs, double last)
    {
        train::fit(small.network, data, how.loss,
            optim::adam{.rate = how.rate, .weight_decay = how.weight_decay},
            {.epochs = epochs, .batch = how.batch}, rng,
            train::per_batch(schedule::cosine_decay{
                .rate = how.rate, .final_rate = last, .steps = epochs * steps}));
        see(small.network, small.pixels);
    };
    const std::array<double, 3> before = {784, 300, 100};
    for (index_t round = 1; round <= how.rounds; ++round)
    {
        const shape<2> sample{1, static_cast<index_t>(small.pixels.size())};
        const auto& net = small.network;
        const auto by = [&](const auto& criterion)
        {
            return prune::score_units(net, sample,
                prune::score(net, criterion,
                    prune::observe(net, data, how.loss, criterion, {.samples = how.samples}, rng)),
                true);
        };
        const prune::unit_scores scores =
            how.criterion == 0   ? prune::score_units(net, sample, prune::magnitude{}, true)
            : how.criterion == 1 ? by(prune::wanda{})
                                 : by(prune::optimal_brain_damage{});
        prune::kept_units kept = prune::all_units(net, sample, true);
        for (std::size_t list = 0; list < 3; ++list)
        {
            const double share = static_cast<double>(round) / static_cast<double>(how.rounds);
            keep_best(kept[list], scores.values[list],
                std::lround(before[list] *
                            std::pow(static_cast<double>(how.widths[list]) / before[list], share)));
        }
        small.network = prune::compact(std::move(small.network), sample, kept);
        std::vector<index_t> pixels;
        for (const index_t feature : kept.input_features())
        {
            pixels.push_back(small.pixels[static_cast<std::size_t>(feature)]);
        }
        small.pixels = std::move(pixels);
        const bool last = round == how.rounds;
        fit(last ? how.last_epochs : how.round_epochs, last ? 0.0 : how.rate);
    }
    return small;
}

} // namespace prune_results
