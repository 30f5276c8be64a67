#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/batch_norm_scale.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/observations.hpp>
#include <structopt/prune/units.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>
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
double check_removal(Network net, const shape<N>& sample, random_engine& rng,
    prune::removed_unit becomes = prune::removed_unit::zero, bool inputs = false)
{
    randomize(net, rng);
    const auto units = prune::prunable_units(net, sample, inputs);
    kept_units kept = prune::all_units(net, sample, inputs);
    REQUIRE(kept.size() == units.size());
    kept.becomes = becomes;
    for (std::size_t i = 0; i < units.size(); ++i)
    {
        CHECK(static_cast<index_t>(kept[i].size()) == units[i]);
        kept[i] = random_subset(units[i], rng);
    }
    const auto x = random_tensor<T>(sample, rng);
    const auto whole = net(x);
    auto smaller = prune::compact(net, sample, kept);
    static_assert(std::is_same_v<decltype(smaller), Network>);
    CHECK(net(x) == whole);
    auto masked = net;
    prune::mask_units(masked, sample, kept);
    const auto expected = masked(x);
    const auto few_x = inputs ? prune::take_inputs(x, kept) : x;
    const auto found = smaller(few_x);
    // In place it is the same network.
    CHECK(prune::compact(Network(net), sample, kept)(few_x) == found);
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
    const auto left = prune::prunable_units(smaller, shape_of(few_x), inputs);
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
    all.inputs = inputs;
    CHECK(prune::compact(smaller, shape_of(few_x), all)(few_x) == found);
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

TEST_CASE("what stays has the bits it had")
{
    // Outputs of one layer do not depend on how many others there are; only sums over inputs get
    // shorter.
    random_engine rng(20);
    nn::sequential net{nn::conv2d{{.in = 3, .out = 9, .kernel = 3}, rng}, nn::relu{},
        nn::conv2d{{.in = 9, .out = 9, .kernel = 3, .padding = 1, .groups = 9}, rng}, nn::relu{},
        nn::conv2d{{.in = 9, .out = 4, .kernel = 1}, rng}};
    randomize(net, rng);
    const shape<4> sample{2, 3, 7, 7};
    const kept_units kept{{0, 2, 3, 5, 7}};
    const auto smaller = prune::compact(net, sample, kept);
    const auto x = random_tensor<float>(sample, rng);
    const auto before_last = [&](const auto& each)
    {
        return nn::forward(each.template layer<3>(),
            nn::forward(each.template layer<2>(),
                nn::forward(each.template layer<1>(), nn::forward(each.template layer<0>(), x))));
    };
    const auto whole = before_last(net);
    const auto fewer = before_last(smaller);
    for (index_t b = 0; b < 2; ++b)
    {
        for (index_t u = 0; u < 5; ++u)
        {
            for (index_t i = 0; i < 25; ++i)
            {
                CHECK(fewer(b, u, i / 5, i % 5) ==
                      whole(b, kept[0][static_cast<std::size_t>(u)], i / 5, i % 5));
            }
        }
    }
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

/// Two dense layers of the user's own, one behind the other; says how units flow.
template <bool Walks>
struct pair_of
{
    using value_type = float;
    static constexpr std::string_view name = "pair_of";

    shape<2> output_shape(const shape<2>& in) const
    {
        return second.output_shape(first.output_shape(in));
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const
    {
        const auto middle = first.output_shape(in);
        return nn::scratch_size<T>(count(middle)) +
               std::max(nn::scratch_bytes<T>(first, in), nn::scratch_bytes<T>(second, middle));
    }

    void forward(view<const float, 2> x, view<float, 2> y, nn::scratch space) const noexcept
    {
        const auto extents = first.output_shape(x.shape());
        const view<float, 2> middle(space.take<float>(count(extents)), extents);
        nn::forward(first, x, middle, space);
        nn::forward(second, view<const float, 2>(middle), y, space);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("first", self.first);
        visit("second", self.second);
    }

    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const requires Walks
    {
        return walk(second, walk(first, in));
    }

    nn::dense<float> first;
    nn::dense<float> second;
};

/// The same layer two times, shown under one name or under two.
template <bool TwoNames>
struct twice
{
    using value_type = float;
    static constexpr std::string_view name = "twice";

    shape<2> output_shape(const shape<2>& in) const
    {
        return layer.output_shape(layer.output_shape(in));
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const
    {
        return nn::scratch_size<T>(count(in)) + nn::scratch_bytes<T>(layer, in);
    }

    void forward(view<const float, 2> x, view<float, 2> y, nn::scratch space) const noexcept
    {
        const view<float, 2> middle(space.take<float>(x.size()), x.shape());
        nn::forward(layer, x, middle, space);
        nn::forward(layer, view<const float, 2>(middle), y, space);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("layer", self.layer);
        if constexpr (TwoNames)
        {
            visit("again", self.layer);
        }
    }

    template <class Walk, class Units>
    auto walk_units(Walk& walk, const Units& in) const
    {
        return walk(layer, walk(layer, in));
    }

    nn::dense<float> layer;
};

TEST_CASE("a layer that is used twice has its inputs and outputs in common")
{
    random_engine rng(21);
    const auto make = [&]<bool TwoNames = false>(auto activation, std::bool_constant<TwoNames> = {})
    {
        return nn::sequential{nn::dense{{.in = 3, .out = 6}, rng}, activation,
            twice<TwoNames>{nn::dense{{.in = 6, .out = 6}, rng}},
            nn::dense{{.in = 6, .out = 2}, rng}};
    };
    const shape<2> sample{2, 3};
    const auto net = make(nn::relu{});
    CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{6});
    CHECK(check_removal<float>(net, sample, rng) > 0);
    CHECK(check_removal<float>(make(nn::relu{}, std::true_type{}), sample, rng) > 0);
    // Its bias cannot take a constant that only one of its inputs has.
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::compact(make(nn::sigmoid{}), sample, {{0, 1}});
                    }),
        {"dense '2.layer'", "used more than once"});
}

