#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/error.hpp>
#include <structopt/quantize/ternary.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>

namespace test_ternary
{

using namespace structopt;
using quantize::ternary;

TEST_SUITE("smoke")
{
    TEST_CASE("ternary weights by hand")
    {
        // mean|x| = 2, threshold 1.4, beyond it 3 and 4: s = 3.5.
        const tensor<float, 1> x = {3, -4, 1, 0};
        const auto q = quantize::encode(x, ternary{});
        CHECK(q.parameters()[0].threshold == doctest::Approx(1.4f));
        CHECK(q.parameters()[0].scale == 3.5f);
        CHECK(q.code(0) == 1);
        CHECK(q.code(1) == -1);
        CHECK(q.code(2) == 0);
        CHECK(q.value(1) == -3.5f);
        // The best: sums squared over counts are 16, 24.5 and 64 / 3, so {4, 3} again.
        const auto best = quantize::encode(x, ternary{.exact = true});
        CHECK(best.parameters()[0].scale == 3.5f);
        CHECK(best.codes() == q.codes());
        // Importance: the mean of 3 and 4 is weighted 3 to 1; the threshold is 0.7 * 14 / 6.
        const tensor<float, 1> importance = {3, 1, 1, 1};
        const auto heavy = quantize::encode(x, ternary{.exact = true}, quantize::per_tensor{},
            quantize::no_clipping{}, quantize::nearest_even{}, importance);
        CHECK(heavy.parameters()[0] == quantize::scale_and_threshold{3.25f, 1});
        const auto weighted = quantize::encode(x, ternary{}, quantize::per_tensor{},
            quantize::no_clipping{}, quantize::nearest_even{}, importance);
        CHECK(weighted.parameters()[0].scale == 3.25f);
        CHECK(weighted.parameters()[0].threshold == doctest::Approx(0.7 * 14 / 6));
    }
}

TEST_CASE("the exact threshold beats all others")
{
    random_engine rng(3);
    const auto x = support::random_tensor<float>(shape<1>{400}, rng);
    const auto best = quantize::encode(x, ternary{.exact = true});
    const double least = quantize::measure_error(x, best).mse;
    for (int i = 0; i <= 200; ++i)
    {
        const auto q = quantize::encode(x, ternary{.factor = 0.02f * static_cast<float>(i)});
        CHECK(quantize::measure_error(x, q).mse >= least - 1e-9);
    }
    // Normal numbers: threshold about 0.61 standard deviations.
    CHECK(best.parameters()[0].threshold == doctest::Approx(0.61f).epsilon(0.15));
    // Nothing is better for its scale: the threshold lies at half of it.
    for (index_t i = 0; i < 400; ++i)
    {
        CHECK((best.code(i) != 0) == (std::abs(x(i)) > 0.5f * best.parameters()[0].scale));
    }
}

TEST_CASE("ternary: zeros, constants, nothing, ties, bad options")
{
    for (const bool exact : {false, true})
    {
        const ternary scheme{.exact = exact};
        const auto zero = zeros<float>(shape<1>{3});
        CHECK(quantize::encode(zero, scheme).dequantize() == zero);
        CHECK(quantize::encode(zeros<float>(shape<1>{0}), scheme).parameters().size() == 1);
        const tensor<float, 1> constant = {-2, 2, 2};
        CHECK(quantize::encode(constant, scheme).dequantize() == constant);
        const tensor<float, 1> ties = {1, 1, -1, 0, 0};
        CHECK(quantize::encode(ties, scheme).dequantize() == ties);
    }
    const auto x = full<float>(shape<1>{2}, 1.0f);
    CHECK_THROWS_AS(quantize::encode(x, ternary{.factor = -1}), argument_error);
    const auto nothing = quantize::encode(x, ternary{.factor = 3});
    CHECK(nothing.dequantize() == zeros<float>(shape<1>{2}));
}

} // namespace test_ternary
