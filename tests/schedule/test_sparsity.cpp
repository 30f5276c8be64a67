#include <structopt/schedule.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace test_sparsity
{

using namespace structopt;

namespace
{

/// What every gradual schedule promises, on one with updates at 10, 20, ... 50 and at 55.
template <class S>
void check_ramp(const S& s)
{
    REQUIRE(s.begin == 10);
    REQUIRE(s.end == 55);
    REQUIRE(s.frequency == 10);
    double before = 0.0;
    for (index_t step = 0; step < 80; ++step)
    {
        CAPTURE(step);
        const double now = s.sparsity(step);
        const bool due = (step >= 10 && step <= 50 && step % 10 == 0) || step == 55;
        CHECK(s.due(step) == due);
        CHECK((now > before) == due); // grows at every update, and nowhere else
        before = now;
        CHECK((step < 10 ? now == 0.0 : now >= s.initial - 1e-15));
    }
    CHECK(s.sparsity(10) == doctest::Approx(s.initial).epsilon(1e-14));
    CHECK(s.sparsity(54) < s.target);
    CHECK(s.sparsity(55) == s.target);
    CHECK(s.sparsity(std::numeric_limits<index_t>::max()) == s.target);
    CHECK_FALSE(s.due(std::numeric_limits<index_t>::max()));
}

template <class S>
void check_refusals(S s)
{
    CHECK_THROWS_AS(s.sparsity(-1), argument_error);
    CHECK_THROWS_AS(s.due(-1), argument_error);
    const auto refuses = [](const S& wrong)
    {
        CHECK_THROWS_AS(schedule::validate(wrong), argument_error);
        CHECK_THROWS_AS(wrong.sparsity(20), argument_error);
        CHECK_THROWS_AS(wrong.due(20), argument_error);
    };
    for (const double target : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()})
    {
        S wrong = s;
        wrong.target = target;
        refuses(wrong);
    }
    if constexpr (requires { s.frequency; })
    {
        S wrong = s;
        wrong.frequency = 0;
        refuses(wrong);
    }
    if constexpr (requires { s.begin; })
    {
        S wrong = s;
        wrong.begin = -1;
        refuses(wrong);
    }
    if constexpr (requires { s.end; })
    {
        S wrong = s;
        wrong.end = wrong.begin;
        refuses(wrong);
        wrong = s;
        wrong.initial = -0.1;
        refuses(wrong);
    }
}

} // namespace

TEST_SUITE("smoke.schedule")
{
    TEST_CASE("cubic sparsity is the formula of automated gradual pruning")
    {
        const schedule::cubic_sparsity s{
            .initial = 0.1, .target = 0.9, .begin = 10, .end = 50, .frequency = 10};
        // s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3 with t_0 = 10, n = 4, dt = 10
        const double expected[] = {0.1, 0.9 - 0.8 * 27.0 / 64.0, 0.8, 0.9 - 0.8 / 64.0, 0.9};
        for (index_t k = 0; k < 5; ++k)
        {
            CHECK(s.sparsity(10 + 10 * k) == doctest::Approx(expected[k]).epsilon(1e-14));
        }
    }
}

TEST_SUITE("schedule")
{
    TEST_CASE("gradual schedules grow at updates only, and end at the target")
    {
        check_ramp(schedule::cubic_sparsity{
            .initial = 0.2, .target = 0.9, .begin = 10, .end = 55, .frequency = 10});
        check_ramp(schedule::linear_sparsity{
            .initial = 0.2, .target = 0.9, .begin = 10, .end = 55, .frequency = 10});
        check_ramp(schedule::exponential_sparsity{
            .initial = 0.2, .target = 0.9, .begin = 10, .end = 55, .frequency = 10});
    }

    TEST_CASE("linear sparsity halfway is halfway")
    {
        const schedule::linear_sparsity s{.initial = 0.2, .target = 0.6, .begin = 0, .end = 8};
        CHECK(s.sparsity(4) == doctest::Approx(0.4).epsilon(1e-14));
        CHECK(s.sparsity(6) == doctest::Approx(0.5).epsilon(1e-14));
    }

    TEST_CASE("exponential sparsity removes the same share of what is left every time")
    {
        const schedule::exponential_sparsity s{.target = 0.9375, .begin = 0, .end = 4};
        for (index_t step = 0; step <= 4; ++step)
        {
            CHECK(1.0 - s.sparsity(step) ==
                  doctest::Approx(std::pow(0.5, static_cast<double>(step))).epsilon(1e-14));
        }
        auto all = s;
        all.target = 1.0;
        CHECK_THROWS_AS(all.validate(), argument_error);
        all = s;
        all.initial = 1.0;
        CHECK_THROWS_AS(all.sparsity(2), argument_error);
    }

    TEST_CASE("one cut, and one that is kept up")
    {
        const schedule::one_shot_sparsity cut{.target = 0.8, .at = 3};
        const schedule::constant_sparsity kept{.target = 0.8, .begin = 3, .frequency = 5};
        for (index_t step = 0; step < 20; ++step)
        {
            CAPTURE(step);
            CHECK(cut.sparsity(step) == (step < 3 ? 0.0 : 0.8));
            CHECK(kept.sparsity(step) == (step < 3 ? 0.0 : 0.8));
            CHECK(cut.due(step) == (step == 3));
            CHECK(kept.due(step) == (step == 3 || step == 8 || step == 13 || step == 18));
        }
    }

    TEST_CASE("wrong sparsity options are refused")
    {
        check_refusals(schedule::cubic_sparsity{});
        check_refusals(schedule::linear_sparsity{});
        check_refusals(schedule::exponential_sparsity{});
        check_refusals(schedule::constant_sparsity{});
        check_refusals(schedule::one_shot_sparsity{});
        CHECK_THROWS_WITH_AS((schedule::cubic_sparsity{.begin = 5, .end = 5}.sparsity(0)),
            "schedule::cubic_sparsity.end: expected a step after begin, got 5", argument_error);
        CHECK_THROWS_AS((schedule::one_shot_sparsity{.at = -1}.validate()), argument_error);
        static_assert(schedule::sparsity_schedule<schedule::cubic_sparsity>);
        static_assert(schedule::sparsity_schedule<schedule::one_shot_sparsity>);
    }
}

} // namespace test_sparsity
