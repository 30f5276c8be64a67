#include <doctest/doctest.h>

#include <structopt/optim/clip.hpp>

#include "support/parameters_only.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_clip
{

namespace
{

namespace optim = structopt::optim;
using structopt::index_t;
using structopt::shape;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

support::parameters_only<float> gradients(index_t n, std::uint64_t seed)
{
    structopt::random_engine rng(seed);
    return {support::random_tensor<float>(shape<2>{1, n}, rng),
        support::random_tensor<float>(shape<1>{3}, rng)};
}

double norm_of(const support::parameters_only<float>& g)
{
    double sum = 0;
    for (const float v : structopt::as_view(g.weight).flat())
    {
        sum += static_cast<double>(v) * static_cast<double>(v);
    }
    for (const float v : structopt::as_view(g.bias).flat())
    {
        sum += static_cast<double>(v) * static_cast<double>(v);
    }
    return std::sqrt(sum);
}

} // namespace

TEST_SUITE("smoke.clip")
{
    TEST_CASE("the norm of all gradients is limited together")
    {
        auto g = gradients(1000, 1);
        const double before = norm_of(g);
        const float ratio = g.bias(0) / g.weight(0, 5);
        CHECK(optim::gradient_norm(g) == doctest::Approx(before).epsilon(1e-12));
        CHECK(optim::clip_norm{.max_norm = 2}(g) == doctest::Approx(before).epsilon(1e-12));
        CHECK(norm_of(g) == doctest::Approx(2).epsilon(1e-5));
        CHECK(g.bias(0) / g.weight(0, 5) == doctest::Approx(ratio).epsilon(1e-5));

        auto small = gradients(10, 2);
        const auto same = small.weight;
        optim::clip_norm{.max_norm = 1000}(small);
        CHECK(support::largest_difference(small.weight, same) == 0.0);
    }
}

TEST_CASE("large float gradients do not overflow the norm, and long ones are summed exactly")
{
    support::parameters_only<float> g{structopt::full<float>(shape<2>{1, 4}, 1e30f)};
    CHECK(optim::gradient_norm(g) == doctest::Approx(2e30).epsilon(1e-6));
    const index_t n = (1 << 16) + 5;
    support::parameters_only<float> many{structopt::full<float>(shape<2>{1, n}, 0.1f)};
    CHECK(optim::gradient_norm(many) ==
          doctest::Approx(static_cast<double>(0.1f) * std::sqrt(static_cast<double>(n)))
              .epsilon(1e-12));
    CHECK(optim::gradient_norm(many, 1) ==
          doctest::Approx(static_cast<double>(0.1f) * static_cast<double>(n)).epsilon(1e-12));
    CHECK(optim::gradient_norm(many, 3) ==
          doctest::Approx(static_cast<double>(0.1f) * std::cbrt(static_cast<double>(n)))
              .epsilon(1e-12));
    many.weight(0, n - 1) = -7;
    CHECK(optim::gradient_norm(many, infinity) == 7.0);
}

TEST_CASE("a norm needs p above 0")
{
    const auto g = gradients(10, 3);
    for (const double p : {0.0, -1.0, not_a_number})
    {
        CHECK_THROWS_AS(optim::gradient_norm(g, p), structopt::argument_error);
    }
}

TEST_CASE("gradients that are not finite are noticed")
{
    for (const double bad : {not_a_number, infinity, -infinity})
    {
        for (const double p : {1.0, 2.0, 2.5, infinity})
        {
            auto g = gradients(100, 3);
            g.weight(0, 40) = static_cast<float>(bad);
            INFO("value " << bad << ", p " << p);
            CHECK(!optim::is_finite(optim::gradient_norm(g, p)));
            const auto before = g.weight;
            CHECK_THROWS_AS((optim::clip_norm{.norm = p, .raise_nonfinite = true}(g)),
                structopt::nonfinite_error);
            CHECK(g.weight(0, 0) == before(0, 0));
            CHECK_NOTHROW(optim::clip_norm{.norm = p}(g));
            // As in PyTorch: nothing finite but zero is left.
            CHECK((g.weight(0, 0) == 0.0f || std::isnan(g.weight(0, 0))));
        }
    }
}

TEST_CASE("values are limited one by one; a NaN stays")
{
    support::parameters_only<double> g{structopt::zeros<double>(shape<2>{1, 5})};
    const double in[5] = {-3, -0.5, 0.25, 8, not_a_number};
    std::copy(in, in + 5, g.weight.data());
    optim::clip_value{.max_value = 0.5}(g);
    CHECK(g.weight(0, 0) == -0.5);
    CHECK(g.weight(0, 1) == -0.5);
    CHECK(g.weight(0, 2) == 0.25);
    CHECK(g.weight(0, 3) == 0.5);
    CHECK(std::isnan(g.weight(0, 4)));
}

TEST_CASE("limits out of range are refused")
{
    auto g = gradients(3, 4);
    CHECK_THROWS_AS(optim::clip_norm{.max_norm = -1}(g), structopt::argument_error);
    CHECK_THROWS_AS(optim::clip_norm{.max_norm = not_a_number}(g), structopt::argument_error);
    CHECK_THROWS_AS(optim::clip_norm{.norm = 0}(g), structopt::argument_error);
    CHECK_THROWS_AS(optim::clip_value{.max_value = -1}(g), structopt::argument_error);
}

} // namespace test_clip
