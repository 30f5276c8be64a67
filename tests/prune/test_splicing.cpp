#include <structopt/prune/splicing.hpp>
#include <structopt/schedule/cubic_sparsity.hpp>
#include <structopt/schedule/one_shot_sparsity.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse_training.hpp"

#include <cmath>
#include <vector>

namespace test_splicing
{

using namespace structopt;
using prune::deviation_threshold;
using prune::splicing;
using support::sparse_problem;

namespace
{

using context = train::context<sparse_problem::network_type>;

/// Dynamic network surgery in plain steps beside the callback: all weights, and a mask of them.
struct reference
{
    sparse_problem::network_type weights;
    sparse_problem::network_type momentum;
    prune::mask mask;
    double c;
    index_t changes = 0;

    explicit reference(const sparse_problem::network_type& net, double deviations)
        : weights(net)
        , momentum(nn::zeros_like(net))
        , mask(prune::mask_of_zeros(net))
        , c(deviations)
    {
    }

    void on_gradients(context& at)
    {
        auto g = at.gradients;
        const auto slopes = nn::trainable_parameters<float>(g);
        const auto w = nn::trainable_parameters<float>(weights);
        const auto m = nn::trainable_parameters<float>(momentum);
        for (std::size_t p = 0; p < w.size(); ++p)
        {
            for (std::size_t i = 0; i < w[p].values.size(); ++i)
            {
                m[p].values[i] =
                    0.9f * m[p].values[i] + (slopes[p].values[i] + 0.01f * w[p].values[i]);
                w[p].values[i] -= 0.05f * m[p].values[i];
            }
        }
        for (const std::size_t p : {std::size_t{0}, std::size_t{2}})
        {
            double mean = 0;
            double deviation = 0;
            const auto n = static_cast<double>(w[p].values.size());
            for (const float value : w[p].values)
            {
                mean += std::abs(static_cast<double>(value)) / n;
            }
            for (const float value : w[p].values)
            {
                const double d = std::abs(static_cast<double>(value)) - mean;
                deviation += d * d / n;
            }
            const double t = mean + c * std::sqrt(deviation);
            for (std::size_t i = 0; i < w[p].values.size(); ++i)
            {
                const double size = std::abs(static_cast<double>(w[p].values[i]));
                auto& keep = mask.keep[p][i];
                const auto before = keep;
                keep = size < 0.9 * t ? 0 : size >= 1.1 * t ? 1 : keep;
                changes += keep > before ? 1 : 0;
            }
        }
    }

