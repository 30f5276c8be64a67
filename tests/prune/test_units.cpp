#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/units.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace test_units
{

using namespace structopt;
using prune::kept_units;
using prune::magnitude;
using prune::scope;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

namespace
{

/// Every number of a network random: biases and running averages too, so that nothing is zero by
/// chance of initialization.
template <class Network>
void randomize(Network& net, random_engine& rng)
{
    nn::visit_parameters(net,
        [&](const nn::parameter_name& name, auto& parameter, nn::role)
        {
            using T = typename std::remove_cvref_t<decltype(parameter)>::value_type;
            const bool variance = name.text().find("running_var") != std::string::npos;
            for (T& value : parameter)
            {
                value = variance ? T(0.5) + uniform<T>(rng) : T(0.5) * normal<T>(rng);
            }
        });
}

/// Some ascending numbers below n, at least two where there are two.
std::vector<index_t> random_subset(index_t n, random_engine& rng)
{
    std::vector<index_t> units;
    for (index_t i = 0; i < n; ++i)
    {
        if (uniform<double>(rng) < 0.5)
        {
            units.push_back(i);
        }
    }
    if (units.size() < 2)
    {
        // One channel alone would turn a depthwise convolution into one that mixes.
        units = {0};
        for (index_t i = 1; i < std::min<index_t>(n, 2); ++i)
        {
            units.push_back(i);
        }
    }
    return units;
}

/// Removes random units and compares with the masked network. Returns how far the result is from
/// that of the whole network: nothing was tested where that is zero.
template <class T, class Network, std::size_t N>
double check_removal(Network net, const shape<N>& sample, random_engine& rng)
{
    randomize(net, rng);
    const auto units = prune::prunable_units(net, sample);
    kept_units kept;
    for (const index_t n : units)
    {
        kept.push_back(random_subset(n, rng));
    }
    const auto x = random_tensor<T>(sample, rng);
    const auto whole = net(x);
    const auto smaller = prune::compact(net, sample, kept);
    static_assert(std::is_same_v<decltype(smaller), const Network>);
    CHECK(net(x) == whole);
    auto masked = net;
    prune::mask_units(masked, sample, kept);
    const auto expected = masked(x);
    const auto found = smaller(x);
    double largest = 1;
    for (const T value : expected)
    {
        largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    const double tolerance = 4096 * static_cast<double>(std::numeric_limits<T>::epsilon());
    CHECK(shape_of(found) == shape_of(expected));
    CHECK(largest_difference(found, expected) <= tolerance * largest);
    // It is smaller where something was removed, and has as many units as were kept.
    index_t removed = 0;
    for (std::size_t i = 0; i < units.size(); ++i)
    {
        removed += units[i] - static_cast<index_t>(kept[i].size());
    }
    CHECK((nn::parameter_count(smaller) < nn::parameter_count(net)) == (removed > 0));
    const auto left = prune::prunable_units(smaller, sample);
    REQUIRE(left.size() == kept.size());
    for (std::size_t i = 0; i < left.size(); ++i)
    {
        CHECK(left[i] == static_cast<index_t>(kept[i].size()));
    }
    // Nothing more to remove: compacting with all units is the identity.
    kept_units all;
    for (const index_t n : left)
    {
        all.emplace_back();
        for (index_t i = 0; i < n; ++i)
        {
            all.back().push_back(i);
        }
    }
    CHECK(prune::compact(smaller, sample, all)(x) == found);
    return largest_difference(found, whole);
}

index_t few(random_engine& rng)
{
    return 1 + uniform_index(rng, 9);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("by hand: a constant of a removed unit goes into the next bias")
    {
        random_engine rng(1);
        nn::sequential net{nn::dense{{.in = 1, .out = 2}, rng}, nn::sigmoid{},
            nn::dense{{.in = 2, .out = 1}, rng}};
        net.layer<0>().weight(0, 0) = 1;
        net.layer<0>().weight(1, 0) = 0.01f;
        net.layer<2>().weight(0, 0) = 3;
        net.layer<2>().weight(0, 1) = 4;
        net.layer<2>().bias(0) = 5;
        const shape<2> sample{1, 1};
        CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{2});
        const auto kept = prune::choose_units(net, sample, magnitude{}, {.sparsity = 0.5});
        CHECK(kept == kept_units{{0}});
        const auto smaller = prune::compact(net, sample, kept);
        CHECK(shape_of(smaller.layer<0>().weight) == shape<2>{1, 1});
        CHECK(shape_of(smaller.layer<2>().weight) == shape<2>{1, 1});
        // sigmoid(0) = 0.5, times 4.
        CHECK(smaller.layer<2>().bias(0) == 7);
        CHECK(smaller.layer<2>().weight(0, 0) == 3);
    }

    TEST_CASE("removed units change nothing that masked ones do not: dense chains")
    {
        random_engine rng(2);
        double moved = 0;
        for (int i = 0; i < 20; ++i)
        {
            const index_t a = few(rng);
            const index_t b = few(rng);
            const index_t c = few(rng);
            moved += check_removal<float>(
                nn::sequential{nn::dense{{.in = a, .out = b}, rng}, nn::relu{},
                    nn::sequential{nn::dense{{.in = b, .out = c}, rng}, nn::sigmoid{}},
                    nn::dropout{0.5}, nn::dense{{.in = c, .out = 4}, rng}},
                shape<2>{3, a}, rng);
        }
        CHECK(moved > 1);
    }
}

TEST_CASE("dense chains with every activation")
{
    random_engine rng(3);
    const auto check = [&](auto activation)
    {
        double moved = 0;
        for (int i = 0; i < 5; ++i)
        {
            const index_t b = 2 + few(rng);
            moved +=
                check_removal<double>(nn::sequential{nn::dense<double>({.in = 3, .out = b}, rng),
                                          activation, nn::batch_norm<double>({.features = b}),
                                          activation, nn::dense<double>({.in = b, .out = 4}, rng)},
                    shape<2>{5, 3}, rng);
        }
        CHECK(moved > 0.1);
    };
    check(nn::relu{});
    check(nn::leaky_relu{});
    check(nn::elu{});
    check(nn::gelu{});
    check(nn::silu{});
    check(nn::sigmoid{});
    check(nn::tanh{});
    check(nn::hard_sigmoid{});
    check(nn::hard_swish{});
    check(nn::identity{});
}

TEST_CASE("convolutions, pooling, batch norm, flatten and dense layers in one chain")
{
    random_engine rng(4);
    double moved = 0;
    for (int i = 0; i < 12; ++i)
    {
        const index_t a = few(rng);
        const index_t b = few(rng);
        const index_t c = few(rng);
        // ReLU and max pooling keep a removed channel at a constant; the convolution behind batch
        // norm is not padded, so that its constant is one per filter.
        moved += check_removal<float>(
            nn::sequential{nn::conv2d{{.in = 2, .out = a, .kernel = 3, .padding = 1}, rng},
                nn::relu{}, nn::max_pool2d{{.kernel = 2}},
                nn::conv2d{{.in = a, .out = b, .kernel = 3, .padding = 1}, rng},
                nn::batch_norm{{.features = b}}, nn::silu{},
                nn::conv2d{{.in = b, .out = c, .kernel = 2, .stride = 2}, rng}, nn::elu{},
                nn::avg_pool2d{{.kernel = 2}}, nn::flatten{},
                nn::dense{{.in = c * 2 * 2, .out = 6}, rng}, nn::sigmoid{},
                nn::dense{{.in = 6, .out = 3}, rng}},
            shape<4>{2, 2, 16, 16}, rng);
    }
    CHECK(moved > 1);
}

TEST_CASE("depthwise convolutions let channels pass, global pooling too")
{
    random_engine rng(5);
    double moved = 0;
    for (int i = 0; i < 10; ++i)
    {
        const index_t a = 1 + few(rng);
        const index_t b = few(rng);
        moved += check_removal<float>(
            nn::sequential{nn::conv2d{{.in = 3, .out = a, .kernel = 3}, rng}, nn::relu{},
                nn::conv2d{{.in = a, .out = a, .kernel = 3, .padding = 1, .groups = a}, rng},
                nn::relu{}, nn::conv2d{{.in = a, .out = b, .kernel = 1}, rng},
                nn::batch_norm{{.features = b}}, nn::sigmoid{}, nn::global_avg_pool{},
                nn::dense{{.in = b, .out = 4}, rng}},
            shape<4>{2, 3, 7, 7}, rng);
    }
    CHECK(moved > 1);
}

TEST_CASE("a padded convolution takes zeros, no other constant")
{
    random_engine rng(6);
    const auto make = [&](auto activation, index_t padding)
    {
        nn::sequential net{nn::conv2d{{.in = 1, .out = 4, .kernel = 3}, rng}, activation,
            nn::conv2d{{.in = 4, .out = 2, .kernel = 3, .padding = padding}, rng}};
        randomize(net, rng);
        return net;
    };
    const shape<4> sample{1, 1, 8, 8};
    const kept_units kept = {{0, 2}};
    const auto complain = [&](const auto& net)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::compact(net, sample, kept);
            });
    };
    CHECK(complain(make(nn::relu{}, 1)) == "");
    CHECK(complain(make(nn::sigmoid{}, 0)) == "");
    const auto padded = make(nn::sigmoid{}, 1);
    const auto before = padded;
    check_parts(complain(padded), {"conv2d", "a constant that the bias can take", "zero padding"});
    CHECK(padded.layer<0>().weight == before.layer<0>().weight);
    CHECK(padded.layer<2>().bias == before.layer<2>().bias);
    // Averages over a padded border depend on the position as well.
    nn::sequential pooled{nn::conv2d{{.in = 1, .out = 4, .kernel = 3}, rng}, nn::sigmoid{},
        nn::avg_pool2d{{.kernel = 3, .padding = 1}},
        nn::conv2d{{.in = 4, .out = 2, .kernel = 2}, rng}};
    randomize(pooled, rng);
    CHECK(complain(pooled) == ""); // one position
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::compact(pooled, shape<4>{1, 1, 11, 11}, kept);
                    }),
        {"conv2d", "zero padding"});
}

