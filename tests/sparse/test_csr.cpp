#include <structopt/core/random.hpp>
#include <structopt/sparse/csr.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

namespace test_csr
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

tensor<float, 2> random_matrix(index_t rows, index_t columns, double density, random_engine& rng)
{
    auto w = structopt::zeros<float>(shape<2>{rows, columns});
    for (index_t i = 0; i < size_of(w); ++i)
    {
        if (uniform<double>(rng) < density)
        {
            w.data()[i] = normal<float>(rng);
        }
    }
    return w;
}

template <class T>
buffer<T> list(std::initializer_list<int> values)
{
    buffer<T> result;
    for (const int value : values)
    {
        result.push_back(static_cast<T>(value));
    }
    return result;
}

/// The message of the error that these arrays give, "" if none.
template <class Index = std::uint32_t>
std::string complaint(index_t rows, index_t columns, std::initializer_list<int> offsets,
    std::initializer_list<int> indices, std::initializer_list<int> values)
{
    return message_of<format_error>(
        [&]
        {
            sparse::csr<float, Index>(rows, columns, list<std::uint32_t>(offsets),
                list<Index>(indices), list<float>(values));
        });
}

template <class Index>
void check_round_trip(index_t rows, index_t columns, double density, random_engine& rng)
{
    const auto w = random_matrix(rows, columns, density, rng);
    const sparse::csr<float, Index> s{as_view(w)};
    INFO(rows << "x" << columns);
    index_t nonzeros = 0;
    for (const float value : w)
    {
        nonzeros += value != 0.0f ? 1 : 0;
    }
    CHECK(s.rows() == rows);
    CHECK(s.columns() == columns);
    CHECK(s.nonzeros() == nonzeros);
    CHECK(s.size() == w.size());
    CHECK(s.bytes() == static_cast<std::size_t>(rows + 1) * 4 +
                           static_cast<std::size_t>(nonzeros) * (4 + sizeof(Index)));
    const auto back = s.to_dense();
    CHECK(shape_of(back) == shape_of(w));
    CHECK(std::equal(w.begin(), w.end(), back.begin()));
    // Built from its own arrays it is accepted and the same.
    CHECK(sparse::csr<float, Index>(rows, columns, s.offsets(), s.indices(), s.values()) == s);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a small matrix by hand")
    {
        auto w = structopt::zeros<float>(shape<2>{3, 4});
        w(0, 1) = 5;
        w(0, 3) = -6;
        w(2, 0) = 7;
        const sparse::csr<float, std::uint8_t> s{as_view(w)};
        CHECK(s.offsets() == list<std::uint32_t>({0, 2, 2, 3}));
        CHECK(s.indices() == list<std::uint8_t>({1, 3, 0}));
        CHECK(s.values() == list<float>({5, -6, 7}));
        CHECK(s.bytes() == 4 * 4 + 3 + 3 * 4);
    }
}

TEST_CASE("matrices of all extents come back, in indices of every width")
{
    random_engine rng(1);
    for (index_t rows : {0, 1, 2, 17})
    {
        for (index_t columns : {0, 1, 3, 101, 256})
        {
            for (double density : {0.0, 0.1, 1.0})
            {
                check_round_trip<std::uint8_t>(rows, columns, density, rng);
                check_round_trip<std::uint16_t>(rows, columns, density, rng);
                check_round_trip<std::uint32_t>(rows, columns, density, rng);
                check_round_trip<std::uint64_t>(rows, columns, density, rng);
            }
        }
    }
}

TEST_CASE("an empty matrix is one")
{
    const sparse::csr<float> none;
    CHECK(none.rows() == 0);
    CHECK(none.nonzeros() == 0);
    CHECK(none.offsets().size() == 1);
    CHECK(shape_of(none.to_dense()) == shape<2>{0, 0});
}

TEST_CASE("minus zero is zero, what is no number is kept")
{
    auto w = structopt::zeros<double>(shape<2>{1, 5});
    w(0, 0) = -0.0;
    w(0, 1) = std::numeric_limits<double>::quiet_NaN();
    w(0, 2) = std::numeric_limits<double>::denorm_min();
    w(0, 3) = -std::numeric_limits<double>::infinity();
    const sparse::csr<double> s{as_view(w)};
    CHECK(s.indices() == list<std::uint32_t>({1, 2, 3}));
    const auto back = s.to_dense();
    CHECK(!std::signbit(back(0, 0)));
    CHECK(std::isnan(back(0, 1)));
    CHECK(back(0, 2) == std::numeric_limits<double>::denorm_min());
    CHECK(back(0, 3) == -std::numeric_limits<double>::infinity());
}

