#include <structopt/core/random.hpp>
#include <structopt/sparse.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

namespace test_convert
{

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
    f(std::type_identity<sparse::bitmask<T>>{});
    f(std::type_identity<sparse::bsr<T, 2, 3>>{});
    f(std::type_identity<sparse::bsr<T, 4, 4, std::uint8_t>>{});
    f(std::type_identity<sparse::vector_blocks<T, 16, std::uint16_t>>{});
    f(std::type_identity<sparse::nm<T, 3, 3>>{});
    f(std::type_identity<sparse::nm<T, 8, 8>>{});
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
    const auto entries = sparse::entries_of(view<const T, 2>(w));
    const sparse::csr<T> rows_of_w{as_view(w)};
    for_each_format<T>(
        [&]<class S>(std::type_identity<S>)
        {
            static_assert(sparse::matrix<S>);
            const auto from = sparse::convert<S>(as_view(w));
            CHECK(from.rows() == rows);
            CHECK(from.columns() == columns);
            CHECK(from.size() == w.size());
            CHECK(from.nonzeros() >= nonzeros);
            CHECK(support::same(from.to_dense(), w));
            // All conversions go over the entries: in and out of each format is every pair.
            CHECK(sparse::entries_of(from) == entries);
            CHECK(sparse::convert<S>(rows_of_w) == from);
            CHECK(sparse::convert<sparse::csr<T>>(from) == rows_of_w);
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

TEST_CASE("stored zeros stay between formats that can tell them from padding")
{
    // Row 0: a zero at column 1 and 5 at column 3; row 2: a zero at column 0.
    const sparse::coo<float> from(3, 4, {0, 0, 2}, {1, 3, 0}, {0, 5, 0});
    const auto rows = sparse::convert<sparse::csr<float>>(from);
    CHECK(rows.nonzeros() == 3);
    const auto columns = sparse::convert<sparse::csc<float>>(rows);
    CHECK(columns.nonzeros() == 3);
    const auto bits = sparse::convert<sparse::bitmask<float>>(columns);
    CHECK(bits.nonzeros() == 3);
    CHECK(sparse::convert<sparse::coo<float>>(bits) == from);
    // A block keeps the place of a zero, but not that it was one of the entries.
    const auto blocks = sparse::convert<sparse::bsr<float, 2, 2>>(bits);
    CHECK(blocks.blocks() == 3);
    CHECK(sparse::convert<sparse::csr<float>>(blocks).nonzeros() == 1);
}

TEST_CASE("numbers in another element type keep their places")
{
    random_engine rng(2);
    const auto w = random_sparse<float>(shape<2>{9, 14}, 0.4, rng);
    const sparse::csr<float> wide{as_view(w)};
    const auto small = sparse::cast<sparse::csr<bfloat16, std::uint8_t>>(wide);
    const auto back = sparse::cast<sparse::csc<float>>(small);
    CHECK(back.nonzeros() == wide.nonzeros());
    CHECK(small.bytes() == 4 * 10 + 3 * static_cast<std::size_t>(small.nonzeros()));
    for (index_t i = 0; i < size_of(w); ++i)
    {
        CHECK(back.to_dense().data()[i] == static_cast<float>(bfloat16(w.data()[i])));
    }
    CHECK(support::same(sparse::cast<sparse::coo<double>>(wide).to_dense(),
        sparse::cast<sparse::bitmask<double>>(wide).to_dense()));

    const sparse::coo<std::int32_t> codes(2, 2, {0, 1}, {1, 0}, {-128, 127});
    CHECK(sparse::cast<sparse::csr<std::int8_t>>(codes).values() == buffer<std::int8_t>{-128, 127});
    const sparse::coo<std::int32_t> large(2, 2, {0, 1}, {1, 0}, {-128, 128});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        sparse::cast<sparse::csr<std::int8_t>>(large);
                    }),
        {"row 1, column 0", "-128 to 127", "got 128"});
    CHECK(
        sparse::cast<sparse::csr<std::int64_t>>(large).values() == buffer<std::int64_t>{-128, 128});
}

TEST_CASE("lists of entries are checked before a format is built from them")
{
    using list = sparse::row_entries<float>;
    const auto complaint = [](const list& m)
    {
        return message_of<format_error>(
            [&]
            {
                sparse::csc<float>{m};
            });
    };
    CHECK(complaint({2, 3, {0, 1, 2}, {2, 0}, {5, 6}}) == "");
    check_parts(complaint({2, 3, {0, 1}, {2, 0}, {5, 6}}), {"row_entries", "2 offsets"});
    check_parts(complaint({2, 3, {0, 1, 3}, {2, 0}, {5, 6}}), {"row_entries", "2 values"});
    check_parts(complaint({2, 3, {1, 1, 2}, {2, 0}, {5, 6}}), {"row_entries"});
    check_parts(complaint({2, 3, {0, 1, 2}, {2}, {5, 6}}), {"row_entries", "1 indices"});
    check_parts(complaint({2, 3, {0, 9, 2}, {2, 0}, {5, 6}}), {"row 0"});
    check_parts(complaint({2, 3, {0, 1, 2}, {2, 3}, {5, 6}}), {"row 1", "below 3"});
    check_parts(complaint({2, 3, {0, 1, 2}, {-1, 1}, {5, 6}}), {"row 0"});
    check_parts(complaint({2, 3, {0, 0, 2}, {1, 1}, {5, 6}}), {"row 1", "strictly"});
    check_parts(complaint({-2, 3, {0}, {}, {}}), {"rows -2"});
}

} // namespace test_convert
