#include <doctest/doctest.h>

#include <structopt/optim.hpp>

#include "support/parameters_only.hpp"
#include "support/random_tensor.hpp"

#include <cmath>

namespace test_regularizer
{

namespace
{

namespace nn = structopt::nn;
namespace optim = structopt::optim;
using structopt::index_t;
using structopt::shape;

using matrix = support::parameters_only<double>;
using filters = support::parameters_only<double, 4>;

matrix dense_weights(std::uint64_t seed = 1)
{
    structopt::random_engine rng(seed);
    return {support::random_tensor<double>(shape<2>{3, 5}, rng),
        support::random_tensor<double>(shape<1>{3}, rng)};
}

filters conv_weights()
{
    structopt::random_engine rng(2);
    return {support::random_tensor<double>(shape<4>{3, 2, 2, 3}, rng),
        support::random_tensor<double>(shape<1>{3}, rng)};
}

/// The added gradient against differences of the penalty; biases must get none.
template <class Net, class... Regularizers>
void check_penalty(const Net& network, const Regularizers&... list)
{
    auto gradients = nn::zeros_like(network);
    gradients.weight.data()[0] = 0.25; // adds, does not overwrite
    const double value = optim::regularize(network, gradients, list...);
    gradients.weight.data()[0] -= 0.25;
    CHECK(value == doctest::Approx(optim::penalty(network, list...)).epsilon(1e-14));
    CHECK(value > 0);
    auto moved = network;
    const double step = 1e-6;
    for (std::size_t i = 0; i < moved.weight.size(); ++i)
    {
        double& w = moved.weight.data()[i];
        const double centre = w;
        w = centre + step;
        const double above = optim::penalty(moved, list...);
        w = centre - step;
        const double below = optim::penalty(moved, list...);
        w = centre;
        INFO("element " << i);
        REQUIRE(std::abs(gradients.weight.data()[i] - (above - below) / (2 * step)) < 1e-8);
    }
    for (const double g : structopt::as_view(gradients.bias).flat())
    {
        CHECK(g == 0.0);
    }
}

} // namespace

TEST_SUITE("smoke.regularizer")
{
    TEST_CASE("penalties and their gradients")
    {
        check_penalty(dense_weights(), optim::l1{0.3});
        check_penalty(dense_weights(), optim::l2{0.3});
        check_penalty(dense_weights(), optim::elastic_net{.l1 = 0.2, .l2 = 0.4});
        for (const auto group : {optim::group::rows, optim::group::columns})
        {
            check_penalty(dense_weights(), optim::group_lasso{.strength = 0.3, .group = group});
            check_penalty(conv_weights(),
                optim::group_lasso{.strength = 0.3, .group = group, .scale_by_size = false});
        }
        check_penalty(
            conv_weights(), optim::group_lasso{.strength = 0.3, .group = optim::group::filters});
        check_penalty(dense_weights(), optim::l1{0.1}, optim::l2{0.2}, optim::group_lasso{0.3});
    }
}

TEST_CASE("penalties are their definitions")
{
    const auto net = dense_weights();
    double absolute = 0;
    double squares = 0;
    double rows = 0;
    double columns = 0;
    for (index_t r = 0; r < 3; ++r)
    {
        double sum = 0;
        for (index_t c = 0; c < 5; ++c)
        {
            absolute += std::abs(net.weight(r, c));
            sum += net.weight(r, c) * net.weight(r, c);
        }
        squares += sum;
        rows += std::sqrt(sum);
    }
    for (index_t c = 0; c < 5; ++c)
    {
        double sum = 0;
        for (index_t r = 0; r < 3; ++r)
        {
            sum += net.weight(r, c) * net.weight(r, c);
        }
        columns += std::sqrt(sum);
    }
    CHECK(optim::penalty(net, optim::l1{2}) == doctest::Approx(2 * absolute).epsilon(1e-14));
    CHECK(optim::penalty(net, optim::l2{2}) == doctest::Approx(squares).epsilon(1e-14));
    CHECK(optim::penalty(net, optim::group_lasso{2}) ==
          doctest::Approx(2 * std::sqrt(5.0) * rows).epsilon(1e-14));
    CHECK(optim::penalty(net,
              optim::group_lasso{
                  .strength = 2, .group = optim::group::columns, .scale_by_size = false}) ==
          doctest::Approx(2 * columns).epsilon(1e-14));
    CHECK(optim::penalty(net, optim::group_lasso{.group = optim::group::filters}) == 0.0);
    // One channel of a convolution is all that its filters see of it.
    const auto conv = conv_weights();
    double channel = 0;
    for (index_t i = 0; i < 2; ++i)
    {
        double sum = 0;
        for (index_t o = 0; o < 3; ++o)
        {
            for (index_t h = 0; h < 2; ++h)
            {
                for (index_t w = 0; w < 3; ++w)
                {
                    sum += conv.weight(o, i, h, w) * conv.weight(o, i, h, w);
                }
            }
        }
        channel += std::sqrt(sum * 18);
    }
    CHECK(optim::penalty(conv, optim::group_lasso{.strength = 1, .group = optim::group::columns}) ==
          doctest::Approx(channel).epsilon(1e-14));
}

TEST_CASE("the subgradient at zero is zero")
{
    matrix net{structopt::zeros<double>(shape<2>{3, 5})};
    auto gradients = nn::zeros_like(net);
    CHECK(optim::regularize(net, gradients, optim::l1{1}, optim::group_lasso{1}) == 0.0);
    for (const double g : structopt::as_view(gradients.weight).flat())
    {
        CHECK(g == 0.0);
    }
}

TEST_CASE("l2 and coupled weight decay are the same")
{
    auto a = dense_weights();
    auto b = a;
    auto ga = nn::zeros_like(a);
    auto gb = nn::zeros_like(b);
    optim::regularize(a, ga, optim::l2{0.1});
    const optim::sgd plain{.rate = 0.5};
    const optim::sgd decayed{.rate = 0.5, .weight_decay = 0.1, .decay_biases = false};
    auto sa = optim::make_state(plain, a);
    auto sb = optim::make_state(decayed, b);
    optim::step(plain, a, ga, sa);
    optim::step(decayed, b, gb, sb);
    CHECK(support::largest_difference(a.weight, b.weight) < 1e-15);
    CHECK(support::largest_difference(a.bias, b.bias) == 0.0);
}

TEST_CASE("max_norm limits rows, columns and filters")
{
    auto net = dense_weights();
    const auto before = net;
    optim::constrain(net, 0.1, optim::max_norm{.max = 1.0});
    for (index_t r = 0; r < 3; ++r)
    {
        double old_norm = 0;
        double norm = 0;
        for (index_t c = 0; c < 5; ++c)
        {
            old_norm += before.weight(r, c) * before.weight(r, c);
            norm += net.weight(r, c) * net.weight(r, c);
        }
        CHECK(
            std::sqrt(norm) == doctest::Approx(std::min(1.0, std::sqrt(old_norm))).epsilon(1e-14));
    }
    CHECK(support::largest_difference(net.bias, before.bias) == 0.0);
    auto columns = before;
    optim::constrain(columns, 0.1, optim::max_norm{.max = 0.5, .group = optim::group::columns});
    double norm = 0;
    for (index_t r = 0; r < 3; ++r)
    {
        norm += columns.weight(r, 0) * columns.weight(r, 0);
    }
    CHECK(std::sqrt(norm) <= 0.5 + 1e-14);
    auto untouched = before;
    optim::constrain(untouched, 0.1, optim::max_norm{.max = 0, .group = optim::group::filters});
    CHECK(support::largest_difference(untouched.weight, before.weight) == 0.0);
    auto conv = conv_weights();
    optim::constrain(conv, 0.1, optim::max_norm{.max = 0, .group = optim::group::filters});
    CHECK(conv.weight(2, 1, 1, 2) == 0.0);
}

TEST_CASE("proximal steps are soft thresholds and reach zero")
{
    matrix net{structopt::zeros<double>(shape<2>{2, 2})};
    net.weight(0, 0) = 0.5;
    net.weight(0, 1) = -0.5;
    net.weight(1, 0) = 0.05;
    net.weight(1, 1) = -0.1;
    auto rows = net;
    optim::constrain(net, 0.5, optim::proximal_l1{0.2});
    CHECK(net.weight(0, 0) == doctest::Approx(0.4));
    CHECK(net.weight(0, 1) == doctest::Approx(-0.4));
    CHECK(net.weight(1, 0) == 0.0);
    CHECK(net.weight(1, 1) == 0.0);
    // Row norms: 0.7071 and 0.1118; threshold 0.5 * 0.4.
    optim::constrain(
        rows, 0.5, optim::proximal_group_lasso{.strength = 0.4, .scale_by_size = false});
    CHECK(rows.weight(0, 0) == doctest::Approx(0.5 * (1 - 0.2 / std::sqrt(0.5))));
    CHECK(rows.weight(1, 0) == 0.0);
    CHECK(rows.weight(1, 1) == 0.0);
}

namespace
{

/// The regularizer of the documentation's "your own".
struct cubic_penalty
{
    double strength = 1;