TEST_CASE("residual sums couple their branches; shortcuts with strides")
{
    random_engine rng(12);
    double moved = 0;
    for (int i = 0; i < 4; ++i)
    {
        const index_t a = 2 + few(rng);
        const index_t b = 2 + few(rng);
        const index_t c = 2 + few(rng);
        nn::sequential net{nn::conv2d{{.in = 2, .out = a, .kernel = 3, .padding = 1}, rng},
            nn::relu{},
            nn::residual{nn::sequential{
                nn::conv2d{{.in = a, .out = b, .kernel = 3, .padding = 1, .bias = false}, rng},
                nn::batch_norm{{.features = b}}, nn::relu{},
                nn::conv2d{{.in = b, .out = a, .kernel = 3, .padding = 1}, rng}}},
            nn::relu{},
            nn::residual{
                nn::sequential{nn::conv2d{{.in = a,
                                              .out = b,
                                              .kernel = 3,
                                              .stride = 2,
                                              .padding = 0,
                                              .padding_end = 1},
                                   rng},
                    nn::relu{}, nn::conv2d{{.in = b, .out = c, .kernel = 3, .padding = 1}, rng}},
                nn::conv2d{{.in = a, .out = c, .kernel = 1, .stride = 2}, rng}},
            nn::relu{}, nn::global_avg_pool{}, nn::dense{{.in = c, .out = 3}, rng}};
        const shape<4> sample{2, 2, 8, 8};
        CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{a, b, b, c});
        CHECK(prune::all_units(net, sample).names ==
              std::vector<std::string>{"0", "2.branch.0", "4.branch.0", "4.branch.2"});
        moved += check_removal<float>(net, sample, rng);
    }
    CHECK(moved > 0.1);
}

