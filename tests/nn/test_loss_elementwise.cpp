#include <doctest/doctest.h>

#include <structopt/nn/loss.hpp>

#include "support/loss_check.hpp"

#include <limits>
#include <vector>

namespace test_loss_elementwise
{

namespace
{

namespace nn = structopt::nn;
using structopt::index_t;
using structopt::shape;

/// Output and target whose differences stay away from 0 and from 1 (kinks of MAE and Huber).
struct pair
{
    structopt::tensor<double, 3> y;
    structopt::tensor<double, 3> target;
};

pair numbers()
{
    structopt::random_engine rng(5);
    pair p{support::random_tensor<double>(shape<3>{3, 2, 4}, rng),
        support::random_tensor<double>(shape<3>{3, 2, 4}, rng)};
    for (std::size_t i = 0; i < p.y.size(); ++i)
    {
        const double d = p.y.data()[i] - p.target.data()[i];
        if (std::abs(d) < 0.01 || std::abs(std::abs(d) - 1) < 0.01)
        {
            p.y.data()[i] += 0.05;
        }
    }
    return p;
}

template <class Loss>
void check_reductions(
    Loss loss, const structopt::tensor<double, 3>& y, const structopt::tensor<double, 3>& target)
{
    loss.reduction = nn::reduction::sum;
    const double sum = nn::loss_value(loss, y, target);
    support::check_loss_gradient(loss, y, target);
    loss.reduction = nn::reduction::mean;
    CHECK(nn::loss_value(loss, y, target) == doctest::Approx(sum / 24).epsilon(1e-13));
    support::check_loss_gradient(loss, y, target);
    loss.reduction = nn::reduction::batch_mean;
    CHECK(nn::loss_value(loss, y, target) == doctest::Approx(sum / 3).epsilon(1e-13));
    support::check_loss_gradient(loss, y, target);
    CHECK(nn::loss_value(loss, support::to_float(y), support::to_float(target)) ==
          doctest::Approx(sum / 3).epsilon(1e-5));
}

double sigmoid(double x)
{
    return 1 / (1 + std::exp(-x));
}

} // namespace

TEST_SUITE("smoke.loss")
{
    TEST_CASE("losses per element: reductions and gradients")
    {
        const auto [y, target] = numbers();
        check_reductions(nn::mse{}, y, target);
        check_reductions(nn::mae{}, y, target);
        check_reductions(nn::huber{}, y, target);
        check_reductions(nn::huber{.delta = 0.25}, y, target);
    }
}

TEST_CASE("mse, mae and huber are their definitions")
{
    const auto [y, target] = numbers();
    double squared = 0;
    double absolute = 0;
    double huber = 0;
    const double delta = 0.7;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        const double d = y.data()[i] - target.data()[i];
        squared += d * d;
        absolute += std::abs(d);
        huber += std::abs(d) <= delta ? d * d / 2 : delta * (std::abs(d) - delta / 2);
    }
    CHECK(nn::loss_value(nn::mse{}, y, target) == doctest::Approx(squared / 24).epsilon(1e-14));
    CHECK(nn::loss_value(nn::mae{}, y, target) == doctest::Approx(absolute / 24).epsilon(1e-14));
    CHECK(nn::loss_value(nn::huber{.delta = delta}, y, target) ==
          doctest::Approx(huber / 24).epsilon(1e-14));
    CHECK(nn::value_and_gradient(nn::mae{}, y, y).gradient(1, 1, 1) == 0.0);
    CHECK(nn::loss_value(nn::mse{}, y, y) == 0.0);
}

