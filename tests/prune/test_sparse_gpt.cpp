#include <structopt/core/random.hpp>
#include <structopt/prune/layerwise_obs.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/sparse_gpt.hpp>

#include <doctest/doctest.h>

#include "support/correlated.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace test_sparse_gpt
{

using namespace structopt;
using prune::layerwise_obs;
using prune::sparse_gpt;
using support::check_parts;
using support::message_of;
using support::random_tensor;

static_assert(prune::matrix_pruner<sparse_gpt>);
static_assert(prune::matrix_pruner<layerwise_obs>);

namespace
{

/// Column after column with the whole inverse, which loses a row and column each time; masks from
/// the weights as they are at the first column of each block.
prune::pruned_matrix<double> by_columns(
    const tensor<double, 2>& weight, const tensor<double, 2>& h, std::size_t block, double sparsity)
{
    prune::pruned_matrix<double> result;
    result.weight = weight;
    auto& w = result.weight;
    const std::size_t rows = w.shape()[0];
    const std::size_t n = w.shape()[1];
    result.keep.assign(rows * n, 1);
    auto p = linalg::inverse(linalg::cholesky(h));
    std::size_t removed = 0;
    for (std::size_t c = 0; c < n; ++c)
    {
        if (c % block == 0)
        {
            // The price of a column is that of the inverse when the columns before it are gone.
            const std::size_t end = std::min(c + block, n);
            std::vector<std::pair<double, std::size_t>> prices;
            auto q = p;
            for (std::size_t k = c; k < end; ++k)
            {
                for (std::size_t r = 0; r < rows; ++r)
                {
                    prices.emplace_back(w(r, k) * w(r, k) / q(k, k), r * n + k);
                }
                const auto before = q;
                for (std::size_t i = 0; i < n; ++i)
                {
                    for (std::size_t j = 0; j < n; ++j)
                    {
                        q(i, j) -= before(i, k) * before(k, j) / before(k, k);
                    }
                }
            }
            std::sort(prices.begin(), prices.end());
            const auto due = static_cast<std::size_t>(
                std::nearbyint(sparsity * static_cast<double>(rows * end)));
            for (std::size_t i = 0; i < due - removed; ++i)
            {
                result.keep[prices[i].second] = 0;
            }
            removed = due;
        }
        for (std::size_t r = 0; r < rows; ++r)
        {
            if (result.keep[r * n + c] != 0)
            {
                continue;
            }
            const double taken = w(r, c) / p(c, c);
            result.loss += taken * w(r, c);
            for (std::size_t k = c + 1; k < n; ++k)
            {
                w(r, k) -= taken * p(c, k);
            }
            w(r, c) = 0;
        }
        const auto before = p;
        for (std::size_t i = 0; i < n; ++i)
        {
            for (std::size_t j = 0; j < n; ++j)
            {
                p(i, j) -= before(i, c) * before(c, j) / before(c, c);
            }
        }
    }
    return result;
}

std::size_t zeros_of(const std::vector<std::uint8_t>& keep)
{
    return static_cast<std::size_t>(std::count(keep.begin(), keep.end(), std::uint8_t{0}));
}

/// Zero exactly where it is not kept.
template <class T>
void check_mask(const prune::pruned_matrix<T>& done)
{
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < done.keep.size(); ++i)
    {
        wrong += (done.weight.data()[i] == 0) != (done.keep[i] == 0) ? 1 : 0;
    }
    CHECK(wrong == 0);
}

/// The mask of the smallest weights, the others as they were.
tensor<float, 2> by_magnitude(const tensor<float, 2>& w, double sparsity)
{
    auto v = w;
    std::vector<float> sizes(w.size());
    prune::magnitude{}.score(as_view(w), std::span(sizes));
    for (const std::size_t i : prune::detail::lowest(
             std::span<const float>(sizes), prune::detail::share_of(sparsity, sizes.size())))
    {
        v.data()[i] = 0;
    }
    return v;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the naive loop over columns, with one block of all columns and with several")
    {
        random_engine rng(1);
        const index_t rows = 6;
        const index_t n = 14;
        const auto gram = support::mean_product(support::correlated_rows<double>(40, n, rng));
        const auto w = random_tensor<double>(shape<2>{rows, n}, rng);
        auto h = gram;
        linalg::damp(h, 0.01);
        for (const index_t block : {14, 100, 4, 5, 1})
        {
            for (const double sparsity : {0.0, 0.5, 0.8})
            {
                INFO(block, " ", sparsity);
                const auto done = sparse_gpt{.sparsity = sparsity, .block = block}.prune(w, gram);
                const auto naive = by_columns(w, h, static_cast<std::size_t>(block), sparsity);
                CHECK(done.keep == naive.keep);
                CHECK(support::largest_difference(done.weight, naive.weight) < 1e-10);
                CHECK(done.loss == doctest::Approx(naive.loss).epsilon(1e-9));
                CHECK(zeros_of(done.keep) == prune::detail::share_of(sparsity, 84));
                check_mask(done);
                // The losses of the columns add up to that of the whole change.
                CHECK(prune::output_change(w, done.weight, h) ==
                      doctest::Approx(done.loss).epsilon(1e-9));
            }
        }
    }
}

TEST_CASE("on inputs that hang together it changes outputs less than magnitude pruning")
{
    random_engine rng(2);
    const index_t n = 40;
    const auto gram = support::mean_product(support::correlated_rows<float>(200, n, rng));
    const auto w = random_tensor<float>(shape<2>{30, n}, rng);
    for (const double sparsity : {0.3, 0.5, 0.7, 0.9})
    {
        INFO(sparsity);
        const double plain = prune::output_change(w, by_magnitude(w, sparsity), gram);
        const auto gpt = sparse_gpt{.sparsity = sparsity, .block = 16}.prune(w, gram);
        const auto obs = layerwise_obs{.sparsity = sparsity}.prune(w, gram);
        const double by_gpt = prune::output_change(w, gpt.weight, gram);
        const double by_obs = prune::output_change(w, obs.weight, gram);
        // Few survivors can make up for little.
        const double share = sparsity < 0.8 ? 0.6 : 0.9;
        CHECK(by_gpt < share * plain);
        CHECK(by_obs < share * plain);
        // The survivors of the same mask at their best.
        const auto refit =
            sparse_gpt{.sparsity = sparsity, .block = 16, .refit = true}.prune(w, gram);
        CHECK(refit.keep == gpt.keep);
        CHECK(refit.loss < gpt.loss);
        check_mask(refit);
        CHECK(refit.weight == prune::reconstruct(w, gram, gpt.keep, 0.01));
    }
}

TEST_CASE("N:M: never more than N of M, whatever the block; the last group may be shorter")
{
    random_engine rng(3);
    for (const shape<3>& numbers : {shape<3>{2, 4, 24}, shape<3>{4, 8, 27}, shape<3>{1, 4, 21}})
    {
        const index_t kept = numbers[0];
        const index_t of = numbers[1];
        const index_t n = numbers[2];
        INFO(kept, ":", of, " of ", n);
        const auto gram = support::mean_product(support::correlated_rows<float>(60, n, rng));
        const auto w = random_tensor<float>(shape<2>{9, n}, rng);
        const auto whole = sparse_gpt{.kept = kept, .of = of, .block = n}.prune(w, gram);
        check_mask(whole);
        for (index_t r = 0; r < 9; ++r)
        {
            for (index_t c = 0; c < n; c += of)
            {
                index_t stay = 0;
                const index_t end = std::min(c + of, n);
                for (index_t k = c; k < end; ++k)
                {
                    stay += whole.keep[static_cast<std::size_t>(r * n + k)];
                }
                CHECK(stay == std::min(kept, end - c));
            }
        }
        const auto parts = sparse_gpt{.kept = kept, .of = of, .block = 5}.prune(w, gram);
        CHECK(parts.keep == whole.keep);
        CHECK(support::largest_difference(parts.weight, whole.weight) < 1e-4);
        CHECK(prune::output_change(w, whole.weight, gram) <
              prune::output_change(w,
                  by_magnitude(w, 1 - static_cast<double>(kept) / static_cast<double>(of)), gram));
    }
}

TEST_CASE("zeros go first and stay: masks of rising sparsity are nested")
{
    random_engine rng(4);
    const auto gram = support::mean_product(support::correlated_rows<double>(60, 20, rng));
    auto w = random_tensor<float>(shape<2>{10, 20}, rng);
    std::vector<std::uint8_t> before(200, 1);
    const auto check_nested = [&](const auto& method)
    {
        const auto done = method.prune(w, gram);
        for (std::size_t i = 0; i < 200; ++i)
        {
            CHECK(done.keep[i] <= before[i]);
        }
        check_mask(done);
        w = done.weight;
        before = done.keep;
    };
    check_nested(sparse_gpt{.sparsity = 0.3, .block = 6});
    check_nested(sparse_gpt{.sparsity = 0.6, .block = 6});
    CHECK(zeros_of(before) >= 120);
    check_nested(layerwise_obs{.sparsity = 0.7});
    CHECK(zeros_of(before) == 140);
    check_nested(layerwise_obs{.sparsity = 0.2}); // fewer than there are: nothing changes
    CHECK(zeros_of(before) == 140);
    check_nested(sparse_gpt{.kept = 2, .of = 4});
}

TEST_CASE("layer-wise OBS: the weights with the lowest w^2 / [H^-1]_qq go")
{
    random_engine rng(5);
    const index_t n = 8;
    const auto gram = support::mean_product(support::correlated_rows<double>(40, n, rng));
    const auto w = random_tensor<double>(shape<2>{5, n}, rng);
    auto h = gram;
    linalg::damp(h, 0.01);
    const auto inverse = linalg::inverse(linalg::cholesky(h));
    for (const bool by_row : {false, true})
    {
        const layerwise_obs method{.sparsity = 0.6,
            .competition = by_row ? prune::competition::per_row : prune::competition::matrix};
        const auto done = method.prune(w, gram);
        const std::size_t go = by_row ? 5 * 5 : 24; // round(0.6 * 8) = 5
        CHECK(zeros_of(done.keep) == go);
        for (index_t r = 0; r < 5; ++r)
        {
            const auto best = support::best_row(w.data() + r * n, h, done.keep.data() + r * n);
            for (index_t c = 0; c < n; ++c)
            {
                CHECK(done.weight(r, c) ==
                      doctest::Approx(best[static_cast<std::size_t>(c)]).epsilon(1e-8));
                // Whoever stays is dearer than whoever went.
                for (index_t i = by_row ? r * n : 0; i < (by_row ? (r + 1) * n : 5 * n); ++i)
                {
                    const auto price = [&](index_t at)
                    {
                        return w.data()[at] * w.data()[at] / inverse(at % n, at % n);
                    };
                    if (done.keep[static_cast<std::size_t>(i)] != 0 &&
                        done.keep[static_cast<std::size_t>(r * n + c)] == 0)
                    {
                        CHECK(price(i) >= price(r * n + c));
                    }
                }
            }
        }
    }
}

TEST_CASE("inputs that never came, and bad input")
{
    random_engine rng(6);
    auto x = support::correlated_rows<float>(50, 8, rng);
    for (index_t r = 0; r < 50; ++r)
    {
        x(r, 3) = 0;
    }
    const auto gram = support::mean_product(x);
    const auto w = random_tensor<float>(shape<2>{4, 8}, rng);
    for (const double damping : {0.0, 0.01})
    {
        const auto gpt = sparse_gpt{.sparsity = 0.125, .damping = damping}.prune(w, gram);
        const auto obs = layerwise_obs{.sparsity = 0.125, .damping = damping}.prune(w, gram);
        for (std::size_t r = 0; r < 4; ++r)
        {
            CHECK(gpt.keep[r * 8 + 3] == 0); // weights that nothing depends on go first
            CHECK(obs.keep[r * 8 + 3] == 0);
        }
    }
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const double share : {1.0, -0.1, 1.5, nan})
    {
        CHECK_THROWS_AS(sparse_gpt{.sparsity = share}.prune(w, gram), argument_error);
        CHECK_THROWS_AS(layerwise_obs{.sparsity = share}.prune(w, gram), argument_error);
    }
    CHECK_THROWS_AS(sparse_gpt{.block = 0}.prune(w, gram), argument_error);
    CHECK_THROWS_AS((sparse_gpt{.kept = 5, .of = 4}.prune(w, gram)), argument_error);
    CHECK_THROWS_AS(sparse_gpt{.kept = 2}.prune(w, gram), argument_error);
    CHECK_THROWS_AS(sparse_gpt{.damping = -1}.prune(w, gram), argument_error);
    CHECK_THROWS_AS(sparse_gpt{}.prune(w, full<double>(shape<2>{4, 4}, 1.0)), shape_error);
    check_parts(message_of<not_positive_definite_error>(
                    [&]
                    {
                        sparse_gpt{.damping = 0}.prune(w, full<double>(shape<2>{8, 8}, 1.0));
                    }),
        {"pivot", "damp"});
}

} // namespace test_sparse_gpt
