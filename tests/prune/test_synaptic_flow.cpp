#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/identity.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/synaptic_flow.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace test_synaptic_flow
{

using namespace structopt;
using prune::synaptic_flow;
using support::check_parts;
using support::message_of;
using matrix = std::vector<std::vector<double>>;

namespace
{

auto make_network(random_engine& rng)
{
    nn::sequential net{nn::dense<double>{{.in = 6, .out = 8}, rng},
        nn::batch_norm<double>{{.features = 8}}, nn::relu{}, nn::dropout{0.5},
        nn::dense<double>{{.in = 8, .out = 5}, rng}, nn::relu{},
        nn::dense<double>{{.in = 5, .out = 3, .bias = false}, rng}};
    for (index_t c = 0; c < 8; ++c)
    {
        net.layer<0>().bias.data()[c] = normal<double>(rng);
        net.layer<1>().weight.data()[c] = normal<double>(rng);
        net.layer<1>().bias.data()[c] = normal<double>(rng);
        net.layer<1>().running_mean.data()[c] = normal<double>(rng);
        net.layer<1>().running_var.data()[c] = 1 + uniform<double>(rng);
    }
    return net;
}

matrix absolute(const tensor<double, 2>& w)
{
    matrix m(w.shape()[0], std::vector<double>(w.shape()[1]));
    for (std::size_t r = 0; r < m.size(); ++r)
    {
        for (std::size_t c = 0; c < m[r].size(); ++c)
        {
            m[r][c] = std::abs(w.data()[r * m[r].size() + c]);
        }
    }
    return m;
}

/// |w_ij| times what arrives at j and what leaves i, in layers of matrices.
std::vector<std::vector<double>> flow(const std::vector<matrix>& layers)
{
    std::vector<std::vector<double>> in{std::vector<double>(layers[0][0].size(), 1.0)};
    for (const matrix& w : layers)
    {
        std::vector<double> y;
        for (const auto& row : w)
        {
            y.push_back(std::inner_product(row.begin(), row.end(), in.back().begin(), 0.0));
        }
        in.push_back(y);
    }
    std::vector<double> out(layers.back().size(), 1.0);
    std::vector<std::vector<double>> scores(layers.size());
    for (std::size_t l = layers.size(); l-- > 0;)
    {
        std::vector<double> next(in[l].size());
        for (std::size_t i = 0; i < out.size(); ++i)
        {
            for (std::size_t j = 0; j < next.size(); ++j)
            {
                scores[l].push_back(layers[l][i][j] * in[l][j] * out[i]);
                next[j] += layers[l][i][j] * out[i];
            }
        }
        out = next;
    }
    return scores;
}

} // namespace

TEST_CASE("scores of one round and masks of many against paths written out")
{
    random_engine rng(1);
    const auto net = make_network(rng);
    const auto before = net;
    std::vector<matrix> layers{absolute(net.layer<0>().weight), absolute(net.layer<4>().weight),
        absolute(net.layer<6>().weight)};
    std::vector<double> factor;
    for (std::size_t c = 0; c < 8; ++c)
    {
        const auto& norm = net.layer<1>();
        factor.push_back(
            std::abs(norm.weight.data()[c]) / std::sqrt(norm.running_var.data()[c] + 1e-5));
    }
    const auto reference = [&]
    {
        auto scaled = layers;
        for (std::size_t r = 0; r < 8; ++r)
        {
            for (double& value : scaled[0][r])
            {
                value *= factor[r];
            }
        }
        return flow(scaled);
    };
    const auto once =
        prune::score(net, synaptic_flow<2>{.sample = {1, 6}, .sparsity = 0.8, .rounds = 1});
    const auto expected = reference();
    REQUIRE(once.layers.size() == 3);
    std::vector<double> sums;
    for (std::size_t l = 0; l < 3; ++l)
    {
        CHECK(once.layers[l].parameter == std::vector<index_t>{0, 4, 6}[l]);
        REQUIRE(once.layers[l].values.size() == expected[l].size());
        for (std::size_t i = 0; i < expected[l].size(); ++i)
        {
            CHECK(once.layers[l].values[i] == doctest::Approx(expected[l][i]));
        }
        sums.push_back(
            std::accumulate(once.layers[l].values.begin(), once.layers[l].values.end(), 0.0));
    }
    // What flows is conserved: every layer's scores add up to R.
    CHECK(sums[1] == doctest::Approx(sums[0]));
    CHECK(sums[2] == doctest::Approx(sums[0]));

    // 48 + 40 + 15 weights; after round k (1 - s)^(k / 7) of them are left.
    constexpr int rounds = 7;
    constexpr double sparsity = 0.8;
    for (int k = 1; k <= rounds; ++k)
    {
        const auto scores = reference();
        std::vector<std::pair<double, std::pair<std::size_t, std::size_t>>> all;
        for (std::size_t l = 0; l < 3; ++l)
        {
            for (std::size_t i = 0; i < scores[l].size(); ++i)
            {
                all.push_back({scores[l][i], {l, i}});
            }
        }
        std::sort(all.begin(), all.end());
        const double left = std::pow(1 - sparsity, static_cast<double>(k) / rounds);
        const auto n = static_cast<std::size_t>(std::nearbyint((1 - left) * 103));
        for (std::size_t i = 0; i < n; ++i)
        {
            const auto [l, position] = all[i].second;
            layers[l][position / layers[l][0].size()][position % layers[l][0].size()] = 0;
        }
    }
    const synaptic_flow<2> criterion{.sample = {1, 6}, .sparsity = sparsity, .rounds = rounds};
    const prune::mask_options options{.sparsity = sparsity, .scope = prune::scope::global};
    const auto mask = prune::make_mask(net, criterion, options);
    for (std::size_t l = 0; l < 3; ++l)
    {
        const auto& keep = mask.keep[static_cast<std::size_t>(once.layers[l].parameter)];
        for (std::size_t i = 0; i < keep.size(); ++i)
        {
            const std::size_t columns = layers[l][0].size();
            CHECK((layers[l][i / columns][i % columns] > 0) == (keep[i] != 0));
        }
    }
    auto pruned = net;
    prune::apply(pruned, mask);
    CHECK(prune::make_mask(pruned, criterion, options) == mask);
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
    CHECK(net.layer<0>().bias == before.layer<0>().bias);
    CHECK(net.layer<6>().weight == before.layer<6>().weight);
    CHECK(net.layer<1>().running_mean == before.layer<1>().running_mean);
}

TEST_CASE("convolutions, residual sums, products beyond the range of floats")
{
    random_engine rng(2);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 4, .kernel = 3, .padding = 1}, rng}, nn::relu{},
        nn::residual{nn::conv2d{{.in = 4, .out = 4, .kernel = 3, .padding = 1}, rng}},
        nn::flatten{}, nn::dense{{.in = 64, .out = 3}, rng}};
    const synaptic_flow<4> criterion{.sample = {7, 2, 4, 4}, .sparsity = 0.5, .rounds = 1};
    const auto total = [](const prune::layer_scores& layer)
    {
        return std::accumulate(layer.values.begin(), layer.values.end(), 0.0);
    };
    const auto found = prune::score(net, criterion);
    CHECK(total(found.layers[2]) == doctest::Approx(total(found.layers[0])));
    CHECK(total(found.layers[1]) < total(found.layers[0])); // the rest takes the shortcut
    CHECK(total(found.layers[1]) > 0);
    for (const float scale : {1e20f, 1e-22f})
    {
        auto scaled = net;
        for (float& value : scaled.layer<0>().weight)
        {
            value *= scale;
        }
        for (float& value : scaled.layer<4>().weight)
        {
            value *= scale;
        }
        const auto other = prune::score(scaled, criterion);
        const double factor = total(other.layers[0]) / total(found.layers[0]);
        for (std::size_t l = 0; l < 3; ++l)
        {
            for (std::size_t i = 0; i < found.layers[l].values.size(); ++i)
            {
                CHECK(other.layers[l].values[i] / factor ==
                      doctest::Approx(found.layers[l].values[i]).epsilon(1e-4));
            }
        }
    }
}