TEST_CASE("a NaN in the output is a NaN in every loss")
{
    const double nan = std::numeric_limits<double>::quiet_NaN();
    auto y = structopt::full<double>(shape<2>{1, 2}, 0.5);
    const auto target = y;
    y(0, 1) = nan;
    CHECK(std::isnan(nn::loss_value(nn::mse{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::mae{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::huber{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::bce_with_logits{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::kl_divergence{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::cross_entropy{}, y, target)));
    CHECK(std::isnan(nn::loss_value(nn::cross_entropy{}, y, std::vector<std::int32_t>{0})));
}

TEST_CASE("bce_with_logits: definition, weights, gradients, far logits")
{
    structopt::random_engine rng(6);
    const auto y = support::random_tensor<double>(shape<3>{3, 2, 4}, rng);
    auto target = y;
    for (double& t : structopt::as_view(target).flat())
    {
        t = structopt::uniform<double>(rng);
    }
    check_reductions(nn::bce_with_logits{}, y, target);
    check_reductions(nn::bce_with_logits{.pos_weight = {2.5}}, y, target);
    const std::vector<double> weights{0.5, 1.0, 2.0, 3.0};
    check_reductions(nn::bce_with_logits{.pos_weight = weights}, y, target);

    double plain = 0;
    double weighted = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        const double p = sigmoid(y.data()[i]);
        const double t = target.data()[i];
        plain -= t * std::log(p) + (1 - t) * std::log(1 - p);
        weighted -= weights[i % 4] * t * std::log(p) + (1 - t) * std::log(1 - p);
    }
    CHECK(nn::loss_value(nn::bce_with_logits{}, y, target) ==
          doctest::Approx(plain / 24).epsilon(1e-13));
    CHECK(nn::loss_value(nn::bce_with_logits{.pos_weight = weights}, y, target) ==
          doctest::Approx(weighted / 24).epsilon(1e-13));

    auto far = structopt::zeros<float>(shape<2>{1, 2});
    far(0, 0) = 1e30f;
    far(0, 1) = -1e30f;
    auto wrong = structopt::zeros<float>(shape<2>{1, 2});
    wrong(0, 1) = 1;
    const auto result = nn::value_and_gradient(nn::bce_with_logits{}, far, wrong);
    CHECK(result.value == doctest::Approx(1e30).epsilon(1e-6));
    CHECK(result.gradient(0, 0) == 0.5f);
    CHECK(result.gradient(0, 1) == -0.5f);
    CHECK_THROWS_WITH_AS(nn::loss_value(nn::bce_with_logits{.pos_weight = {1, 2, 3}}, far, wrong),
        "bce_with_logits pos_weight: expected none, 1 or 2 weights, got 3", structopt::shape_error);
}

TEST_CASE("kl_divergence: definition, logarithms as targets, zeros")
{
    structopt::random_engine rng(8);
    auto y = support::random_tensor<double>(shape<3>{3, 2, 4}, rng);
    auto target = y;
    auto logarithms = y;
    double expected = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        const double t = 0.05 + structopt::uniform<double>(rng);
        target.data()[i] = t;
        logarithms.data()[i] = std::log(t);
        expected += t * (std::log(t) - y.data()[i]);
    }
    CHECK(nn::loss_value(nn::kl_divergence{}, y, target) ==
          doctest::Approx(expected / 3).epsilon(1e-13));
    CHECK(nn::loss_value(nn::kl_divergence{.log_target = true}, y, logarithms) ==
          doctest::Approx(expected / 3).epsilon(1e-13));
    check_reductions(nn::kl_divergence{}, y, target);
    check_reductions(nn::kl_divergence{.log_target = true}, y, logarithms);

    target(0, 0, 0) = 0;
    y(0, 0, 0) = -std::numeric_limits<double>::infinity();
    const auto result = nn::value_and_gradient(nn::kl_divergence{}, y, target);
    CHECK(std::isfinite(result.value));
    CHECK(result.gradient(0, 0, 0) == 0.0);
}

TEST_CASE("losses per element: extents that differ are named")
{
    const auto [y, target] = numbers();
    const auto other = structopt::zeros<double>(shape<3>{3, 2, 5});
    CHECK_THROWS_WITH_AS(nn::loss_value(nn::mse{}, y, other),
        "mse target: expected [3, 2, 4], got [3, 2, 5]", structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::mae{}, y, other), structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::huber{}, y, other), structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::kl_divergence{}, y, other), structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::huber{.delta = 0}, y, target), structopt::argument_error);
}

TEST_CASE("a loss of the user's own in a few lines")
{
    struct quartic
    {
        double operator()(structopt::view<const float, 2> y, structopt::view<const float, 2> target,
            structopt::view<float, 2> dy) const
        {
            double sum = 0;
            for (index_t i = 0; i < y.size(); ++i)
            {
                const float d = y.data()[i] - target.data()[i];
                sum += static_cast<double>(d * d * d * d);
                if (dy.data() != nullptr)
                {
                    dy.data()[i] = 4 * d * d * d;
                }
            }
            return sum;
        }
    };
    static_assert(nn::loss_function<quartic, structopt::tensor<float, 2>>);
    static_assert(!nn::loss_function<quartic, std::vector<std::int32_t>>);
    static_assert(nn::loss_function<nn::cross_entropy, std::vector<std::int32_t>>);
    static_assert(nn::loss_function<nn::cross_entropy, structopt::tensor<double, 2>, double>);
    static_assert(!nn::loss_function<nn::nll, structopt::tensor<float, 2>>);
    static_assert(nn::loss_function<nn::mse, structopt::tensor<double, 4>, double, 4>);
    const auto y = structopt::full<float>(shape<2>{1, 2}, 2.0f);
    const auto zero = structopt::zeros<float>(shape<2>{1, 2});
    const auto result = nn::value_and_gradient(quartic{}, y, zero);
    CHECK(result.value == 32.0);
    CHECK(result.gradient(0, 1) == 32.0f);
}

} // namespace test_loss_elementwise