TEST_CASE("concatenations, groups, several channels of one")
{
    random_engine rng(13);
    double moved = 0;
    for (int i = 0; i < 4; ++i)
    {
        const index_t a = 1 + few(rng);
        const index_t b = 1 + few(rng);
        nn::sequential net{
            nn::concat{nn::conv2d{{.in = 1, .out = a, .kernel = 1}, rng},
                nn::sequential{nn::conv2d{{.in = 1, .out = 2 * b, .kernel = 1}, rng},
                    nn::conv2d{
                        {.in = 2 * b, .out = 4, .kernel = 3, .padding = 1, .groups = 2}, rng}}},
            nn::relu{},
            nn::conv2d{
                {.in = a + 4, .out = 3 * (a + 4), .kernel = 3, .padding = 1, .groups = a + 4}, rng},
            nn::sigmoid{}, nn::conv2d{{.in = 3 * (a + 4), .out = 5, .kernel = 2}, rng}};
        const shape<4> sample{2, 1, 5, 5};
        CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{a, b, 2});
        // A channel goes with the three that come of it.
        kept_units kept = prune::all_units(net, sample);
        kept.at("0.0").pop_back();
        const auto smaller = prune::compact(net, sample, kept);
        CHECK(smaller.template layer<2>().options().groups == a + 3);
        CHECK(smaller.template layer<4>().inputs() == 3 * (a + 3));
        moved += check_removal<float>(net, sample, rng);
    }
    CHECK(moved > 0.1);
    random_engine other(1);
    nn::sequential net{
        nn::concat{nn::dense{{.in = 2, .out = 3}, other}, nn::dense{{.in = 2, .out = 3}, other}},
        nn::relu{}, nn::dense{{.in = 6, .out = 2}, other}};
    // A tensor of one branch alone may not vanish, a layer behind both must keep one.
    CHECK(prune::prunable_units(net, shape<2>{1, 2}) == std::vector<index_t>{3, 3});
    const auto kept = prune::choose_units(
        net, shape<2>{1, 2}, magnitude{}, {.sparsity = 0.9, .scope = scope::global});
    CHECK(kept[0].size() >= 1);
    CHECK(kept[1].size() >= 1);
}

TEST_CASE("layer norm counts removed features as zeros")
{
    random_engine rng(14);
    double moved = 0;
    for (int i = 0; i < 4; ++i)
    {
        const index_t a = 2 + few(rng);
        const index_t b = 2 + few(rng);
        nn::sequential net{nn::conv2d{{.in = 1, .out = a, .kernel = 3}, rng}, nn::relu{},
            nn::layer_norm<float, 3>{{.features = {a, 3, 3}}}, nn::flatten{},
            nn::dense{{.in = a * 9, .out = b}, rng}, nn::relu{}, nn::layer_norm{{.features = b}},
            nn::tanh{}, nn::dense{{.in = b, .out = 2}, rng}};
        const shape<4> sample{3, 1, 5, 5};
        CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{a, b});
        moved += check_removal<float>(net, sample, rng);
    }
    CHECK(moved > 0.1);
    // In front of it only a zero can go.
    nn::sequential net{nn::dense{{.in = 2, .out = 4}, rng}, nn::sigmoid{},
        nn::layer_norm{{.features = 4}}, nn::dense{{.in = 4, .out = 2}, rng}};
    CHECK(prune::choose_units(net, shape<2>{1, 2}, magnitude{}, {.sparsity = 0.5})[0].size() == 4);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::compact(net, shape<2>{1, 2}, {{0, 1}});
                    }),
        {"layer_norm '2'", "zero"});
}

TEST_CASE("features of the input are units where they are asked for")
{
    random_engine rng(15);
    double moved = 0;
    for (int i = 0; i < 6; ++i)
    {
        const index_t a = 4 + few(rng);
        const index_t b = 2 + few(rng);
        moved += check_removal<float>(nn::sequential{nn::batch_norm{{.features = a}}, nn::sigmoid{},
                                          nn::concat{nn::dense{{.in = a, .out = b}, rng},
                                              nn::residual{nn::dense{{.in = a, .out = a}, rng}}},
                                          nn::relu{}, nn::dense{{.in = a + b, .out = 2}, rng}},
            shape<2>{3, a}, rng, prune::removed_unit::zero, true);
    }
    CHECK(moved > 0.1);
    moved = check_removal<float>(
        nn::sequential{nn::conv2d{{.in = 6, .out = 4, .kernel = 2, .groups = 2}, rng},
            nn::flatten{}, nn::dense{{.in = 16, .out = 2}, rng}},
        shape<4>{2, 6, 3, 3}, rng, prune::removed_unit::zero, true);
    CHECK(moved > 0);
    // By the columns: feature 1 hardly counts.
    nn::sequential net{
        nn::dense{{.in = 3, .out = 4}, rng}, nn::relu{}, nn::dense{{.in = 4, .out = 2}, rng}};
    for (index_t r = 0; r < 4; ++r)
    {
        net.layer<0>().weight(r, 1) = 1e-3f;
    }
    const auto kept =
        prune::choose_units(net, shape<2>{1, 3}, magnitude{}, {.sparsity = 0.34, .inputs = true});
    CHECK(kept.names == std::vector<std::string>{"input", "0"});
    CHECK(kept.input_features() == std::vector<index_t>{0, 2});
    // The same from scores of weights.
    const auto scored =
        prune::score_units(net, shape<2>{1, 3}, prune::score(net, magnitude{}), true);
    CHECK(scored.values[0][1] == doctest::Approx(1e-3));
    CHECK(prune::choose_units(net, shape<2>{1, 3}, scored, {.sparsity = 0.34, .inputs = true})
              .input_features() == kept.input_features());
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::take_inputs(structopt::zeros<float>(shape<2>{1, 3}), {{0, 1}});
                    }),
        {"kept units", ".inputs = true"});
}

