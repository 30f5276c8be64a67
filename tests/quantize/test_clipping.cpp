#include <structopt/quantize.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>
#include <vector>

namespace test_clipping
{

using namespace structopt;
using quantize::mse_optimal;
using quantize::no_clipping;
using quantize::percentile;
using quantize::sigmas;
using quantize::symmetric;
using quantize::value_range;
using support::random_tensor;

TEST_SUITE("smoke")
{
    TEST_CASE("ranges by hand")
    {
        const symmetric<4> scheme;
        const std::vector<float> x = {3, -1, 0, 2, 1};
        CHECK(no_clipping{}.range(x, {}, scheme) == value_range{-1, 3});
        CHECK(no_clipping{}.range({}, {}, scheme) == value_range{0, 0});
        // Sorted -1 0 1 2 3: quantiles 1/4 and 3/4; 0.1 and 0.9 lie between neighbours.
        CHECK(percentile{.share = 0.5}.range(x, {}, scheme) == value_range{0, 2});
        const value_range tenth = percentile{.share = 0.8}.range(x, {}, scheme);
        CHECK(tenth.lowest == doctest::Approx(-0.6));
        CHECK(tenth.highest == doctest::Approx(2.6));
        CHECK(percentile{.share = 1}.range(x, {}, scheme) == value_range{-1, 3});
        // Mean 1, standard deviation sqrt(2).
        const value_range one = sigmas{.k = 1}.range(x, {}, scheme);
        CHECK(one.lowest == doctest::Approx(1 - std::sqrt(2.0)));
        CHECK(one.highest == doctest::Approx(1 + std::sqrt(2.0)));
        CHECK(sigmas{.k = 9}.range(x, {}, scheme) == value_range{-1, 3});
        CHECK(percentile{}.range({}, {}, scheme) == value_range{0, 0});
        CHECK(sigmas{}.range({}, {}, scheme) == value_range{0, 0});
        CHECK(mse_optimal{}.range({}, {}, scheme) == value_range{0, 0});
        const std::vector<float> single = {-2};
        CHECK(percentile{.share = 0.1}.range(single, {}, scheme) == value_range{-2, -2});
    }
}

TEST_CASE("options outside their range")
{
    const auto x = full<float>(shape<1>{3}, 1.0f);
    const auto with = [&](const auto& clipping)
    {
        quantize::encode(x, symmetric<4>{}, quantize::per_tensor{}, clipping);
    };
    CHECK_THROWS_AS(with(percentile{.share = 0}), argument_error);
    CHECK_THROWS_AS(with(percentile{.share = 1.1}), argument_error);
    CHECK_THROWS_AS(with(sigmas{.k = 0}), argument_error);
    CHECK_THROWS_AS(with(mse_optimal{.steps = 1}), argument_error);
}

TEST_CASE("the range of least squared error beats all others")
{
    random_engine rng(17);
    auto x = random_tensor<float>(shape<1>{2000}, rng);
    x(77) = 12; // far from all others
    const auto error = [&](const auto& clipping)
    {
        return quantize::measure_error(
            x, quantize::encode(x, symmetric<4>{}, quantize::per_tensor{}, clipping))
            .mse;
    };
    const double best = error(mse_optimal{});
    CHECK(best < 0.3 * error(no_clipping{}));
    CHECK(best <= error(percentile{}));
    CHECK(best <= error(sigmas{}));
    // A finer search by hand finds nothing that is much better.
    double found = 1e9;
    for (int i = 1; i <= 1000; ++i)
    {
        const symmetric<4> scheme;
        const auto p = scheme.fit({0, 0.012f * static_cast<float>(i)});
        found =
            std::min(found, quantize::measure_error(x, quantize::encode_with(x, {p}, scheme)).mse);
    }
    CHECK(best <= 1.01 * found);
    // Four-bit codes of normal numbers: Banner et al., "Post training 4-bit quantization of
    // convolutional networks", 2019, clip at 2.55 standard deviations.
    const auto q = quantize::encode(x, symmetric<4>{}, quantize::per_tensor{}, mse_optimal{});
    CHECK(q.parameters()[0].scale * 7 == doctest::Approx(2.6).epsilon(0.12));
}

TEST_CASE("importance decides what is clipped")
{
    random_engine rng(19);
    auto x = random_tensor<float>(shape<1>{1000}, rng);
    x(5) = 9;
    auto importance = full<float>(shape<1>{1000}, 1.0f);
    importance(5) = 1e6f;
    const auto q = quantize::encode(x, symmetric<4>{}, quantize::per_tensor{}, mse_optimal{},
        quantize::nearest_even{}, importance);
    CHECK(std::abs(q.value(5) - 9) < 0.1f);
    const auto plain = quantize::encode(x, symmetric<4>{}, quantize::per_tensor{}, mse_optimal{});
    CHECK(std::abs(plain.value(5) - 9) > 1);
}

} // namespace test_clipping
