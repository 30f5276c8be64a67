#include <structopt/sparse.hpp>

#include <doctest/doctest.h>

#include <limits>

#include "support/message.hpp"
#include "support/sparse.hpp"

#include <cmath>
#include <cstdint>

namespace test_elementwise
{

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_sparse;

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE("sums over rows and columns", S, sparse::coo<float>, sparse::csr<double>,
        sparse::csc<bfloat16>, sparse::bsr<std::int8_t, 3, 2>, sparse::bitmask<float>,
        sparse::nm<float, 4, 4>)
    {
        using T = typename S::value_type;
        random_engine rng(1);
        const auto w = random_sparse<T>(shape<2>{11, 14}, 0.5, rng);
        const S m{as_view(w)};
        const auto rows = sparse::row_sums(m);
        const auto columns = sparse::column_sums(m);
        REQUIRE(shape_of(rows) == shape<1>{11});
        REQUIRE(shape_of(columns) == shape<1>{14});
        for (index_t i = 0; i < 14; ++i)
        {
            double row = 0;
            double column = 0;
            for (index_t j = 0; j < 14; ++j)
            {
                row += i < 11 ? static_cast<double>(w(i < 11 ? i : 0, j)) : 0.0;
                column += j < 11 ? static_cast<double>(w(j < 11 ? j : 0, i)) : 0.0;
            }
            CHECK(std::abs(static_cast<double>(columns(i)) - column) <= 1e-5);
            CHECK((i >= 11 || std::abs(static_cast<double>(rows(i < 11 ? i : 0)) - row) <= 1e-5));
        }
    }
}

TEST_CASE("sparse plus sparse")
{
    random_engine rng(2);
    const auto a = random_sparse<double>(shape<2>{9, 12}, 0.3, rng);
    const auto b = random_sparse<double>(shape<2>{9, 12}, 0.4, rng);
    const sparse::csr<double> x{as_view(a)};
    const sparse::coo<double> y{as_view(b)};
    const sparse::csr<double> sum = sparse::add(x, y, 2, -3);
    const auto dense = sum.to_dense();
    index_t either = 0;
    for (index_t i = 0; i < size_of(a); ++i)
    {
        CHECK(dense.data()[i] == 2 * a.data()[i] - 3 * b.data()[i]);
        either += a.data()[i] != 0 || b.data()[i] != 0 ? 1 : 0;
    }
    CHECK(sum.nonzeros() == either);
    CHECK(support::same(sparse::add(y, x).to_dense(), sparse::add(x, y).to_dense()));
    // A - A has the entries of A, all zero.
    const auto none = sparse::add(x, x, 1, -1);
    CHECK(none.indices() == x.indices());
    CHECK(support::same(none.to_dense(), structopt::zeros<double>(shape<2>{9, 12})));

    const auto dense_sum = sparse::add(a, y);
    for (index_t i = 0; i < size_of(a); ++i)
    {
        CHECK(dense_sum.data()[i] == a.data()[i] + b.data()[i]);
    }

    const sparse::csr<double> other{as_view(structopt::zeros<double>(shape<2>{9, 11}))};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        sparse::add(x, other);
                    }),
        {"sparse::add", "[9, 12]", "[9, 11]"});
}

TEST_CASE("sums of int8 must fit")
{
    const sparse::coo<std::int8_t> a(1, 2, {0, 0}, {0, 1}, {100, 100});
    const sparse::coo<std::int8_t> b(1, 2, {0}, {1}, {28});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        sparse::add(a, b);
                    }),
        {"row 0, column 1", "-128 to 127", "got 128"});
    CHECK(sparse::add(a, b, 1, -1).to_dense()(0, 1) == 72);
    CHECK_THROWS_AS(sparse::scale(a, 2), argument_error);
    CHECK(sparse::scale(a, -1).to_dense()(0, 0) == -100);
}

TEST_CASE("sums and products of int32 must fit")
{
    const sparse::coo<std::int32_t> a(1, 2, {0, 0}, {0, 1}, {65536, 3});
    auto dense = structopt::full<std::int32_t>(shape<2>{1, 2}, 65536);
    CHECK_THROWS_AS(sparse::multiply_elements(a, dense), argument_error);
    dense(0, 0) = 32767;
    CHECK(sparse::multiply_elements(a, dense).to_dense()(0, 0) == 32767 * 65536);
    dense(0, 0) = std::numeric_limits<std::int32_t>::max();
    CHECK_THROWS_AS(sparse::add(dense, a), argument_error);
    dense(0, 0) -= 65536;
    CHECK(sparse::add(dense, a)(0, 0) == std::numeric_limits<std::int32_t>::max());
}

TEST_CASE("an N:M format refuses a sum with more non-zeros")
{
    const sparse::nm<float, 2, 4> a(sparse::row_entries<float>{1, 4, {0, 2}, {0, 1}, {1, 2}});
    const sparse::nm<float, 2, 4> b(sparse::row_entries<float>{1, 4, {0, 1}, {2}, {3}});
    CHECK_THROWS_AS(sparse::add(a, b), argument_error);
    CHECK(sparse::add(sparse::convert<sparse::csr<float>>(a), b).nonzeros() == 3);
}

TEST_CASE("elementwise with dense matrices, and any function")
{
    random_engine rng(3);
    const auto w = random_sparse<float>(shape<2>{5, 6}, 0.5, rng);
    const auto x = random_sparse<float>(shape<2>{5, 6}, 1, rng);
    const sparse::csc<float> m{as_view(w)};
    const auto product = sparse::multiply_elements(m, x);
    const auto quotient = sparse::divide_elements(m, x);
    const auto scaled = sparse::scale(m, 3.0f);
    const auto squared = sparse::map_entries(m,
        [](index_t, index_t, float value)
        {
            return value * value;
        });
    CHECK(product.indices() == m.indices());
    for (index_t r = 0; r < 5; ++r)
    {
        for (index_t c = 0; c < 6; ++c)
        {
            CHECK(product.to_dense()(r, c) == w(r, c) * x(r, c));
            CHECK(quotient.to_dense()(r, c) == w(r, c) / x(r, c));
            CHECK(scaled.to_dense()(r, c) == w(r, c) * 3.0f);
            CHECK(squared.to_dense()(r, c) == w(r, c) * w(r, c));
        }
    }
    const view<const float, 2> turned(x.data(), {6, 5}, {1, 6});
    CHECK_THROWS_AS(sparse::multiply_elements(m, turned), shape_error);
    CHECK(support::same(sparse::multiply_elements(sparse::transpose(m), turned).to_dense(),
        sparse::transpose(product).to_dense()));
    // Positions come with the values; places without an entry are not visited.
    index_t visited = 0;
    sparse::map_entries(m,
        [&](index_t r, index_t c, float value)
        {
            ++visited;
            CHECK(w(r, c) == value);
            return value;
        });
    CHECK(visited == m.nonzeros());
}

} // namespace test_elementwise
