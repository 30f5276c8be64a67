#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/pool.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/softmax.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <string>
#include <type_traits>
#include <vector>

namespace test_sequential
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

TEST_SUITE("smoke sequential")
{
    TEST_CASE("layers one after the other")
    {
        random_engine rng(1);
        const dense a{{.in = 4, .out = 6}, rng};
        const dense b{{.in = 6, .out = 3}, rng};
        const sequential net{a, relu{}, b, softmax{}};
        const auto x = random_tensor<float>(shape<2>{5, 4}, rng);
        const auto hidden = nn::forward(relu{}, nn::forward(a, x));
        const auto y = nn::forward(softmax{}, nn::forward(b, hidden));
        CHECK(largest_difference(net(x), y) == 0);
        auto kept = nn::make_cache(net, x, rng);
        CHECK(largest_difference(nn::forward(net, x, kept), y) == 0);
    }
}

namespace
{

/// Says that it works in place, and drops a column.
struct shrinking
{
    static constexpr std::string_view name = "shrinking";
    static constexpr bool in_place = true;

    shape<2> output_shape(const shape<2>& in) const noexcept
    {
        return {in[0], in[1] - 1};
    }

    void forward(view<const float, 2>, view<float, 2>, nn::scratch) const noexcept
    {
    }
};

} // namespace

