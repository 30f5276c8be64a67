#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/scores.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace test_scores
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

/// One NaN at the last position.
struct broken
{
    template <class T>
    void score(view<const T, 2>, std::span<T> values) const
    {
        for (T& value : values)
        {
            value = T(1);
        }
        values.back() = std::numeric_limits<T>::quiet_NaN();
    }
};

/// The number of the layer, for every weight of it: looks at the network as a whole.
struct by_layer
{
    template <class Network>
    prune::scores score_network(const Network& network) const
    {
        prune::scores all = prune::score(network, prune::magnitude{});
        double number = 0;
        for (auto& layer : all.layers)
        {
            std::fill(layer.values.begin(), layer.values.end(), number++);
        }
        return all;
    }
};

auto make_network(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 2, .out = 5, .kernel = {3, 2}}, rng},
        nn::batch_norm{{.features = 5}}, nn::relu{}, nn::flatten{},
        nn::dense{{.in = 60, .out = 4}, rng}};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("one entry per weight, with name, position, extents and values row by row")
    {
        random_engine rng(1);
        const auto net = make_network(rng);
        const prune::scores found = prune::score(net, prune::magnitude{});
        REQUIRE(found.layers.size() == 2);
        CHECK(found.layers[0].name == "0.weight");
        CHECK(found.layers[0].parameter == 0);
        CHECK(found.layers[0].extents() == prune::weight_extents{5, 2, 6, 5});
        CHECK(found.layers[1].name == "4.weight");
        CHECK(found.layers[1].parameter == 4);
        CHECK(found.layers[1].extents() == prune::weight_extents{4, 60, 1, 0});
        REQUIRE(found.layers[0].values.size() == 60);
        REQUIRE(found.layers[1].values.size() == 240);
        for (std::size_t i = 0; i < 240; ++i)
        {
            CHECK(found.layers[1].values[i] ==
                  std::abs(static_cast<double>(net.layer<4>().weight.data()[i])));
        }
        auto copy = net;
        CHECK(nn::trainable_parameters<float>(copy)[4].values.size() == 240);
    }
}

TEST_CASE("a criterion may look at the whole network")
{
    random_engine rng(2);
    const prune::scores found = prune::score(make_network(rng), by_layer{});
    CHECK(found.layers[0].values == std::vector<double>(60, 0.0));
    CHECK(found.layers[1].values == std::vector<double>(240, 1.0));
}

TEST_CASE("scores that are not finite are refused by layer and position")
{
    random_engine rng(3);
    auto net = make_network(rng);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::score(net, broken{});
                    }),
        {"0.weight", "finite scores", "position 59"});
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
             std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
    {
        net.layer<4>().weight(1, 7) = bad;
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            prune::score(net, prune::magnitude{});
                        }),
            {"4.weight", "finite scores", "position 67"});
    }
    prune::scores short_list{{{"w", 0, 2, 3, 1, {1, 2, 3}}}};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        prune::check_scores(short_list);
                    }),
        {"scores of w", "6 numbers", "3"});
}

} // namespace test_scores
