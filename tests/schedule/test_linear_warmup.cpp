#include <structopt/schedule/constant.hpp>
#include <structopt/schedule/cosine_restarts.hpp>
#include <structopt/schedule/linear_warmup.hpp>
#include <structopt/schedule/step_decay.hpp>

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

namespace test_linear_warmup
{

using namespace structopt;
using support::check_series;

TEST_SUITE("schedule")
{
    TEST_CASE("warm-up before other schedules agrees with PyTorch's series")
    {
        check_series("linear_warmup/steps5_start0.2_constant",
            schedule::linear_warmup{
                {.steps = 5, .start_factor = 0.2}, schedule::constant{.rate = 0.1}});
        check_series("linear_warmup/steps4_start0.25_cosine_restarts6",
            schedule::linear_warmup{{.steps = 4, .start_factor = 0.25},
                schedule::cosine_restarts{.rate = 0.1, .period = 6}});
        check_series("linear_warmup/steps3_start0.5_step_decay4",
            schedule::linear_warmup{{.steps = 3, .start_factor = 0.5},
                schedule::step_decay{.rate = 0.1, .every = 4, .gamma = 0.5}});
    }

    TEST_CASE("warm-up nests, takes a lambda and may be of no length")
    {
        const auto mine = [](index_t step)
        {
            return 8.0 - static_cast<double>(step);
        };
        const schedule::linear_warmup rate{{.steps = 4, .start_factor = 0.0}, mine};
        static_assert(schedule::rate_schedule<decltype(rate)>);
        CHECK(rate(0) == 0.0);
        CHECK(rate(1) == 2.0);
        CHECK(rate(4) == 8.0);
        CHECK(rate(6) == 6.0);

        const schedule::linear_warmup twice{{.steps = 2, .start_factor = 0.5}, rate};
        CHECK(twice(0) == 0.0); // the inner one starts at 0, and so does any share of it
        CHECK(twice(2) == 0.0);
        CHECK(twice(3) == 2.0);
        CHECK(twice(6) == 8.0);

        const schedule::linear_warmup none{{.steps = 0}, mine};
        CHECK(none(0) == 8.0);
        CHECK(none(3) == 5.0);
    }

    TEST_CASE("warm-up refuses wrong options, its own and those of the inner schedule")
    {
        const schedule::constant inner{.rate = 0.1};
        CHECK_THROWS_AS((schedule::linear_warmup{{.steps = -1}, inner}(0)), argument_error);
        CHECK_THROWS_AS(
            (schedule::linear_warmup{{.steps = 1, .start_factor = 1.5}, inner}(0)), argument_error);
        CHECK_THROWS_AS((schedule::linear_warmup{{.steps = 1}, inner}(-1)), argument_error);
        const schedule::linear_warmup wrong{{.steps = 9}, schedule::step_decay{.every = 0}};
        CHECK_THROWS_WITH_AS(wrong.validate(),
            "schedule::step_decay.every: expected at least 1 step, got 0", argument_error);
        CHECK_THROWS_AS(wrong(0), argument_error);
    }
}

} // namespace test_linear_warmup