TEST_CASE("penalties on activations are no flow; no flow at all is a score of zero")
{
    random_engine rng(4);
    const nn::sequential net{nn::dense{{.in = 4, .out = 5}, rng}, nn::relu{}, nn::identity{},
        nn::dense{{.in = 5, .out = 2}, rng}};
    nn::sequential regularized{
        net.layer<0>(), nn::relu{}, nn::activity_regularizer{.l1 = 0.5, .l2 = 0.5}, net.layer<3>()};
    const synaptic_flow<2> criterion{.sample = {1, 4}, .sparsity = 0.5, .rounds = 2};
    CHECK(prune::score(regularized, criterion) == prune::score(net, criterion));
    nn::set_zero(regularized);
    const auto nothing = prune::score(regularized, criterion);
    CHECK(*std::max_element(nothing.layers[0].values.begin(), nothing.layers[0].values.end()) == 0);
}

TEST_CASE("options that are none, and weights that are none")
{
    random_engine rng(3);
    auto net = make_network(rng);
    const auto message = [&](const synaptic_flow<2>& criterion)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::score(net, criterion);
            });
    };
    check_parts(message({.sample = {1, 6}, .sparsity = 1}), {"synaptic_flow sparsity", "[0, 1)"});
    check_parts(message({.sample = {1, 6}, .rounds = 0}), {"rounds", "at least 1"});
    CHECK_THROWS_AS(prune::score(net, synaptic_flow<2>{.sample = {1, 7}}), shape_error);
    net.layer<4>().weight(1, 1) = std::numeric_limits<double>::quiet_NaN();
    check_parts(message({.sample = {1, 6}}), {"4.weight", "position 9"});
}

} // namespace test_synaptic_flow
