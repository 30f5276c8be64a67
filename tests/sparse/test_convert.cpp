#include <structopt/core/random.hpp>
#include <structopt/sparse/convert.hpp>
#include <structopt/sparse/coo.hpp>
#include <structopt/sparse/csc.hpp>
#include <structopt/sparse/csr.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_sparse;

namespace
{

/// Calls `f` with every format that holds any matrix of at most 256 columns and rows.
template <class T, class F>
void for_each_format(const F& f)
{
    f(std::type_identity<sparse::coo<T>>{});
    f(std::type_identity<sparse::coo<T, std::uint8_t>>{});
    f(std::type_identity<sparse::csr<T, std::uint8_t>>{});
    f(std::type_identity<sparse::csr<T, std::uint16_t>>{});
    f(std::type_identity<sparse::csr<T>>{});
    f(std::type_identity<sparse::csc<T, std::uint8_t>>{});
    f(std::type_identity<sparse::csc<T, std::uint16_t>>{});
    f(std::type_identity<sparse::csc<T>>{});
}

template <class T>
void check_all(index_t rows, index_t columns, double density, random_engine& rng)
{
    INFO(rows << "x" << columns << ", density " << density);
    const auto w = random_sparse<T>(shape<2>{rows, columns}, density, rng);
    index_t nonzeros = 0;
    for (const T value : w)
    {
        nonzeros += structopt::detail::is_zero(value) ? 0 : 1;
    }
    for_each_format<T>(
        [&]<class From>(std::type_identity<From>)
        {
            static_assert(sparse::matrix<From>);
            const auto from = sparse::convert<From>(as_view(w));
            CHECK(from.rows() == rows);
            CHECK(from.columns() == columns);
            CHECK(from.size() == w.size());
            CHECK(from.nonzeros() >= nonzeros);
            CHECK(support::same(from.to_dense(), w));
            for_each_format<T>(
                [&]<class To>(std::type_identity<To>)
                {
                    const auto to = sparse::convert<To>(from);
                    CHECK(to == To(as_view(w)));
                    CHECK(support::same(to.to_dense(), w));
                });
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE("every format becomes every other one and comes back", T, float, double,
        bfloat16, std::int8_t)
    {
        random_engine rng(1);
        for (index_t rows : {0, 1, 17})
        {
            for (index_t columns : {0, 1, 5, 70})
            {
                for (double density : {0.0, 0.2, 1.0})
                {
                    check_all<T>(rows, columns, density, rng);
                }
            }
        }
    }
}
