#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/dropout.hpp>
#include <structopt/nn/sequential.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>

namespace test_dropout
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

TEST_SUITE("smoke dropout")
{
    TEST_CASE_TEMPLATE("inference changes nothing, training zeroes a share p", T, float, double)
    {
        const auto x = full<T>(shape<2>{200, 501}, T(3));
        for (const double p : {0.0, 0.25, 0.5, 0.9})
        {
            const dropout layer{p};
            CHECK(largest_difference(nn::forward(layer, x), x) == 0);
            random_engine rng(1);
            auto kept = nn::make_cache(layer, x, rng);
            const auto& y = nn::forward(layer, x, kept);
            double zeros = 0;
            bool others = false;
            for (const T v : y)
            {
                zeros += v == 0 ? 1 : 0;
                others = others || (v != 0 && v != T(3) * static_cast<T>(1 / (1 - p)));
            }
            CHECK(!others);
            // Five standard deviations.
            const double n = 200 * 501;
            CHECK(std::abs(zeros - n * p) <= 5 * std::sqrt(n * p * (1 - p)));
        }
    }
}

TEST_SUITE("dropout")
{
    TEST_CASE("gradients go where the elements went")
    {
        random_engine rng(2);
        const auto x = random_tensor<double>(shape<4>{2, 3, 2, 3}, rng);
        support::check_gradients(dropout{0.4}, x);
        const dense<double> a({.in = 5, .out = 8}, rng);
        const dense<double> b({.in = 8, .out = 3}, rng);
        support::check_gradients(sequential{dropout{0.2}, a, dropout{0.5}, b},
            random_tensor<double>(shape<2>{7, 5}, rng));
    }

    TEST_CASE("a seed draws the same again; passes and layers draw anew")
    {
        const auto x = full<float>(shape<2>{10, 10}, 1.0f);
        const sequential net{dropout{0.5}, dropout{0.5}};
        random_engine first(3);
        random_engine second(3);
        auto a = nn::make_cache(net, x, first);
        auto b = nn::make_cache(net, x, second);
        const auto once = nn::forward(net, x, a);
        CHECK(largest_difference(once, nn::forward(net, x, b)) == 0);
        CHECK(largest_difference(once, nn::forward(net, x, a)) > 0);
        CHECK(first == second);
        // Two layers that drew the same would leave one half, not one quarter.
        index_t left = 0;
        for (const float v : once)
        {
            left += v != 0 ? 1 : 0;
        }
        CHECK(left < 40);
        CHECK(left > 10);
    }

    TEST_CASE("p outside [0, 1) throws")
    {
        CHECK_THROWS_WITH_AS(dropout(1.0),
            "dropout p: expected a probability in [0, 1), got 1.000000", argument_error);
        CHECK_THROWS_AS(dropout(-0.1), argument_error);
        CHECK_THROWS_AS(dropout(std::nan("")), argument_error);
    }
}

} // namespace test_dropout
