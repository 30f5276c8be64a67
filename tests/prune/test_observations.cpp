#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim/sgd.hpp>
#include <structopt/prune/activation_variance.hpp>
#include <structopt/prune/average_zeros.hpp>
#include <structopt/prune/batch_norm_scale.hpp>
#include <structopt/prune/connection_sensitivity.hpp>
#include <structopt/prune/gradient_times_weight.hpp>
#include <structopt/prune/mean_activation.hpp>
#include <structopt/prune/movement.hpp>
#include <structopt/prune/observe.hpp>
#include <structopt/prune/optimal_brain_damage.hpp>
#include <structopt/prune/rank_rows.hpp>
#include <structopt/prune/taylor.hpp>
#include <structopt/prune/wanda.hpp>
#include <structopt/train/fit.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace test_observations
{

using namespace structopt;
using prune::evidence;
using support::check_parts;
using support::message_of;
using support::random_tensor;

static_assert(prune::informed_weight_criterion<prune::gradient_times_weight>);
static_assert(prune::informed_weight_criterion<prune::taylor>);
static_assert(prune::informed_unit_criterion<prune::taylor>);
static_assert(prune::informed_weight_criterion<prune::connection_sensitivity>);
static_assert(prune::informed_weight_criterion<prune::optimal_brain_damage>);
static_assert(prune::informed_weight_criterion<prune::wanda>);
static_assert(!prune::informed_unit_criterion<prune::wanda>);
static_assert(prune::informed_weight_criterion<prune::movement>);
static_assert(prune::informed_unit_criterion<prune::mean_activation>);
static_assert(!prune::informed_weight_criterion<prune::mean_activation>);
static_assert(prune::informed_unit_criterion<prune::activation_variance>);
static_assert(prune::informed_unit_criterion<prune::average_zeros>);
static_assert(prune::informed_unit_criterion<prune::batch_norm_scale>);

namespace
{

auto make_network(random_engine& rng)
{
    return nn::sequential{nn::dense<double>{{.in = 5, .out = 6}, rng}, nn::relu{},
        nn::dense<double>{{.in = 6, .out = 3}, rng}};
}

using network = decltype(make_network(std::declval<random_engine&>()));

struct problem
{
    random_engine rng{5};
    network net = make_network(rng);
    tensor<double, 2> x = random_tensor<double>(shape<2>{12, 5}, rng);
    std::vector<std::int32_t> labels{0, 1, 2, 2, 1, 0, 1, 0, 0, 2, 1, 2};

    auto data() const
    {
        return train::labelled(x, labels);
    }

    template <class Criterion>
    auto observe(const Criterion& criterion)
    {
        return prune::observe(net, data(), nn::cross_entropy{}, criterion, {.batch = 5}, rng);
    }

    /// The mean loss over all samples.
    double loss() const
    {
        return nn::loss_value(nn::cross_entropy{}, net(x), std::span<const std::int32_t>(labels));
    }

    /// dL/dc for switches c = 1 on the connections of a weight, by finite differences.
    std::vector<double> switches(tensor<double, 2>& w)
    {
        std::vector<double> slopes;
        constexpr double h = 1e-5;
        for (double& value : w)
        {
            const double before = value;
            value = before * (1 + h);
            const double above = loss();
            value = before * (1 - h);
            const double below = loss();
            value = before;
            slopes.push_back((above - below) / (2 * h));
        }
        return slopes;
    }

    /// The mean of squared gradients, one pass per sample.
    network fisher()
    {
        network sum = nn::zeros_like(net);
        for (index_t i = 0; i < 12; ++i)
        {
            const auto one = structopt::copy(as_view(x).slice(i, i + 1));
            const std::vector<std::int32_t> label{labels[static_cast<std::size_t>(i)]};
            auto kept = nn::make_cache(net, one, rng);
            const auto loss = nn::value_and_gradient(nn::cross_entropy{},
                nn::forward(net, one, kept), std::span<const std::int32_t>(label));
            auto g = nn::zeros_like(net);
            nn::backward(net, as_view(loss.gradient), kept, g);
            const auto from = nn::trainable_parameters<double>(g);
            const auto to = nn::trainable_parameters<double>(sum);
            for (std::size_t p = 0; p < to.size(); ++p)
            {
                for (std::size_t k = 0; k < to[p].values.size(); ++k)
                {
                    to[p].values[k] += from[p].values[k] * from[p].values[k] / 12;
                }
            }
        }
        return sum;
    }
};

void check_close(const std::vector<double>& a, const std::vector<double>& b)
{
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
    {
        CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-6));
    }
}