TEST_CASE("in front of a layer without bias only zeros are removed")
{
    random_engine rng(7);
    const auto make = [&](auto activation)
    {
        return nn::sequential{nn::dense{{.in = 2, .out = 4}, rng}, activation,
            nn::dense{{.in = 4, .out = 3, .bias = false}, rng}};
    };
    CHECK(check_removal<float>(make(nn::relu{}), shape<2>{2, 2}, rng) > 0);
    auto net = make(nn::sigmoid{});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::compact(net, shape<2>{2, 2}, {{0, 1}});
                    }),
        {"dense", "without bias"});
    // Without bias in front it makes no difference.
    CHECK(check_removal<float>(nn::sequential{nn::dense{{.in = 2, .out = 5, .bias = false}, rng},
                                   nn::tanh{}, nn::dense{{.in = 5, .out = 3}, rng}},
              shape<2>{2, 2}, rng) > 0);
}

TEST_CASE("which layers can lose units")
{
    random_engine rng(8);
    const auto units = [](const auto& net, const auto& sample)
    {
        return prune::prunable_units(net, sample);
    };
    using list = std::vector<index_t>;
    // The last layer's outputs are the network's.
    CHECK(units(nn::dense{{.in = 2, .out = 3}, rng}, shape<2>{1, 2}).empty());
    CHECK(units(nn::sequential{nn::dense{{.in = 2, .out = 3}, rng}, nn::relu{}}, shape<2>{1, 2})
              .empty());
    CHECK(units(nn::sequential<nn::relu>{nn::relu{}}, shape<2>{1, 2}).empty());
    // Softmax, layer norm and a residual mix all units: nothing passes.
    CHECK(units(nn::sequential{nn::dense{{.in = 2, .out = 3}, rng}, nn::softmax{},
                    nn::dense{{.in = 3, .out = 5}, rng}, nn::layer_norm{{.features = 5}},
                    nn::dense{{.in = 5, .out = 7}, rng},
                    nn::residual{nn::dense{{.in = 7, .out = 7}, rng}},
                    nn::dense{{.in = 7, .out = 11}, rng}, nn::relu{},
                    nn::dense{{.in = 11, .out = 1}, rng}},
              shape<2>{1, 2}) == list{11});
    // Groups that are not depthwise keep their channels, before and behind.
    CHECK(units(nn::sequential{nn::conv2d{{.in = 2, .out = 4, .kernel = 1}, rng},
                    nn::conv2d{{.in = 4, .out = 4, .kernel = 1, .groups = 2}, rng},
                    nn::conv2d{{.in = 4, .out = 6, .kernel = 1}, rng}, nn::flatten{},
                    nn::dense{{.in = 6, .out = 2}, rng}},
              shape<4>{1, 2, 1, 1}) == list{6});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        units(nn::sequential{nn::dense{{.in = 2, .out = 3}, rng}}, shape<2>{1, 4});
                    }),
        {"dense input", "[any, 2]", "[1, 4]"});
}