    void on_step(context& at)
    {
        const auto w = nn::trainable_parameters<float>(weights);
        const auto v = nn::trainable_parameters<float>(at.network);
        for (std::size_t p = 0; p < w.size(); ++p)
        {
            for (std::size_t i = 0; i < w[p].values.size(); ++i)
            {
                const bool masked = !mask.keep[p].empty() && mask.keep[p][i] == 0;
                CHECK(v[p].values[i] ==
                      doctest::Approx(masked ? 0.0f : w[p].values[i]).epsilon(1e-4));
            }
        }
    }
};

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("masked weights keep being updated, the mask follows two thresholds")
    {
        const sparse_problem p;
        auto net = p.network();
        // Never by chance (gamma 0), to the last step.
        splicing cut{
            deviation_threshold{.c = 0.3}, prune::splicing_options{.gamma = 0, .until = 1}};
        reference slow(net, 0.3);
        p.fit(net, 6, cut, slow);
        CHECK(cut.mask() == slow.mask);
        CHECK(slow.changes > 0); // some were spliced back
        CHECK(cut.mask().sparsity() > 0.3);
        CHECK(support::under_mask(net, cut.mask()));
    }
}

TEST_CASE("with shares the last sparsity is exact, and the mask stays after it")
{
    const sparse_problem p;
    for (const auto where : {prune::scope::global, prune::scope::per_layer})
    {
        auto net = p.network();
        splicing cut{
            prune::share_threshold{
                schedule::cubic_sparsity{.target = 0.85, .end = 20, .frequency = 2}, where},
            prune::splicing_options{.until = 0.5}};
        prune::mask settled;
        auto look = train::after_step(
            [&](auto& at)
            {
                CHECK(support::under_mask(at.network, cut.mask()));
                if (at.run.optimizer.step == 20)
                {
                    settled = cut.mask();
                }
                CHECK(cut.settled(at.run.optimizer.step) == (at.run.optimizer.step >= 20));
            });
        p.fit(net, 10, cut, look);
        CHECK(cut.mask().sparsity() == 0.85);
        CHECK(settled == cut.mask());
        CHECK(prune::mask_of_zeros(net) == cut.mask());
        const auto kept = support::kept(cut.mask());
        CHECK(
            (kept == std::vector<std::size_t>{18, 0, 6, 0}) == (where == prune::scope::per_layer));
    }
}

TEST_CASE("no layer is emptied at the last change")
{
    const sparse_problem p;
    auto net = p.network();
    for (float& value : net.layer<2>().weight)
    {
        value *= 1e-6f;
    }
    splicing cut{prune::share_threshold{schedule::one_shot_sparsity{.target = 0.9, .at = 4}},
        prune::splicing_options{.until = 0.5}};
    p.fit(net, 2, cut);
    CHECK(cut.mask().sparsity() == 0.9);
    CHECK(support::kept(cut.mask())[2] >= 1);
}

TEST_CASE("the probability of a change decays")
{
    const sparse_problem p;
    const auto changes = [&](double gamma, double power, index_t every)
    {
        auto net = p.network();
        splicing cut{prune::share_threshold{
                         schedule::cubic_sparsity{.target = 0.8, .end = 80, .frequency = 1}},
            prune::splicing_options{.gamma = gamma, .power = power, .every = every, .until = 1}};
        index_t n = 0;
        prune::mask last = prune::mask_of_zeros(net);
        auto look = train::after_step(
            [&](auto&)
            {
                n += cut.mask() == last ? 0 : 1;
                last = cut.mask();
            });
        p.fit(net, 20, cut, look);
        return n;
    };
    const index_t always = changes(0, 1, 1);
    const index_t seldom = changes(1, 1, 1);
    CHECK(always > 35);
    CHECK(seldom < 15);
    CHECK(seldom >= 1);
    CHECK(changes(0, 1, 10) <= 8);
}

TEST_CASE("a paused training goes on bit for bit, and a second one from where the first ended")
{
    const sparse_problem p;
    const auto make = [](prune::splicing_state state)
    {
        return splicing{deviation_threshold{.c = 0.5, .layers = {0.4, 0.6}},
            prune::splicing_options{.gamma = 0.01, .until = 0.9}, std::move(state)};
    };
    auto whole = p.network();
    auto one = make({});
    p.fit(whole, 8, one);
    auto net = p.network();
    auto two = make({});
    p.fit_in_two(net, 8, 10, two,
        [&]
        {
            return make(two.state());
        });
    CHECK(support::equal_networks(net, whole));
}

TEST_CASE("errors")
{
    const auto message = [](const deviation_threshold& t, const prune::splicing_options& options)
    {
        return support::message_of<argument_error>(
            [&]
            {
                splicing{t, options};
            });
    };
    support::check_parts(message({}, {.margin = 2}), {"splicing", "[0, 1]"});
    support::check_parts(message({}, {.gamma = -1}), {"gamma", "-1"});
    support::check_parts(message({.c = NAN}, {}), {"deviation_threshold", "finite"});
    support::check_parts(message({.layers = {1, INFINITY}}, {}), {"deviation_threshold"});

    // A state whose values are not those of its mask.
    const sparse_problem p;
    auto net = p.network();
    const auto start = net;
    prune::splicing_state bad{prune::mask_of_zeros(net), {std::vector<double>(1000, 1.0)}};
    splicing cut{deviation_threshold{}, prune::splicing_options{}, bad};
    CHECK_THROWS_AS(p.fit(net, 1, cut), shape_error);
    CHECK(support::equal_networks(net, start));
}

} // namespace test_splicing
