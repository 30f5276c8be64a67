#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/global_avg_pool.hpp>
#include <structopt/nn/pool.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/transform.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <string>
#include <type_traits>
#include <vector>

namespace test_residual
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

template <class L>
std::vector<std::string> names_of(const L& network)
{
    std::vector<std::string> names;
    nn::visit_parameters(network,
        [&](const parameter_name& name, const auto&, role)
        {
            names.push_back(name.text());
        });
    return names;
}

} // namespace

TEST_SUITE("smoke residual")
{
    TEST_CASE("residual and concat of whole layers")
    {
        random_engine rng(1);
        const dense a{{.in = 4, .out = 4}, rng};
        const dense b{{.in = 4, .out = 3}, rng};
        const auto x = random_tensor<float>(shape<2>{5, 4}, rng);
        const auto ya = nn::forward(a, x);
        const auto yb = nn::forward(b, x);
        const residual sum{a};
        const concat both{a, b};
        const auto y = sum(x);
        const auto z = both(x);
        REQUIRE(shape_of(z) == shape<2>{5, 7});
        for (index_t i = 0; i < 5; ++i)
        {
            for (index_t j = 0; j < 4; ++j)
            {
                CHECK(y(i, j) == ya(i, j) + x(i, j));
                CHECK(z(i, j) == ya(i, j));
            }
            for (index_t j = 0; j < 3; ++j)
            {
                CHECK(z(i, 4 + j) == yb(i, j));
            }
        }
    }
}

