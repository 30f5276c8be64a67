#include <structopt/linalg/k_means_1d.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace test_k_means_1d
{

using namespace structopt;
using linalg::k_means_start;

namespace
{

std::vector<float> centers_of(const std::vector<float>& values, std::size_t k, k_means_start start,
    const std::vector<float>& weights = {}, linalg::k_means_result* result = nullptr)
{
    random_engine rng(3);
    std::vector<float> centers(k, 99.0f);
    const auto r = linalg::k_means_1d(values, weights, centers, start, rng);
    if (result != nullptr)
    {
        *result = r;
    }
    return centers;
}

/// The nearest center, the lower of two.
std::size_t nearest(const std::vector<double>& centers, double x)
{
    std::size_t best = 0;
    for (std::size_t j = 1; j < centers.size(); ++j)
    {
        best = std::abs(x - centers[j]) < std::abs(x - centers[best]) ? j : best;
    }
    return best;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("two clusters by hand")
    {
        linalg::k_means_result result;
        CHECK(centers_of({1, 9, 2, 10, 3}, 2, k_means_start::linear, {}, &result) ==
              std::vector<float>{2, 9.5f});
        CHECK(result.cost == doctest::Approx(1 + 0 + 1 + 0.25 + 0.25));
        CHECK(result.converged);
        // The weights 3 and 1 pull the mean of 1 and 2 to 1.25; a weight of 0 counts for nothing.
        CHECK(centers_of({1, 2, 100, 1000}, 2, k_means_start::linear, {3, 1, 1, 0}) ==
              std::vector<float>{1.25f, 100});
        CHECK(centers_of({5, 5, 5}, 3, k_means_start::density) == std::vector<float>{5, 5, 5});
        CHECK(centers_of({}, 2, k_means_start::random) == std::vector<float>{0, 0});
        CHECK(centers_of({4}, 2, k_means_start::random) == std::vector<float>{4, 4});
        CHECK(centers_of({1, 3}, 1, k_means_start::linear, {0, 0}) == std::vector<float>{2});
    }
}

TEST_CASE("as many centers as different values: no cost, from every start")
{
    const std::vector<float> values = {7, -3, 0.5f, 7, 100, 0.5f, -3, 1e4f};
    for (const auto start : {k_means_start::linear, k_means_start::density, k_means_start::random})
    {
        linalg::k_means_result result;
        CHECK(centers_of(values, 5, start, {}, &result) ==
              std::vector<float>{-3, 0.5f, 7, 100, 1e4f});
        CHECK(result.cost == 0);
        const auto more = centers_of(values, 8, start);
        CHECK(std::is_sorted(more.begin(), more.end()));
        for (const float x : values)
        {
            CHECK(std::find(more.begin(), more.end(), x) != more.end());
        }
    }
}

TEST_CASE("the iteration is Lloyd's")
{
    random_engine rng(11);
    for (const std::size_t n : {50u, 3000u})
    {
        std::vector<float> values;
        std::vector<float> weights;
        for (std::size_t i = 0; i < n; ++i)
        {
            values.push_back(normal<float>(rng));
            weights.push_back(uniform<float>(rng));
        }
        constexpr std::size_t k = 7;
        linalg::k_means_result result;
        const auto found = centers_of(values, k, k_means_start::density, weights, &result);
        CHECK(result.converged);
        // From what was found, every center is the mean of its values, and costs add up.
        std::vector<double> at(found.begin(), found.end());
        std::vector<double> sums(k);
        std::vector<double> masses(k);
        double cost = 0;
        for (std::size_t i = 0; i < n; ++i)
        {
            const auto x = static_cast<double>(values[i]);
            const auto w = static_cast<double>(weights[i]);
            const std::size_t j = nearest(at, x);
            sums[j] += w * x;
            masses[j] += w;
            cost += w * (x - at[j]) * (x - at[j]);
        }
        for (std::size_t j = 0; j < k; ++j)
        {
            CHECK(at[j] == doctest::Approx(sums[j] / masses[j]).epsilon(1e-5));
        }
        CHECK(result.cost == doctest::Approx(cost).epsilon(1e-6));
        // Lloyd's steps one value at a time, from the same linear start.
        linalg::k_means_result linear;
        const auto fast = centers_of(values, k, k_means_start::linear, weights, &linear);
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        std::vector<double> slow(k);
        for (std::size_t j = 0; j < k; ++j)
        {
            slow[j] = static_cast<double>(*low) +
                      static_cast<double>(j) / (k - 1) *
                          (static_cast<double>(*high) - static_cast<double>(*low));
        }
        for (int step = 0; step < linear.iterations; ++step)
        {
            sums.assign(k, 0);
            masses.assign(k, 0);
            for (std::size_t i = 0; i < n; ++i)
            {
                const std::size_t j = nearest(slow, static_cast<double>(values[i]));
                sums[j] += static_cast<double>(weights[i]) * static_cast<double>(values[i]);
                masses[j] += static_cast<double>(weights[i]);
            }
            for (std::size_t j = 0; j < k; ++j)
            {
                REQUIRE(masses[j] > 0);
                slow[j] = sums[j] / masses[j];
            }
        }
        for (std::size_t j = 0; j < k; ++j)
        {
            CHECK(static_cast<double>(fast[j]) == doctest::Approx(slow[j]).epsilon(1e-6));
        }
    }
}

TEST_CASE("numbers of both signs and all sizes are sorted")
{
    random_engine rng(13);
    buffer<float> values;
    buffer<float> weights;
    for (int i = 0; i < 5000; ++i)
    {
        values.push_back(std::ldexp(normal<float>(rng), static_cast<int>(rng() % 120) - 60));
        weights.push_back(2 * values.back());
    }
    values[7] = 0.0f;
    weights[7] = 0.0f;
    buffer<float> none;
    auto alone = values;
    linalg::detail::sort_weighted(values, weights);
    linalg::detail::sort_weighted(alone, none);
    CHECK(std::is_sorted(values.begin(), values.end()));
    CHECK(alone == values);
    bool together = true;
    for (std::size_t i = 0; i < values.size(); ++i)
    {
        together = together && weights[i] == 2 * values[i];
    }
    CHECK(together);
}

} // namespace test_k_means_1d
