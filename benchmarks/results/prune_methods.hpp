// Methods that prune single weights, as the table of results_prune runs them: each gives the network at
// every sparsity of a list.
#pragma once

#include "prune_nets.hpp"

#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/schedule.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace prune_results
{

/// How a network is trained and pruned; chosen on the validation split, see docs/results/prune.md.
struct settings
{
    /// Sparsities that are measured, ascending.
    std::vector<double> levels;
    /// The same for methods that start anew for every level.
    std::vector<double> separate;
    double rate = 0.1;
    /// Of the dense network; 0: the same.
    double dense_rate = 0;
    double weight_decay = 1e-4;
    index_t dense_epochs = 5;
    /// Of the kept weights, what a round of pruning between two levels keeps.
    double round = 0.7;
    index_t round_epochs = 1;
    /// At every measured level, down to a rate of 0.
    index_t level_epochs = 10;
    /// The same below 98 %, where less is at stake.
    index_t early_epochs = 10;
    /// The same at the last level of iterative pruning; 0: as at the others.
    index_t last_epochs = 0;
    /// Of methods that start anew, per level.
    index_t separate_epochs = 20;
    /// Training images are moved by up to so many pixels.
    index_t move = 0;
    /// Steps between two updates of RigL's mask.
    index_t rigl_every = 100;

    double start_rate() const
    {
        return dense_rate > 0 ? dense_rate : rate;
    }
};

/// What one run of a method tells of one level.
struct level_result
{
    double sparsity = 0; ///< of the weights, achieved
    index_t kept = 0;    ///< weights that are not zero
    double error = 0;    ///< percent
};

/// Training set, and the function that measures a network in percent of wrong images.
template <class Kind>
class experiment
{
public:
    using network_type = decltype(Kind::make(std::declval<random_engine&>()));
    using data_type = moved_digits<Kind>;
    using measure_type = std::function<double(const network_type&)>;
    using results_type = std::vector<level_result>;

    experiment(data_type training, measure_type measure, const settings& how, std::uint64_t seed)
        : m_data(std::move(training))
        , m_measure(std::move(measure))
        , m_how(how)
        , m_rng(seed)
    {
    }

    /// Epochs with a rate that falls to 0, along a cosine.
    template <class... Callbacks>
    void fit(network_type& net, index_t epochs, double rate, Callbacks&&... callbacks)
    {
        const schedule::cosine_decay falling{
            .rate = rate, .final_rate = 0.0, .steps = epochs * batches()};
        train::fit(net, m_data, nn::cross_entropy{}, Kind::optimizer(rate, m_how.weight_decay),
            {.epochs = epochs, .batch = 64}, m_rng, train::per_batch(falling), callbacks...);
    }

    /// The trained network that methods start with, which experiments may share: made by the first
    /// one, and what has been drawn for it.
    struct start
    {
        std::optional<network_type> network;
        random_engine rng;
    };

    void share(start& first)
    {
        m_start = &first;
    }

    network_type dense()
    {
        if (m_start != nullptr && m_start->network)
        {
            m_rng = m_start->rng;
            return *m_start->network;
        }
        auto net = Kind::make(m_rng);
        fit(net, m_how.dense_epochs, m_how.start_rate());
        if (m_start != nullptr)
        {
            *m_start = {net, m_rng};
        }
        return net;
    }

    /// The error of the dense network.
    results_type baseline()
    {
        auto net = Kind::make(m_rng);
        fit(net, m_how.dense_epochs + m_how.level_epochs, m_how.start_rate());
        return {result(net, prune::mask_of_zeros(net))};
    }

    /// Rounds of pruning and fine-tuning from the trained network on, all levels on one way;
    /// `choose` as in `prune::iterative`.
    template <class Choose>
    results_type rounds(const Choose& choose)
    {
        auto net = dense();
        results_type results;
        std::vector<double> sparsities;
        double kept = 1;
        for (const double level : m_how.levels)
        {
            const double wanted = (1 - level) / kept;
            const double n = std::max(1.0, std::round(std::log(wanted) / std::log(m_how.round)));
            for (double k = 1; k < n; ++k)
            {
                sparsities.push_back(1 - kept * std::pow(wanted, k / n));
            }
            sparsities.push_back(level);
            kept = 1 - level;
        }
        prune::iterative(net, choose, {.sparsities = sparsities, .scope = prune::scope::global},
            [&](network_type& network, const prune::mask& mask, index_t round)
            {
                const double sparsity = sparsities[static_cast<std::size_t>(round)];
                if (std::find(m_how.levels.begin(), m_how.levels.end(), sparsity) ==
                    m_how.levels.end())
                {
                    fit(network, m_how.round_epochs, m_how.rate, prune::hold(mask));
                    return;
                }
                const bool last = m_how.last_epochs > 0 && sparsity == m_how.levels.back();
                fit(network,
                    last              ? m_how.last_epochs
                    : sparsity < 0.98 ? m_how.early_epochs
                                      : m_how.level_epochs,
                    m_how.rate, prune::hold(mask));
                results.push_back(result(network, mask));
            });
        return results;
    }

    results_type magnitude()
    {
        return rounds(prune::magnitude{});
    }

    /// Diagonal of the Hessian, estimated from gradients of training samples before each cut.
    results_type brain_damage()
    {
        return rounds(
            [&](const network_type& net)
            {
                const prune::optimal_brain_damage criterion;
                return prune::score(net, criterion,
                    prune::observe(
                        net, m_data, nn::cross_entropy{}, criterion, {.samples = 1000}, m_rng));
            });
    }

    /// Layer-wise optimal brain surgeon: which weights of a layer go, and what the others become, by
    /// the inputs of 2,000 images; how many of each layer, by magnitude over the network.
    results_type layerwise_obs()
    {
        return rounds(
            [&](network_type& net, const prune::mask_options& how, const prune::mask& before)
            {
                const auto sizes = prune::make_nested_mask(net, prune::magnitude{}, how, before);
                const auto method = [&](const calibrate::layer_place& place)
                {
                    std::optional<prune::layerwise_obs> chosen;
                    if (place.parameter >= 0)
                    {
                        const prune::mask one{
                            {sizes.keep[static_cast<std::size_t>(place.parameter)]}};
                        chosen = prune::layerwise_obs{.sparsity = one.sparsity()};
                    }
                    return chosen;
                };
                return prune::layerwise(net, m_data, method, {.samples = 2000}).mask;
            });
    }

    /// Dynamic network surgery from the trained network on: each level goes on with the hidden
    /// weights of the one before.
    results_type splicing()
    {
        auto net = dense();
        results_type results;
        prune::splicing_state state;
        double before = 0;
        for (const double level : m_how.levels)
        {
            const double wanted = std::log((1 - level) / (1 - before)) / std::log(m_how.round);
            const index_t rounds =
                std::max(index_t{0}, static_cast<index_t>(std::round(wanted)) - 1);
            const index_t epochs = m_how.level_epochs + rounds * m_how.round_epochs;
            const double until =
                1 - static_cast<double>(m_how.level_epochs) / 2 / static_cast<double>(epochs);
            const auto end = static_cast<index_t>(until * static_cast<double>(epochs * batches()));
            prune::splicing cut{
                prune::share_threshold{schedule::cubic_sparsity{
                    .initial = before, .target = level, .end = end, .frequency = 10}},
                prune::splicing_options{.every = 10, .until = until}, state};
            fit(net, epochs, m_how.rate, cut);
            state = cut.state();
            results.push_back(result(net, cut.mask()));
            before = level;
        }
        return results;
    }

    /// One batch of samples before training, then training under that mask; anew for each level.
    results_type snip()
    {
        results_type results;
        for (const double level : m_how.separate)
        {
            auto net = Kind::make(m_rng);
            const prune::connection_sensitivity criterion;
            const auto mask = prune::make_nested_mask(net,
                prune::score(net, criterion,
                    prune::observe(
                        net, m_data, nn::cross_entropy{}, criterion, {.samples = 1000}, m_rng)),
                {.sparsity = level, .scope = prune::scope::global}, {});
            prune::apply(net, mask);
            fit(net, m_how.separate_epochs, m_how.rate, prune::hold(mask));
            results.push_back(result(net, mask));
        }
        return results;
    }

    /// A random network of the allocation for random graphs whose weights move, anew for each level.
    results_type rigl()
    {
        results_type results;
        for (const double level : m_how.separate)
        {
            auto net = Kind::make(m_rng);
            prune::rigl moving{
                prune::make_mask(net, prune::random_scores(m_rng), prune::erk{.sparsity = level}),
                {.every = m_how.rigl_every}};
            fit(net, m_how.separate_epochs, m_how.rate, moving);
            results.push_back(result(net, moving.mask()));
        }
        return results;
    }

private:
    index_t batches() const
    {
        return (m_data.size() + 63) / 64;
    }

    level_result result(const network_type& net, const prune::mask& mask) const
    {
        level_result r{mask.sparsity(), 0, m_measure(net)};
        for (const auto& list : prune::mask_of_zeros(net).keep)
        {
            r.kept += std::count(list.begin(), list.end(), std::uint8_t{1});
        }
        return r;
    }

    data_type m_data;
    measure_type m_measure;
    settings m_how;
    random_engine m_rng;
    start* m_start = nullptr;
};

} // namespace prune_results
