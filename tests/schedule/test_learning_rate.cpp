#include <structopt/schedule.hpp>

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace test_learning_rate
{

using namespace structopt;
using support::check_series;

namespace
{

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The message of the argument_error that the schedule raises, when validated and when called.
template <class S>
std::string refusal(const S& s)
{
    std::string message;
    try
    {
        s(5);
        FAIL("called with wrong options");
    }
    catch (const argument_error& e)
    {
        message = e.what();
    }
    CHECK_THROWS_AS(schedule::validate(s), argument_error);
    return message;
}

template <class S>
void check_negative_step(const S& s)
{
    CHECK_THROWS_AS(s(-1), argument_error);
    CHECK_NOTHROW(s(0));
    CHECK(std::isfinite(s(std::numeric_limits<index_t>::max())));
}

} // namespace

TEST_SUITE("smoke.schedule")
{
    TEST_CASE("step decay multiplies by the factor once more every n steps")
    {
        const schedule::step_decay rate{.rate = 0.1, .every = 4, .gamma = 0.5};
        CHECK(rate(0) == 0.1);
        CHECK(rate(3) == 0.1);
        CHECK(rate(4) == 0.05);
        CHECK(rate(5) == 0.05); // and not back to the base rate
        CHECK(rate(8) == 0.025);
        check_series("step_decay/every4_gamma0.5", rate);
        check_series("step_decay/every1_gamma0.9",
            schedule::step_decay{.rate = 0.3, .every = 1, .gamma = 0.9});
    }
}

TEST_SUITE("schedule")
{
    TEST_CASE("schedules agree with PyTorch's series")
    {
        check_series("multi_step/3_4_9_gamma0.2",
            schedule::multi_step{.rate = 0.1, .milestones = {3, 4, 9}, .gamma = 0.2});
        check_series(
            "exponential_decay/gamma0.8", schedule::exponential_decay{.rate = 0.1, .gamma = 0.8});
        check_series("piecewise_constant/3_8",
            schedule::piecewise_constant{.boundaries = {3, 8}, .rates = {0.1, 0.05, 0.002}});
        check_series(
            "polynomial_decay/steps8_power1", schedule::polynomial_decay{.rate = 0.1, .steps = 8});
        check_series("polynomial_decay/steps8_power2.5",
            schedule::polynomial_decay{.rate = 0.1, .steps = 8, .power = 2.5});
        check_series(
            "inverse_time_decay/decay0.5", schedule::inverse_time_decay{.rate = 0.1, .decay = 0.5});
        check_series("cosine_decay/steps10", schedule::cosine_decay{.rate = 0.1, .steps = 10});
        check_series("cosine_decay/steps10_final0.01",
            schedule::cosine_decay{.rate = 0.1, .final_rate = 0.01, .steps = 10});
        check_series(
            "cosine_restarts/period5", schedule::cosine_restarts{.rate = 0.1, .period = 5});
        check_series("cosine_restarts/period3_growth2_final0.001",
            schedule::cosine_restarts{.rate = 0.1, .final_rate = 0.001, .period = 3, .growth = 2});
    }

    TEST_CASE("one cycle agrees with PyTorch's, rate and momentum")
    {
        using schedule::anneal;
        using schedule::one_cycle;
        const auto check = [](const std::string& name, const one_cycle& cycle)
        {
            check_series("one_cycle/" + name, cycle);
            check_series("one_cycle_momentum/" + name,
                [&](index_t step)
                {
                    return cycle.momentum(step);
                });
        };
        check("steps20", {.max_rate = 0.2, .steps = 20});
        check("steps20_linear", {.max_rate = 0.2, .steps = 20, .curve = anneal::linear});
        check("steps20_three_phase", {.max_rate = 0.2, .steps = 20, .three_phase = true});
        check("steps17_linear_three_phase_rise0.4", {.max_rate = 0.2,
                                                        .steps = 17,
                                                        .rise = 0.4,
                                                        .curve = anneal::linear,
                                                        .three_phase = true});
        check("steps13_rise0.25_divisors10_100", {.max_rate = 0.2,
                                                     .steps = 13,
                                                     .rise = 0.25,
                                                     .start_divisor = 10.0,
                                                     .end_divisor = 100.0,
                                                     .base_momentum = 0.7,
                                                     .max_momentum = 0.9});
    }

    TEST_CASE(
        "one cycle of a rise that ends at step 0 divides by nothing, and stays low at the end")
    {
        const schedule::one_cycle cycle{.max_rate = 0.2, .steps = 10, .rise = 0.1};
        CHECK(cycle(0) == doctest::Approx(0.2).epsilon(1e-12));
        const double last = 0.2 / 25.0 / 1e4;
        CHECK(cycle(9) == doctest::Approx(last).epsilon(1e-12));
        CHECK(cycle(1000) == doctest::Approx(last).epsilon(1e-12));
        CHECK(std::isfinite(schedule::one_cycle{.steps = 1}(0)));
        CHECK(std::isfinite(schedule::one_cycle{.steps = 10, .rise = 0.0}(0)));
        CHECK(std::isfinite(schedule::one_cycle{.steps = 10, .rise = 0.0, .three_phase = true}(0)));
    }

    TEST_CASE("decays reach their final rate and stay there")
    {
        CHECK(schedule::cosine_decay{.rate = 0.1, .final_rate = 0.02, .steps = 10}(10) == 0.02);
        CHECK(schedule::cosine_decay{.rate = 0.1, .final_rate = 0.02, .steps = 10}(15) == 0.02);
        CHECK(schedule::polynomial_decay{.rate = 0.1, .final_rate = 0.02, .steps = 10}(10) == 0.02);
        const schedule::polynomial_decay half{.rate = 0.1, .final_rate = 0.02, .steps = 10};
        CHECK(half(5) == doctest::Approx(0.06).epsilon(1e-14));
    }

    TEST_CASE("exponential and inverse time decay over several steps")
    {
        const schedule::exponential_decay slow{.rate = 0.8, .gamma = 0.25, .every = 10};
        CHECK(slow(5) == doctest::Approx(0.4).epsilon(1e-14));
        CHECK(slow(10) == doctest::Approx(0.2).epsilon(1e-14));
        const schedule::inverse_time_decay smooth{.rate = 1.0, .decay = 1.0, .every = 4};
        CHECK(smooth(2) == doctest::Approx(1.0 / 1.5).epsilon(1e-14));
        const schedule::inverse_time_decay stairs{
            .rate = 1.0, .decay = 1.0, .every = 4, .staircase = true};
        CHECK(stairs(3) == 1.0);
        CHECK(stairs(4) == 0.5);
        CHECK(stairs(8) == doctest::Approx(1.0 / 3.0).epsilon(1e-14));
    }

    TEST_CASE("restarts with growing periods reach any step")
    {
        const schedule::cosine_restarts rate{.rate = 0.1, .period = 3, .growth = 10};
        CHECK(rate(3) == 0.1);
        CHECK(rate(33) == 0.1);
        CHECK(rate(333) == 0.1);
        CHECK(rate(332) < 1e-5);
        // The second period would end beyond the last step that there is.
        const index_t last = std::numeric_limits<index_t>::max();
        const schedule::cosine_restarts endless{.rate = 0.1, .period = last / 2 + 1, .growth = 3};
        CHECK(endless(last) == doctest::Approx(0.05).epsilon(1e-9));
    }

    TEST_CASE("a negative step is refused, a very late one is not")
    {
        check_negative_step(schedule::constant{});
        check_negative_step(schedule::step_decay{});
        check_negative_step(schedule::multi_step{.milestones = {2, 5}});
        check_negative_step(schedule::exponential_decay{});
        check_negative_step(schedule::piecewise_constant{.boundaries = {2}, .rates = {0.1, 0.2}});
        check_negative_step(schedule::polynomial_decay{});
        check_negative_step(schedule::inverse_time_decay{});
        check_negative_step(schedule::cosine_decay{});
        check_negative_step(schedule::cosine_restarts{.growth = 2});
        check_negative_step(schedule::one_cycle{});
        CHECK_THROWS_AS(schedule::one_cycle{}.momentum(-1), argument_error);
    }

    TEST_CASE("wrong options are refused by name, at validation and at the call")
    {
        CHECK(refusal(schedule::step_decay{.every = 0}) ==
              "schedule::step_decay.every: expected at least 1 step, got 0");
        CHECK(refusal(schedule::constant{.rate = -0.5}) ==
              "schedule::constant.rate: expected a finite number that is not negative, got -0.5");
        refusal(schedule::constant{.rate = nan_value});
        refusal(schedule::step_decay{.rate = infinity});
        refusal(schedule::step_decay{.gamma = -0.1});
        refusal(schedule::multi_step{.milestones = {3, 3}});
        refusal(schedule::multi_step{.milestones = {-1}});
        refusal(schedule::multi_step{.gamma = nan_value});
        refusal(schedule::exponential_decay{.every = -3});
        refusal(schedule::exponential_decay{.gamma = -1.0});
        CHECK(refusal(schedule::piecewise_constant{.boundaries = {3}, .rates = {0.1}}) ==
              "schedule::piecewise_constant.rates: expected one rate more than there are "
              "boundaries, got 1 rates for 1 boundaries");
        refusal(schedule::piecewise_constant{.boundaries = {}, .rates = {}});
        refusal(schedule::piecewise_constant{.boundaries = {4, 3}, .rates = {1, 2, 3}});
        refusal(schedule::piecewise_constant{.boundaries = {4}, .rates = {1, -2}});
        refusal(schedule::polynomial_decay{.steps = 0});
        refusal(schedule::polynomial_decay{.power = 0});
        refusal(schedule::polynomial_decay{.final_rate = -1});
        refusal(schedule::inverse_time_decay{.every = 0});
        refusal(schedule::inverse_time_decay{.decay = -1});
        refusal(schedule::cosine_decay{.steps = 0});
        refusal(schedule::cosine_decay{.final_rate = nan_value});
        refusal(schedule::cosine_restarts{.period = 0});
        refusal(schedule::cosine_restarts{.growth = 0});
        refusal(schedule::one_cycle{.steps = 0});
        refusal(schedule::one_cycle{.rise = 1.5});
        refusal(schedule::one_cycle{.rise = 0.6, .three_phase = true});
        refusal(schedule::one_cycle{.start_divisor = 0});
        refusal(schedule::one_cycle{.end_divisor = -1});
        refusal(schedule::one_cycle{.max_momentum = 2});
    }

    TEST_CASE("anything that takes a step and returns a number is a schedule")
    {
        const auto mine = [](index_t step)
        {
            return 0.1f / static_cast<float>(1 + step);
        };
        static_assert(schedule::rate_schedule<decltype(mine)>);
        static_assert(schedule::rate_schedule<schedule::one_cycle>);
        static_assert(!schedule::rate_schedule<schedule::cubic_sparsity>);
        static_assert(!schedule::rate_schedule<schedule::reduce_on_plateau>);
        static_assert(!schedule::sparsity_schedule<schedule::constant>);
        CHECK_NOTHROW(schedule::validate(mine));
        CHECK(schedule::cosine_decay{.rate = 1} == schedule::cosine_decay{.rate = 1});
        CHECK(schedule::cosine_decay{.rate = 1} != schedule::cosine_decay{.rate = 2});
    }
}

} // namespace test_learning_rate
