#include <doctest/doctest.h>

#include <structopt/nn/activation.hpp>
#include <structopt/nn/cache.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/softmax.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_activation
{

using namespace structopt;
using structopt::nn::coupling;
using structopt::nn::layer_traits;
using structopt::nn::sequential;
using support::largest_difference;
using support::random_tensor;

namespace
{

/// Value and derivative of an activation through the layer, at one point.
template <class T, class F>
std::pair<double, double> at(const F& f, double point)
{
    const tensor<T, 2> x{{static_cast<T>(point)}};
    const sequential<F> net{f};
    random_engine rng(1);
    auto kept = nn::make_cache(net, x, rng);
    const T value = nn::forward(net, x, kept)(0, 0);
    CHECK(((value == net(x)(0, 0)) || std::isnan(value)));
    auto gradients = nn::zeros_like(net);
    auto dx = make_tensor<T>(shape<2>{1, 1});
    nn::backward(net, full<T>(shape<2>{1, 1}, T(1)), kept, gradients, dx);
    return {static_cast<double>(value), static_cast<double>(dx(0, 0))};
}

template <class F>
void has_gradients(const F& f)
{
    random_engine rng(2);
    support::check_gradients(f, random_tensor<double>(shape<2>{4, 9}, rng, 2.0));
    support::check_gradients(f, random_tensor<double>(shape<4>{2, 3, 2, 2}, rng, 2.0));
    CHECK(layer_traits<F>::unit_coupling(f) == coupling::passes);
    CHECK(layer_traits<F>::in_place());
}

/// Relative closeness where `expected` is not zero.
void near(double found, double expected, double tolerance)
{
    INFO("found " << found << ", expected " << expected);
    CHECK(std::abs(found - expected) <= tolerance * std::abs(expected));
}

} // namespace

TEST_SUITE("smoke activation")
{
    TEST_CASE_TEMPLATE("values at a few points", T, float, double)
    {
        const double e = 40 * static_cast<double>(std::numeric_limits<T>::epsilon());
        near(at<T>(nn::relu{}, 1.5).first, 1.5, 0);
        near(at<T>(nn::leaky_relu{}, -2.0).first, -0.02, e);
        near(at<T>(nn::leaky_relu{.slope = 0.25}, -2.0).first, -0.5, e);
        near(at<T>(nn::elu{}, -1.0).first, std::expm1(-1.0), e);
        near(at<T>(nn::elu{.alpha = 0.5}, -1.0).first, 0.5 * std::expm1(-1.0), e);
        near(at<T>(nn::gelu{}, 1.0).first, 0.841344746068542949, e);
        near(at<T>(nn::gelu_tanh{}, 1.0).first, 0.841191990608282, e);
        near(at<T>(nn::silu{}, 1.0).first, 0.731058578630004879, e);
        near(at<T>(nn::sigmoid{}, -1.0).first, 0.268941421369995121, e);
        near(at<T>(nn::tanh{}, 0.5).first, std::tanh(0.5), e);
        near(at<T>(nn::hard_sigmoid{}, 1.5).first, 0.75, e);
        near(at<T>(nn::hard_swish{}, 1.5).first, 1.125, e);
    }
}

TEST_SUITE("activation")
{
    TEST_CASE("gradients")
    {
        has_gradients(nn::relu{});
        has_gradients(nn::leaky_relu{});
        has_gradients(nn::leaky_relu{.slope = 0.3});
        has_gradients(nn::elu{});
        has_gradients(nn::elu{.alpha = 0.7});
        has_gradients(nn::gelu{});
        has_gradients(nn::gelu_tanh{});
        has_gradients(nn::silu{});
        has_gradients(nn::sigmoid{});
        has_gradients(nn::tanh{});
        has_gradients(nn::hard_sigmoid{});
        has_gradients(nn::hard_swish{});
    }

    TEST_CASE_TEMPLATE("derivatives at the corners are PyTorch's", T, float, double)
    {
        CHECK(at<T>(nn::relu{}, 0.0).second == 0);
        CHECK(at<T>(nn::relu{}, -0.0).second == 0);
        CHECK(at<T>(nn::relu{}, std::nan("")).second == 1);
        near(at<T>(nn::leaky_relu{}, 0.0).second, 0.01, 1e-6);
        CHECK(at<T>(nn::elu{}, 0.0).second == 1);
        near(at<T>(nn::elu{.alpha = 0.7}, 0.0).second, 0.7, 1e-6);
        CHECK(at<T>(nn::hard_sigmoid{}, -3.0).second == 0);
        CHECK(at<T>(nn::hard_sigmoid{}, 3.0).second == 0);
        CHECK(at<T>(nn::hard_swish{}, -3.0).second == -0.5);
        CHECK(at<T>(nn::hard_swish{}, 3.0).second == 1.5);
        CHECK(at<T>(nn::hard_swish{}, 3.5).second == 1);
        CHECK(at<T>(nn::hard_swish{}, -3.5).second == 0);
    }

    TEST_CASE_TEMPLATE("far out, values saturate and tails keep their digits", T, float, double)
    {
        const double e = 40 * static_cast<double>(std::numeric_limits<T>::epsilon());
        for (const double big : {50.0, 800.0})
        {
            CHECK(at<T>(nn::sigmoid{}, big) == std::pair(1.0, 0.0));
            CHECK(at<T>(nn::tanh{}, -big) == std::pair(-1.0, 0.0));
            CHECK(at<T>(nn::gelu{}, big) == std::pair(big, 1.0));
            CHECK(at<T>(nn::gelu_tanh{}, big) == std::pair(big, 1.0));
            CHECK(at<T>(nn::silu{}, big) == std::pair(big, 1.0));
            CHECK(at<T>(nn::gelu_tanh{}, -big).first == 0);
            CHECK(at<T>(nn::elu{}, -big).first == -1);
        }
        CHECK(at<T>(nn::sigmoid{}, -800.0) == std::pair(0.0, 0.0));
        CHECK(at<T>(nn::silu{}, -800.0).first == 0);
        CHECK(at<T>(nn::gelu{}, -40.0).first == 0);
        near(at<T>(nn::sigmoid{}, -30.0).first, 9.35762296883929e-14, e);
        near(at<T>(nn::silu{}, -30.0).first, -30 * 9.35762296883929e-14, e);
        near(at<T>(nn::gelu{}, -5.0).first, -1.433257859e-6, 1e-5);
        near(at<T>(nn::elu{}, -1e-6).first, -9.999995e-7, 1e-6);
    }

    TEST_CASE("NaN stays NaN")
    {
        const double nan = std::nan("");
        CHECK(std::isnan(at<float>(nn::relu{}, nan).first));
        CHECK(std::isnan(at<float>(nn::leaky_relu{}, nan).first));
        CHECK(std::isnan(at<float>(nn::elu{}, nan).first));
        CHECK(std::isnan(at<float>(nn::gelu{}, nan).first));
        CHECK(std::isnan(at<float>(nn::gelu_tanh{}, nan).first));
        CHECK(std::isnan(at<float>(nn::silu{}, nan).first));
        CHECK(std::isnan(at<float>(nn::sigmoid{}, nan).first));
        CHECK(std::isnan(at<float>(nn::tanh{}, nan).first));
        CHECK(std::isnan(at<float>(nn::hard_sigmoid{}, nan).first));
        CHECK(std::isnan(at<float>(nn::hard_swish{}, nan).first));
    }
}

TEST_SUITE("softmax")
{
    TEST_CASE_TEMPLATE("values, over the features of every position", T, float, double)
    {
        random_engine rng(3);
        const auto x = random_tensor<T>(shape<4>{2, 5, 3, 4}, rng, T(3));
        const auto y = nn::forward(nn::softmax{}, x);
        const auto z = nn::forward(nn::log_softmax{}, x);
        const double e = 40 * static_cast<double>(std::numeric_limits<T>::epsilon());
        for (const auto& p : {shape<3>{0, 0, 0}, shape<3>{1, 2, 3}, shape<3>{1, 0, 2}})
        {
            double total = 0;
            for (index_t c = 0; c < 5; ++c)
            {
                total += std::exp(static_cast<double>(x(p[0], c, p[1], p[2])));
            }
            for (index_t c = 0; c < 5; ++c)
            {
                const double v = static_cast<double>(x(p[0], c, p[1], p[2]));
                near(static_cast<double>(y(p[0], c, p[1], p[2])), std::exp(v) / total, e);
                CHECK(std::abs(static_cast<double>(z(p[0], c, p[1], p[2])) -
                               (v - std::log(total))) <= 10 * e);
            }
        }
    }

    TEST_CASE("gradients")
    {
        random_engine rng(4);
        const auto rows = random_tensor<double>(shape<2>{4, 6}, rng, 2.0);
        const auto images = random_tensor<double>(shape<4>{2, 3, 2, 3}, rng, 2.0);
        support::check_gradients(nn::softmax{}, rows);
        support::check_gradients(nn::softmax{}, images);
        support::check_gradients(nn::log_softmax{}, rows);
        support::check_gradients(nn::log_softmax{}, images);
    }

    TEST_CASE_TEMPLATE("logits far apart and minus infinity", T, float, double)
    {
        const T infinity = std::numeric_limits<T>::infinity();
        const tensor<T, 2> x{{T(1000), T(1000), T(-1000)}, {T(-5), -infinity, T(-5)}};
        const auto y = nn::forward(nn::softmax{}, x);
        const auto z = nn::forward(nn::log_softmax{}, x);
        for (index_t b = 0; b < 2; ++b)
        {
            CHECK(y(b, 0) == T(0.5));
            CHECK(static_cast<double>(z(b, 0)) == doctest::Approx(-std::log(2.0)));
        }
        CHECK(y(0, 2) == 0);
        CHECK(y(1, 1) == 0);
        CHECK(static_cast<double>(z(0, 2)) == doctest::Approx(-2000 - std::log(2.0)));
        CHECK(z(1, 1) == -infinity);
    }

    TEST_CASE("in place, and its units are bound together")
    {
        random_engine rng(5);
        auto x = random_tensor<float>(shape<2>{3, 7}, rng);
        const auto y = nn::forward(nn::softmax{}, x);
        const view<float, 2> v(x);
        nn::forward(nn::softmax{}, view<const float, 2>(v), v, nn::scratch());
        CHECK(largest_difference(x, y) == 0);
        CHECK(layer_traits<nn::softmax>::unit_coupling({}) == coupling::blocks);
        CHECK_THROWS_AS(
            nn::forward(nn::softmax{}, structopt::zeros<float>(shape<2>{3, 0})), shape_error);
    }
}

} // namespace test_activation