/// Sums of `columns` consecutive numbers.
std::vector<double> row_sums(const std::vector<double>& from, std::size_t columns)
{
    std::vector<double> sums(from.size() / columns, 0.0);
    for (std::size_t i = 0; i < from.size(); ++i)
    {
        sums[i / columns] += from[i];
    }
    return sums;
}

template <class F>
std::vector<double> mapped(std::vector<double> from, const F& f)
{
    for (double& value : from)
    {
        value = f(value);
    }
    return from;
}

/// A criterion of one's own: ten lines.
struct large_gradient
{
    static constexpr evidence needs = evidence::gradient;

    template <class T>
    void score(const prune::layer_evidence<T>& on, std::span<double> scores) const
    {
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = std::abs(static_cast<double>(on.gradient.flat()[i])) * factor;
        }
    }

    double factor = 1;
};

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("connection sensitivity is the loss's slope along switches, a share of all")
    {
        problem p;
        const auto seen = p.observe(prune::connection_sensitivity{});
        const auto first = p.switches(p.net.layer<0>().weight);
        const auto second = p.switches(p.net.layer<2>().weight);
        const auto size = [](double v)
        {
            return std::abs(v);
        };
        double sum = 0;
        for (const double v : first)
        {
            sum += std::abs(v);
        }
        for (const double v : second)
        {
            sum += std::abs(v);
        }
        const auto share = [&](double v)
        {
            return std::abs(v) / sum;
        };
        const auto scores = prune::score(p.net, prune::connection_sensitivity{}, seen);
        REQUIRE(scores.layers.size() == 2);
        CHECK(scores.layers[0].name == "0.weight");
        CHECK(scores.layers[1].parameter == 2);
        check_close(scores.layers[0].values, mapped(first, share));
        check_close(scores.layers[1].values, mapped(second, share));

        const auto plain = prune::score(p.net, prune::gradient_times_weight{}, seen);
        check_close(plain.layers[1].values, mapped(second, size));
        const auto units = prune::score_rows(p.net, prune::gradient_times_weight{}, seen);
        check_close(units.layers[0].values, row_sums(mapped(first, size), 5));
        CHECK(units.layers[0].extents() == prune::weight_extents{6, 1, 1});

        const auto square = [](double v)
        {
            return v * v;
        };
        const auto squares = prune::score(p.net, prune::taylor{}, seen);
        check_close(squares.layers[0].values, mapped(first, square));
        const auto rows = prune::score_rows(p.net, prune::taylor{}, seen);
        check_close(rows.layers[0].values, mapped(row_sums(first, 5), square));
    }
}

TEST_CASE("optimal brain damage is half the curvature times the squared weight")
{
    problem p;
    const auto seen = p.observe(prune::optimal_brain_damage{});
    const auto h = p.fisher();
    std::vector<double> expected;
    for (std::size_t i = 0; i < 18; ++i)
    {
        const double w = p.net.layer<2>().weight.data()[i];
        expected.push_back(h.layer<2>().weight.data()[i] * w * w / 2);
    }
    const auto scores = prune::score(p.net, prune::optimal_brain_damage{}, seen);
    check_close(scores.layers[1].values, expected);
    const auto units = prune::score_rows(p.net, prune::optimal_brain_damage{}, seen);
    check_close(units.layers[1].values, row_sums(expected, 6));
}