TEST_SUITE("residual")
{
    TEST_CASE("gradients")
    {
        random_engine rng(2);
        const auto x = random_tensor<double>(shape<4>{2, 2, 4, 4}, rng);
        const auto rows = random_tensor<double>(shape<2>{4, 3}, rng);
        const auto conv = [&](index_t in, index_t out, index_t kernel)
        {
            return conv2d<double>(
                {.in = in, .out = out, .kernel = kernel, .padding = kernel / 2}, rng);
        };
        const dense<double> square({.in = 3, .out = 3}, rng);
        const dense<double> wide({.in = 3, .out = 5}, rng);
        const dense<double> other({.in = 3, .out = 5, .bias = false}, rng);

        support::check_gradients(residual{square}, rows);
        support::check_gradients(residual{nn::tanh{}}, rows);
        support::check_gradients(residual{wide, other}, rows);
        support::check_gradients(residual{residual{sequential{square, nn::tanh{}}}}, rows);
        support::check_gradients(concat{wide, square}, rows);
        support::check_gradients(concat{identity{}, concat{square, relu{}}}, rows);
        support::check_gradients(sequential{identity{}, square}, rows);

        const auto c1 = conv(2, 3, 3);
        const auto c2 = conv(3, 2, 1);
        const auto c3 = conv(2, 3, 1);
        support::check_gradients(residual{sequential{c1, relu{}, c2}}, x);
        support::check_gradients(residual{c1, c3}, x);
        support::check_gradients(sequential{concat{c1, c3}, relu{}, global_avg_pool{}}, x);
        support::check_gradients(concat{max_pool2d{{.kernel = 2}}, avg_pool2d{{.kernel = 2}}}, x);
        // A bias before a batch norm has no gradient: none here.
        const batch_norm<double> norm{{.features = 3}};
        const conv2d<double> n1({.in = 2, .out = 3, .kernel = 3, .padding = 1, .bias = false}, rng);
        const conv2d<double> n3({.in = 2, .out = 3, .kernel = 1, .bias = false}, rng);
        support::check_gradients(
            sequential{residual{sequential{n1, norm, relu{}}, sequential{n3, norm}}, relu{},
                dropout{0.3}, global_avg_pool{}, square},
            x);
    }

    TEST_CASE("training gives what inference gives")
    {
        random_engine rng(3);
        const conv2d a{{.in = 3, .out = 4, .kernel = 3, .padding = 1}, rng};
        const conv2d b{{.in = 3, .out = 4, .kernel = 1}, rng};
        const conv2d c{{.in = 4, .out = 4, .kernel = 3, .padding = 1}, rng};
        const sequential net{residual{sequential{a, relu{}, c}, b}, relu{}, concat{c, identity{}},
            residual{relu{}}, global_avg_pool{}, residual{sequential{relu{}, nn::tanh{}}}};
        const auto x = random_tensor<float>(shape<4>{5, 3, 7, 6}, rng);
        auto kept = nn::make_cache(net, x, rng);
        CHECK(largest_difference(net(x), nn::forward(net, x, kept)) == 0);
        CHECK(shape_of(net(x)) == shape<2>{5, 8});
    }

    TEST_CASE("names, counts, costs and statistics reach the children")
    {
        random_engine rng(4);
        const dense a{{.in = 3, .out = 3}, rng};
        const dense b{{.in = 3, .out = 3, .bias = false}, rng};
        residual block{sequential{a, batch_norm{{.features = 3}}}, b};
        CHECK(names_of(block) == std::vector<std::string>{"branch.0.weight", "branch.0.bias",
                                     "branch.1.weight", "branch.1.bias", "branch.1.running_mean",
                                     "branch.1.running_var", "shortcut.weight"});
        concat both{block, batch_norm{{.features = 3}}};
        CHECK(names_of(both)[0] == "0.branch.0.weight");
        CHECK(names_of(both)[7] == "1.weight");
        CHECK(nn::parameter_count(both) == 12 + 6 + 9 + 6);
        CHECK(nn::multiply_adds(both, shape<2>{7, 3}) == 7 * 18);

        const auto x = random_tensor<float>(shape<2>{20, 3}, rng);
        auto kept = nn::make_cache(both, x, rng);
        nn::forward(both, x, kept);
        nn::update_statistics(both, kept);
        CHECK(both.second.running_mean(0) != 0);
        residual sum{batch_norm{{.features = 3}}, batch_norm{{.features = 3}}};
        auto other = nn::make_cache(sum, x, rng);
        nn::forward(sum, x, other);
        nn::update_statistics(sum, other);
        CHECK(sum.branch.running_mean(1) != 0);
        CHECK(sum.shortcut.running_mean(1) == sum.branch.running_mean(1));
        CHECK(both.first.branch.layer<1>().running_mean(0) != 0);
    }

    TEST_CASE("random layers of both branches draw their own")
    {
        const auto x = full<float>(shape<2>{30, 30}, 1.0f);
        random_engine rng(5);
        const concat both{dropout{0.5}, dropout{0.5}};
        auto kept = nn::make_cache(both, x, rng);
        const auto& y = nn::forward(both, x, kept);
        index_t different = 0;
        for (index_t i = 0; i < 30; ++i)
        {
            for (index_t j = 0; j < 30; ++j)
            {
                different += y(i, j) != y(i, 30 + j) ? 1 : 0;
            }
        }
        CHECK(different > 300);

        // Both depend on the engine that the cache was made from.
        random_engine anew(6);
        auto again = nn::make_cache(both, x, anew);
        const auto& z = nn::forward(both, x, again);
        index_t first = 0;
        index_t second = 0;
        for (index_t i = 0; i < 30; ++i)
        {
            for (index_t j = 0; j < 30; ++j)
            {
                first += y(i, j) != z(i, j) ? 1 : 0;
                second += y(i, 30 + j) != z(i, 30 + j) ? 1 : 0;
            }
        }
        CHECK(first > 300);
        CHECK(second > 300);
    }

    TEST_CASE("transform rebuilds both branches")
    {
        random_engine rng(6);
        const dense a{{.in = 4, .out = 4}, rng};
        const sequential net{residual{sequential{a, relu{}}, a}, concat{a, identity{}}};
        const auto x = random_tensor<float>(shape<2>{3, 4}, rng);
        const auto changed = nn::transform_weights(net,
            [](const auto& layer)
            {
                auto twice = layer.weight;
                for (auto& w : twice)
                {
                    w *= 2;
                }
                return twice;
            });
        const auto doubled = [&]
        {
            auto layer = a;
            for (float& w : layer.weight)
            {
                w *= 2;
            }
            return layer;
        }();
        const sequential expected{
            residual{sequential{doubled, relu{}}, doubled}, concat{doubled, identity{}}};
        CHECK(largest_difference(changed(x), expected(x)) == 0);
        CHECK(largest_difference(changed(x), net(x)) > 0.01);
    }

    TEST_CASE("shapes that differ throw and name both branches")
    {
        random_engine rng(7);
        const dense a{{.in = 3, .out = 3}, rng};
        const dense b{{.in = 3, .out = 5}, rng};
        const auto x = structopt::zeros<float>(shape<2>{2, 3});
        CHECK_THROWS_WITH_AS(nn::forward(residual{b}, x),
            "residual: expected branch (dense) and shortcut (identity) of one shape, got [2, 5] "
            "and [2, 3]",
            shape_error);
        CHECK_THROWS_AS(nn::forward(residual{sequential{a}, b}, x), shape_error);
        const auto image = structopt::zeros<float>(shape<4>{2, 3, 8, 8});
        CHECK_THROWS_WITH_AS(nn::forward(concat{max_pool2d{{.kernel = 2}}, identity{}}, image),
            "concat: expected branches (max_pool2d and identity) of one shape but for axis 1, got "
            "[2, 3, 4, 4] and [2, 3, 8, 8]",
            shape_error);
    }

    TEST_CASE("residual of a residual nests")
    {
        const residual inner{relu{}};
        const residual outer{inner};
        static_assert(std::is_same_v<std::remove_const_t<decltype(outer)>,
            residual<residual<relu, identity>, identity>>);
        const tensor<float, 2> x{{1.0f, -2.0f}};
        CHECK(outer(x)(0, 0) == 3.0f);
        CHECK(outer(x)(0, 1) == -4.0f);
    }
}

} // namespace test_residual
