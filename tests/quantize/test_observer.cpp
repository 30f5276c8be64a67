#include <structopt/core/random.hpp>
#include <structopt/quantize/observer/least_error.hpp>
#include <structopt/quantize/observer/mean_deviation.hpp>
#include <structopt/quantize/observer/moving_average.hpp>
#include <structopt/quantize/observer/percentile.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace test_observer
{

using namespace structopt;
using quantize::value_range;

static_assert(
    quantize::observer<quantize::min_max> && quantize::observer<quantize::moving_average> &&
    quantize::observer<quantize::mean_deviation> &&
    quantize::observer<quantize::percentile_range> && quantize::observer<quantize::least_error>);

std::vector<float> normals(index_t n, std::uint64_t seed)
{
    random_engine rng(seed);
    std::vector<float> x;
    for (index_t i = 0; i < n; ++i)
    {
        x.push_back(normal<float>(rng));
    }
    return x;
}

template <class Observer>
value_range seen(Observer observer, std::span<const float> x, std::size_t sample)
{
    for (std::size_t i = 0; i < x.size(); i += sample)
    {
        observer.observe(x.subspan(i, std::min(sample, x.size() - i)));
    }
    return observer.range();
}

template <class Observer>
void refuses(const Observer& fresh)
{
    CHECK_THROWS_AS(fresh.range(), argument_error);
    Observer used = fresh;
    const std::vector<float> good{1.0f, -2.0f};
    used.observe(good);
    const Observer before = used;
    for (const float bad :
        {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    {
        const std::vector<float> sample{0.5f, bad};
        CHECK_THROWS_WITH_AS(used.observe(sample), doctest::Contains("position 1"), argument_error);
    }
    // Nothing was taken in; and an empty sample changes nothing.
    used.observe(std::span<const float>{});
    CHECK(used == before);
}

TEST_CASE("observers refuse what is not finite, and to answer where nothing was seen")
{
    refuses(quantize::min_max{});
    refuses(quantize::moving_average{});
    refuses(quantize::mean_deviation{});
    refuses(quantize::percentile_range{});
    refuses(quantize::least_error{});
}

TEST_CASE("options out of range are refused")
{
    CHECK_THROWS_AS(quantize::moving_average({.share = 0}), argument_error);
    CHECK_THROWS_AS(quantize::mean_deviation({.deviations = -1}), argument_error);
    CHECK_THROWS_AS(quantize::percentile_range({.beyond = 0.5}), argument_error);
    CHECK_THROWS_AS(quantize::least_error({.bits = 1}), argument_error);
}

TEST_CASE("each range by its formula")
{
    const std::vector<float> x{1, -2, 3, 5, 0, -1};
    CHECK(seen(quantize::min_max{}, x, 3) == value_range{-2, 5});
    // Ends of the samples: -2 and 3, then -1 and 5.
    const auto average = seen(quantize::moving_average({.share = 0.25}), x, 3);
    CHECK(average.lowest == -1.75f);
    CHECK(average.highest == 3.5f);
    // Mean 1, variance 34 / 6.
    const auto deviation = seen(quantize::mean_deviation({.deviations = 1}), x, 2);
    CHECK(deviation.lowest == doctest::Approx(1 - std::sqrt(34.0 / 6)));
    CHECK(deviation.highest == doctest::Approx(1 + std::sqrt(34.0 / 6)));
    CHECK(seen(quantize::mean_deviation({.deviations = 9}), x, 2) == value_range{-2, 5});
}

TEST_CASE("percentiles are those of the sorted numbers, to the width of a bin")
{
    auto x = normals(20000, 1);
    for (const double beyond : {0.0, 0.001, 0.02, 0.3})
    {
        const auto range = seen(quantize::percentile_range({.beyond = beyond}), x, 100);
        std::sort(x.begin(), x.end());
        const auto out = static_cast<std::size_t>(beyond * 20000);
        CHECK(range.lowest == doctest::Approx(x[out]).epsilon(0.04));
        CHECK(range.highest == doctest::Approx(x[x.size() - 1 - out]).epsilon(0.04));
    }
}

TEST_CASE("no other range has a much smaller error than the least one")
{
    // One outlier that is not worth a step 20 times as wide.
    auto x = normals(5000, 2);
    x.push_back(60.0f);
    const auto error = [&](const value_range& range, int bits)
    {
        const double step = (double{range.highest} - range.lowest) / (std::ldexp(1.0, bits) - 1);
        double sum = 0;
        for (const float value : x)
        {
            const double inside = std::clamp<double>(value, range.lowest, range.highest);
            const double code =
                range.lowest + step * std::nearbyint((inside - range.lowest) / step);
            sum += (code - value) * (code - value);
        }
        return sum;
    };
    for (const int bits : {4, 8})
    {
        const auto range = seen(quantize::least_error({.bits = bits}), x, 50);
        double least = std::numeric_limits<double>::infinity();
        for (float low = -4.5f; low < 0; low += 0.25f)
        {
            for (float high = 0.25f; high < 61; high *= 1.2f)
            {
                least = std::min(least, error({low, high}, bits));
            }
        }
        CHECK(error(range, bits) < 1.1 * least);
        // At 8 bits the outlier counts: 60 squared is more than all the wide steps cost.
        CHECK((range.highest > 30) == (bits == 8));
        CHECK(error(range, bits) <= error({-4.5f, 60}, bits));
    }
}

TEST_CASE("batches of samples, their order where it does not count, and constants")
{
    const auto x = normals(600, 3);
    const auto same = [&](const auto& observer)
    {
        return seen(observer, x, 600) == seen(observer, x, 1);
    };
    CHECK(same(quantize::min_max{}));
    CHECK(same(quantize::mean_deviation{}));
    CHECK(same(quantize::percentile_range({.beyond = 0.01})));
    CHECK(same(quantize::least_error{}));
    const std::vector<float> zeros(10, 0.0f);
    CHECK(seen(quantize::least_error{}, zeros, 2) == value_range{0, 0});
    CHECK(seen(quantize::percentile_range{}, zeros, 2) == value_range{0, 0});
    const std::vector<float> ones(10, 3.0f);
    CHECK(seen(quantize::least_error{}, ones, 2) == value_range{0, 3});
}

} // namespace test_observer
