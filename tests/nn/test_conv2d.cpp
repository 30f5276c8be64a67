#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/nn/sequential.hpp>

#include "reference/convolution.hpp"
#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <string>
#include <vector>

namespace test_conv2d
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

std::string text(const conv2d_options& o)
{
    return "in " + std::to_string(o.in) + " out " + std::to_string(o.out) + " kernel " +
           o.kernel.text() + " stride " + o.stride.text() + " padding " + o.padding.text() + "/" +
           o.padding_end.text() + " dilation " + o.dilation.text() + " groups " +
           std::to_string(o.groups) + (o.bias ? "" : " no bias");
}

template <class T>
conv2d<T> random_layer(const conv2d_options& options, random_engine& rng)
{
    auto weight = random_tensor<T>(shape<4>{options.out, options.in / options.groups,
                                       options.kernel.height, options.kernel.width},
        rng);
    return conv2d<T>(options, std::move(weight),
        random_tensor<T>(shape<1>{options.bias ? options.out : 0}, rng));
}

/// Options of all kinds, and the smallest input they take with some room above.
conv2d_options random_options(random_engine& rng)
{
    const auto below = [&](index_t n)
    {
        return uniform_index(rng, n);
    };
    const index_t kinds[] = {1, 1, 2, 3};
    const index_t groups = kinds[below(4)];
    const bool depthwise = below(4) == 0;
    const index_t in = groups * (1 + below(3));
    conv2d_options o{.in = in,
        .out = depthwise ? in * (1 + below(2)) : groups * (1 + below(4)),
        .kernel = {1 + below(4), 1 + below(4)},
        .stride = {1 + below(3), 1 + below(3)},
        .padding = {below(3), below(3)},
        .dilation = {1 + below(2), 1 + below(2)},
        .groups = depthwise ? in : groups,
        .bias = below(3) != 0};
    o.padding_end = below(2) == 0 ? o.padding : extent2{below(3), below(3)};
    return o;
}

shape<4> random_input(const conv2d_options& o, index_t batch, index_t room, random_engine& rng)
{
    const auto least = [](index_t kernel, index_t dilation, index_t padding)
    {
        const index_t n = dilation * (kernel - 1) + 1 - padding;
        return n < 1 ? 1 : n;
    };
    return {batch, o.in,
        least(o.kernel.height, o.dilation.height, o.padding.height + o.padding_end.height) +
            uniform_index(rng, room),
        least(o.kernel.width, o.dilation.width, o.padding.width + o.padding_end.width) +
            uniform_index(rng, room)};
}

/// Whether there was anything to compare: windows that lie in the padding alone give zeros.
template <class T>
bool agrees_with_reference(const conv2d_options& options, const shape<4>& in, random_engine& rng)
{
    INFO(text(options) << " on " << describe(in));
    const auto layer = random_layer<T>(options, rng);
    const auto x = random_tensor<T>(in, rng);
    const auto y = nn::forward(layer, x);
    const auto expected = reference::convolve(options, x, layer.weight, layer.bias);
    REQUIRE(shape_of(y) == shape_of(expected));
    const double terms = static_cast<double>(
        options.in / options.groups * options.kernel.height * options.kernel.width + 1);
    const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    // Normal numbers: products below 16 are all but certain.
    CHECK(largest_difference(y, expected) <= 16 * epsilon * terms);
    return largest_difference(y, structopt::zeros<T>(shape_of(y))) > 16 * epsilon * terms;
}

} // namespace

TEST_SUITE("smoke conv2d")
{
    TEST_CASE_TEMPLATE("conv2d agrees with the definition", T, float, double)
    {
        random_engine rng(1);
        CHECK(agrees_with_reference<T>(
            {.in = 3, .out = 4, .kernel = 3, .padding = 1}, shape<4>{2, 3, 6, 5}, rng));
        agrees_with_reference<T>({.in = 4,
                                     .out = 4,
                                     .kernel = 3,
                                     .stride = 2,
                                     .padding = 0,
                                     .padding_end = 1,
                                     .groups = 4},
            shape<4>{2, 4, 8, 8}, rng);
    }
}

