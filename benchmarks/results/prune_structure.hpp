// Structure at equal multiply-adds: a convolutional network that loses filters beside networks that are
// cheaper by design.
#pragma once

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
#include <ctime>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace prune_results
{

/// Fixed beforehand, not chosen by any result.
struct structure_settings
{
    /// Of the base network's multiply-adds, for all others; and how far they may be off.
    double share = 0.25;
    double tolerance = 0.03;
    index_t epochs = 6;
    /// Of those, how many come before filters are removed.
    index_t dense_epochs = 3;
    double rate = 2e-3;
    index_t batch = 64;
    /// Images that filters are scored by.
    index_t samples = 1000;
    /// Pixels by which images are moved in training.
    index_t move = 1;
};

/// What the networks take.
struct digit_planes
{
    static constexpr std::size_t rank = 4;

    static view<const float, 4> images(const data::samples& set)
    {
        return lenet5::images(set);
    }
};

/// Two convolutions with windows of `kernel`, each with a pool of 2 behind it.
inline auto pooled_network(index_t kernel, index_t first, index_t second, random_engine& rng)
{
    const index_t side = ((28 - kernel + 1) / 2 - kernel + 1) / 2;
    return nn::sequential{nn::conv2d{{.in = 1, .out = first, .kernel = kernel}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 2}},
        nn::conv2d{{.in = first, .out = second, .kernel = kernel}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 2}}, nn::flatten{},
        nn::dense{{.in = second * side * side, .out = 10}, rng}};
}

/// Both convolutions of stride 2, no pools.
inline auto strided_network(index_t first, index_t second, random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 1, .out = first, .kernel = 5, .stride = 2}, rng},
        nn::relu{}, nn::conv2d{{.in = first, .out = second, .kernel = 5, .stride = 2}, rng},
        nn::relu{}, nn::flatten{}, nn::dense{{.in = second * 16, .out = 10}, rng}};
}

/// A pool of 4 behind the first convolution, none behind the second.
inline auto early_pool_network(index_t first, index_t second, random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 1, .out = first, .kernel = 5}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 4}}, nn::conv2d{{.in = first, .out = second, .kernel = 5}, rng},
        nn::relu{}, nn::flatten{}, nn::dense{{.in = second * 4, .out = 10}, rng}};
}

/// Images of half the side, from the first layer on.
inline auto small_image_network(index_t first, index_t second, random_engine& rng)
{
    return nn::sequential{nn::avg_pool2d{{.kernel = 2}},
        nn::conv2d{{.in = 1, .out = first, .kernel = 5}, rng}, nn::relu{},
        nn::max_pool2d{{.kernel = 2}}, nn::conv2d{{.in = first, .out = second, .kernel = 5}, rng},
        nn::relu{}, nn::flatten{}, nn::dense{{.in = second, .out = 10}, rng}};
}

using base_network = decltype(pooled_network(5, 1, 1, std::declval<random_engine&>()));

/// The experiment: trains, measures and times one network after the other.
class structure_experiment
{
public:
    structure_experiment(const data::samples& train, const data::samples& test,
        const structure_settings& how, std::vector<std::uint64_t> seeds)
        : m_train(train)
        , m_test(test)
        , m_how(how)
        , m_seeds(std::move(seeds))
    {
    }

private:
    static constexpr shape<4> sample{1, 1, 28, 28};

    template <class Network>
    static double multiply_adds(const Network& net)
    {
        return static_cast<double>(nn::multiply_adds(net, sample));
    }

    template <class Network>
    void fit(Network& net, index_t epochs, random_engine& rng) const
    {
        const index_t n = shape_of(m_train.x)[0];
        const index_t steps = epochs * ((n + m_how.batch - 1) / m_how.batch);
        train::fit(net, moved_digits<digit_planes>{&m_train, n, m_how.move}, nn::cross_entropy{},
            optim::adam{.rate = m_how.rate}, {.epochs = epochs, .batch = m_how.batch}, rng,
            train::per_batch(schedule::cosine_decay{.rate = m_how.rate, .steps = steps}));
    }

    /// Trained from random weights on, all epochs.
    template <class Make>
    auto scratch(const Make& make) const
    {
        return [this, make](random_engine& rng)
        {
            auto net = make(rng);
            fit(net, m_how.epochs, rng);
            return net;
        };
    }

    /// A budget stops at the first filter in the ranking that fits; filters that would still fit come
    /// back, those of the highest scores first.
    static void give_back(const base_network& net, const prune::unit_scores& scores, double limit,
        prune::kept_units& kept)
    {
        std::vector<std::pair<double, std::pair<std::size_t, index_t>>> gone;
        for (std::size_t list = 0; list < scores.values.size(); ++list)
        {
            for (std::size_t unit = 0; unit < scores.values[list].size(); ++unit)
            {
                const auto number = static_cast<index_t>(unit);
                if (!std::binary_search(kept[list].begin(), kept[list].end(), number))
                {
                    gone.push_back({scores.values[list][unit], {list, number}});
                }
            }
        }
        std::sort(gone.rbegin(), gone.rend());
        for (const auto& [score, place] : gone)
        {
            auto more = kept;
            auto& units = more[place.first];
            units.insert(std::upper_bound(units.begin(), units.end(), place.second), place.second);
            if (multiply_adds(prune::compact(net, sample, more)) <= limit)
            {
                kept = std::move(more);
            }
        }
    }

