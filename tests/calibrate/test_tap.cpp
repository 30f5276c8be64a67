#include <structopt/calibrate/tap.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace test_tap
{

using namespace structopt;
using support::random_tensor;

namespace
{

/// A user's container: y = inner(x) / 2, which runs its layers through a copy of its own.
template <class Inner>
struct halved
{
    Inner inner;

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        return nn::output_shape(inner, in);
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return nn::scratch_bytes<T>(inner, in);
    }

    template <class T, std::size_t N, std::size_t M>
    void forward(view<const T, N> x, view<T, M> y, nn::scratch space) const noexcept
    {
        nn::forward(inner, x, y, space);
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] /= 2;
        }
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("inner", self.inner);
    }

    template <class Change>
    auto transform(Change&& change) const
    {
        return halved<std::remove_cvref_t<decltype(change(inner))>>{change(inner)};
    }
};

auto make_network(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 2, .out = 3, .kernel = 3, .padding = 1}, rng},
        nn::relu{},
        nn::residual{nn::sequential{nn::conv2d{{.in = 3, .out = 3, .kernel = 1}, rng}, nn::relu{}}},
        nn::flatten{},
        nn::concat{halved<nn::dense<float>>{nn::dense{{.in = 48, .out = 5}, rng}}, nn::relu{}},
        nn::dense{{.in = 53, .out = 4, .bias = false}, rng}};
}

struct call
{
    std::string layer;
    std::vector<float> x;
    std::vector<float> y;
};

template <class View>
std::vector<float> numbers(const View& v)
{
    const auto flat = v.flat();
    return {flat.begin(), flat.end()};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("every leaf layer is recorded once, with what it computes from")
    {
        random_engine rng(1);
        const auto net = make_network(rng);
        const auto x = random_tensor<float>(shape<4>{2, 2, 4, 4}, rng);
        std::map<index_t, call> calls;
        std::size_t again = 0;
        const auto y = calibrate::visit_activations(net, x,
            [&]<class L>(index_t i, const L& layer, auto in, auto out)
            {
                // Taps see the input before anything works in place on it.
                const auto expected = nn::forward(layer, in);
                CHECK(numbers(as_view(expected)) == numbers(out));
                again += calls.count(i);
                calls[i] = {std::string(nn::layer_traits<L>::name()), numbers(in), numbers(out)};
            });
        CHECK(again == 0);
        CHECK(support::largest_difference(y, net(x)) == 0);

        const std::vector<calibrate::layer_place> places = calibrate::leaf_layers(net);
        const std::vector<calibrate::layer_place> expected{{"0", 0}, {"1", -1}, {"2.branch.0", 2},
            {"2.branch.1", -1}, {"2.shortcut", -1}, {"3", -1}, {"4.0.inner", 4}, {"4.1", -1},
            {"5", 6}};
        CHECK(places == expected);
        const std::vector<std::string> layers{
            "conv2d", "relu", "conv2d", "relu", "identity", "flatten", "dense", "relu", "dense"};
        for (std::size_t i = 0; i < layers.size(); ++i)
        {
            INFO(i);
            REQUIRE(calls.count(static_cast<index_t>(i)) == 1);
            CHECK(calls[static_cast<index_t>(i)].layer == layers[i]);
        }
        CHECK(calls[0].x == numbers(as_view(x)));
        CHECK(calls[1].x == calls[0].y);
        CHECK(calls[2].x == calls[1].y);
        CHECK(calls[4].x == calls[1].y);
        CHECK(calls[7].x == calls[5].y);
        CHECK(calls[8].y == numbers(as_view(y)));

        // Positions are those of the optimizers' lists.
        const auto parameters = nn::trainable_parameters<const float>(net);
        CHECK(parameters[6].values.data() == net.layer<5>().weight.data());
    }
}

TEST_CASE("a tapped network follows changes of the numbers, and works through the core form")
{
    random_engine rng(2);
    nn::sequential net{nn::dense{{.in = 3, .out = 4}, rng}, nn::relu{}};
    const auto x = random_tensor<float>(shape<2>{5, 3}, rng);
    index_t calls = 0;
    const auto count_calls = [&](index_t, const auto&, auto, auto)
    {
        ++calls;
    };
    const auto tapped = calibrate::tap(net, count_calls);
    CHECK(support::largest_difference(tapped(x), net(x)) == 0);
    CHECK(calls == 2);
    net.layer<0>().weight(0, 0) += 1;
    CHECK(support::largest_difference(tapped(x), net(x)) == 0);
    CHECK(nn::multiply_adds(tapped, shape<2>{5, 3}) == nn::multiply_adds(net, shape<2>{5, 3}));

    // A network that is one layer.
    CHECK(calibrate::leaf_layers(net.layer<0>()) == std::vector<calibrate::layer_place>{{"", 0}});
    calibrate::visit_activations(net.layer<0>(), x, count_calls);
    CHECK(calls == 5);
}

TEST_CASE("what a function throws comes out, and the layers behind are not run")
{
    random_engine rng(3);
    const auto net = make_network(rng);
    const auto x = random_tensor<float>(shape<4>{1, 2, 4, 4}, rng);
    index_t last = -1;
    CHECK_THROWS_AS(calibrate::visit_activations(net, x,
                        [&](index_t i, const auto&, auto, auto)
                        {
                            last = i;
                            if (i == 2)
                            {
                                throw std::runtime_error("enough");
                            }
                        }),
        std::runtime_error);
    CHECK(last == 2);
    CHECK_THROWS_AS(
        calibrate::visit_activations(net, random_tensor<float>(shape<4>{1, 3, 4, 4}, rng),
            [](index_t, const auto&, auto, auto) {}),
        shape_error);
}

namespace
{

struct first_only
{
    index_t calls = 0;

    template <class L, class X, class Y>
    void operator()(index_t, const L&, const X&, const Y&) noexcept
    {
        ++calls;
    }

    bool skips(index_t index) const noexcept
    {
        return index > 0;
    }
};

} // namespace

TEST_CASE("skipped layers give zeros and are not recorded")
{
    random_engine rng(4);
    const auto net = make_network(rng);
    first_only recorder;
    const auto y = calibrate::tap(net, recorder)(random_tensor<float>(shape<4>{1, 2, 4, 4}, rng));
    CHECK(recorder.calls == 1);
    for (const float value : y)
    {
        CHECK(value == 0);
    }
}

} // namespace test_tap
