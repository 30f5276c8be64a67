// Layouts by hand, and the arrays that each format refuses. csr has a file of its own.

#include <structopt/sparse.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace test_formats
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

constexpr index_t enormous = std::numeric_limits<index_t>::max();

/// The message of the `format_error` of a construction, "" if there is none.
template <class S, class... Arguments>
std::string complaint(const Arguments&... arguments)
{
    return message_of<format_error>(
        [&]
        {
            S{arguments...};
        });
}

template <class T>
using list = buffer<T>;

using offsets = buffer<std::uint32_t>;

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a small matrix in every format")
    {
        // 0 5 0 -6 0
        // 0 0 0  0 0
        // 7 0 0  8 9
        auto w = structopt::zeros<float>(shape<2>{3, 5});
        w(0, 1) = 5;
        w(0, 3) = -6;
        w(2, 0) = 7;
        w(2, 3) = 8;
        w(2, 4) = 9;

        const sparse::coo<float, std::uint8_t> coo{as_view(w)};
        CHECK(coo.row_indices() == list<std::uint8_t>{0, 0, 2, 2, 2});
        CHECK(coo.column_indices() == list<std::uint8_t>{1, 3, 0, 3, 4});
        CHECK(coo.values() == list<float>{5, -6, 7, 8, 9});
        CHECK(coo.bytes() == 5 * 6);

        const sparse::csc<float, std::uint16_t> csc{as_view(w)};
        CHECK(csc.offsets() == offsets{0, 1, 2, 2, 4, 5});
        CHECK(csc.indices() == list<std::uint16_t>{2, 0, 0, 2, 2});
        CHECK(csc.values() == list<float>{7, 5, -6, 8, 9});
        CHECK(csc.bytes() == 6 * 4 + 5 * 6);

        const sparse::bsr<float, 2, 2, std::uint8_t> bsr{as_view(w)};
        CHECK(bsr.offsets() == offsets{0, 2, 5});
        CHECK(bsr.indices() == list<std::uint8_t>{0, 1, 0, 1, 2});
        CHECK(bsr.values() ==
              list<float>{0, 5, 0, 0, 0, -6, 0, 0, 7, 0, 0, 0, 0, 8, 0, 0, 9, 0, 0, 0});
        CHECK(bsr.blocks() == 5);
        CHECK(bsr.nonzeros() == 20);
        CHECK(bsr.bytes() == 3 * 4 + 5 + 20 * 4);

        const sparse::vector_blocks<float, 3> vectors{as_view(w)};
        CHECK(vectors.offsets() == offsets{0, 4});
        CHECK(vectors.indices() == offsets{0, 1, 3, 4});
        CHECK(vectors.values() == list<float>{0, 0, 7, 5, 0, 0, -6, 0, 8, 0, 0, 9});

        const sparse::bitmask<float> bits{as_view(w)};
        CHECK(bits.words() == list<std::uint64_t>{0b01010, 0, 0b11001});
        CHECK(bits.offsets() == offsets{0, 2, 2, 5});
        CHECK(bits.values() == coo.values());
        CHECK(bits.bytes() == 3 * 8 + 4 * 4 + 5 * 4);

        // Groups of 4: the places 1 3 | 0 (of one column; the second slot is empty) and so on.
        const sparse::nm<float, 2, 4> nm{as_view(w)};
        CHECK(nm.groups() == 2);
        CHECK(nm.nonzeros() == 12);
        CHECK(nm.values() == list<float>{5, -6, 0, 0, 0, 0, 0, 0, 7, 8, 9, 0});
        CHECK(nm.positions() == list<std::uint8_t>{0b00001101, 0b00000100, 0b00001100});
        CHECK(nm.position(0, 0, 1) == 3);
        CHECK(nm.bytes() == 3 + 12 * 4);
    }
}

