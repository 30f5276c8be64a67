#include <doctest/doctest.h>

#include <structopt/train/dataset.hpp>

#include <algorithm>
#include <vector>

namespace test_dataset
{

namespace
{

namespace train = structopt::train;
using structopt::index_t;
using structopt::shape;
using labels = std::vector<std::int32_t>;

structopt::tensor<float, 4> images(index_t n)
{
    auto x = structopt::make_tensor<float>(shape<4>{n, 1, 2, 2});
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        x.data()[i] = static_cast<float>(i);
    }
    return x;
}

} // namespace

TEST_SUITE("smoke.dataset")
{
    TEST_CASE("samples are gathered by number, of any rank")
    {
        const auto x = images(5);
        const labels classes{4, 3, 2, 1, 0};
        const train::labelled data{x, classes};
        static_assert(train::dataset<decltype(data)>);
        CHECK(data.size() == 5);
        decltype(data)::batch_type batch;
        const std::vector<index_t> rows{3, 0, 3};
        data.gather(rows, batch);
        CHECK(structopt::shape_of(batch.x) == shape<4>{3, 1, 2, 2});
        CHECK(batch.x(0, 0, 1, 1) == 15.0f);
        CHECK(batch.x(1, 0, 0, 1) == 1.0f);
        CHECK(batch.x(2, 0, 0, 0) == 12.0f);
        CHECK(batch.target == labels{1, 4, 1});
        const auto part = data.slice(1, 3);
        CHECK(part.x.shape(0) == 2);
        CHECK(part.x(0, 0, 0, 0) == 4.0f);
        CHECK(part.target[1] == 2);
    }
}

TEST_CASE("pairs carry tensors as targets")
{
    const auto x = images(3);
    auto y = structopt::make_tensor<float>(shape<2>{3, 2});
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        y.data()[i] = -static_cast<float>(i);
    }
    const train::paired data{x, y};
    static_assert(train::dataset<decltype(data)>);
    decltype(data)::batch_type batch;
    const std::vector<index_t> rows{2};
    data.gather(rows, batch);
    CHECK(batch.x(0, 0, 0, 0) == 8.0f);
    CHECK(batch.target(0, 1) == -5.0f);
    CHECK(data.slice(1, 2).target(0, 0) == -2.0f);
}

TEST_CASE("numbers of samples that differ are refused")
{
    const auto x = images(3);
    const auto y = structopt::zeros<float>(shape<2>{4, 2});
    const labels four{0, 0, 0, 0};
    CHECK_THROWS_WITH_AS((train::labelled{x, four}),
        "train::labelled labels: expected 3 labels, one per sample, got 4", structopt::shape_error);
    CHECK_THROWS_AS((train::paired{x, y}), structopt::shape_error);
    using images_labelled = train::labelled<float, 4>;
    static_assert(std::is_constructible_v<images_labelled, decltype(x)&, const labels&>);
    static_assert(
        std::is_constructible_v<images_labelled, decltype(x)&, std::span<const std::int32_t>>);
    static_assert(!std::is_constructible_v<images_labelled, decltype(x)&, labels>);
    static_assert(
        !std::is_constructible_v<images_labelled, decltype(x)&, std::array<std::int32_t, 3>>);
    static_assert(
        std::is_constructible_v<images_labelled, decltype(x)&, std::array<std::int32_t, 3>&>);
    const structopt::view<const float, 2> gaps(y.data(), shape<2>{4, 1}, shape<2>{2, 1});
    CHECK_THROWS_AS((train::labelled{gaps, four}), structopt::shape_error);
}

TEST_CASE("a split divides all samples, at random and reproducibly")
{
    const auto x = images(50);
    const labels classes(50, 1);
    const train::labelled data{x, classes};
    structopt::random_engine rng(9);
    structopt::random_engine same(9);
    const auto a = train::split(data, 0.3, rng);
    const auto b = train::split(data, 0.3, same);
    const auto c = train::split(data, 0.3, same);
    CHECK(a.validation.size() == 15);
    CHECK(a.training.size() == 35);
    CHECK(a.validation.rows() == b.validation.rows());
    CHECK(a.validation.rows() != c.validation.rows());
    CHECK(a.validation.rows() != train::range(data, 0, 15).rows());
    std::vector<index_t> all = a.training.rows();
    all.insert(all.end(), a.validation.rows().begin(), a.validation.rows().end());
    std::sort(all.begin(), all.end());
    CHECK(all == train::range(data, 0, 50).rows());

    decltype(a.training)::batch_type batch;
    const std::vector<index_t> rows{1, 0};
    a.training.gather(rows, batch);
    CHECK(batch.x(0, 0, 0, 0) == static_cast<float>(4 * a.training.rows()[1]));

    CHECK(train::split(train::range(data, 0, 2), 0.001, rng).validation.size() == 1);
    CHECK(train::split(train::range(data, 0, 2), 0.999, rng).training.size() == 1);
    CHECK_THROWS_AS(train::split(train::range(data, 0, 1), 0.5, rng), structopt::argument_error);
    CHECK_THROWS_AS(train::split(data, 0.0, rng), structopt::argument_error);
    CHECK_THROWS_AS(train::split(data, 1.0, rng), structopt::argument_error);
    CHECK_THROWS_AS((train::subset{data, std::vector<index_t>{50}}), structopt::argument_error);
    CHECK_THROWS_AS(train::range(data, 3, 51), structopt::argument_error);
}

} // namespace test_dataset
