#include <structopt/schedule/reduce_on_plateau.hpp>

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace test_reduce_on_plateau
{

using namespace structopt;
using schedule::goal;
using schedule::reduce_on_plateau;
using schedule::threshold_kind;

namespace
{

void check_series(const std::string& name, const reduce_on_plateau& plateau)
{
    const auto metrics = support::golden_series("reduce_on_plateau_metric/" + name);
    const auto expected = support::golden_series("reduce_on_plateau/" + name);
    REQUIRE(metrics.size() == expected.size());
    REQUIRE(expected.back() < expected.front());
    auto state = plateau.make_state();
    CHECK(plateau.rate(state) == plateau.initial_rate);
    for (std::size_t i = 0; i < metrics.size(); ++i)
    {
        const double before = plateau.rate(state);
        // Saved and restored in the middle: the state is all there is.
        const reduce_on_plateau again = plateau;
        schedule::plateau_state restored = state;
        const bool fell = again.update(restored, metrics[i]);
        CHECK(plateau.update(state, metrics[i]) == fell);
        CHECK(restored == state);

        const double found = plateau.rate(state);
        INFO(name << " measurement " << i << ": expected " << expected[i] << ", found " << found);
        CHECK(std::abs(found - expected[i]) <= 1e-13 * expected[i]);
        CHECK(fell == (found < before));
    }
}

} // namespace

TEST_SUITE("schedule")
{
    TEST_CASE("reduction on a plateau agrees with PyTorch's series")
    {
        check_series("minimum_relative", {.initial_rate = 0.1, .factor = 0.5, .patience = 2});
        check_series("minimum_absolute", {.initial_rate = 0.1,
                                             .factor = 0.5,
                                             .patience = 1,
                                             .threshold = 0.05,
                                             .kind = threshold_kind::absolute});
        check_series(
            "minimum_cooldown", {.initial_rate = 0.1, .factor = 0.5, .patience = 1, .cooldown = 2});
        check_series("minimum_min_rate",
            {.initial_rate = 0.1, .factor = 0.3, .patience = 0, .min_rate = 0.004});
        check_series(
            "minimum_eps", {.initial_rate = 0.1, .factor = 0.5, .patience = 0, .eps = 0.003});
        check_series("noisy",
            {.initial_rate = 0.1, .factor = 0.7, .patience = 2, .threshold = 0.01, .cooldown = 1});
        check_series("maximum_relative", {.initial_rate = 0.1,
                                             .mode = goal::maximum,
                                             .factor = 0.5,
                                             .patience = 2,
                                             .threshold = 0.001});
        check_series("maximum_absolute", {.initial_rate = 0.1,
                                             .mode = goal::maximum,
                                             .factor = 0.5,
                                             .patience = 1,
                                             .threshold = 0.02,
                                             .kind = threshold_kind::absolute});
        check_series("minimum_not_a_number", {.initial_rate = 0.1, .factor = 0.5, .patience = 1});
    }

    TEST_CASE("a measurement that is not finite never improves, even as the first one")
    {
        const reduce_on_plateau plateau{.initial_rate = 1.0, .factor = 0.5, .patience = 0};
        auto state = plateau.make_state();
        CHECK(plateau.update(state, std::numeric_limits<double>::quiet_NaN()));
        CHECK(plateau.update(state, -std::numeric_limits<double>::infinity()));
        CHECK_FALSE(state.measured);
        CHECK(state.rate == 0.25);
        CHECK_FALSE(plateau.update(state, 1e300));
        CHECK(state.best == 1e300);
    }

    TEST_CASE("wrong options of a plateau schedule are refused before the state changes")
    {
        CHECK_THROWS_WITH_AS((reduce_on_plateau{.factor = 1.0}.make_state()),
            "schedule::reduce_on_plateau.factor: expected a factor below 1, got 1", argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.initial_rate = -1}.make_state()), argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.factor = -0.1}.validate()), argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.threshold = -1}.validate()), argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.cooldown = -1}.validate()), argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.min_rate = -1}.validate()), argument_error);
        CHECK_THROWS_AS((reduce_on_plateau{.eps = -1}.validate()), argument_error);
        schedule::plateau_state state{.rate = 0.5};
        const auto before = state;
        CHECK_THROWS_AS((reduce_on_plateau{.patience = -1}.update(state, 1.0)), argument_error);
        CHECK(state == before);
    }
}

} // namespace test_reduce_on_plateau