TEST_CASE("units are chosen by score: shares, rounding, minimum, scope")
{
    random_engine rng(9);
    nn::sequential net{nn::dense{{.in = 1, .out = 10}, rng}, nn::relu{},
        nn::dense{{.in = 10, .out = 6}, rng}, nn::relu{}, nn::dense{{.in = 6, .out = 1}, rng}};
    const shape<2> sample{1, 1};
    // Unit u of the first layer has norm u + 1; those of the second are ten times as large.
    for (index_t u = 0; u < 10; ++u)
    {
        net.layer<0>().weight(u, 0) = static_cast<float>(u + 1);
    }
    for (index_t u = 0; u < 6; ++u)
    {
        for (index_t c = 0; c < 10; ++c)
        {
            net.layer<2>().weight(u, c) = static_cast<float>(10 * (6 - u));
        }
    }
    const auto choose = [&](const prune::unit_options& options)
    {
        return prune::choose_units(net, sample, magnitude{}, options);
    };
    CHECK(choose({.sparsity = 0.0})[0].size() == 10);
    CHECK(choose({.sparsity = 0.5}) == kept_units{{5, 6, 7, 8, 9}, {0, 1, 2}});
    CHECK(choose({.sparsity = 0.7}) == kept_units{{7, 8, 9}, {0, 1}});
    // All that are left of 16 after 8 are removed are the larger ones: the first layer loses most.
    CHECK(choose({.sparsity = 0.5, .scope = scope::global}) ==
          kept_units{{8, 9}, {0, 1, 2, 3, 4, 5}});
    CHECK(choose({.sparsity = 0.9}) == kept_units{{9}, {0}});
    CHECK(choose({.sparsity = 0.99}) == kept_units{{9}, {0}});
    CHECK(choose({.sparsity = 0.9, .minimum = 3}) == kept_units{{7, 8, 9}, {0, 1, 2}});
    CHECK(choose({.sparsity = 0.9, .minimum = 1000}) == choose({.sparsity = 0.0}));
    CHECK(choose({.sparsity = 0.7, .round_to = 4}) == kept_units{{6, 7, 8, 9}, {0, 1, 2, 3}});
    CHECK(choose({.sparsity = 0.4, .round_to = 4})[0].size() == 8);
    CHECK(choose({.sparsity = 0.4, .round_to = 4})[1].size() == 4);
    CHECK(choose({.sparsity = 0.2, .round_to = 8})[1].size() == 6);
    CHECK(choose({.sparsity = 0.9, .round_to = std::numeric_limits<index_t>::max()}) ==
          choose({.sparsity = 0.0}));
    // Of equal units the earlier ones go.
    net.layer<0>().weight.fill(2.0f);
    CHECK(choose({.sparsity = 0.6})[0] == std::vector<index_t>{6, 7, 8, 9});

    for (const double bad : {-0.5, 1.0, std::numeric_limits<double>::quiet_NaN()})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            choose({.sparsity = bad});
                        }),
            {"unit sparsity"});
    }
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        choose({.round_to = 0});
                    }),
        {"round_to and minimum", "0 and 1"});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        choose({.minimum = 0});
                    }),
        {"round_to and minimum", "1 and 0"});
    net.layer<2>().weight(1, 1) = std::numeric_limits<float>::infinity();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        choose({});
                    }),
        {"unit scores, list 1", "finite", "position 1"});
}