TEST_SUITE("sequential")
{
    TEST_CASE("a layer that works in place keeps the number of elements")
    {
        random_engine rng(3);
        const sequential net{dense{{.in = 4, .out = 6}, rng}, shrinking{}};
        CHECK_THROWS_WITH_AS(net(structopt::zeros<float>(shape<2>{2, 4})),
            "shrinking: expected as many outputs as inputs from a layer that works in place, "
            "got [2, 5] from [2, 6]",
            shape_error);
    }

    TEST_CASE("any number and kind of layers agrees with one call after the other")
    {
        random_engine rng(2);
        const dense a{{.in = 4, .out = 4}, rng};
        const auto x = random_tensor<float>(shape<2>{3, 4}, rng);
        const auto same = [&](const auto& net, const auto& expected)
        {
            CHECK(largest_difference(net(x), expected) == 0);
            auto kept = nn::make_cache(net, x, rng);
            CHECK(largest_difference(nn::forward(net, x, kept), expected) == 0);
        };
        const auto y = nn::forward(a, x);
        const auto r = nn::forward(relu{}, x);
        same(sequential{a}, y);
        same(sequential{relu{}}, r);
        same(sequential{relu{}, relu{}, relu{}}, r);
        same(sequential{relu{}, a}, nn::forward(a, r));
        same(sequential{a, relu{}, elu{}, a, relu{}, elu{}},
            nn::forward(elu{},
                nn::forward(relu{}, nn::forward(a, nn::forward(elu{}, nn::forward(relu{}, y))))));
        same(sequential{a, a, a, a}, nn::forward(a, nn::forward(a, nn::forward(a, y))));
        same(sequential<>{}, x);
    }

    TEST_CASE("the input of layers that work in place is not written")
    {
        const auto x = full<float>(shape<2>{2, 3}, -1.0f);
        const auto before = x;
        CHECK(sequential{relu{}, relu{}}(x)(1, 1) == 0.0f);
        CHECK(sequential{relu{}, flatten{}, relu{}}(x)(1, 1) == 0.0f);
        CHECK(largest_difference(x, before) == 0);
    }

    TEST_CASE("sequential of a sequential nests and computes the same")
    {
        random_engine rng(3);
        const dense a{{.in = 4, .out = 4}, rng};
        const sequential inner{a, relu{}};
        const sequential outer{inner};
        static_assert(std::is_same_v<std::remove_const_t<decltype(outer)>,
            sequential<sequential<dense<float>, relu>>>);
        const auto x = random_tensor<float>(shape<2>{3, 4}, rng);
        CHECK(largest_difference(outer(x), inner(x)) == 0);
        const sequential deep{inner, sequential{relu{}, inner}, a};
        CHECK(
            largest_difference(deep(x), nn::forward(a, inner(nn::forward(relu{}, inner(x))))) == 0);

        std::vector<std::string> names;
        nn::visit_parameters(deep,
            [&](const parameter_name& name, const auto&, role)
            {
                names.push_back(name.text());
            });
        CHECK(names == std::vector<std::string>{"0.0.weight", "0.0.bias", "1.1.0.weight",
                           "1.1.0.bias", "2.weight", "2.bias"});
    }

    TEST_CASE("gradients of compositions")
    {
        random_engine rng(4);
        const conv2d<double> conv({.in = 2, .out = 3, .kernel = 3, .stride = 2, .padding = 1}, rng);
        const dense<double> last({.in = 3, .out = 2}, rng);
        const dense<double> square({.in = 3, .out = 3}, rng);
        const auto images = random_tensor<double>(shape<4>{3, 2, 5, 4}, rng);
        support::check_gradients(
            sequential{conv, nn::tanh{}, max_pool2d{{.kernel = {3, 2}}}, flatten{}, last}, images);
        support::check_gradients(sequential{relu{}, conv, sequential{silu{}, flatten{}}}, images);
        const auto rows = random_tensor<double>(shape<2>{4, 3}, rng);
        support::check_gradients(
            sequential{nn::tanh{}, dropout{0.3}, square, sequential{gelu{}, square}, log_softmax{}},
            rows);
        support::check_gradients(sequential{nn::tanh{}, silu{}}, rows);
        support::check_gradients(flatten{}, images);
    }

    TEST_CASE("flatten keeps the order and numbers units by their blocks")
    {
        auto x = make_tensor<float>(shape<4>{2, 3, 2, 2});
        for (std::size_t i = 0; i < x.size(); ++i)
        {
            x.data()[i] = static_cast<float>(i);
        }
        const auto y = nn::forward(flatten{}, x);
        REQUIRE(shape_of(y) == shape<2>{2, 12});
        CHECK(y(1, 5) == x(1, 1, 0, 1));
        const std::vector<index_t> units{2, 0};
        CHECK(layer_traits<flatten>::map_units({}, units, shape_of(x)) ==
              std::vector<index_t>{8, 9, 10, 11, 0, 1, 2, 3});
    }

    TEST_CASE("costs and shapes add up; what does not fit throws before anything is computed")
    {
        random_engine rng(5);
        const sequential net{conv2d{{.in = 1, .out = 4, .kernel = 3}, rng}, relu{}, flatten{},
            dense{{.in = 4 * 36, .out = 10}, rng}};
        CHECK(nn::multiply_adds(net, shape<4>{2, 1, 8, 8}) == 2 * (36 * 36 + 1440));
        CHECK(nn::output_shape(net, shape<4>{2, 1, 8, 8}) == shape<2>{2, 10});
        CHECK(nn::parameter_count(net) == 36 + 4 + 1440 + 10);

        const auto x = random_tensor<float>(shape<4>{2, 1, 8, 8}, rng);
        auto kept = nn::make_cache(net, x, rng);
        const auto y = nn::forward(net, x, kept);
        const auto wrong = random_tensor<float>(shape<4>{2, 1, 9, 8}, rng);
        CHECK_THROWS_WITH_AS(nn::forward(net, wrong, kept),
            "dense input: expected [any, 144], got [2, 168]", shape_error);
        CHECK(largest_difference(kept.y, y) == 0);
        auto gradients = nn::zeros_like(net);
        CHECK_THROWS_AS(nn::backward(net, structopt::zeros<float>(shape<2>{2, 9}), kept, gradients),
            shape_error);
        auto dx = make_tensor<float>(shape<4>{2, 1, 9, 8});
        CHECK_THROWS_AS(nn::backward(net, y, kept, gradients, dx), shape_error);
        for (const auto& parameter : nn::trainable_parameters<float>(gradients))
        {
            for (const float g : parameter.values)
            {
                REQUIRE(g == 0.0f);
            }
        }
        // The cache still serves the pass that succeeded.
        nn::backward(net, y, kept, gradients);
        CHECK(gradients.layer<3>().bias(0) == y(0, 0) + y(1, 0));
    }

    TEST_CASE("a cache serves batches of any size")
    {
        random_engine rng(6);
        const sequential net{conv2d{{.in = 1, .out = 2, .kernel = 3}, rng}, relu{}, flatten{},
            dense{{.in = 2 * 16, .out = 3}, rng}};
        const auto large = random_tensor<float>(shape<4>{9, 1, 6, 6}, rng);
        const auto small = random_tensor<float>(shape<4>{2, 1, 6, 6}, rng);
        auto kept = nn::make_cache(net, large, rng);
        auto alone = nn::make_cache(net, small, rng);
        nn::forward(net, large, kept);
        const auto dy = random_tensor<float>(shape<2>{2, 3}, rng);
        CHECK(largest_difference(nn::forward(net, small, kept), net(small)) == 0);
        nn::forward(net, small, alone);
        auto gradients = nn::zeros_like(net);
        auto expected = nn::zeros_like(net);
        nn::backward(net, dy, kept, gradients);
        nn::backward(net, dy, alone, expected);
        CHECK(largest_difference(gradients.layer<0>().weight, expected.layer<0>().weight) == 0);
        CHECK(largest_difference(gradients.layer<3>().weight, expected.layer<3>().weight) == 0);
    }
}

} // namespace test_sequential
