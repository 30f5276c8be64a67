/// @file
/// Dynamic network surgery: weights are cut and spliced back while training goes on.
#pragma once

#include <structopt/prune/mask.hpp>
#include <structopt/prune/rewire.hpp>
#include <structopt/prune/scores.hpp>
#include <structopt/schedule/concepts.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune
{

/// The threshold of a layer: mean + c deviations of the magnitudes of its weights, hidden ones
/// included. Guo et al., 2016.
struct deviation_threshold
{
    /// The c of every layer that has none of its own.
    double c = 1.0;
    /// c of single layers, in the order of their weights.
    std::vector<double> layers = {};

    /// @throws argument_error
    void validate() const
    {
        bool finite = structopt::detail::is_finite(c);
        for (const double each : layers)
        {
            finite = finite && structopt::detail::is_finite(each);
        }
        if (!finite)
        {
            structopt::detail::raise<argument_error>(
                "prune::deviation_threshold c", "finite numbers", "NaN or infinity");
        }
    }

    std::vector<double> thresholds(
        const std::vector<std::vector<double>>& magnitudes, index_t) const
    {
        std::vector<double> result;
        std::size_t layer = 0;
        for (const auto& list : magnitudes)
        {
            result.push_back(0);
            if (list.empty())
            {
                continue;
            }
            double sum = 0;
            double squares = 0;
            for (const double value : list)
            {
                sum += value;
                squares += value * value;
            }
            const auto n = static_cast<double>(list.size());
            const double mean = sum / n;
            const double variance = squares / n - mean * mean;
            const double own = layer < layers.size() ? layers[layer] : c;
            ++layer;
            const double threshold = mean + own * std::sqrt(variance > 0 ? variance : 0);
            result.back() = threshold > 0 ? threshold : 0;
        }
        return result;
    }

    friend bool operator==(const deviation_threshold&, const deviation_threshold&) = default;
};

/// The threshold below which the share of a schedule lies, per layer or over the whole network; the
/// mask that stays in the end has, exactly, the schedule's last sparsity.
template <schedule::sparsity_schedule Schedule>
struct share_threshold
{
    Schedule schedule;
    prune::scope scope = prune::scope::global;

    /// @throws argument_error
    void validate() const
    {
        schedule::validate(schedule);
    }

    double sparsity(index_t step) const
    {
        return schedule.sparsity(step);
    }

    std::vector<double> thresholds(
        const std::vector<std::vector<double>>& magnitudes, index_t step) const
    {
        const double share = schedule.sparsity(step);
        std::vector<double> result;
        std::vector<double> all;
        for (const auto& list : magnitudes)
        {
            if (scope == prune::scope::global)
            {
                all.insert(all.end(), list.begin(), list.end());
            }
            else
            {
                result.push_back(at_share(list, share));
            }
        }
        if (scope == prune::scope::global)
        {
            result.assign(magnitudes.size(), at_share(std::move(all), share));
        }
        return result;
    }

private:
    static double at_share(std::vector<double> list, double share)
    {
        const std::size_t n = detail::share_of(share, list.size());
        if (n == 0 || n >= list.size())
        {
            return 0;
        }
        const auto place = list.begin() + static_cast<std::ptrdiff_t>(n);
        std::nth_element(list.begin(), place, list.end());
        return *place;
    }
};

template <class Schedule>
share_threshold(Schedule) -> share_threshold<Schedule>;

template <class Schedule>
share_threshold(Schedule, prune::scope) -> share_threshold<Schedule>;

/// Options of `splicing`.
struct splicing_options
{
    /// A weight is cut below (1 - margin) threshold and spliced above (1 + margin) threshold; in
    /// between it stays as it is.
    double margin = 0.1;
    /// After step t the mask changes with probability (1 + gamma t)^-power.
    double gamma = 1e-4;
    double power = 1.0;
    /// Steps between two draws.
    index_t every = 1;
    /// The share of the training's steps after which the mask stays.
    double until = 0.75;

    /// @throws argument_error
    void validate() const
    {
        detail::check_rewiring("prune::splicing", every, margin, until);
        const double both[] = {gamma, power};
        for (const double value : both)
        {
            if (!structopt::detail::is_finite(value) || value < 0)
            {
                structopt::detail::raise<argument_error>("prune::splicing gamma and power",
                    "finite numbers of at least 0", std::to_string(value));
            }
        }
    }

    friend bool operator==(const splicing_options&, const splicing_options&) = default;
};

/// What splicing knows besides the network: to save, and to go on with.
struct splicing_state
{
    prune::mask mask;
    /// Values of the masked weights; those of the others are in the network.
    std::vector<std::vector<double>> hidden;

    friend bool operator==(const splicing_state&, const splicing_state&) = default;
};

/// Pruning that can take a cut back, a callback of `train::fit`: the network computes with masked
/// weights, but the optimizer goes on to update the masked ones too, and the mask follows their
/// magnitude with two thresholds.
///
/// Guo, Yao and Chen, "Dynamic Network Surgery for Efficient DNNs", 2016, equations 2 and 3 with
/// a = 0.9 t, b = 1.1 t. Gradients are those of the masked network. `Threshold` gives the t of each
/// layer: `deviation_threshold` (the paper) or `share_threshold`, with which the last sparsity is
/// exact, but that every layer keeps a weight. After the last change the mask is held as by `hold`.
///
/// Between two steps masked weights are zero in the network, their values are here. A paused
/// training goes on bit for bit with `splicing{threshold, options, paused.state()}`.
/// `train::early_stopping` begins to watch when the mask no longer changes. Cost: O(weights) per
/// step; with `share_threshold` a selection per draw besides.
template <class Threshold>
class splicing
{
public:
    explicit splicing(
        Threshold threshold, const splicing_options& options = {}, splicing_state state = {})
        : m_threshold(std::move(threshold))
        , m_options(options)
        , m_state(std::move(state))
    {
        m_options.validate();
        m_threshold.validate();
    }

    template <class Context>
    void on_begin(Context& at)
    {
        m_end = static_cast<index_t>(m_options.until * static_cast<double>(at.steps()));
        if (m_state.mask.keep.empty())
        {
            m_state.mask = prune::mask_of_zeros(at.network);
            keep_hidden(at.network);
        }
        check_hidden();
        prune::apply(at.network, m_state.mask);
    }

    template <class Context>
    void on_gradients(Context& at)
    {
        if (at.run.optimizer.step >= m_end)
        {
            return;
        }
        using T = nn::value_type<std::remove_cvref_t<decltype(at.network)>>;
        const auto parameters = nn::trainable_parameters<T>(at.network);
        for (std::size_t p = 0; p < m_state.hidden.size(); ++p)
        {
            for (std::size_t i = 0; i < m_state.hidden[p].size(); ++i)
            {
                if (m_state.mask.keep[p][i] == 0)
                {
                    parameters[p].values[i] = static_cast<T>(m_state.hidden[p][i]);
                }
            }
        }
    }

    template <class Context>
    void on_step(Context& at)
    {
        const index_t step = at.run.optimizer.step;
        if (step <= m_end)
        {
            random_engine rng = detail::draw_for_step(at);
            const double chance =
                std::pow(1 + m_options.gamma * static_cast<double>(step), -m_options.power);
            if (step == m_end || (step % m_options.every == 0 && bernoulli(rng, chance)))
            {
                change(at.network, step);
            }
            keep_hidden(at.network);
        }
        prune::apply(at.network, m_state.mask);
    }

    /// Whether the mask no longer changes.
    bool settled(index_t step) const noexcept
    {
        return step >= m_end;
    }

    /// The mask in force.
    const prune::mask& mask() const noexcept
    {
        return m_state.mask;
    }

    const splicing_state& state() const noexcept
    {
        return m_state;
    }

private:
    /// Throws `shape_error` for a state whose values do not fit its mask.
    void check_hidden() const
    {
        bool fits = m_state.hidden.size() == m_state.mask.keep.size();
        for (std::size_t p = 0; fits && p < m_state.hidden.size(); ++p)
        {
            fits = m_state.hidden[p].size() == m_state.mask.keep[p].size();
        }
        if (!fits)
        {
            structopt::detail::raise<shape_error>(
                "prune::splicing state", "one hidden value for each number of the mask", "others");
        }
    }

    /// The mask for the weights as they are, none of them masked.
    template <class Network>
    void change(Network& network, index_t step)
    {
        using T = nn::value_type<Network>;
        const auto parameters = nn::trainable_parameters<T>(network);
        std::vector<std::vector<double>> magnitudes(m_state.mask.keep.size());
        for (std::size_t p = 0; p < magnitudes.size(); ++p)
        {
            magnitudes[p].resize(m_state.mask.keep[p].size());
            for (std::size_t i = 0; i < magnitudes[p].size(); ++i)
            {
                magnitudes[p][i] = std::abs(static_cast<double>(parameters[p].values[i]));
            }
            detail::check_scores(
                "prune::splicing weights", std::span(std::as_const(magnitudes[p])));
        }
        if constexpr (requires { m_threshold.sparsity(step); })
        {
            if (step == m_end)
            {
                scores found = detail::empty_scores(network);
                for (layer_scores& layer : found.layers)
                {
                    auto& sizes = magnitudes[static_cast<std::size_t>(layer.parameter)];
                    layer.values.assign(sizes.begin(), sizes.end());
                }
                m_state.mask = prune::make_mask(network, found,
                    mask_options{.sparsity = m_threshold.sparsity(step),
                        .scope = m_threshold.scope,
                        .minimum = 1});
                return;
            }
        }
        const std::vector<double> thresholds = m_threshold.thresholds(magnitudes, step);
        for (std::size_t p = 0; p < magnitudes.size(); ++p)
        {
            const double low = (1 - m_options.margin) * thresholds[p];
            const double high = (1 + m_options.margin) * thresholds[p];
            for (std::size_t i = 0; i < magnitudes[p].size(); ++i)
            {
                auto& keep = m_state.mask.keep[p][i];
                keep = magnitudes[p][i] < low     ? std::uint8_t{0}
                       : magnitudes[p][i] >= high ? std::uint8_t{1}
                                                  : keep;
            }
        }
    }

    template <class Network>
    void keep_hidden(Network& network)
    {
        using T = nn::value_type<Network>;
        const auto parameters = nn::trainable_parameters<T>(network);
        m_state.hidden.resize(m_state.mask.keep.size());
        for (std::size_t p = 0; p < m_state.hidden.size(); ++p)
        {
            m_state.hidden[p].assign(m_state.mask.keep[p].size(), 0.0);
            for (std::size_t i = 0; i < m_state.hidden[p].size(); ++i)
            {
                if (m_state.mask.keep[p][i] == 0)
                {
                    m_state.hidden[p][i] = static_cast<double>(parameters[p].values[i]);
                }
            }
        }
    }

    Threshold m_threshold;
    splicing_options m_options;
    splicing_state m_state;
    index_t m_end = 0;
};

template <class Threshold>
splicing(Threshold) -> splicing<Threshold>;

template <class Threshold>
splicing(Threshold, splicing_options) -> splicing<Threshold>;

template <class Threshold>
splicing(Threshold, splicing_options, splicing_state) -> splicing<Threshold>;

} // namespace prune
STRUCTOPT_END_NAMESPACE
