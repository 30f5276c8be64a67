// 784-300-100-10 that loses inputs and units in rounds, and is fine-tuned by what the whole network says.
#pragma once

#include "prune_distilled.hpp"
#include "prune_nets.hpp"
#include "prune_timing.hpp"

#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <nlohmann/json.hpp>

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
    index_t batch = 64;
    index_t dense_epochs = 40;
    index_t rounds = 50;
    index_t round_epochs = 1;
    index_t last_epochs = 250;
    /// Of the group lasso over the weights that take an input or a unit, from `lasso_epochs` before the
    /// first round to the last.
    double lasso = 3e-4;
    index_t lasso_epochs = 10;
    distilled loss = {.temperature = 2, .share = 1};
    /// Pixels by which images are moved in training.
    index_t move = 1;
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
    train::fit(net, moved_digits<lenet300>{&set, n, how.move}, nn::cross_entropy{},
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

/// Prunes inputs and units in rounds down to `how.widths`.
inline narrow_network narrow(const wide_network& teacher, const data::samples& set, index_t n,
    const structured_settings& how, random_engine& rng)
{
    narrow_network small{teacher, std::vector<index_t>(784)};
    std::iota(small.pixels.begin(), small.pixels.end(), index_t{0});
    const taught_digits data{{&set, n, how.move}, &teacher, &small.pixels};
    const index_t steps = (n + how.batch - 1) / how.batch;
    const auto fit = [&](index_t epochs, double last, double lasso)
    {
        train::fit(small.network, data, how.loss, optim::adam{.rate = how.rate},
            {.epochs = epochs, .batch = how.batch}, rng,
            train::per_batch(schedule::cosine_decay{
                .rate = how.rate, .final_rate = last, .steps = epochs * steps}),
            optim::group_lasso{
                .strength = lasso, .group = optim::group::columns, .scale_by_size = false});
    };
    const std::array<double, 3> before = {784, 300, 100};
    fit(how.lasso_epochs, how.rate, how.lasso);
    for (index_t round = 1; round <= how.rounds; ++round)
    {
        const shape<2> sample{1, static_cast<index_t>(small.pixels.size())};
        const auto scores =
            prune::score_units(std::as_const(small.network), sample, prune::magnitude{}, true);
        prune::kept_units kept = prune::all_units(std::as_const(small.network), sample, true);
        const double share = static_cast<double>(round) / static_cast<double>(how.rounds);
        for (std::size_t list = 0; list < 3; ++list)
        {
            const double goal = static_cast<double>(how.widths[list]) / before[list];
            keep_best(
                kept[list], scores.values[list], std::lround(before[list] * std::pow(goal, share)));
        }
        small.network = prune::compact(std::move(small.network), sample, kept);
        std::vector<index_t> pixels;
        for (const index_t feature : kept.input_features())
        {
            pixels.push_back(small.pixels[static_cast<std::size_t>(feature)]);
        }
        small.pixels = std::move(pixels);
        if (round < how.rounds)
        {
            fit(how.round_epochs, how.rate, how.lasso);
        }
    }
    fit(how.last_epochs, 0.0, 0.0);
    return small;
}

/// The rows of the table: the dense network, the pruned one, and published ones. `n` images are for
/// training; errors are those of `test` behind the first `first` images.
inline nlohmann::ordered_json structured_rows(const data::samples& train, index_t n,
    const data::samples& test, index_t first, const structured_settings& how,
    const std::vector<std::uint64_t>& seeds)
{
    std::array<double, 2> mean = {};
    std::array<double, 2> worst = {};
    std::vector<index_t> all(784);
    std::iota(all.begin(), all.end(), index_t{0});
    wide_network dense;
    narrow_network small;
    for (const std::uint64_t seed : seeds)
    {
        random_engine rng(seed);
        dense = train_wide(train, n, how, rng);
        small = narrow(dense, train, n, how, rng);
        const double errors[] = {wrong_digits(dense, all, test, first),
            wrong_digits(small.network, small.pixels, test, first)};
        for (std::size_t i = 0; i < 2; ++i)
        {
            mean[i] += errors[i] / static_cast<double>(seeds.size());
            worst[i] = std::max(worst[i], errors[i]);
        }
    }
    std::array<std::pair<double, double>, 2> times;
    for (std::size_t i = 0; i < 2; ++i)
    {
        const index_t batch = i == 0 ? 1 : 64;
        times[i] = time_in_turns(timed_network(nn::pack(dense), shape<2>{batch, 784}),
            timed_network(nn::pack(small.network), shape<2>{batch, how.widths[0]}));
    }
    const auto row = [&](const std::string& name, const wide_network& net, std::size_t which)
    {
        const index_t inputs = net.layer<0>().inputs();
        const index_t parameters = nn::parameter_count(net);
        const auto us = [&](std::size_t i)
        {
            const double time = which == 0 ? times[i].first : times[i].second;
            return with_digits(time) +
                   (which == 0 ? "" : " (" + with_digits(times[i].first / time, "x") + ")");
        };
        return nlohmann::ordered_json{{"network", name},
            {"inputs and units", std::to_string(inputs) + "-" +
                                     std::to_string(net.layer<0>().outputs()) + "-" +
                                     std::to_string(net.layer<2>().outputs())},
            {"parameters", parameters}, {"bytes", 4 * parameters},
            {"KFLOPs", with_digits(2e-3 * static_cast<double>(
                                              nn::multiply_adds(net, shape<2>{1, inputs})))},
            {"error %", with_digits(mean[which])}, {"worst %", with_digits(worst[which])},
            {"us, batch 1", us(0)}, {"us, batch 64", us(1)}};
    };
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    rows.push_back(row("dense", dense, 0));
    rows.push_back(row("pruned", small.network, 1));
    struct published_row
    {
        const char* name;
        const char* widths;
        int bytes;
        const char* kflops;
        const char* error;
    };
    for (const published_row& p : {published_row{"SBP", "245-160-55", 195100, "97.1", "1.6"},
             {"L0", "266-88-33", 107092, "53.3", "1.6"}, {"VIB", "97-71-33", 38696, "19.1", "1.6"},
             {"RigL, 87.0 % sparse", "408-100-69", 31914, "12.6", "1.44"},
             {"RigL+, 88.6 % sparse", "375-62-51", 16113, "6.2", "1.57"}})
    {
        rows.push_back({{"network", p.name}, {"inputs and units", p.widths}, {"parameters", ""},
            {"bytes", p.bytes}, {"KFLOPs", p.kflops}, {"error %", p.error}, {"worst %", ""},
            {"us, batch 1", ""}, {"us, batch 64", ""}});
    }
    return rows;
}

} // namespace prune_results
