#include <structopt/core/random.hpp>
#include <structopt/linalg/cholesky.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>

namespace test_cholesky
{

using namespace structopt;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

namespace
{

/// X^T X / n + share of the identity: positive definite, with correlated variables.
template <class T>
tensor<T, 2> positive_definite(index_t n, random_engine& rng)
{
    const auto x = random_tensor<double>(shape<2>{n + 3, n}, rng);
    auto a = make_tensor<T>(shape<2>{n, n});
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j <= i; ++j)
        {
            double sum = i == j ? 0.5 : 0;
            for (index_t r = 0; r < n + 3; ++r)
            {
                sum += x.data()[r * n + i] * x.data()[r * n + j] / static_cast<double>(n);
            }
            a(i, j) = static_cast<T>(sum);
            a(j, i) = a(i, j);
        }
    }
    return a;
}

/// op(A) B in double, straightforward.
template <class T>
tensor<double, 2> times(const tensor<T, 2>& a, const tensor<T, 2>& b, bool transpose_a = false,
    bool transpose_b = false)
{
    const index_t m = shape_of(a)[transpose_a ? 1 : 0];
    const index_t depth = shape_of(a)[transpose_a ? 0 : 1];
    const index_t n = shape_of(b)[transpose_b ? 0 : 1];
    auto c = zeros<double>(shape<2>{m, n});
    for (index_t i = 0; i < m; ++i)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            const double left =
                static_cast<double>(a.data()[transpose_a ? k * m + i : i * depth + k]);
            const T* const right = b.data() + (transpose_b ? k : k * n);
            const index_t step = transpose_b ? depth : 1;
            for (index_t j = 0; left != 0 && j < n; ++j)
            {
                c.data()[i * n + j] += left * static_cast<double>(right[j * step]);
            }
        }
    }
    return c;
}

tensor<double, 2> identity(index_t n)
{
    auto one = zeros<double>(shape<2>{n, n});
    for (index_t i = 0; i < n; ++i)
    {
        one(i, i) = 1;
    }
    return one;
}

/// The factor, straight from the definition.
tensor<double, 2> reference(const tensor<double, 2>& a)
{
    const index_t n = shape_of(a)[0];
    auto l = zeros<double>(shape<2>{n, n});
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j <= i; ++j)
        {
            double sum = a(i, j);
            for (index_t k = 0; k < j; ++k)
            {
                sum -= l(i, k) * l(j, k);
            }
            l(i, j) = i == j ? std::sqrt(sum) : sum / l(j, j);
        }
    }
    return l;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE("factor, solution, inverse and its factor, over blocks", T, float, double)
    {
        const double tolerance = 2e3 * static_cast<double>(std::numeric_limits<T>::epsilon());
        random_engine rng(1);
        for (const index_t n : {1, 2, 7, 63, 64, 65, 150})
        {
            INFO(n);
            const auto a = positive_definite<T>(n, rng);
            const auto l = linalg::cholesky(a);
            CHECK(largest_difference(times(l, l, false, true), a) < tolerance);
            for (index_t i = 0; i < n; ++i)
            {
                CHECK(l(i, i) > 0);
                for (index_t j = i + 1; j < n; ++j)
                {
                    REQUIRE(l(i, j) == 0);
                }
            }
            if constexpr (std::is_same_v<T, double>)
            {
                CHECK(largest_difference(l, reference(a)) < 1e-12);
            }
            const auto one = identity(n);
            const auto m = linalg::triangular_inverse(l);
            CHECK(largest_difference(times(l, m), one) < tolerance);
            const auto inverse = linalg::inverse(l);
            CHECK(largest_difference(times(a, inverse), one) < tolerance);
            const auto u = linalg::inverse_factor(a);
            CHECK(largest_difference(times(u, u, true), inverse) < tolerance);
            for (index_t i = 0; i < n; ++i)
            {
                CHECK(u(i, i) > 0);
                for (index_t j = 0; j < i; ++j)
                {
                    REQUIRE(u(i, j) == 0);
                }
            }
            const auto b = random_tensor<T>(shape<2>{n, 3}, rng);
            CHECK(largest_difference(times(a, linalg::solve(l, b)), b) < tolerance);
        }
    }
}

