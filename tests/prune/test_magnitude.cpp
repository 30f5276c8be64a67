#include <structopt/core/tensor.hpp>
#include <structopt/prune/magnitude.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace test_magnitude
{

using namespace structopt;
using prune::magnitude;

static_assert(prune::weight_criterion<magnitude>);
static_assert(prune::unit_criterion<magnitude>);

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE("scores by hand", T, float, double)
    {
        tensor<T, 2> w = {{T(3), T(-4)}, {T(0), T(1)}, {T(-0.0), T(0)}};
        std::vector<T> scores(6);
        magnitude{}.score(as_view(std::as_const(w)), std::span<T>(scores));
        CHECK(scores == std::vector<T>{3, 4, 0, 1, 0, 0});
        CHECK(!std::signbit(scores[4]));
        std::vector<T> units(3);
        // Root of the mean square, and mean magnitude: rows of any length compare.
        magnitude{.norm = 2}.score_units(as_view(std::as_const(w)), std::span<T>(units));
        CHECK(units[0] == doctest::Approx(std::sqrt(12.5)));
        CHECK(units[1] == doctest::Approx(std::sqrt(0.5)));
        CHECK(units[2] == T(0));
        magnitude{.norm = 1}.score_units(as_view(std::as_const(w)), std::span<T>(units));
        CHECK(units[0] == doctest::Approx(3.5));
        CHECK(units[1] == doctest::Approx(0.5));
    }
}

TEST_CASE("large weights do not overflow the norm")
{
    const auto w = structopt::full<float>(shape<2>{2, 100}, 3e38f);
    std::vector<float> units(2);
    magnitude{}.score_units(as_view(w), std::span<float>(units));
    CHECK(units[0] == doctest::Approx(3e38f));
}

TEST_CASE("rows without columns, and no rows")
{
    const auto w = structopt::zeros<float>(shape<2>{3, 0});
    std::vector<float> units(3, 7.0f);
    magnitude{}.score_units(as_view(w), std::span<float>(units));
    CHECK(units == std::vector<float>{0, 0, 0});
    const auto none = structopt::zeros<float>(shape<2>{0, 3});
    magnitude{}.score_units(as_view(none), std::span<float>());
}

TEST_CASE_TEMPLATE("any p above 0: against the sum, and without overflow", T, float, double)
{
    const tensor<T, 2> w = {{T(3), T(-4), T(0)}, {T(1e-30), T(2e-30), T(-2e-30)}};
    std::vector<T> units(2);
    for (const double p : {0.5, 1.0, 1.5, 2.0, 3.0, 10.0})
    {
        magnitude{.norm = p}.score_units(as_view(w), std::span<T>(units));
        const double first = std::pow((std::pow(3, p) + std::pow(4, p)) / 3, 1 / p);
        const double second = 1e-30 * std::pow((1 + 2 * std::pow(2, p)) / 3, 1 / p);
        CHECK(static_cast<double>(units[0]) == doctest::Approx(first));
        CHECK(static_cast<double>(units[1]) / second == doctest::Approx(1));
    }
    magnitude{.norm = std::numeric_limits<double>::infinity()}.score_units(
        as_view(w), std::span<T>(units));
    CHECK(units[0] == T(4));
    const auto huge = structopt::full<T>(shape<2>{1, 3}, std::numeric_limits<T>::max() / 2);
    for (const double p : {2.0, 3.0})
    {
        magnitude{.norm = p}.score_units(as_view(huge), std::span<T>(units.data(), 1));
        CHECK(units[0] / huge(0, 0) == doctest::Approx(1));
    }
}

TEST_CASE("norms that are not above 0 are refused")
{
    const auto w = structopt::zeros<float>(shape<2>{1, 1});
    std::vector<float> units(1);
    for (const double norm : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    {
        support::check_parts(support::message_of<argument_error>(
                                 [&]
                                 {
                                     magnitude{.norm = norm}.score_units(
                                         as_view(w), std::span<float>(units));
                                 }),
            {"magnitude norm", "above 0"});
    }
}

} // namespace test_magnitude