TEST_CASE("what a removed unit passes may stay a constant")
{
    random_engine rng(16);
    double moved = 0;
    const auto constant = prune::removed_unit::constant;
    for (int i = 0; i < 4; ++i)
    {
        const index_t a = 2 + few(rng);
        moved += check_removal<float>(
            nn::sequential{nn::conv2d{{.in = 1, .out = a, .kernel = 3}, rng},
                nn::batch_norm{{.features = a}}, nn::relu{},
                nn::conv2d{{.in = a, .out = 4, .kernel = 3}, rng}, nn::relu{},
                nn::conv2d{{.in = 4, .out = 2, .kernel = 3, .padding = 1}, rng}},
            shape<4>{2, 1, 8, 8}, rng, constant);
    }
    CHECK(moved > 0.1);
    // Padding 1: units with a shift above zero stay, others go.
    nn::sequential net{nn::conv2d{{.in = 1, .out = 4, .kernel = 3}, rng},
        nn::batch_norm{{.features = 4}}, nn::relu{},
        nn::conv2d{{.in = 4, .out = 2, .kernel = 3, .padding = 1}, rng}};
    const shape<4> sample{1, 1, 8, 8};
    net.layer<1>().bias(0) = 1;
    net.layer<1>().bias(2) = -1;
    net.layer<1>().bias(3) = 1;
    const auto choose = [&](prune::removed_unit becomes)
    {
        auto kept =
            prune::choose_units(net, sample, magnitude{}, {.sparsity = 0.99, .becomes = becomes});
        CHECK(shape_of(prune::compact(net, sample, kept)(structopt::zeros<float>(sample))) ==
              shape<4>{1, 2, 6, 6});
        return kept;
    };
    const auto kept = choose(constant);
    CHECK(kept[0].size() == 2);
    CHECK(kept[0].front() == 0);
    CHECK(kept[0].back() == 3);
    CHECK(choose(prune::removed_unit::zero)[0].size() == 1);
    kept_units bad{{1}};
    bad.becomes = constant;
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::compact(net, sample, bad);
                    }),
        {"conv2d '3'", "zero padding"});
}

TEST_CASE("containers of the user's own say how units flow, or keep theirs")
{
    random_engine rng(17);
    const auto make = [&]<bool Walks>(std::bool_constant<Walks>)
    {
        return nn::sequential{nn::dense{{.in = 3, .out = 6}, rng}, nn::relu{},
            pair_of<Walks>{
                nn::dense{{.in = 6, .out = 7}, rng}, nn::dense{{.in = 7, .out = 5}, rng}},
            nn::sigmoid{}, nn::dense{{.in = 5, .out = 2}, rng}};
    };
    const shape<2> sample{2, 3};
    const auto open = make(std::true_type{});
    CHECK(prune::all_units(open, sample).names ==
          std::vector<std::string>{"0", "2.first", "2.second"});
    CHECK(check_removal<float>(open, sample, rng) > 0);
    CHECK(prune::prunable_units(make(std::false_type{}), sample).empty());
}

