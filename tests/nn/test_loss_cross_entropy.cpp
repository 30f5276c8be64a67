#include <doctest/doctest.h>

#include <structopt/nn/loss/cross_entropy.hpp>
#include <structopt/nn/loss/nll.hpp>

#include "support/loss_check.hpp"

#include <limits>
#include <vector>

namespace test_loss_cross_entropy
{

namespace
{

namespace nn = structopt::nn;
using structopt::index_t;
using structopt::shape;
using labels = std::vector<std::int32_t>;

structopt::tensor<double, 2> logits(index_t batch, index_t classes)
{
    structopt::random_engine rng(3);
    return support::random_tensor<double>(shape<2>{batch, classes}, rng, 2.0);
}

/// Rows of positive numbers; of sum 1 where `normalized`.
structopt::tensor<double, 2> shares(index_t batch, index_t classes, bool normalized)
{
    structopt::random_engine rng(4);
    auto q = structopt::zeros<double>(shape<2>{batch, classes});
    for (index_t row = 0; row < batch; ++row)
    {
        double sum = 0;
        for (index_t c = 0; c < classes; ++c)
        {
            q(row, c) = structopt::uniform<double>(rng);
            sum += q(row, c);
        }
        for (index_t c = 0; normalized && c < classes; ++c)
        {
            q(row, c) /= sum;
        }
    }
    return q;
}

/// The definition, without care for large logits.
double reference(const structopt::tensor<double, 2>& y, const structopt::tensor<double, 2>& q)
{
    const auto extents = structopt::shape_of(y);
    double total = 0;
    for (index_t row = 0; row < extents[0]; ++row)
    {
        double sum = 0;
        for (index_t c = 0; c < extents[1]; ++c)
        {
            sum += std::exp(y(row, c));
        }
        for (index_t c = 0; c < extents[1]; ++c)
        {
            total -= q(row, c) * std::log(std::exp(y(row, c)) / sum);
        }
    }
    return total / static_cast<double>(extents[0]);
}

structopt::tensor<double, 2> smoothed(structopt::tensor<double, 2> q, double s)
{
    const double classes = static_cast<double>(structopt::shape_of(q)[1]);
    for (double& v : structopt::as_view(q).flat())
    {
        v = (1 - s) * v + s / classes;
    }
    return q;
}

structopt::tensor<double, 2> one_hot(const labels& list, index_t classes)
{
    auto q = structopt::zeros<double>(shape<2>{static_cast<index_t>(list.size()), classes});
    for (std::size_t row = 0; row < list.size(); ++row)
    {
        q(row, list[row]) = 1;
    }
    return q;
}

} // namespace

TEST_SUITE("smoke.loss")
{
    TEST_CASE("cross-entropy is its definition, for labels and for soft targets")
    {
        const auto y = logits(5, 4);
        const labels classes{0, 3, 1, 1, 2};
        const auto q = shares(5, 4, true);
        for (const double s : {0.0, 0.1, 1.0})
        {
            const nn::cross_entropy loss{.label_smoothing = s};
            CHECK(nn::loss_value(loss, y, classes) ==
                  doctest::Approx(reference(y, smoothed(one_hot(classes, 4), s))).epsilon(1e-12));
            CHECK(nn::loss_value(loss, y, q) ==
                  doctest::Approx(reference(y, smoothed(q, s))).epsilon(1e-12));
        }
    }
}

TEST_CASE("cross-entropy: gradients")
{
    const auto y = logits(5, 4);
    const labels classes{0, 3, 1, 1, 2};
    for (const double s : {0.0, 0.1, 1.0})
    {
        for (const auto reduction : {nn::reduction::mean, nn::reduction::sum})
        {
            const nn::cross_entropy loss{.label_smoothing = s, .reduction = reduction};
            support::check_loss_gradient(loss, y, classes);
            support::check_loss_gradient(loss, y, shares(5, 4, true));
            support::check_loss_gradient(loss, y, shares(5, 4, false)); // need not sum to one
        }
    }
}

TEST_CASE("cross-entropy: labels and their one-hot rows give the same")
{
    const auto y = logits(6, 7);
    const labels classes{0, 6, 3, 3, 1, 5};
    for (const double s : {0.0, 0.2})
    {
        const nn::cross_entropy loss{.label_smoothing = s};
        const auto a = nn::value_and_gradient(loss, y, classes);
        const auto b = nn::value_and_gradient(loss, y, one_hot(classes, 7));
        CHECK(a.value == doctest::Approx(b.value).epsilon(1e-14));
        CHECK(support::largest_difference(a.gradient, b.gradient) < 1e-15);
    }
}

TEST_CASE("cross-entropy: logits of any size, sums and means, float")
{
    auto y = structopt::zeros<float>(shape<2>{2, 3});
    y(0, 0) = 3e38f;
    y(0, 1) = -3e38f;
    y(1, 0) = -1000;
    y(1, 1) = -1001;
    y(1, 2) = -std::numeric_limits<float>::infinity(); // a class that is ruled out
    const auto certain = nn::value_and_gradient(nn::cross_entropy{}, y, labels{0, 0});
    CHECK(certain.value == doctest::Approx(0.5 * std::log1p(std::exp(-1.0))).epsilon(1e-6));
    for (const float g : structopt::as_view(certain.gradient).flat())
    {
        CHECK(std::abs(g) <= 0.5f);
    }
    CHECK(certain.gradient(1, 2) == 0);

    const auto z = logits(9, 5);
    const labels classes{0, 1, 2, 3, 4, 0, 1, 2, 3};
    const double mean = nn::loss_value(nn::cross_entropy{}, z, classes);
    CHECK(nn::loss_value(nn::cross_entropy{.reduction = nn::reduction::sum}, z, classes) ==
          doctest::Approx(9 * mean).epsilon(1e-14));
    CHECK(nn::loss_value(nn::cross_entropy{.reduction = nn::reduction::batch_mean}, z, classes) ==
          mean);
    CHECK(nn::loss_value(nn::cross_entropy{}, support::to_float(z), classes) ==
          doctest::Approx(mean).epsilon(1e-6));
}

TEST_CASE("nll of log-softmax is cross-entropy")
{
    const auto y = logits(5, 4);
    auto p = y;
    for (index_t row = 0; row < 5; ++row)
    {
        double sum = 0;
        for (index_t c = 0; c < 4; ++c)
        {
            sum += std::exp(y(row, c));
        }
        for (index_t c = 0; c < 4; ++c)
        {
            p(row, c) = y(row, c) - std::log(sum);
        }
    }
    const labels classes{0, 3, 1, 1, 2};
    CHECK(nn::loss_value(nn::nll{}, p, classes) ==
          doctest::Approx(nn::loss_value(nn::cross_entropy{}, y, classes)).epsilon(1e-14));
    support::check_loss_gradient(nn::nll{}, p, classes);
    support::check_loss_gradient(nn::nll{.reduction = nn::reduction::sum}, p, classes);
}

TEST_CASE("cross-entropy: what does not fit is named, and nothing is written")
{
    const auto y = logits(3, 4);
    auto dy = structopt::full<double>(shape<2>{3, 4}, 7.0);
    const nn::cross_entropy loss;
    const auto call = [&](const labels& list)
    {
        return loss(structopt::as_view(y), list, structopt::as_view(dy));
    };
    CHECK_THROWS_WITH_AS(call({0, 4, 1}),
        "cross_entropy labels: expected classes from 0 to 3, got 4 in row 1",
        structopt::argument_error);
    CHECK_THROWS_WITH_AS(call({0, 1, -1}),
        "cross_entropy labels: expected classes from 0 to 3, got -1 in row 2",
        structopt::argument_error);
    CHECK_THROWS_WITH_AS(
        call({0, 1}), "cross_entropy labels: expected 3 labels, got 2", structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::nll{}, y, labels{0, 0, 9}), structopt::argument_error);
    CHECK_THROWS_AS(nn::loss_value(loss, y, logits(3, 5)), structopt::shape_error);
    CHECK_THROWS_AS(nn::loss_value(nn::cross_entropy{.label_smoothing = 1.5}, y, labels{0, 1, 2}),
        structopt::argument_error);
    CHECK_THROWS_AS(nn::loss_value(loss, structopt::zeros<double>(shape<2>{0, 4}), labels{}),
        structopt::shape_error);
    auto narrow = structopt::zeros<double>(shape<2>{3, 3});
    CHECK_THROWS_AS(loss(structopt::as_view(y), labels{0, 1, 2}, structopt::as_view(narrow)),
        structopt::shape_error);
    const structopt::view<const double, 2> gaps(y.data(), shape<2>{3, 2}, shape<2>{4, 1});
    CHECK_THROWS_AS(nn::loss_value(loss, gaps, labels{0, 1, 1}), structopt::shape_error);
    for (const double v : structopt::as_view(dy).flat())
    {
        CHECK(v == 7.0);
    }
}

} // namespace test_loss_cross_entropy