    template <class T>
    double add(const optim::parameter_block<const T>& w, std::span<T> gradient) const
    {
        double sum = 0;
        for (std::size_t i = 0; i < w.values.size(); ++i)
        {
            const T v = w.values[i];
            sum += strength * static_cast<double>(std::abs(v * v * v));
            if (!gradient.empty())
            {
                gradient[i] += static_cast<T>(strength) * 3 * v * std::abs(v);
            }
        }
        return sum;
    }
};

struct positive
{
    bool applies(nn::role) const
    {
        return true;
    }

    template <class T>
    void apply(const optim::parameter_block<T>& w, double) const
    {
        for (T& v : w.values)
        {
            v = v < 0 ? T(0) : v;
        }
    }
};

static_assert(optim::regularizer<cubic_penalty> && !optim::regularizer<positive>);
static_assert(optim::constraint<positive> && !optim::constraint<cubic_penalty>);

} // namespace

TEST_CASE("regularizers and constraints of the user's own")
{
    check_penalty(dense_weights(), cubic_penalty{0.5}, optim::l1{0.1});
    auto net = dense_weights();
    optim::constrain(net, 0.1, positive{});
    for (const double v : structopt::as_view(net.bias).flat())
    {
        CHECK(v >= 0.0);
    }
}

TEST_CASE("strengths out of range and gradients of other extents are refused")
{
    auto net = dense_weights();
    auto gradients = nn::zeros_like(net);
    CHECK_THROWS_AS(optim::regularize(net, gradients, optim::l1{-1}), structopt::argument_error);
    CHECK_THROWS_AS(optim::penalty(net, optim::l2{-1}), structopt::argument_error);
    CHECK_THROWS_AS(optim::penalty(net, optim::group_lasso{-1}), structopt::argument_error);
    CHECK_THROWS_AS(optim::constrain(net, 1, optim::max_norm{-1}), structopt::argument_error);
    CHECK_THROWS_AS(optim::constrain(net, 1, optim::proximal_l1{-1}), structopt::argument_error);
    gradients.weight = structopt::zeros<double>(shape<2>{3, 4});
    CHECK_THROWS_AS(optim::regularize(net, gradients, optim::l1{}), structopt::shape_error);
}

} // namespace test_regularizer
