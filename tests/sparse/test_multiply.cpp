#include <structopt/sparse.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse.hpp"
#include "support/threads.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace test_multiply
{

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_sparse;

namespace
{

template <class T>
double number(T x)
{
    if constexpr (std::integral<T>)
    {
        return static_cast<double>(x);
    }
    else
    {
        return static_cast<double>(x);
    }
}

/// Checks y = a b for dense a and b; exactly for integers.
template <class P, class T, class U>
void check_product(view<const T, 2> a, view<const U, 2> b, view<const P, 2> y)
{
    REQUIRE(y.shape() == shape<2>{a.shape(0), b.shape(1)});
    const double epsilon =
        std::integral<P> ? 0.0 : static_cast<double>(std::numeric_limits<P>::epsilon());
    for (index_t i = 0; i < a.shape(0); ++i)
    {
        for (index_t j = 0; j < b.shape(1); ++j)
        {
            double expected = 0;
            double size = 0;
            for (index_t k = 0; k < a.shape(1); ++k)
            {
                const double term = number(a(i, k)) * number(b(k, j));
                expected += term;
                size += std::abs(term);
            }
            REQUIRE(std::abs(number(y(i, j)) - expected) <=
                    epsilon * static_cast<double>(a.shape(1) + 2) * size);
        }
    }
}

template <class T>
view<const T, 2> turned(view<const T, 2> x)
{
    return {x.data(), shape<2>{x.shape(1), x.shape(0)}, shape<2>{x.stride(1), x.stride(0)}};
}

/// All products of a format with dense matrices of n columns and with vectors.
template <class S, class U>
void check_dense_products(index_t rows, index_t columns, index_t n, random_engine& rng)
{
    using T = typename S::value_type;
    using P = sparse::product_type<T, U>;
    const auto w = random_sparse<T>(shape<2>{rows, columns}, 0.4, rng);
    const auto full_w = as_view(w);
    const S m{full_w};
    const auto right = random_sparse<U>(shape<2>{columns, n}, 0.9, rng);
    const auto left = random_sparse<U>(shape<2>{rows, n}, 0.9, rng);
    const view<const U, 2> x = as_view(right);
    const view<const U, 2> z = as_view(left);

    const tensor<P, 2> a = sparse::multiply(m, right);
    check_product<P>(full_w, x, as_view(a));
    const tensor<P, 2> b = sparse::multiply(sparse::transposed(m), left);
    check_product<P>(turned(full_w), z, as_view(b));
    // Strided operands: the same numbers turned over.
    const tensor<P, 2> c = sparse::multiply(turned(z), m);
    check_product<P>(turned(z), full_w, as_view(c));
    const tensor<P, 2> d = sparse::multiply(turned(x), sparse::transposed(m));
    check_product<P>(turned(x), turned(full_w), as_view(d));
    const auto copied = structopt::copy(turned(x));
    CHECK(support::same(sparse::multiply(copied, sparse::transposed(m)), d));

    if (n > 0)
    {
        const view<const U, 1> v(x.data(), shape<1>{columns}, shape<1>{n});
        const view<const U, 1> u(z.data(), shape<1>{rows}, shape<1>{n});
        const auto column = [](view<const U, 2> from)
        {
            return view<const U, 2>(
                from.data(), shape<2>{from.shape(0), 1}, shape<2>{from.stride(0), 1});
        };
        const auto as_matrix = [](const tensor<P, 1>& y)
        {
            return view<const P, 2>(y.data(), shape<2>{size_of(y), 1});
        };
        const tensor<P, 1> e = sparse::multiply(m, v);
        check_product<P>(full_w, column(x), as_matrix(e));
        const tensor<P, 1> f = sparse::multiply(sparse::transposed(m), u);
        check_product<P>(turned(full_w), column(z), as_matrix(f));
        CHECK(support::same(sparse::multiply(u, m), f));
        CHECK(support::same(sparse::multiply(v, sparse::transposed(m)), e));
    }
}

template <class S, class U = sparse::accumulator<typename S::value_type>>
void check_format()
{
    random_engine rng(1);
    for (index_t n : {0, 1, 3, 33, 70})
    {
        check_dense_products<S, U>(18, 11, n, rng);
    }
    check_dense_products<S, U>(1, 1, 5, rng);
    check_dense_products<S, U>(0, 4, 2, rng);
    check_dense_products<S, U>(4, 0, 2, rng);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("products with dense matrices and vectors, in every format")
    {
        check_format<sparse::csr<float, std::uint16_t>>();
        check_format<sparse::csr<double, std::uint8_t>>();
        check_format<sparse::csc<float>>();
        check_format<sparse::csc<double, std::uint8_t>>();
        check_format<sparse::coo<float>>();
        check_format<sparse::bsr<float, 2, 3>>();
        check_format<sparse::vector_blocks<double, 4>>();
        check_format<sparse::bitmask<float>>();
        check_format<sparse::nm<float, 4, 4>>();
    }
}

TEST_CASE("products of small element types are formed in wider ones")
{
    check_format<sparse::csr<bfloat16>>();
    check_format<sparse::csc<bfloat16>, bfloat16>();
    check_format<sparse::csr<std::int8_t>, std::int8_t>();
    check_format<sparse::bsr<std::int8_t, 4, 1>, std::int8_t>();
    check_format<sparse::csr<std::int8_t>, float>();
    check_format<sparse::csr<float>, double>();
    static_assert(std::is_same_v<sparse::product_type<std::int8_t, std::int8_t>, std::int32_t>);
    static_assert(std::is_same_v<sparse::product_type<bfloat16, bfloat16>, float>);
    static_assert(std::is_same_v<sparse::product_type<float, double>, double>);

    const sparse::coo<std::int8_t> wide(1, 131'072);
    const auto ones = full<std::int8_t>(shape<1>{131'072}, std::int8_t{1});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        sparse::multiply(wide, ones);
                    }),
        {"sparse::multiply", "131071", "got 131072"});
    CHECK(sparse::multiply(sparse::coo<std::int8_t>(1, 131'071),
              full<std::int8_t>(shape<1>{131'071}, std::int8_t{1}))(0) == 0);
}

TEST_CASE("operands of other extents are refused")
{
    const sparse::csr<float> m{as_view(structopt::zeros<float>(shape<2>{3, 4}))};
    const auto x = structopt::zeros<float>(shape<2>{3, 2});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        sparse::multiply(m, x);
                    }),
        {"sparse::multiply, right operand", "[4, any]", "[3, 2]"});
    CHECK(shape_of(sparse::multiply(sparse::transposed(m), x)) == shape<2>{4, 2});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        sparse::multiply(x, sparse::transposed(m));
                    }),
        {"left operand", "[any, 4]", "[3, 2]"});
    CHECK_THROWS_AS(sparse::multiply(x, m), shape_error);
    CHECK_THROWS_AS(sparse::multiply(m, structopt::zeros<float>(shape<1>{3})), shape_error);
    CHECK_THROWS_AS(sparse::multiply(m, m), shape_error);
}

TEST_CASE_TEMPLATE("sparse times sparse", T, float, double, bfloat16, std::int8_t)
{
    random_engine rng(3);
    using P = sparse::product_type<T, T>;
    for (double density : {0.0, 0.1, 0.5, 1.0})
    {
        for (const auto& extents : {shape<3>{17, 23, 9}, shape<3>{1, 5, 1}, shape<3>{6, 0, 6},
                 shape<3>{0, 3, 2}, shape<3>{5, 40, 70}})
        {
            const auto a = random_sparse<T>(shape<2>{extents[0], extents[1]}, density, rng);
            const auto b = random_sparse<T>(shape<2>{extents[1], extents[2]}, density, rng);
            const sparse::csr<T> x{as_view(a)};
            const sparse::csc<T> y{as_view(b)};
            const sparse::csr<P> product = sparse::multiply(x, y);
            check_product<P>(as_view(a), as_view(b), as_view(product.to_dense()));
            CHECK(sparse::csr<P>(product.rows(), product.columns(), product.offsets(),
                      product.indices(), product.values()) == product);
            const auto turned_x = sparse::transpose(x);
            CHECK(sparse::multiply(sparse::transposed(turned_x), y) == product);
            CHECK(sparse::multiply(x, sparse::transposed(sparse::transpose(y))) == product);
        }
    }
}

TEST_CASE("sums that cancel stay entries of a product")
{
    const sparse::coo<float> a(1, 2, {0, 0}, {0, 1}, {1, 1});
    const sparse::coo<float> b(2, 1, {0, 1}, {0, 0}, {2, -2});
    const auto product = sparse::multiply(a, b);
    CHECK(product.nonzeros() == 1);
    CHECK(product.values()[0] == 0);
}

TEST_CASE("transposes in every format")
{
    random_engine rng(4);
    const auto w = random_sparse<float>(shape<2>{13, 7}, 0.3, rng);
    const auto turned_w = structopt::copy(turned(view<const float, 2>(as_view(w))));
    const auto check = [&]<class S>(std::type_identity<S>)
    {
        const auto t = sparse::transpose(S{as_view(w)});
        CHECK(support::same(t.to_dense(), turned_w));
        CHECK(t == std::remove_cvref_t<decltype(t)>(as_view(turned_w)));
    };
    check(std::type_identity<sparse::coo<float>>{});
    check(std::type_identity<sparse::csr<float, std::uint8_t>>{});
    check(std::type_identity<sparse::csc<float, std::uint16_t>>{});
    check(std::type_identity<sparse::bitmask<float>>{});
    check(std::type_identity<sparse::bsr<float, 2, 3>>{});
    static_assert(
        std::is_same_v<decltype(sparse::transpose(std::declval<const sparse::bsr<float, 2, 3>&>())),
            sparse::bsr<float, 3, 2>>);
}

TEST_CASE("sampled products are the dense product at the positions of the pattern")
{
    random_engine rng(5);
    for (index_t k : {0, 1, 20, 300})
    {
        const auto w = random_sparse<double>(shape<2>{9, 31}, 0.4, rng);
        const sparse::csr<double, std::uint8_t> pattern{as_view(w)};
        const auto a = random_sparse<double>(shape<2>{9, k}, 1, rng);
        const auto b = random_sparse<double>(shape<2>{31, k}, 1, rng);
        const auto result = sparse::sampled_product(pattern, a, b);
        CHECK(result.offsets() == pattern.offsets());
        CHECK(result.indices() == pattern.indices());
        result.visit(
            [&](index_t r, index_t c, double value)
            {
                double expected = 0;
                double size = 0;
                for (index_t i = 0; i < k; ++i)
                {
                    expected += a(r, i) * b(c, i);
                    size += std::abs(a(r, i) * b(c, i));
                }
                CHECK(std::abs(value - expected) <= 1e-15 * static_cast<double>(k + 2) * size);
            });
        // Columns of operands that are stored the other way round.
        const auto turned_a = structopt::copy(turned(view<const double, 2>(as_view(a))));
        CHECK(sparse::sampled_product(
                  pattern, turned(view<const double, 2>(as_view(turned_a))), b) == result);
    }
    const sparse::csr<double> pattern{as_view(structopt::zeros<double>(shape<2>{2, 3}))};
    const auto a = structopt::zeros<double>(shape<2>{2, 4});
    const auto b = structopt::zeros<double>(shape<2>{3, 5});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        sparse::sampled_product(pattern, a, b);
                    }),
        {"right operand", "[3, 4]", "[3, 5]"});
}

TEST_CASE("products do not depend on the number of threads")
{
    random_engine rng(6);
    const auto w = random_sparse<float>(shape<2>{200, 150}, 0.3, rng);
    const auto x = random_sparse<float>(shape<2>{150, 200}, 1, rng);
    const auto run = [&]<class S>(std::type_identity<S>)
    {
        const S m{as_view(w)};
        const auto both = [&](int threads)
        {
            const support::with_threads limit(threads);
            return std::vector{sparse::multiply(m, x), sparse::multiply(x, m)};
        };
        const auto one = both(1);
        const auto three = both(3);
        CHECK(support::same(one[0], three[0]));
        CHECK(support::same(one[1], three[1]));
    };
    run(std::type_identity<sparse::csr<float>>{});
    run(std::type_identity<sparse::csc<float>>{});
    run(std::type_identity<sparse::bitmask<float>>{});
}

} // namespace test_multiply