TEST_CASE("evidence chooses units, too: the scale of batch norm")
{
    random_engine rng(19);
    nn::sequential net{nn::dense{{.in = 2, .out = 4}, rng}, nn::batch_norm{{.features = 4}},
        nn::relu{}, nn::dense{{.in = 4, .out = 3}, rng}, nn::relu{},
        nn::dense{{.in = 3, .out = 2}, rng}};
    const float scales[] = {0.5f, -0.1f, 2.0f, 0.2f};
    std::copy_n(scales, 4, net.layer<1>().weight.data());
    const auto scores = prune::score_rows(net, prune::batch_norm_scale{});
    // Units without batch norm behind them stay.
    CHECK(prune::choose_units(net, shape<2>{1, 2}, scores, {.sparsity = 0.5}) ==
          kept_units{{0, 2}, {0, 1, 2}});
}

/// Scores by the value of the first weight, weight by weight.
struct first_weight
{
    template <class T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        std::fill(scores.begin(), scores.end(), T(0));
        for (index_t r = 0; r < w.shape(0); ++r)
        {
            scores[static_cast<std::size_t>(r * w.shape(1))] = w(r, 0);
        }
    }
};

TEST_CASE("scores of units are means over their rows")
{
    random_engine rng(18);
    // Unit i is row i of both layers.
    nn::sequential net{nn::dense{{.in = 2, .out = 3}, rng},
        nn::residual{nn::dense{{.in = 3, .out = 3}, rng}}, nn::dense{{.in = 3, .out = 1}, rng}};
    for (index_t i = 0; i < 3; ++i)
    {
        net.layer<0>().weight(i, 0) = static_cast<float>(i);
        net.layer<1>().branch.weight(i, 0) = static_cast<float>(10 * i);
    }
    const shape<2> sample{1, 2};
    const auto scores = prune::score_units(net, sample, first_weight{});
    CHECK(scores.names == std::vector<std::string>{"0"});
    REQUIRE(scores.values.size() == 1);
    for (std::size_t i = 0; i < 3; ++i)
    {
        // Mean of i / 2 and 10 i / 3.
        const auto number = static_cast<double>(i);
        CHECK(scores.values[0][i] == doctest::Approx((number / 2 + 10 * number / 3) / 2));
    }
    CHECK(prune::choose_units(net, sample, scores, {.sparsity = 0.34}) == kept_units{{1, 2}});
    CHECK(
        prune::choose_units(net, sample, first_weight{}, {.sparsity = 0.34}) == kept_units{{1, 2}});
    // So do scores of weights; units about which there is nothing stay.
    auto found = prune::score(net, first_weight{});
    CHECK(prune::score_units(net, sample, found) == scores);
    found.layers[0].values.clear();
    found.layers[1].values.clear();
    CHECK(prune::choose_units(net, sample, found, {.sparsity = 0.5}) == kept_units{{0, 1, 2}});
    CHECK_THROWS_AS(prune::choose_units(net, sample, prune::unit_scores{}, {}), argument_error);
    // The output layer has no units, nor has one that shares those of an earlier one.
    auto kept = prune::all_units(net, sample);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        kept.at("2") = {0};
                    }),
        {"kept units", "can lose units (0)", "2"});
    kept.names = {"1"};
    CHECK_THROWS_AS(prune::compact(net, sample, kept), argument_error);
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
    // Softmax mixes all units; layer norm counts removed ones as zeros; a sum has its units in common
    // with the network in front.
    CHECK(units(nn::sequential{nn::dense{{.in = 2, .out = 3}, rng}, nn::softmax{},
                    nn::dense{{.in = 3, .out = 5}, rng}, nn::layer_norm{{.features = 5}},
                    nn::dense{{.in = 5, .out = 7}, rng},
                    nn::residual{nn::dense{{.in = 7, .out = 7}, rng}},
                    nn::dense{{.in = 7, .out = 11}, rng}, nn::relu{},
                    nn::dense{{.in = 11, .out = 1}, rng}},
              shape<2>{1, 2}) == list{5, 7, 11});
    // Channel j of every group goes at once, in front of a layer with groups and behind it.
    CHECK(units(nn::sequential{nn::conv2d{{.in = 2, .out = 4, .kernel = 1}, rng},
                    nn::conv2d{{.in = 4, .out = 4, .kernel = 1, .groups = 2}, rng},
                    nn::conv2d{{.in = 4, .out = 6, .kernel = 1}, rng}, nn::flatten{},
                    nn::dense{{.in = 6, .out = 2}, rng}},
              shape<4>{1, 2, 1, 1}) == list{2, 2, 6});
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
        {"unit scores, layer '2'", "finite", "position 1"});
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