TEST_CASE("lists of units that do not fit are refused, and nothing is changed")
{
    random_engine rng(10);
    nn::sequential net{
        nn::dense{{.in = 2, .out = 5}, rng}, nn::relu{}, nn::dense{{.in = 5, .out = 3}, rng}};
    const auto before = net;
    const shape<2> sample{7, 2};
    for (const kept_units& bad : {kept_units{}, kept_units{{}}, kept_units{{0, 5}},
             kept_units{{-1, 2}}, kept_units{{1, 1}}, kept_units{{2, 1}}, kept_units{{0}, {0}}})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            prune::compact(net, sample, bad);
                        }),
            {"kept units"});
        CHECK(message_of<argument_error>(
                  [&]
                  {
                      prune::mask_units(net, sample, bad);
                  }) != "");
    }
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
    CHECK(net.layer<2>().weight == before.layer<2>().weight);
}

TEST_CASE("gradients and momentum shrink with their network")
{
    // Whatever removes units from a network removes them from a value of the same type.
    random_engine rng(11);
    nn::sequential net{
        nn::dense{{.in = 2, .out = 5}, rng}, nn::relu{}, nn::dense{{.in = 5, .out = 3}, rng}};
    auto momentum = net;
    randomize(momentum, rng);
    const kept_units kept = {{1, 3}};
    const auto smaller = prune::compact(net, shape<2>{1, 2}, kept);
    const auto less = prune::compact(momentum, shape<2>{1, 2}, kept);
    CHECK(shape_of(less.layer<0>().weight) == shape_of(smaller.layer<0>().weight));
    CHECK(less.layer<0>().weight(1, 1) == momentum.layer<0>().weight(3, 1));
}

} // namespace test_units