    /// The base network without the filters that the budget has no room for, those whose removal costs
    /// the least loss per multiply-add; trained before and after.
    template <class Make>
    base_network pruned(const Make& make, random_engine& rng) const
    {
        auto net = make(rng);
        fit(net, m_how.dense_epochs, rng);
        const prune::optimal_brain_damage criterion;
        const moved_digits<digit_planes> data{&m_train, shape_of(m_train.x)[0], m_how.move};
        const auto seen = prune::observe(std::as_const(net), data, nn::cross_entropy{}, criterion,
            {.samples = m_how.samples}, rng);
        auto scores = prune::score_units(
            std::as_const(net), sample, prune::score_rows(std::as_const(net), criterion, seen));
        for (std::size_t list = 0; list < scores.values.size(); ++list)
        {
            auto fewer = prune::all_units(std::as_const(net), sample);
            fewer[list].pop_back();
            const double saved = multiply_adds(net) -
                                 multiply_adds(prune::compact(std::as_const(net), sample, fewer));
            for (double& score : scores.values[list])
            {
                score /= saved;
            }
        }
        const double limit = (1 + m_how.tolerance) * m_limit;
        auto kept = prune::choose_units(
            std::as_const(net), sample, scores, prune::budget(prune::multiply_add_cost{}, limit));
        give_back(net, scores, limit, kept);
        net = prune::compact(std::move(net), sample, kept);
        fit(net, m_how.epochs - m_how.dense_epochs, rng);
        return net;
    }

    template <class Make>
    void measure(
        const std::string& name, const std::string& filters, const Make& make, bool equal = true)
    {
        using network_type = decltype(make(std::declval<random_engine&>()));
        std::vector<network_type> nets;
        double mean = 0;
        double worst = 0;
        double cost = 0;
        double parameters = 0;
        std::string widths = filters;
        const auto count = static_cast<double>(m_seeds.size());
        const std::clock_t start = std::clock();
        for (const std::uint64_t seed : m_seeds)
        {
            random_engine rng(seed);
            nets.push_back(make(rng));
        }
        const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / count;
        for (const network_type& net : nets)
        {
            const double adds = multiply_adds(net);
            if (equal && std::fabs(adds / m_limit - 1) > m_how.tolerance)
            {
                throw std::runtime_error(name + ": " + std::to_string(adds) +
                                         " multiply-adds instead of " + std::to_string(m_limit));
            }
            train::accuracy metric;
            const double error =
                100 * (1 - train::evaluate(net, labelled<digit_planes>(m_test), metric)[0]);
            mean += error / count;
            worst = std::max(worst, error);
            cost += adds / count;
            parameters += static_cast<double>(nn::parameter_count(net)) / count;
            if (filters.empty())
            {
                const auto units = prune::prunable_units(net, sample);
                widths += (widths.empty() ? "" : ", ") + std::to_string(units[0]) + "-" +
                          std::to_string(units[1]);
            }
        }
        nlohmann::ordered_json row{{"network", name}, {"filters", widths},
            {"parameters", std::lround(parameters)}, {"multiply-adds", std::lround(cost)},
            {"error %", with_digits(mean)}, {"worst %", with_digits(worst)},
            {"training s", with_digits(seconds)}};
        for (const index_t batch : {1, 64})
        {
            const shape<4> in{batch, 1, 28, 28};
            const auto times = time_in_turns(
                timed_network(nn::pack(m_base), in), timed_network(nn::pack(nets.front()), in));
            row["us, batch " + std::to_string(batch)] =
                with_digits(times.second) +
                (equal ? " (" + with_digits(times.first / times.second, "x") + ")" : "");
        }
        m_rows.push_back(std::move(row));
    }

public:
    /// The rows of the table.
    nlohmann::ordered_json rows()
    {
        const auto base = [](random_engine& rng)
        {
            return pooled_network(5, 16, 32, rng);
        };
        m_limit = m_how.share * multiply_adds(m_base);
        measure("5x5 filters, pools of 2", "16-32", scratch(base), false);
        measure("its filters removed", "",
            [&](random_engine& engine)
            {
                return pruned(base, engine);
            });
        measure("fewer filters", "7-14",
            scratch(
                [](random_engine& engine)
                {
                    return pooled_network(5, 7, 14, engine);
                }));
        measure("3x3 filters", "11-16",
            scratch(
                [](random_engine& engine)
                {
                    return pooled_network(3, 11, 16, engine);
                }));
        measure("stride 2, no pools", "16-32",
            scratch(
                [](random_engine& engine)
                {
                    return strided_network(16, 32, engine);
                }));
        measure("a pool of 4 after the first", "12-72",
            scratch(
                [](random_engine& engine)
                {
                    return early_pool_network(12, 72, engine);
                }));
        measure("images of half the side", "64-64",
            scratch(
                [](random_engine& engine)
                {
                    return small_image_network(64, 64, engine);
                }));
        return std::move(m_rows);
    }

private:
    const data::samples& m_train;
    const data::samples& m_test;
    structure_settings m_how;
    std::vector<std::uint64_t> m_seeds;
    base_network m_base = make_base();
    double m_limit = 0;
    nlohmann::ordered_json m_rows = nlohmann::ordered_json::array();

    static base_network make_base()
    {
        random_engine rng(0);
        return pooled_network(5, 16, 32, rng);
    }
};

} // namespace prune_results
