#include <structopt/core/random.hpp>
#include <structopt/prune/optimal_brain_surgeon.hpp>

#include <doctest/doctest.h>

#include "support/correlated.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <vector>

namespace test_optimal_brain_surgeon
{

using namespace structopt;
using prune::competition;
using prune::optimal_brain_surgeon;
using support::random_tensor;

static_assert(prune::matrix_pruner<optimal_brain_surgeon>);

namespace
{

/// One weight after the other: the one after whose removal the best survivors are closest to the
/// weights before, by solving for them anew for every candidate.
std::vector<std::uint8_t> greedy(
    const tensor<double, 2>& w, const tensor<double, 2>& h, std::size_t total, std::size_t of_row)
{
    const std::size_t rows = w.shape()[0];
    const std::size_t n = w.shape()[1];
    std::vector<std::uint8_t> keep(rows * n, 1);
    std::vector<std::size_t> gone(rows, 0);
    std::vector<double> price(rows, 0.0); // of what a row lost so far
    for (std::size_t step = 0; step < total; ++step)
    {
        double least = 1e300;
        double its_price = 0;
        std::size_t at = 0;
        for (std::size_t i = 0; i < rows * n; ++i)
        {
            const std::size_t r = i / n;
            if (keep[i] == 0 || gone[r] == of_row)
            {
                continue;
            }
            keep[i] = 0;
            const auto row = support::best_row(w.data() + r * n, h, keep.data() + r * n);
            const double all = support::row_change(w.data() + r * n, row.data(), h);
            keep[i] = 1;
            if (all - price[r] < least)
            {
                least = all - price[r];
                its_price = all;
                at = i;
            }
        }
        keep[at] = 0;
        price[at / n] = its_price;
        ++gone[at / n];
    }
    return keep;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the weights that go, and the survivors, are those of the closed form")
    {
        random_engine rng(1);
        const index_t rows = 3;
        const index_t n = 7;
        for (int round = 0; round < 3; ++round)
        {
            const auto gram = support::mean_product(support::correlated_rows<double>(25, n, rng));
            const auto w = random_tensor<double>(shape<2>{rows, n}, rng);
            auto h = gram;
            linalg::damp(h, 1e-3);
            for (const bool by_row : {false, true})
            {
                INFO(round, by_row);
                const optimal_brain_surgeon method{.sparsity = 4.0 / 7,
                    .competition = by_row ? competition::per_row : competition::matrix,
                    .damping = 1e-3};
                const auto done = method.prune(w, gram);
                CHECK(done.keep == greedy(w, h, 12, by_row ? 4 : 7));
                double loss = 0;
                for (index_t r = 0; r < rows; ++r)
                {
                    const auto best =
                        support::best_row(w.data() + r * n, h, done.keep.data() + r * n);
                    loss += support::row_change(w.data() + r * n, best.data(), h);
                    for (index_t c = 0; c < n; ++c)
                    {
                        CHECK(done.weight(r, c) ==
                              doctest::Approx(best[static_cast<std::size_t>(c)]).epsilon(1e-8));
                    }
                }
                CHECK(done.loss == doctest::Approx(loss).epsilon(1e-8));
            }
        }
    }
}

TEST_CASE("with inputs that do not hang together it is magnitude pruning, scaled by their sizes")
{
    auto gram = zeros<double>(shape<2>{4, 4});
    tensor<float, 2> w = full<float>(shape<2>{1, 4}, 1.0f);
    for (index_t i = 0; i < 4; ++i)
    {
        gram(i, i) = static_cast<double>(1 + i);
        w(0, i) = static_cast<float>(4 - i); // saliencies 16, 18, 12, 4
    }
    const auto done = optimal_brain_surgeon{.sparsity = 0.5, .damping = 0}.prune(w, gram);
    CHECK(done.keep == std::vector<std::uint8_t>{1, 1, 0, 0});
    CHECK(done.loss == doctest::Approx(16));
    CHECK(done.weight(0, 0) == doctest::Approx(4));
}

TEST_CASE("zeros go first and stay, and nothing goes at sparsity 0")
{
    random_engine rng(2);
    const auto gram = support::mean_product(support::correlated_rows<double>(25, 6, rng));
    auto w = random_tensor<float>(shape<2>{2, 6}, rng);
    CHECK(optimal_brain_surgeon{.sparsity = 0}.prune(w, gram).weight == w);
    w(0, 3) = w(1, 1) = w(1, 2) = 0;
    const auto done = optimal_brain_surgeon{.sparsity = 0.25}.prune(w, gram);
    CHECK(done.keep == std::vector<std::uint8_t>{1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1});
    CHECK(done.weight == w);
    const auto less = optimal_brain_surgeon{.sparsity = 0.1}.prune(w, gram);
    CHECK(less.weight == w);
    CHECK_THROWS_AS((optimal_brain_surgeon{.sparsity = 1.0}.prune(w, gram)), argument_error);
    CHECK_THROWS_AS((optimal_brain_surgeon{.sparsity = -0.5}.prune(w, gram)), argument_error);
}

} // namespace test_optimal_brain_surgeon
