#include <structopt/core/random.hpp>
#include <structopt/prune/reconstruction.hpp>

#include <doctest/doctest.h>

#include "support/correlated.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <limits>
#include <vector>

namespace test_reconstruction
{

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_tensor;

TEST_SUITE("smoke")
{
    TEST_CASE("survivors are the solution of the normal equations, whichever side is solved for")
    {
        random_engine rng(1);
        const index_t n = 9;
        const auto gram = support::mean_product(support::correlated_rows<double>(40, n, rng));
        auto h = gram;
        linalg::damp(h, 0.02);
        const auto w = random_tensor<double>(shape<2>{n + 1, n}, rng);
        // Row r keeps r of the n weights, from none to all.
        std::vector<std::uint8_t> keep;
        for (index_t r = 0; r <= n; ++r)
        {
            for (index_t c = 0; c < n; ++c)
            {
                keep.push_back((c * 4 + r) % n < r ? 1 : 0);
            }
        }
        const auto v = prune::reconstruct(w, gram, keep, 0.02);
        double total = 0;
        for (index_t r = 0; r <= n; ++r)
        {
            INFO(r);
            const auto best = support::best_row(w.data() + r * n, h, keep.data() + r * n);
            for (index_t c = 0; c < n; ++c)
            {
                CHECK(v(r, c) == doctest::Approx(best[static_cast<std::size_t>(c)]).epsilon(1e-9));
                if (keep[static_cast<std::size_t>(r * n + c)] == 0)
                {
                    CHECK(v(r, c) == 0);
                }
            }
            total += support::row_change(w.data() + r * n, v.data() + r * n, gram);
        }
        CHECK(prune::output_change(w, v, gram) == doctest::Approx(total).epsilon(1e-12));
        for (index_t c = 0; c < n; ++c)
        {
            CHECK(v(n, c) == w(n, c)); // nothing went: not even rounding
        }
    }
}

TEST_CASE("the change is that of the outputs")
{
    random_engine rng(2);
    const auto x = support::correlated_rows<float>(30, 6, rng);
    const auto w = random_tensor<float>(shape<2>{4, 6}, rng);
    auto v = w;
    v(1, 2) = 0;
    v(3, 5) = 1;
    double sum = 0;
    for (index_t r = 0; r < 30; ++r)
    {
        for (index_t o = 0; o < 4; ++o)
        {
            double d = 0;
            for (index_t c = 0; c < 6; ++c)
            {
                d += static_cast<double>(x(r, c)) *
                     (static_cast<double>(w(o, c)) - static_cast<double>(v(o, c)));
            }
            sum += d * d / 30;
        }
    }
    CHECK(
        prune::output_change(w, v, support::mean_product(x)) == doctest::Approx(sum).epsilon(1e-9));
}

TEST_CASE("what does not fit is refused")
{
    const auto w = full<float>(shape<2>{2, 3}, 1.0f);
    const auto gram = full<double>(shape<2>{3, 3}, 1.0);
    const std::vector<std::uint8_t> keep{1, 0, 1, 1, 1, 0};
    CHECK_NOTHROW(prune::reconstruct(w, gram, keep));
    CHECK_THROWS_AS(prune::reconstruct(w, gram, keep, 0.0), not_positive_definite_error);
    CHECK_THROWS_AS(prune::reconstruct(w, gram, keep, -1.0), argument_error);
    CHECK_THROWS_AS(prune::reconstruct(w, gram, std::vector<std::uint8_t>{1, 0, 1}), shape_error);
    CHECK_THROWS_AS(prune::reconstruct(w, full<double>(shape<2>{3, 2}, 1.0), keep), shape_error);
    auto bad = w;
    bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::reconstruct(bad, gram, keep);
                    }),
        {"weight", "row 1", "column 2"});
    auto worse = gram;
    worse(0, 1) = std::numeric_limits<double>::infinity();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::reconstruct(w, worse, keep);
                    }),
        {"gram", "row 0", "column 1"});
}

} // namespace test_reconstruction