TEST_SUITE("conv2d")
{
    TEST_CASE_TEMPLATE("conv2d agrees with the definition on random shapes", T, float, double)
    {
        random_engine rng(2);
        int compared = 0;
        for (int i = 0; i < 150; ++i)
        {
            const auto options = random_options(rng);
            const auto in = random_input(options, 1 + i % 3, 9, rng);
            compared += agrees_with_reference<T>(options, in, rng) ? 1 : 0;
        }
        CHECK(compared > 130);
    }

    TEST_CASE("conv2d agrees with the definition where patches come in several blocks")
    {
        random_engine rng(3);
        agrees_with_reference<float>(
            {.in = 16, .out = 5, .kernel = 3, .padding = 1}, shape<4>{2, 16, 31, 33}, rng);
        agrees_with_reference<float>({.in = 16, .out = 5, .kernel = 5, .stride = 2, .padding = 2},
            shape<4>{1, 16, 61, 40}, rng);
        agrees_with_reference<float>(
            {.in = 40, .out = 17, .kernel = 1}, shape<4>{3, 40, 9, 9}, rng);
    }

    TEST_CASE("conv2d gradients")
    {
        random_engine rng(4);
        const std::vector<conv2d_options> cases{
            {.in = 2, .out = 3, .kernel = 3},
            {.in = 2, .out = 3, .kernel = 1},
            {.in = 2, .out = 2, .kernel = 1, .stride = 2},
            {.in = 2, .out = 2, .kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 0}},
            {.in = 2, .out = 2, .kernel = 3, .stride = 2, .padding = 0, .padding_end = 1},
            {.in = 2, .out = 2, .kernel = 3, .padding = 2, .dilation = 2, .bias = false},
            {.in = 4, .out = 6, .kernel = 3, .padding = 1, .groups = 2},
            {.in = 3, .out = 3, .kernel = 3, .padding = 1, .groups = 3},
            {.in = 3, .out = 6, .kernel = {3, 2}, .stride = 2, .padding = 1, .groups = 3},
            {.in = 3, .out = 3, .kernel = 2, .padding = 1, .dilation = 2, .groups = 3},
        };
        for (const auto& options : cases)
        {
            INFO(text(options));
            const auto layer = random_layer<double>(options, rng);
            support::check_gradients(
                layer, random_tensor<double>(shape<4>{3, options.in, 5, 6}, rng));
        }
        for (int i = 0; i < 30; ++i)
        {
            const auto options = random_options(rng);
            INFO(text(options));
            // Windows that lie in the padding alone have no gradient.
            const auto layer = random_layer<double>(options, rng);
            const auto in = random_input(options, 2, 3, rng);
            support::check_gradients(layer, random_tensor<double>(in, rng), {.least = -1});
        }
    }

    TEST_CASE_TEMPLATE(
        "the gradients of blocks and of many samples are those of the definition", T, float, double)
    {
        // dW by the definition: the convolution is linear in W, so dW = y of unit weights.
        random_engine rng(5);
        const conv2d_options options{.in = 8, .out = 3, .kernel = 3, .padding = 1};
        const auto layer = random_layer<T>(options, rng);
        const auto x = random_tensor<T>(shape<4>{20, 8, 30, 30}, rng);
        const auto dy = random_tensor<T>(shape<4>{20, 3, 30, 30}, rng);
        auto kept = nn::make_cache(layer, x, rng);
        nn::forward(layer, x, kept);
        auto gradients = nn::zeros_like(layer);
        auto dx = make_tensor<T>(shape_of(x));
        nn::backward(layer, dy, kept, gradients, dx);
        for (const auto& at : {shape<4>{0, 0, 0, 0}, shape<4>{2, 7, 1, 2}, shape<4>{1, 3, 2, 1}})
        {
            double expected = 0;
            double size = 0;
            for (index_t b = 0; b < 20; ++b)
            {
                for (index_t i = 0; i < 30; ++i)
                {
                    for (index_t j = 0; j < 30; ++j)
                    {
                        const index_t r = i + at[2] - 1;
                        const index_t s = j + at[3] - 1;
                        if (r >= 0 && r < 30 && s >= 0 && s < 30)
                        {
                            const double term = static_cast<double>(dy(b, at[0], i, j)) *
                                                static_cast<double>(x(b, at[1], r, s));
                            expected += term;
                            size += std::abs(term);
                        }
                    }
                }
            }
            const double found = static_cast<double>(gradients.weight(at[0], at[1], at[2], at[3]));
            CHECK(std::abs(found - expected) <=
                  8 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size);
        }
        double expected = 0;
        for (index_t f = 0; f < 3; ++f)
        {
            for (index_t i = 0; i < 3; ++i)
            {
                for (index_t j = 0; j < 3; ++j)
                {
                    expected += static_cast<double>(layer.weight(f, 5, i, j)) *
                                static_cast<double>(dy(17, f, 12 - i + 1, 20 - j + 1));
                }
            }
        }
        CHECK(std::abs(static_cast<double>(dx(17, 5, 12, 20)) - expected) <=
              200 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    }

    TEST_CASE_TEMPLATE("weights of another storage compute and train alike", T, float, double)
    {
        random_engine rng(6);
        for (const conv2d_options& options :
            {conv2d_options{.in = 3, .out = 4, .kernel = 3, .stride = {1, 2}, .padding = 1},
                conv2d_options{.in = 16, .out = 4, .kernel = 3, .padding = 1},
                conv2d_options{.in = 20, .out = 4, .kernel = 3, .stride = 2, .padding = 1},
                conv2d_options{.in = 5, .out = 4, .kernel = 1}})
        {
            INFO(text(options));
            const sequential<conv2d<T>> net{random_layer<T>(options, rng)};
            const auto& layer = net.template layer<0>();
            const auto matrix = storage_traits<tensor<T, 4>>::unpack(layer.weight);
            const sequential other{conv2d<tensor<T, 2>>(options, matrix, layer.bias)};
            const auto x = random_tensor<T>(shape<4>{3, options.in, 30, 32}, rng);
            const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
            CHECK(largest_difference(net(x), other(x)) <= 200 * epsilon);
            CHECK(nn::multiply_adds(net, shape_of(x)) == nn::multiply_adds(other, shape_of(x)));

            auto kept = nn::make_cache(net, x, rng);
            auto other_kept = nn::make_cache(other, x, rng);
            const auto dy = random_tensor<T>(shape_of(nn::forward(net, x, kept)), rng);
            nn::forward(other, x, other_kept);
            auto gradients = nn::zeros_like(net);
            auto other_gradients = nn::zeros_like(other);
            auto dx = make_tensor<T>(shape_of(x));
            auto other_dx = make_tensor<T>(shape_of(x));
            nn::backward(net, dy, kept, gradients, dx);
            nn::backward(other, dy, other_kept, other_gradients, other_dx);
            CHECK(largest_difference(dx, other_dx) <= 200 * epsilon);
            CHECK(largest_difference(gradients.template layer<0>().weight,
                      other_gradients.template layer<0>().weight) <= 10000 * epsilon);
            CHECK(largest_difference(gradients.template layer<0>().bias,
                      other_gradients.template layer<0>().bias) == 0);
        }
    }

    TEST_CASE("every sample's output is its own, bit for bit")
    {
        random_engine rng(7);
        const auto layer =
            random_layer<float>({.in = 3, .out = 9, .kernel = 3, .stride = 2, .padding = 1}, rng);
        const auto x = random_tensor<float>(shape<4>{33, 3, 15, 14}, rng);
        const auto y = nn::forward(layer, x);
        const view<const float, 4> all(x);
        for (const index_t b : {0, 7, 32})
        {
            const auto alone = nn::forward(layer, all.slice(b, b + 1));
            CHECK(largest_difference(copy(as_view(y).slice(b, b + 1)), alone) == 0);
        }
    }

    TEST_CASE("the empty batch")
    {
        random_engine rng(8);
        const auto layer = random_layer<float>({.in = 3, .out = 2, .kernel = 3}, rng);
        const auto x = structopt::zeros<float>(shape<4>{0, 3, 5, 5});
        const auto y = nn::forward(layer, x);
        CHECK(shape_of(y) == shape<4>{0, 2, 3, 3});
    }

    TEST_CASE("options out of range throw")
    {
        random_engine rng(9);
        const auto make = [&](const conv2d_options& options)
        {
            return conv2d<float>(options, rng);
        };
        CHECK_THROWS_WITH_AS(make({.in = 0, .out = 1, .kernel = 3}),
            "conv2d: expected in and out of at least 1, got in 0, out 1", argument_error);
        CHECK_THROWS_AS(make({.in = 1, .out = -1, .kernel = 3}), argument_error);
        CHECK_THROWS_WITH_AS(make({.in = 1, .out = 1, .kernel = {0, 3}}),
            "conv2d: expected kernel of at least 1, got 0x3", argument_error);
        CHECK_THROWS_WITH_AS(make({.in = 1, .out = 1, .kernel = 3, .stride = 0}),
            "conv2d: expected stride of at least 1, got 0x0", argument_error);
        CHECK_THROWS_AS(make({.in = 1, .out = 1, .kernel = 3, .dilation = {1, 0}}), argument_error);
        CHECK_THROWS_WITH_AS(make({.in = 1, .out = 1, .kernel = 3, .padding = -1}),
            "conv2d: expected padding of at least 0, got -1x-1", argument_error);
        CHECK_THROWS_AS(
            make({.in = 1, .out = 1, .kernel = 3, .padding = 1, .padding_end = {0, -1}}),
            argument_error);
        CHECK_THROWS_WITH_AS(make({.in = 4, .out = 6, .kernel = 3, .groups = 3}),
            "conv2d groups: expected a divisor of in and out, got groups 3, in 4, out 6",
            argument_error);
        CHECK_THROWS_AS(make({.in = 6, .out = 4, .kernel = 3, .groups = 3}), argument_error);
        CHECK_THROWS_AS(make({.in = 6, .out = 6, .kernel = 3, .groups = 0}), argument_error);
    }

    TEST_CASE("tensors that do not fit throw")
    {
        random_engine rng(10);
        const auto layer = random_layer<float>(
            {.in = 3, .out = 2, .kernel = {5, 3}, .padding = {1, 0}, .dilation = {1, 2}}, rng);
        const auto on = [&](const shape<4>& in)
        {
            return nn::forward(layer, structopt::zeros<float>(in));
        };
        CHECK_THROWS_WITH_AS(on(shape<4>{2, 4, 8, 8}),
            "conv2d input: expected [any, 3, any, any], got [2, 4, 8, 8]", shape_error);
        CHECK(shape_of(on(shape<4>{1, 3, 3, 5})) == shape<4>{1, 2, 1, 1});
        CHECK_THROWS_WITH_AS(on(shape<4>{1, 3, 2, 5}),
            "conv2d input: expected height and width of at least 3x5, got [1, 3, 2, 5]",
            shape_error);
        CHECK_THROWS_AS(on(shape<4>{1, 3, 3, 4}), shape_error);

        CHECK_THROWS_AS(conv2d<float>({.in = 3, .out = 2, .kernel = 3},
                            structopt::zeros<float>(shape<4>{2, 3, 3, 4})),
            shape_error);
        CHECK_THROWS_AS(conv2d<float>({.in = 3, .out = 2, .kernel = 3},
                            structopt::zeros<float>(shape<4>{2, 3, 3, 3}),
                            structopt::zeros<float>(shape<1>{3})),
            shape_error);
        CHECK_THROWS_AS(layer.with_weight(structopt::zeros<float>(shape<2>{2, 44})), shape_error);
        const auto grouped =
            random_layer<float>({.in = 4, .out = 4, .kernel = 3, .groups = 2}, rng);
        const auto matrix = structopt::zeros<float>(shape<2>{4, 18});
        using packed = packed_matrix<float, bfloat16>;
        CHECK_THROWS_WITH_AS(
            (conv2d<packed>(grouped.options(), packed(structopt::as_view(matrix)))),
            "conv2d groups: expected 1 for weights stored as bfloat16, got 2", argument_error);
    }

    TEST_CASE("channels are selected on either side")
    {
        random_engine rng(11);
        const auto layer = random_layer<float>({.in = 4, .out = 5, .kernel = 3, .padding = 1}, rng);
        CHECK(layer_traits<conv2d<float>>::unit_coupling(layer) == coupling::mixes);
        const auto x = random_tensor<float>(shape<4>{2, 4, 6, 6}, rng);
        const auto y = nn::forward(layer, x);

        const std::vector<index_t> outputs{4, 1};
        const auto fewer = layer.select_outputs(outputs);
        CHECK(fewer.options().out == 2);
        const auto part = nn::forward(fewer, x);
        for (index_t b = 0; b < 2; ++b)
        {
            CHECK(part(b, 0, 2, 3) == y(b, 4, 2, 3));
            CHECK(part(b, 1, 5, 0) == y(b, 1, 5, 0));
        }

        // Removed inputs count as zeros.
        const std::vector<index_t> inputs{0, 3};
        auto masked = x;
        auto kept = make_tensor<float>(shape<4>{2, 2, 6, 6});
        for (index_t b = 0; b < 2; ++b)
        {
            for (index_t i = 0; i < 36; ++i)
            {
                masked(b, 1, i / 6, i % 6) = 0;
                masked(b, 2, i / 6, i % 6) = 0;
                kept(b, 0, i / 6, i % 6) = x(b, 0, i / 6, i % 6);
                kept(b, 1, i / 6, i % 6) = x(b, 3, i / 6, i % 6);
            }
        }
        const auto narrow = layer.select_inputs(inputs);
        CHECK(narrow.inputs() == 2);
        CHECK(largest_difference(nn::forward(narrow, kept), nn::forward(layer, masked)) <= 1e-5);

        const auto grouped =
            random_layer<float>({.in = 4, .out = 4, .kernel = 3, .groups = 2}, rng);
        CHECK(grouped.unit_coupling() == coupling::mixes);
        CHECK(grouped.unit_groups() == 2);
        CHECK_THROWS_AS(grouped.select_outputs(outputs), argument_error);
        CHECK_THROWS_AS(grouped.select_inputs(outputs), argument_error);
        CHECK_THROWS_AS(grouped.select_units(outputs), argument_error);
        CHECK_THROWS_AS(layer.select_units(outputs), argument_error);

        const auto depthwise =
            random_layer<float>({.in = 4, .out = 4, .kernel = 3, .groups = 4}, rng);
        CHECK(depthwise.unit_coupling() == coupling::passes);
        const auto units = layer_traits<conv2d<float>>::select_units(depthwise, inputs);
        CHECK(units.options().groups == 2);
        const auto passed = nn::forward(units, kept);
        CHECK(passed(1, 1, 2, 2) == nn::forward(depthwise, x)(1, 3, 2, 2));

        // Of groups equally many, of their own channels.
        const std::vector<index_t> each{1, 3};
        CHECK(grouped.select_outputs(each).options().groups == 2);
        CHECK(nn::forward(grouped.select_outputs(each), x)(1, 1, 2, 2) ==
              nn::forward(grouped, x)(1, 3, 2, 2));
        const auto halved = grouped.select_inputs(inputs);
        CHECK(halved.weight(1, 0, 2, 2) == grouped.weight(1, 0, 2, 2));
        CHECK(halved.weight(2, 0, 1, 0) == grouped.weight(2, 1, 1, 0));
        CHECK(largest_difference(nn::forward(halved, kept), nn::forward(grouped, masked)) <= 1e-5);

        // Several channels of each: they go together.
        auto doubled = random_layer<float>({.in = 4, .out = 8, .kernel = 3, .groups = 4}, rng);
        CHECK(doubled.unit_coupling() == coupling::passes);
        CHECK(doubled.map_units(inputs, shape_of(x)) == std::vector<index_t>{0, 1, 6, 7});
        const auto pairs = doubled.select_units(inputs);
        CHECK(nn::forward(pairs, kept)(1, 3, 2, 2) == nn::forward(doubled, x)(1, 7, 2, 2));
        doubled.weight = pairs.weight;
        doubled.bias = pairs.bias;
        doubled.refresh();
        CHECK(doubled.options() == pairs.options());
    }

    TEST_CASE("names, counts and initial values")
    {
        random_engine rng(12);
        const conv2d layer{{.in = 4, .out = 6, .kernel = {3, 5}, .padding = 1, .groups = 2}, rng};
        std::vector<std::string> names;
        nn::visit_parameters(layer,
            [&](const parameter_name& name, const auto&, role)
            {
                names.push_back(name.text());
            });
        CHECK(names == std::vector<std::string>{"weight", "bias"});
        CHECK(shape_of(layer.weight) == shape<4>{6, 2, 3, 5});
        CHECK(nn::parameter_count(layer) == 6 * 2 * 3 * 5 + 6);
        CHECK(nn::multiply_adds(layer, shape<4>{7, 4, 8, 8}) == 7 * 8 * 6 * (6 * 2 * 3 * 5));
        // He: uniform on +-sqrt(6 / fan in), and spread over most of it.
        const double bound = std::sqrt(6.0 / (2 * 3 * 5));
        double largest = 0;
        for (const float w : layer.weight)
        {
            largest = std::max(largest, static_cast<double>(std::abs(w)));
        }
        CHECK(largest <= bound);
        CHECK(largest > 0.9 * bound);
        const conv2d bare{{.in = 4, .out = 6, .kernel = 3, .bias = false}, rng};
        CHECK(nn::parameter_count(bare) == 6 * 4 * 9);
    }
}

} // namespace test_conv2d