TEST_CASE("a view of any strides")
{
    random_engine rng(2);
    const auto w = random_matrix(5, 7, 0.5, rng);
    const view<const float, 2> turned(w.data(), {7, 5}, {1, 7});
    const auto back = sparse::csr<float>(turned).to_dense();
    for (index_t i = 0; i < 7; ++i)
    {
        for (index_t j = 0; j < 5; ++j)
        {
            CHECK(back(i, j) == w(j, i));
        }
    }
}

TEST_CASE("too many columns for the index")
{
    const auto w = structopt::zeros<float>(shape<2>{1, 257});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        sparse::csr<float, std::uint8_t>{as_view(w)};
                    }),
        {"csr", "at most 256 columns", "columns 257"});
    CHECK(sparse::csr<float, std::uint8_t>::fits(256));
    CHECK(!sparse::csr<float, std::uint8_t>::fits(257));
    CHECK(sparse::csr<float, std::uint16_t>::fits(65536));
    CHECK(!sparse::csr<float, std::uint16_t>::fits(65537));
    CHECK(sparse::csr<float>::fits(index_t{1} << 32));
    CHECK(!sparse::csr<float>::fits((index_t{1} << 32) + 1));
    CHECK(!sparse::csr<float>::fits(-1));
}

TEST_CASE("arrays that are no such matrix are refused, by row and position")
{
    CHECK(complaint(3, 4, {0, 2, 2, 3}, {1, 3, 0}, {5, 6, 7}) == "");
    check_parts(
        complaint(3, 4, {0, 2, 3}, {1, 3, 0}, {5, 6, 7}), {"csr offsets", "4 numbers", "got 3"});
    check_parts(complaint(3, 4, {}, {}, {}), {"csr offsets", "4 numbers", "got 0"});
    check_parts(
        complaint(3, 4, {1, 2, 2, 3}, {1, 3, 0}, {5, 6, 7}), {"csr offsets, row 0", "got 1"});
    check_parts(complaint(3, 4, {0, 2, 2, 4}, {1, 3, 0}, {5, 6, 7}), {"csr arrays", "4 indices"});
    check_parts(
        complaint(3, 4, {0, 2, 2, 3}, {1, 3}, {5, 6, 7}), {"csr arrays", "2 indices, 3 values"});
    check_parts(
        complaint(3, 4, {0, 2, 2, 3}, {1, 3, 0}, {5, 6}), {"csr arrays", "3 indices, 2 values"});
    check_parts(complaint(3, 4, {0, 2, 1, 3}, {1, 3, 0}, {5, 6, 7}),
        {"csr offsets, row 2", "from 2 to 3", "got 1"});
    check_parts(
        complaint(3, 4, {0, 9, 2, 3}, {1, 3, 0}, {5, 6, 7}), {"csr offsets, row 1", "got 9"});
    check_parts(complaint(3, 4, {0, 2, 2, 3}, {1, 4, 0}, {5, 6, 7}),
        {"csr indices, row 0, position 1", "columns below 4", "got 4 after 1"});
    check_parts(complaint(3, 4, {0, 2, 2, 3}, {3, 1, 0}, {5, 6, 7}),
        {"csr indices, row 0, position 1", "ascending", "got 1 after 3"});
    check_parts(
        complaint(3, 4, {0, 2, 2, 3}, {1, 1, 0}, {5, 6, 7}), {"position 1", "got 1 after 1"});
    check_parts(
        complaint(3, 0, {0, 0, 0, 1}, {0}, {7}), {"row 2, position 0", "below 0", "after none"});
    check_parts(complaint(-1, 4, {0}, {}, {}), {"csr", "rows -1"});
    check_parts(complaint(1, -4, {0, 0}, {}, {}), {"csr", "columns -4"});
    check_parts(complaint<std::uint8_t>(1, 257, {0, 0}, {}, {}), {"at most 256", "columns 257"});
    check_parts(
        complaint<std::uint64_t>(4, std::numeric_limits<index_t>::max(), {0, 0, 0, 0, 0}, {}, {}),
        {"csr", "columns 9223372036854775807"});
    // A new row may begin left of where the last one ended.
    CHECK(complaint(2, 4, {0, 2, 4}, {2, 3, 0, 1}, {1, 2, 3, 4}) == "");
}

} // namespace test_csr
