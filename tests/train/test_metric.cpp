#include <doctest/doctest.h>

#include <structopt/nn/loss/cross_entropy.hpp>
#include <structopt/train/metric.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace test_metric
{

namespace
{

namespace train = structopt::train;
using structopt::index_t;
using structopt::shape;
using labels = std::vector<std::int32_t>;

structopt::tensor<float, 2> outputs(const std::vector<std::vector<float>>& rows)
{
    auto y = structopt::make_tensor<float>(
        shape<2>{static_cast<index_t>(rows.size()), static_cast<index_t>(rows[0].size())});
    float* out = y.data();
    for (const auto& row : rows)
    {
        out = std::copy(row.begin(), row.end(), out);
    }
    return y;
}

template <class Metric, class Target>
double measure(Metric m, const structopt::tensor<float, 2>& y, const Target& target)
{
    m.reset();
    m.accumulate(structopt::as_view(y), target);
    return m.value();
}

const auto answers = outputs({{1, 3, 2}, {5, 4, 6}, {0, 0, 0}, {-1, -2, -3}});

} // namespace

TEST_SUITE("smoke.metric")
{
    TEST_CASE("accuracy counts the largest output, the first of equals")
    {
        static_assert(train::metric<train::accuracy> && train::metric<train::top_k> &&
                      train::metric<train::confusion_matrix> &&
                      train::metric<train::mean_squared_error> &&
                      train::metric<train::mean_loss<structopt::nn::cross_entropy>>);
        CHECK(measure(train::accuracy{}, answers, labels{1, 2, 0, 0}) == 1.0);
        CHECK(measure(train::accuracy{}, answers, labels{1, 2, 1, 2}) == 0.5);
        CHECK(measure(train::accuracy{}, answers,
                  outputs({{0, 1, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}})) == 0.75);
        CHECK(train::accuracy{}.value() == 0.0);
        CHECK_THROWS_AS(measure(train::accuracy{}, answers, labels{1, 2}), structopt::shape_error);
    }
}

TEST_CASE("outputs with a NaN are no answer")
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto y = outputs({{nan, nan, nan}, {5, nan, 6}, {3, 1, nan}, {4, 2, 1}});
    const labels zeros{0, 0, 0, 0};
    CHECK(measure(train::accuracy{}, y, zeros) == 0.25);
    CHECK(measure(train::accuracy{}, y, y) == 0.25);
    CHECK(measure(train::top_k{.k = 1}, y, zeros) == 0.25);
    train::confusion_matrix m;
    m.accumulate(structopt::as_view(y), zeros);
    CHECK(m.value() == 0.25);
    CHECK(m.recall(0) == 0.25);
    CHECK(m.precision(0) == 1.0);
    CHECK(m(0, 0) == 1);
    CHECK(m.unanswered == std::vector<index_t>{3, 0, 0});
}

TEST_CASE("outputs with gaps are refused")
{
    const structopt::view<const float, 2> gaps(answers.data(), shape<2>{2, 2}, shape<2>{3, 1});
    const labels two{0, 0};
    CHECK_THROWS_AS(train::accuracy{}.accumulate(gaps, two), structopt::shape_error);
    CHECK_THROWS_AS(train::accuracy{}.accumulate(gaps, gaps), structopt::shape_error);
    CHECK_THROWS_AS(train::top_k{}.accumulate(gaps, two), structopt::shape_error);
    CHECK_THROWS_AS(train::confusion_matrix{}.accumulate(gaps, two), structopt::shape_error);
    CHECK_THROWS_AS(train::mean_squared_error{}.accumulate(gaps, gaps), structopt::shape_error);
}

TEST_CASE("metrics gather over batches and begin anew")
{
    train::accuracy m;
    m.accumulate(structopt::as_view(answers), labels{1, 2, 0, 0});
    m.accumulate(structopt::as_view(answers), labels{0, 0, 1, 1});
    CHECK(m.value() == 0.5);
    CHECK(m.samples == 8);
    m.reset();
    CHECK(m == train::accuracy{});
    train::top_k k{.k = 2};
    k.accumulate(structopt::as_view(answers), labels{1, 2, 0, 0});
    k.reset();
    CHECK(k == train::top_k{.k = 2});
}

TEST_CASE("top_k counts the classes before the right one")
{
    CHECK(measure(train::top_k{.k = 1}, answers, labels{1, 2, 0, 0}) == 1.0);
    CHECK(measure(train::top_k{.k = 1}, answers, labels{2, 0, 1, 1}) == 0.0);
    CHECK(measure(train::top_k{.k = 2}, answers, labels{2, 0, 1, 1}) == 1.0);
    CHECK(measure(train::top_k{.k = 2}, answers, labels{0, 1, 2, 2}) == 0.0);
    CHECK(measure(train::top_k{.k = 3}, answers, labels{0, 1, 2, 2}) == 1.0);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(measure(train::top_k{.k = 1}, outputs({{nan, 1}}), labels{1}) == 0.0);
    CHECK(measure(train::top_k{.k = 1}, outputs({{nan, 1}}), labels{0}) == 0.0);
    CHECK_THROWS_AS(
        measure(train::top_k{.k = 0}, answers, labels{0, 0, 0, 0}), structopt::argument_error);
    CHECK_THROWS_AS(
        measure(train::top_k{}, answers, labels{0, 0, 0, 3}), structopt::argument_error);
}

TEST_CASE("confusion matrix: counts, recall, precision, accuracy")
{
    train::confusion_matrix m;
    m.accumulate(structopt::as_view(answers), labels{1, 2, 1, 1});
    m.accumulate(structopt::as_view(answers), labels{1, 0, 0, 0});
    CHECK(m.classes == 3);
    CHECK(m(1, 1) == 2);
    CHECK(m(1, 0) == 2);
    CHECK(m(2, 2) == 1);
    CHECK(m(0, 2) == 1);
    CHECK(m(0, 0) == 2);
    CHECK(m.recall(1) == 0.5);
    CHECK(m.precision(1) == 1.0);
    CHECK(m.recall(2) == 1.0);
    CHECK(m.precision(2) == 0.5);
    CHECK(m.value() == doctest::Approx(5.0 / 8));
    CHECK_THROWS_AS(
        m.accumulate(structopt::as_view(outputs({{1, 2}})), labels{0}), structopt::shape_error);
    CHECK_THROWS_AS(
        m.accumulate(structopt::as_view(answers), labels{0, 0, 0, -1}), structopt::argument_error);
    CHECK(train::confusion_matrix{}.value() == 0.0);
}

TEST_CASE("mean squared error and mean loss")
{
    const auto zero = structopt::zeros<float>(shape<2>{1, 2});
    CHECK(measure(train::mean_squared_error{}, outputs({{3, 4}}), zero) == 12.5);
    CHECK_THROWS_AS(measure(train::mean_squared_error{}, answers, zero), structopt::shape_error);
    train::mean_loss<structopt::nn::cross_entropy> loss;
    loss.accumulate(structopt::as_view(outputs({{0, 0}, {0, 0}, {0, 0}})), labels{0, 1, 0});
    loss.accumulate(structopt::as_view(outputs({{100, 0}})), labels{0});
    CHECK(loss.value() == doctest::Approx(0.75 * std::log(2.0)));
    CHECK(loss.samples == 4);
}

} // namespace test_metric
