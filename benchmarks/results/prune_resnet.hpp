// ResNet-8 that loses half of its filters, through the sums of its residual blocks.
#pragma once

#include "../../tests/support/published.hpp"
#include "prune_distilled.hpp"
#include "prune_timing.hpp"

#include <structopt/io/cifar.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

using resnet = decltype(published::resnet8(std::string()));

/// Photographs with pixels from 0 to 1, [n, 3, 32, 32].
struct photographs
{
    tensor<float, 4> x;
    std::vector<std::int32_t> labels;
};

inline photographs read_photographs(const std::string& file)
{
    const auto records = io::read_cifar10(file);
    photographs set;
    set.x = make_tensor<float>(shape_of(records.images));
    std::transform(records.images.begin(), records.images.end(), set.x.data(),
        [](std::uint8_t pixel)
        {
            return static_cast<float>(pixel) / 255;
        });
    set.labels.assign(records.labels.begin(), records.labels.end());
    return set;
}

/// The published network for pixels from 0 to 1: 255 goes into its first weights.
inline resnet published_resnet(const std::string& models)
{
    auto net = published::resnet8(models);
    for (float& w : net.layer<0>().weight)
    {
        w *= 255;
    }
    return net;
}

/// How it is pruned and fine-tuned; chosen by the last 1,000 training images.
struct resnet_settings
{
    double sparsity = 0.5;
    index_t rounds = 8;
    index_t round_epochs = 1;
    index_t last_epochs = 40;
    double rate = 1e-3;
    index_t batch = 32;
    distilled loss = {.temperature = 2, .share = 1};
    /// Images that filters are scored by.
    index_t samples = 1000;
    /// In training, images are moved by up to so many pixels, and half of them mirrored.
    index_t move = 4;
};

/// The first `n` images, with the classes and the teacher's logits.
struct taught_photographs
{
    using batch_type = train::batch<float, 4, tensor<float, 2>>;

    const photographs* set;
    index_t n;
    const resnet* teacher;
    index_t move;

    index_t size() const noexcept
    {
        return n;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        resize(into.x, shape<4>{static_cast<index_t>(rows.size()), 3, 32, 32});
        for (std::size_t i = 0; i < rows.size(); ++i)
        {
            std::copy_n(set->x.data() + rows[i] * 3072, 3072,
                into.x.data() + static_cast<index_t>(i) * 3072);
        }
        write_targets(set->labels, rows, nn::forward(*teacher, into.x), into.target);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const
    {
        resize(into.x, shape<4>{static_cast<index_t>(rows.size()), 3, 32, 32});
        for (std::size_t i = 0; i < rows.size(); ++i)
        {
            const index_t down = uniform_index(rng, 2 * move + 1) - move;
            const index_t right = uniform_index(rng, 2 * move + 1) - move;
            const bool mirrored = uniform_index(rng, 2) == 1;
            for (index_t line = 0; line < 96; ++line)
            {
                const float* const from = set->x.data() + rows[i] * 3072 + line / 32 * 1024;
                float* const to = into.x.data() + static_cast<index_t>(i) * 3072 + line * 32;
                const index_t row = line % 32 - down;
                for (index_t c = 0; c < 32; ++c)
                {
                    const index_t column = (mirrored ? 31 - c : c) - right;
                    const bool inside = row >= 0 && row < 32 && column >= 0 && column < 32;
                    to[c] = inside ? from[row * 32 + column] : 0.0f;
                }
            }
        }
        write_targets(set->labels, rows, nn::forward(*teacher, into.x), into.target);
    }
};

/// Percent of the images first .. last - 1 that are right.
inline double right_photographs(
    const resnet& net, const photographs& set, index_t first, index_t last)
{
    const auto all = train::labelled(set.x, set.labels);
    train::accuracy metric;
    return 100 * train::evaluate(net, train::range(all, first, last), metric)[0];
}

/// Removes filters of every layer by score, in rounds.
inline resnet narrow_resnet(const resnet& teacher, const photographs& set, index_t n,
    const resnet_settings& how, random_engine& rng)
{
    const shape<4> sample{1, 3, 32, 32};
    resnet net = teacher;
    const taught_photographs data{&set, n, &teacher, how.move};
    const index_t steps = (n + how.batch - 1) / how.batch;
    const std::vector<index_t> before = prune::prunable_units(net, sample);
    for (index_t round = 1; round <= how.rounds; ++round)
    {
        const prune::optimal_brain_damage criterion;
        const auto seen = prune::observe(
            std::as_const(net), data, how.loss, criterion, {.samples = how.samples}, rng);
        const auto scores =
            prune::score_units(net, sample, prune::score_rows(net, criterion, seen));
        prune::kept_units kept = prune::all_units(net, sample);
        for (std::size_t list = 0; list < kept.size(); ++list)
        {
            const double left =
                1 - how.sparsity * static_cast<double>(round) / static_cast<double>(how.rounds);
            keep_best(kept[list], scores.values[list],
                std::lround(left * static_cast<double>(before[list])));
        }
        net = prune::compact(std::move(net), sample, kept);
        const bool last = round == how.rounds;
        const index_t epochs = last ? how.last_epochs : how.round_epochs;
        train::fit(net, data, how.loss, optim::adam{.rate = how.rate},
            {.epochs = epochs, .batch = how.batch}, rng,
            train::per_batch(schedule::cosine_decay{
                .rate = how.rate, .final_rate = last ? 0.0 : how.rate, .steps = epochs * steps}));
    }
    return net;
}

/// The rows of the table; images first .. last - 1 of `test` are what is measured.
inline nlohmann::ordered_json resnet_rows(const resnet& dense, const photographs& train, index_t n,
    const photographs& test, index_t first, index_t last, const resnet_settings& how,
    std::uint64_t seed)
{
    random_engine rng(seed);
    const resnet small = narrow_resnet(dense, train, n, how, rng);
    std::array<std::pair<double, double>, 2> times;
    for (std::size_t i = 0; i < 2; ++i)
    {
        const shape<4> in{i == 0 ? 1 : 64, 3, 32, 32};
        times[i] =
            time_in_turns(timed_network(nn::pack(dense), in), timed_network(nn::pack(small), in));
    }
    const auto row = [&](const std::string& name, const resnet& net, bool whole)
    {
        const shape<4> sample{1, 3, 32, 32};
        const auto us = [&](std::size_t i)
        {
            const double time = whole ? times[i].first : times[i].second;
            return with_digits(time) +
                   (whole ? "" : " (" + with_digits(times[i].first / time, "x") + ")");
        };
        std::string widths;
        for (const index_t units : prune::prunable_units(net, sample))
        {
            widths += (widths.empty() ? "" : "-") + std::to_string(units);
        }
        return nlohmann::ordered_json{{"network", name}, {"filters", widths},
            {"parameters", nn::parameter_count(net)}, {"bytes", 4 * nn::parameter_count(net)},
            {"MFLOPs", with_digits(2e-6 * static_cast<double>(nn::multiply_adds(net, sample)))},
            {"right %", with_digits(right_photographs(net, test, first, last))},
            {"us, batch 1", us(0)}, {"us, batch 64", us(1)}};
    };
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    rows.push_back(row("dense, published", dense, true));
    rows.push_back(row("half the filters", small, false));
    return rows;
}

} // namespace prune_results
