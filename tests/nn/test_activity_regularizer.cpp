#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/activity_regularizer.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/loss/mse.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>

#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_activity_regularizer
{

namespace
{

namespace nn = structopt::nn;
using structopt::shape;

auto network(structopt::random_engine& rng)
{
    return nn::sequential{nn::dense<double>{{.in = 3, .out = 4}, rng},
        nn::activity_regularizer{.l1 = 0.3, .l2 = 0.2},
        nn::residual{nn::sequential{nn::dense<double>{{.in = 4, .out = 4}, rng}, nn::relu{},
            nn::activity_regularizer{.l1 = 0.5}}},
        nn::dense<double>{{.in = 4, .out = 2}, rng}, nn::activity_regularizer{.l2 = 0.7}};
}

} // namespace

TEST_SUITE("smoke.activity_regularizer")
{
    TEST_CASE("the penalty and its gradient reach every layer before")
    {
        structopt::random_engine rng(1);
        auto net = network(rng);
        const auto x = support::random_tensor<double>(shape<2>{5, 3}, rng);
        const auto target = support::random_tensor<double>(shape<2>{5, 2}, rng);
        const auto objective = [&](const auto& network)
        {
            structopt::random_engine unused(1);
            auto kept = nn::make_cache(network, x, unused);
            const auto& y = nn::forward(network, x, kept);
            return nn::loss_value(nn::mse{}, y, target) + nn::activity_penalty(kept);
        };
        auto kept = nn::make_cache(net, x, rng);
        const auto& y = nn::forward(net, x, kept);
        const auto loss = nn::value_and_gradient(nn::mse{}, y, target);
        auto gradients = nn::zeros_like(net);
        nn::backward(net, loss.gradient, kept, gradients);
        const auto values = nn::trainable_parameters<double>(net);
        const auto slopes = nn::trainable_parameters<double>(gradients);
        const double step = 1e-6;
        for (std::size_t p = 0; p < values.size(); ++p)
        {
            for (std::size_t i = 0; i < values[p].values.size(); ++i)
            {
                double& w = values[p].values[i];
                const double centre = w;
                w = centre + step;
                const double above = objective(net);
                w = centre - step;
                const double below = objective(net);
                w = centre;
                INFO("parameter " << p << ", element " << i);
                REQUIRE(slopes[p].values[i] ==
                        doctest::Approx((above - below) / (2 * step)).epsilon(1e-6));
            }
        }
    }
}

TEST_CASE("the penalty is its definition; inference lets pass")
{
    auto x = structopt::zeros<float>(shape<2>{2, 2});
    x(0, 0) = 3;
    x(1, 0) = -4;
    structopt::random_engine rng(1);
    const nn::sequential net{nn::activity_regularizer{.l1 = 2, .l2 = 10}};
    auto kept = nn::make_cache(net, x, rng);
    const auto& y = nn::forward(net, x, kept);
    CHECK(support::largest_difference(x, y) == 0.0);
    CHECK(nn::activity_penalty(kept) == doctest::Approx((2 * 7 + 5 * 25) / 2.0));
    auto gradients = net;
    auto dx = structopt::full<float>(shape<2>{2, 2}, 9.0f);
    const auto dy = structopt::full<float>(shape<2>{2, 2}, 1.0f);
    nn::backward(net, dy, kept, gradients, dx);
    CHECK(dx(0, 0) == 1.0f + (2 + 30) / 2.0f);
    CHECK(dx(1, 0) == 1.0f - (2 + 40) / 2.0f);
    CHECK(dx(0, 1) == 1.0f);
    CHECK(support::largest_difference(net(x), x) == 0.0);
}

TEST_CASE("strengths out of range are refused")
{
    const auto x = structopt::zeros<float>(shape<2>{2, 2});
    const nn::sequential negative{nn::activity_regularizer{.l1 = -1}};
    const nn::sequential not_a_number{
        nn::activity_regularizer{.l2 = std::numeric_limits<double>::quiet_NaN()}};
    CHECK_THROWS_AS(negative(x), structopt::argument_error);
    CHECK_THROWS_AS(not_a_number(x), structopt::argument_error);
}

} // namespace test_activity_regularizer