TEST_CASE("coordinates: any order, several entries in one place")
{
    sparse::coo<double> m(3, 3);
    m.add(2, 1, 4);
    m.add(0, 2, 1);
    m.add(2, 1, -1);
    m.add(0, 0, 2);
    CHECK(m.nonzeros() == 4);
    CHECK(!m.is_canonical());
    const auto sorted = m.canonical();
    CHECK(sorted.is_canonical());
    CHECK(sorted == sparse::coo<double>(3, 3, {0, 0, 2}, {0, 2, 1}, {2, 1, 3}));
    CHECK(sorted.canonical() == sorted);
    const auto dense = m.to_dense();
    CHECK(dense(2, 1) == 3);
    CHECK(support::same(dense, sparse::convert<sparse::bsr<double, 2, 2>>(m).to_dense()));
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        m.add(3, 1, 1);
                    }),
        {"coo, position 4", "a row below 3", "row 3, column 1"});
    CHECK_THROWS_AS(m.add(0, -1, 1), argument_error);
    CHECK(m.nonzeros() == 4);
    CHECK_THROWS_AS((sparse::coo<float, std::uint8_t>(257, 1)), argument_error);
    CHECK_THROWS_AS((sparse::coo<float>(-1, 1)), argument_error);

    // Integers may pass their type's range on the way, not at the end.
    const sparse::coo<std::int8_t> fits(1, 1, {0, 0, 0}, {0, 0, 0}, {127, 127, -128});
    CHECK(fits.canonical().values() == list<std::int8_t>{126});
    const sparse::coo<std::int8_t> large(1, 2, {0, 0}, {1, 1}, {127, 1});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        large.canonical();
                    }),
        {"row 0, column 1", "-128 to 127", "got 128"});
}

TEST_CASE("coordinates in random order, some of them several times")
{
    random_engine rng(5);
    for (int round = 0; round < 50; ++round)
    {
        sparse::coo<double> m(6, 9);
        auto dense = structopt::zeros<double>(shape<2>{6, 9});
        for (int i = 0; i < round; ++i)
        {
            const index_t r = uniform_index(rng, 6);
            const index_t c = uniform_index(rng, 9);
            const auto value = static_cast<double>(uniform_index(rng, 100));
            m.add(r, c, value);
            dense(r, c) += value;
        }
        CHECK(support::same(m.to_dense(), dense));
        const auto rows = sparse::convert<sparse::csr<double>>(m);
        CHECK(support::same(rows.to_dense(), dense));
        // Its arrays are those of a matrix.
        CHECK(sparse::csr<double>(
                  6, 9, rows.offsets(), rows.indices(), std::as_const(rows).values()) == rows);
    }
}

TEST_CASE("what is no matrix is refused: coordinates")
{
    using coo = sparse::coo<float>;
    CHECK(complaint<coo>(2, 3, offsets{1, 0}, offsets{2, 0}, list<float>{5, 6}) == "");
    check_parts(complaint<coo>(2, 3, offsets{1, 2}, offsets{2, 0}, list<float>{5, 6}),
        {"coo, position 1", "a row below 2", "row 2, column 0"});
    check_parts(complaint<coo>(2, 3, offsets{1, 0}, offsets{3, 0}, list<float>{5, 6}),
        {"coo, position 0", "column below 3", "row 1, column 3"});
    check_parts(complaint<coo>(2, 3, offsets{1}, offsets{2, 0}, list<float>{5, 6}),
        {"coo row indices", "2 numbers", "got 1"});
    check_parts(complaint<coo>(2, 3, offsets{1, 0}, offsets{2, 0, 0}, list<float>{5, 6}),
        {"coo column indices", "got 3"});
    check_parts(
        complaint<coo>(0, 0, offsets{0}, offsets{0}, list<float>{1}), {"position 0", "below 0"});
    check_parts(complaint<coo>(-1, 0, offsets{}, offsets{}, list<float>{}), {"rows -1"});
}

