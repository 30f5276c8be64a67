#include <structopt/nn.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/sensitivity.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace test_sensitivity
{

using namespace structopt;

namespace
{

auto network()
{
    random_engine rng(1);
    return nn::sequential{
        nn::dense{{.in = 10, .out = 20}, rng}, nn::relu{}, nn::dense{{.in = 20, .out = 5}, rng}};
}

/// Minus the squared weights that are gone, those of the second layer weighing ten times as much.
template <class Network>
double kept(const Network& changed, const Network& original)
{
    double sum = 0;
    const auto add = [&](const auto& now, const auto& before, double weight)
    {
        for (std::size_t i = 0; i < now.size(); ++i)
        {
            const double gone = static_cast<double>(before.data()[i]) - now.data()[i];
            sum -= weight * gone * gone;
        }
    };
    add(changed.template layer<0>().weight, original.template layer<0>().weight, 1);
    add(changed.template layer<2>().weight, original.template layer<2>().weight, 10);
    return sum;
}

prune::sensitivity made_up()
{
    return {.shares = {0.5, 0.8},
        .whole = 1.0,
        .layers = {{"0.weight", 100, {0.9, 0.5}}, {"2.weight", 300, {1.1, 0.7}}}};
}

} // namespace

TEST_CASE("curves are the quality of networks in which one layer alone is pruned")
{
    const auto net = network();
    const auto found = prune::score(net, prune::magnitude{});
    const std::vector<double> shares{0.25, 0.5, 0.9};
    const auto curves = prune::measure_sensitivity(net, found, shares,
        [&](const auto& candidate)
        {
            return kept(candidate, net);
        });
    CHECK(curves.whole == 0.0);
    CHECK(curves.shares == shares);
    REQUIRE(curves.layers.size() == 2);
    CHECK(curves.layers[0].name == "0.weight");
    CHECK(curves.layers[0].weights == 200);
    for (std::size_t l = 0; l < 2; ++l)
    {
        for (std::size_t i = 0; i < shares.size(); ++i)
        {
            auto values = found.layers[l].values;
            std::sort(values.begin(), values.end());
            double expected = 0;
            const auto gone = static_cast<std::size_t>(
                std::nearbyint(shares[i] * static_cast<double>(values.size())));
            for (std::size_t k = 0; k < gone; ++k)
            {
                expected -= (l == 0 ? 1 : 10) * values[k] * values[k];
            }
            CHECK(curves.layers[l].quality[i] == doctest::Approx(expected));
        }
    }

    const auto rows = prune::measure_sensitivity(
        net, found, shares,
        [&](const auto& candidate)
        {
            index_t zeros = 0;
            for (const float value : candidate.template layer<2>().weight)
            {
                zeros += value == 0.0f ? 1 : 0;
            }
            return static_cast<double>(zeros);
        },
        prune::rows{});
    // round(0.25 * 5), round(0.5 * 5) to even, and all but one of five rows of 20.
    CHECK(rows.layers[1].quality == std::vector<double>{20, 40, 80});
}

TEST_CASE("shares within a drop")
{
    const auto curves = made_up();
    // Layer 0: 0.1 lost at 0.5, 0.5 at 0.8; layer 1: a gain counts as no loss, 0.3 at 0.8.
    const auto shares = prune::shares_within(curves, 0.2).sparsities;
    CHECK(shares[0] == doctest::Approx(0.5 + 0.3 * 0.1 / 0.4));
    CHECK(shares[1] == doctest::Approx(0.5 + 0.3 * 0.2 / 0.3));
    CHECK(prune::shares_within(curves, 0).sparsities == std::vector<double>{0.0, 0.5});
    CHECK(prune::shares_within(curves, 9).sparsities == std::vector<double>{0.8, 0.8});
}

TEST_CASE("shares for a sparsity, the cheapest weights first")
{
    const auto curves = made_up();
    // 150 weights of layer 1 cost nothing; then layer 0 0.1 for 50 weights; then layer 1 0.3 for 90.
    CHECK(prune::shares_for(curves, 0.25).sparsities == std::vector<double>{0.0, 100.0 / 300});
    const auto both = prune::shares_for(curves, 190.0 / 400).sparsities;
    CHECK(both[0] == doctest::Approx(0.4));
    CHECK(both[1] == doctest::Approx(0.5));
    const auto more = prune::shares_for(curves, 230.0 / 400).sparsities;
    CHECK(more[0] == doctest::Approx(0.5));
    CHECK(more[1] == doctest::Approx(0.6));
    const auto most = prune::shares_for(curves, 0.8).sparsities;
    CHECK(most[0] == doctest::Approx(0.8));
    CHECK(most[1] == doctest::Approx(0.8));
    CHECK(prune::shares_for(curves, 0).sparsities == std::vector<double>{0, 0});

    // A bump is jumped over: 0.8 of this layer costs less per weight than 0.5 of it.
    const prune::sensitivity bump{
        {0.5, 0.8}, 1.0, {{"0.weight", 100, {0.8, 0.79}}, {"2.weight", 100, {0.88, 0.0}}}};
    const auto over = prune::shares_for(bump, 0.6).sparsities;
    CHECK(over[0] == doctest::Approx(0.8 - 0.1));
    CHECK(over[1] == doctest::Approx(0.5));
}

TEST_CASE("shares make masks, and less is lost than by equal shares")
{
    const auto net = network();
    const auto found = prune::score(net, prune::magnitude{});
    const auto quality = [&](const auto& candidate)
    {
        return kept(candidate, net);
    };
    const std::vector<double> shares{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    const auto curves = prune::measure_sensitivity(net, found, shares, quality);
    auto chosen = net;
    auto equal = net;
    const auto m = prune::make_mask(net, found, prune::shares_for(curves, 0.6));
    CHECK(m.sparsity() == doctest::Approx(0.6).epsilon(0.01));
    prune::apply(chosen, m);
    prune::apply(equal, prune::make_mask(net, found, prune::mask_options{.sparsity = 0.6}));
    CHECK(quality(chosen) > quality(equal));
}

TEST_CASE("what is refused")
{
    const auto net = network();
    const auto found = prune::score(net, prune::magnitude{});
    const auto one = [](const auto&)
    {
        return 1.0;
    };
    const auto measure = [&](std::vector<double> shares)
    {
        prune::measure_sensitivity(net, found, shares, one);
    };
    CHECK_THROWS_AS(measure({}), argument_error);
    CHECK_THROWS_AS(measure({0.5, 0.5}), argument_error);
    CHECK_THROWS_AS(measure({0.0, 0.5}), argument_error);
    CHECK_THROWS_AS(measure({0.5, 1.0}), argument_error);
    const std::vector<double> half{0.5};
    CHECK_THROWS_AS(prune::measure_sensitivity(net, found, half,
                        [](const auto&)
                        {
                            return std::numeric_limits<double>::quiet_NaN();
                        }),
        argument_error);
    CHECK_THROWS_AS(prune::shares_within(made_up(), -0.1), argument_error);
    CHECK_THROWS_AS(prune::shares_for(made_up(), 0.81), argument_error);
    CHECK_THROWS_AS(prune::shares_for(made_up(), 1.0), argument_error);
}

} // namespace test_sensitivity