TEST_CASE("wanda multiplies weights by the norms of their inputs, and ranks within rows")
{
    problem p;
    const auto seen = prune::observe(p.net, p.data(), prune::wanda{}, {.batch = 5}, p.rng);
    const auto scores = prune::score(p.net, prune::wanda{}, seen);
    const auto a = nn::forward(p.net.layer<1>(), nn::forward(p.net.layer<0>(), p.x));
    std::vector<double> expected;
    for (index_t r = 0; r < 3; ++r)
    {
        for (index_t c = 0; c < 6; ++c)
        {
            double sum = 0;
            for (index_t b = 0; b < 12; ++b)
            {
                sum += a(b, c) * a(b, c);
            }
            expected.push_back(std::abs(p.net.layer<2>().weight(r, c)) * std::sqrt(sum / 12));
        }
    }
    check_close(scores.layers[1].values, expected);
    // Units: the mean of the row.
    check_close(prune::score_rows(p.net, prune::wanda{}, seen).layers[1].values,
        mapped(row_sums(expected, 6),
            [](double v)
            {
                return v / 6;
            }));

    // Within a row ranks have the order of the scores, and every row has the same ranks.
    const auto ranks = prune::rank_rows(scores).layers[1].values;
    for (std::size_t r = 0; r < 18; r += 6)
    {
        double sum = 0;
        for (std::size_t i = r; i < r + 6; ++i)
        {
            sum += ranks[i];
            for (std::size_t k = r; k < r + 6; ++k)
            {
                CHECK((ranks[i] < ranks[k]) == (expected[i] < expected[k]));
            }
        }
        CHECK(sum == doctest::Approx(2.5));
    }
}

TEST_CASE("ranks within rows: equal scores by position")
{
    prune::scores found{{{"w", 0, 2, 2, 2, {3, 1, 1, 2, 0, 0, 0, -1}}}};
    CHECK(prune::rank_rows(found).layers[0].values ==
          std::vector<double>{0.75, 0, 0.25, 0.5, 0.25, 0.5, 0.75, 0});
    found.layers[0].values[6] = std::numeric_limits<double>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::rank_rows(found);
                    }),
        {"w", "position 6"});
}

TEST_CASE("activations: mean, variance, share of zeros")
{
    problem p;
    p.net.layer<0>().bias.data()[2] = -100; // never active
    p.net.layer<0>().bias.data()[4] = 100;  // always
    const auto seen = prune::observe(p.net, p.data(), prune::average_zeros{}, {}, p.rng);
    const auto a = nn::forward(p.net.layer<1>(), nn::forward(p.net.layer<0>(), p.x));
    std::vector<double> mean(6), variance(6), busy(6);
    for (std::size_t u = 0; u < 6; ++u)
    {
        double squares = 0;
        for (index_t b = 0; b < 12; ++b)
        {
            const double v = a(b, static_cast<index_t>(u));
            mean[u] += v / 12;
            squares += v * v / 12;
            busy[u] += v != 0 ? 1.0 / 12 : 0.0;
        }
        variance[u] = squares - mean[u] * mean[u];
    }
    CHECK(busy[2] == 0);
    const auto scores = prune::score_rows(p.net, prune::average_zeros{}, seen).layers[0].values;
    check_close(scores, busy);
    CHECK(scores[2] == 0);
    CHECK(scores[4] == 1);
    // As scores of weights: those of a row share the row's.
    const auto weights = prune::score(p.net, prune::average_zeros{}, seen).layers[0].values;
    REQUIRE(weights.size() == 30);
    CHECK(weights[14] == scores[2]);
    CHECK(weights[15] == scores[3]);
    check_close(prune::score_rows(p.net, prune::mean_activation{}, seen).layers[0].values, mean);
    check_close(
        prune::score_rows(p.net, prune::activation_variance{}, seen).layers[0].values, variance);
    // The output layer's numbers have signs.
    const auto y = p.net(p.x);
    double sum = 0;
    for (index_t b = 0; b < 12; ++b)
    {
        sum += y(b, 1) / 12;
    }
    CHECK(prune::score_rows(p.net, prune::mean_activation{.absolute = false}, seen)
              .layers[1]
              .values[1] == doctest::Approx(sum));
}