TEST_CASE("what is no matrix is refused: compressed columns")
{
    using csc = sparse::csc<float, std::uint8_t>;
    using rows = list<std::uint8_t>;
    CHECK(complaint<csc>(4, 3, offsets{0, 2, 2, 3}, rows{1, 3, 0}, list<float>{5, 6, 7}) == "");
    check_parts(complaint<csc>(4, 3, offsets{0, 2, 3}, rows{1, 3, 0}, list<float>{5, 6, 7}),
        {"csc offsets", "one more than columns", "got 3"});
    check_parts(complaint<csc>(4, 3, offsets{0, 2, 1, 3}, rows{1, 3, 0}, list<float>{5, 6, 7}),
        {"csc offsets, column 2", "from 2 to 3", "got 1"});
    check_parts(complaint<csc>(4, 3, offsets{0, 2, 2, 3}, rows{1, 4, 0}, list<float>{5, 6, 7}),
        {"csc indices, column 0, position 1", "rows below 4", "4 after 1"});
    check_parts(complaint<csc>(4, 3, offsets{0, 2, 2, 3}, rows{1, 1, 0}, list<float>{5, 6, 7}),
        {"position 1", "strictly ascending", "1 after 1"});
    check_parts(complaint<csc>(4, 3, offsets{0, 2, 2, 3}, rows{1, 3, 0}, list<float>{5, 6}),
        {"csc arrays", "3 indices, 2 values"});
    check_parts(complaint<csc>(257, 0, offsets{0}, rows{}, list<float>{}), {"at most 256 rows"});
    check_parts(complaint<csc>(0, enormous, offsets{0}, rows{}, list<float>{}), {"csc offsets"});
}

TEST_CASE("what is no matrix is refused: blocks")
{
    using bsr = sparse::bsr<float, 2, 2>;
    const list<float> two{1, 2, 3, 4, 5, 0, 0, 0};
    CHECK(complaint<bsr>(3, 3, offsets{0, 1, 2}, offsets{0, 1}, two) == "");
    check_parts(complaint<bsr>(3, 3, offsets{0, 2}, offsets{0, 1}, two),
        {"bsr offsets", "3 numbers, one more than block rows", "got 2"});
    check_parts(complaint<bsr>(3, 3, offsets{0, 1, 2}, offsets{0, 2}, two),
        {"bsr indices, block row 1, position 1", "block columns below 2", "2 after none"});
    check_parts(complaint<bsr>(4, 3, offsets{0, 2, 2}, offsets{1, 0}, two),
        {"block row 0, position 1", "0 after 1"});
    check_parts(complaint<bsr>(3, 3, offsets{0, 1, 2}, offsets{0, 1}, list<float>{1, 2, 3}),
        {"bsr arrays", "4 values for each", "3 values"});
    check_parts(
        complaint<bsr>(3, 3, offsets{0, 1, 2}, offsets{0, 1}, list<float>{1, 2, 3, 4, 5, 6, 0, 0}),
        {"bsr values, block row 1, position 1", "zeros over the edge", "row 2, column 3"});
    check_parts(
        complaint<bsr>(3, 3, offsets{0, 1, 2}, offsets{0, 1}, list<float>{1, 2, 3, 4, 5, 0, 0, 6}),
        {"row 3, column 3"});
    check_parts(complaint<bsr>(-3, 3, offsets{0}, offsets{}, list<float>{}), {"rows -3"});
    CHECK(sparse::bsr<float, 2, 4, std::uint8_t>::fits(1024));
    CHECK(!sparse::bsr<float, 2, 4, std::uint8_t>::fits(1025));
}

TEST_CASE("what is no matrix is refused: bitmask")
{
    using bits = sparse::bitmask<float>;
    using words = list<std::uint64_t>;
    const auto last = std::uint64_t{1} << 63;
    CHECK(complaint<bits>(2, 65, words{last, 1, 0, 0}, offsets{0, 2, 2}, list<float>{1, 2}) == "");
    check_parts(complaint<bits>(2, 65, words{last, 1}, offsets{0, 2, 2}, list<float>{1, 2}),
        {"bitmask words", "4 numbers", "got 2"});
    check_parts(complaint<bits>(2, 65, words{last, 2, 0, 0}, offsets{0, 2, 2}, list<float>{1, 2}),
        {"bitmask words, row 0, word 1", "from column 65 on", "bit 1"});
    check_parts(complaint<bits>(2, 65, words{last, 1, 0, 1}, offsets{0, 2, 2}, list<float>{1, 2}),
        {"bitmask words, row 1", "0 bits", "got 1"});
    check_parts(complaint<bits>(2, 65, words{last, 1, 0, 0}, offsets{0, 1, 2}, list<float>{1, 2}),
        {"bitmask words, row 0", "1 bits", "got 2"});
    check_parts(complaint<bits>(2, 65, words{last, 1, 0, 0}, offsets{0, 2, 3}, list<float>{1, 2}),
        {"bitmask offsets, row 2", "from 2 to 2"});
    check_parts(complaint<bits>(2, 65, words{last, 1, 0, 0}, offsets{0, 1, 1}, list<float>{1, 2}),
        {"bitmask offsets, row 2", "2, the number of entries", "got 1"});
    check_parts(complaint<bits>(enormous, 2, words{}, offsets{0}, list<float>{}), {"extents"});
}