TEST_CASE("strips of products beyond the first")
{
    random_engine rng(2);
    const index_t n = 330; // more than one strip below the first block
    // A = 1 + v v^T has a closed form, by Sherman and Morrison, and every element matters.
    const auto v = random_tensor<double>(shape<1>{n}, rng);
    auto a = make_tensor<double>(shape<2>{n, n});
    double norm = 0;
    for (index_t i = 0; i < n; ++i)
    {
        norm += v(i) * v(i);
        for (index_t j = 0; j < n; ++j)
        {
            a(i, j) = v(i) * v(j) + (i == j ? 1 : 0);
        }
    }
    const auto l = linalg::cholesky(a);
    const auto inverse = linalg::inverse(l);
    const auto u = linalg::inverse_factor(a);
    double before = 0; // sum of v_k^2 for k < i
    double largest = 0;
    for (index_t i = 0; i < n; ++i)
    {
        // What is left of the variance of a variable when those before, or behind, are known.
        const double own = v(i) * v(i);
        CHECK(l(i, i) == doctest::Approx(std::sqrt(1 + own / (1 + before))));
        before += own;
        CHECK(u(i, i) == doctest::Approx(1 / std::sqrt(1 + own / (1 + norm - before))));
        for (index_t j = 0; j < n; ++j)
        {
            const double expected = (i == j ? 1 : 0) - v(i) * v(j) / (1 + norm);
            largest = std::max(largest, std::abs(inverse(i, j) - expected));
        }
    }
    CHECK(largest < 1e-12);
    const auto b = random_tensor<double>(shape<2>{n, 2}, rng);
    CHECK(largest_difference(times(a, linalg::solve(l, b)), b) < 1e-11);
}

TEST_CASE("a matrix that is not positive definite is refused by its pivot")
{
    random_engine rng(3);
    for (const index_t bad : {0, 5, 70})
    {
        auto a = positive_definite<double>(80, rng);
        for (index_t j = 0; j < 80; ++j)
        {
            a(bad, j) = a(j, bad) = 0;
        }
        const std::string pivot = "pivot " + std::to_string(bad) + " of";
        check_parts(message_of<not_positive_definite_error>(
                        [&]
                        {
                            linalg::cholesky(a);
                        }),
            {"linalg::cholesky", "positive definite", pivot.c_str()});
        check_parts(message_of<not_positive_definite_error>(
                        [&]
                        {
                            linalg::inverse_factor(a);
                        }),
            {"linalg::inverse_factor", pivot.c_str()});
        a(bad, bad) = std::numeric_limits<double>::quiet_NaN();
        CHECK_THROWS_AS(linalg::cholesky(a), not_positive_definite_error);
        a(bad, bad) = -1;
        CHECK_THROWS_AS(linalg::cholesky(a), error);
    }
    CHECK_THROWS_AS(linalg::cholesky(full<float>(shape<2>{2, 3}, 1.0f)), shape_error);
    CHECK_THROWS_AS(
        linalg::solve(full<float>(shape<2>{2, 2}, 1.0f), full<float>(shape<2>{3, 1}, 1.0f)),
        shape_error);
    CHECK(linalg::cholesky(make_tensor<double>(shape<2>{0, 0})).size() == 0);
}

TEST_CASE("only the lower triangle counts")
{
    random_engine rng(4);
    const auto a = positive_definite<double>(70, rng);
    auto half = a;
    for (index_t i = 0; i < 70; ++i)
    {
        for (index_t j = i + 1; j < 70; ++j)
        {
            half(i, j) = std::numeric_limits<double>::quiet_NaN();
        }
    }
    CHECK(linalg::cholesky(half) == linalg::cholesky(a));
    CHECK(linalg::inverse_factor(half) == linalg::inverse_factor(a));
}

TEST_CASE("damping adds a share of the mean of the diagonal")
{
    auto a = full<double>(shape<2>{2, 2}, 1.0);
    a(0, 0) = 3;
    CHECK(linalg::damp(a, 0.5) == 1);
    CHECK(a(0, 0) == 4);
    CHECK(a(1, 1) == 2);
    CHECK(a(0, 1) == 1);
    CHECK_THROWS_AS(linalg::damp(a, -0.1), argument_error);
    CHECK_THROWS_AS(linalg::damp(a, std::numeric_limits<double>::infinity()), argument_error);
}

} // namespace test_cholesky
