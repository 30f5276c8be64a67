#include <structopt/calibrate/moments.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace test_moments
{

using namespace structopt;
using calibrate::moments;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

bool equal(const moments& a, const moments& b)
{
    bool same = a.size() == b.size() && a.features() == b.features();
    for (index_t f = 0; same && f < a.features(); ++f)
    {
        same = a.mean(f) == b.mean(f) && a.mean_absolute(f) == b.mean_absolute(f) &&
               a.second_moment(f) == b.second_moment(f) && a.variance(f) == b.variance(f) &&
               a.zero_share(f) == b.zero_share(f);
    }
    return same;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the moments are those of the numbers, bit for bit the same for every batch size")
    {
        random_engine rng(1);
        const index_t n = 37;
        auto x = random_tensor<float>(shape<4>{n, 3, 2, 5}, rng);
        for (float& value : x)
        {
            value = value < 0 ? 0.0f : value;
        }
        moments whole;
        whole.add(x);
        for (const index_t batch : {1, 2, 5, 36})
        {
            moments parts;
            for (index_t i = 0; i < n; i += batch)
            {
                parts.add(as_view(x).slice(i, std::min(i + batch, n)));
            }
            CHECK(equal(parts, whole));
        }

        CHECK(whole.features() == 3);
        CHECK(whole.size() == n * 10);
        for (index_t f = 0; f < 3; ++f)
        {
            double sum = 0;
            double square = 0;
            double zeros = 0;
            const auto each = [&](auto&& use)
            {
                for (index_t b = 0; b < n; ++b)
                {
                    for (index_t p = 0; p < 10; ++p)
                    {
                        use(static_cast<double>(x.data()[(b * 3 + f) * 10 + p]));
                    }
                }
            };
            each(
                [&](double v)
                {
                    sum += v;
                    square += v * v;
                    zeros += v == 0 ? 1 : 0;
                });
            const double count = static_cast<double>(n * 10);
            double spread = 0;
            each(
                [&](double v)
                {
                    spread += (v - sum / count) * (v - sum / count);
                });
            CHECK(whole.mean(f) == doctest::Approx(sum / count).epsilon(1e-12));
            CHECK(whole.mean_absolute(f) == doctest::Approx(sum / count).epsilon(1e-12));
            CHECK(whole.second_moment(f) == doctest::Approx(square / count).epsilon(1e-12));
            CHECK(whole.variance(f) == doctest::Approx(spread / count).epsilon(1e-12));
            CHECK(whole.zero_share(f) == zeros / count);
            CHECK(whole.zero_share(f) > 0.3);
        }
    }
}

TEST_CASE("the variance keeps its digits beside a large mean")
{
    moments seen;
    tensor<double, 2> x = make_tensor<double>(shape<2>{1000, 1});
    for (index_t i = 0; i < 1000; ++i)
    {
        x(i, 0) = -1e9 + static_cast<double>(i % 2);
    }
    seen.add(x);
    CHECK(seen.variance(0) == doctest::Approx(0.25).epsilon(1e-9));
    CHECK(seen.mean_absolute(0) == doctest::Approx(1e9));
}

TEST_CASE("what does not fit is refused and nothing is added")
{
    moments seen;
    CHECK(message_of<argument_error>(
              [&]
              {
                  seen.mean(0);
              })
              .find("at least one sample") != std::string::npos);
    seen.add(full<float>(shape<2>{2, 3}, 1.0f));
    const moments before = seen;
    CHECK_THROWS_AS(seen.add(full<float>(shape<2>{2, 4}, 1.0f)), shape_error);
    for (const float bad :
        {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
    {
        auto x = full<float>(shape<2>{2, 3}, 5.0f);
        x(1, 2) = bad;
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            seen.add(x);
                        }),
            {"finite", "position 5"});
    }
    CHECK(equal(seen, before));
    seen.add(make_tensor<float>(shape<2>{0, 3}));
    CHECK(equal(seen, before));
}

TEST_CASE("of a network: what goes in and comes out of every leaf layer")
{
    random_engine rng(2);
    const nn::sequential net{nn::dense{{.in = 4, .out = 6}, rng}, nn::relu{}};
    const auto x = random_tensor<float>(shape<2>{20, 4}, rng);
    calibrate::layer_moments seen;
    seen.add(net, as_view(x).slice(0, 7));
    seen.add(net, as_view(x).slice(7, 20));
    moments input;
    input.add(x);
    CHECK(equal(seen.inputs(0), input));
    CHECK(equal(seen.outputs(0), seen.inputs(1)));
    moments output;
    output.add(net(x));
    // The two halves of a batch may be multiplied in another order than the whole.
    CHECK(seen.outputs(1).zero_share(3) == output.zero_share(3));
    CHECK(seen.outputs(1).mean(3) == doctest::Approx(output.mean(3)).epsilon(1e-5));
    CHECK_THROWS_AS(seen.outputs(2), argument_error);
}

} // namespace test_moments