TEST_CASE("what is no matrix is refused: N:M")
{
    using nm = sparse::nm<float, 2, 4>;
    CHECK_THROWS_AS(nm(1, index_t{1} << 62, {}, {}), format_error);
    CHECK_THROWS_AS(nm(index_t{1} << 40, index_t{1} << 40, {}, {}), format_error);
    using places = list<std::uint8_t>;
    const list<float> four{1, 2, 3, 0};
    CHECK(complaint<nm>(1, 5, places{0b0000'1101}, four) == "");
    check_parts(
        complaint<nm>(1, 5, places{0b0000'1101, 0}, four), {"nm positions", "1 numbers", "got 2"});
    check_parts(
        complaint<nm>(1, 5, places{0b0000'1101}, list<float>{1, 2}), {"nm values", "4 numbers"});
    check_parts(complaint<nm>(1, 5, places{0b0000'0111}, four),
        {"nm positions, row 0, group 0, slot 1", "a place from 4 to 3", "got 1"});
    check_parts(complaint<nm>(1, 5, places{0b0000'0101}, four), {"slot 1", "from 2 to 3"});
    check_parts(complaint<nm>(1, 5, places{0b0001'1101}, four),
        {"row 0, group 1, slot 0", "a place from 0 to 0", "got 1"});
    check_parts(complaint<nm>(1, 5, places{0b0100'1101}, four),
        {"group 1, slot 1", "the value zero at place 0", "got 1"});
    check_parts(complaint<nm>(1, 5, places{0b0000'1101}, list<float>{1, 2, 3, 4}),
        {"group 1, slot 1", "the value zero at place 0", "another value"});
    check_parts(complaint<nm>(1, 4, places{0b0001'1101}, list<float>{1, 2}),
        {"nm positions, row 0", "zero bits behind"});
    check_parts(complaint<nm>(enormous, 1, places{}, list<float>{}), {"nm", "extents"});
    CHECK(complaint<nm>(enormous, 0, places{}, list<float>{}) == ""); // and at once

    auto w = structopt::zeros<float>(shape<2>{2, 8});
    w(1, 4) = w(1, 5) = 1;
    CHECK(nm::fits(as_view(w)));
    w(1, 7) = 1;
    CHECK(!nm::fits(as_view(w)));
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        nm{as_view(w)};
                    }),
        {"nm, row 1, group 1", "at most 2 non-zeros in 4 columns", "got 3"});
    CHECK(sparse::nm<float, 4, 8>::fits(as_view(w)));
}

TEST_CASE("N:M keeps what fits, in positions of every width")
{
    random_engine rng(3);
    const auto check = [&]<class S>(const S&)
    {
        for (index_t columns : {1, 2, 3, 7, 8, 37, 64})
        {
            auto w = structopt::zeros<float>(shape<2>{5, columns});
            for (index_t r = 0; r < 5; ++r)
            {
                for (index_t g = 0; g < columns; g += S::group_columns)
                {
                    for (index_t i = 0; i < S::group_slots; ++i)
                    {
                        const index_t c = g + uniform_index(rng, S::group_columns);
                        w(r, c < columns ? c : g) = normal<float>(rng);
                    }
                }
            }
            INFO(columns << " columns, " << S::group_slots << ":" << S::group_columns);
            const S s{as_view(w)};
            CHECK(support::same(s.to_dense(), w));
            CHECK(S(5, columns, s.positions(), s.values()) == s);
            CHECK(sparse::convert<S>(sparse::convert<sparse::csr<float>>(s)) == s);
        }
    };
    check(sparse::nm<float, 1, 2>{});
    check(sparse::nm<float, 1, 4>{});
    check(sparse::nm<float, 2, 4>{});
    check(sparse::nm<float, 4, 8>{});
    check(sparse::nm<float, 3, 7>{});
    check(sparse::nm<float, 5, 32>{});
}

} // namespace test_formats