TEST_CASE("batch norm's scale is the one that follows the layer")
{
    random_engine rng(1);
    nn::sequential net{nn::conv2d{{.in = 1, .out = 2, .kernel = 1}, rng},
        nn::sequential{nn::relu{}, nn::batch_norm{{.features = 2}}},
        nn::residual{nn::conv2d{{.in = 2, .out = 2, .kernel = 1}, rng}},
        nn::batch_norm{{.features = 2}}};
    net.layer<1>().layer<1>().weight.data()[0] = -3;
    const auto scores = prune::score_rows(net, prune::batch_norm_scale{});
    REQUIRE(scores.layers.size() == 2);
    CHECK(scores.layers[0].values == std::vector<double>{3, 1});
    // What follows a residual sum is not the branch's own.
    CHECK(scores.layers[1].values.empty());
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::score(
                            net, prune::batch_norm_scale{}, prune::observations<decltype(net)>{});
                    }),
        {"2.branch.weight", "applies"});
}

TEST_CASE("movement adds up minus weight times gradient")
{
    problem p;
    // Plain descent: the weights before every step give away its gradients.
    std::vector<double> expected(30, 0.0);
    auto before = p.net;
    auto spy = train::after_step(
        [&](auto& at)
        {
            for (std::size_t i = 0; i < 30; ++i)
            {
                const double w = before.layer<0>().weight.data()[i];
                const double g = (w - at.network.template layer<0>().weight.data()[i]) / 0.1;
                expected[i] -= w * g;
            }
            before = at.network;
        });
    prune::track_movement tracked;
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        tracked.observations(p.net);
                    }),
        {"track_movement", "at least one step"});
    train::fit(p.net, p.data(), nn::cross_entropy{}, optim::sgd{.rate = 0.1},
        {.epochs = 2, .batch = 4}, p.rng, tracked, spy);
    CHECK(tracked.steps() == 6);
    const auto seen = tracked.observations(p.net);
    CHECK(seen.have == evidence::movement);
    check_close(prune::score(p.net, prune::movement{}, seen).layers[0].values, expected);

    random_engine rng(2);
    const nn::sequential other{nn::dense<double>{{.in = 5, .out = 4}, rng}};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        tracked.observations(other);
                    }),
        {"track_movement", "other extents"});
}

TEST_CASE("a criterion of one's own; observations that do not fit are refused")
{
    problem p;
    const auto seen = p.observe(large_gradient{});
    const auto scores = prune::score(p.net, large_gradient{}, seen);
    CHECK(scores.layers[1].values[4] == std::abs(seen.gradient->layer<2>().weight.data()[4]));

    const double nan = std::numeric_limits<double>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::score(p.net, large_gradient{.factor = nan}, seen);
                    }),
        {"0.weight", "NaN or infinity", "position 0"});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::score(p.net, prune::optimal_brain_damage{}, seen);
                    }),
        {"observations", "squared_gradient", "gradient"});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::score_rows(p.net, prune::average_zeros{}, seen);
                    }),
        {"observations", "outputs"});
    network wide{nn::dense<double>{{.in = 5, .out = 8}, p.rng}, nn::relu{},
        nn::dense<double>{{.in = 8, .out = 3}, p.rng}};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        prune::score(wide, large_gradient{}, seen);
                    }),
        {"observations, gradient of parameter 0", "40 numbers", "30"});
    const auto inputs = prune::observe(p.net, p.data(), prune::wanda{}, {}, p.rng);
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        prune::score(wide, prune::wanda{}, inputs);
                    }),
        {"inputs of 2.weight", "8 numbers", "6"});
}

} // namespace test_observations
