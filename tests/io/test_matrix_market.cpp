#include <structopt/io/matrix_market.hpp>
#include <structopt/io/smtx.hpp>
#include <structopt/sparse/convert.hpp>
#include <structopt/sparse/csr.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <type_traits>

namespace test_matrix_market
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

template <class T = double, class Index = std::uint32_t>
auto read(const std::string& text, const io::matrix_market_options& options = {})
{
    const auto bytes = support::to_bytes(text);
    io::byte_source source(bytes, "x.mtx");
    return io::read_matrix_market<T, Index>(source, options);
}

template <class T = double>
auto read_dense(const std::string& text, const io::matrix_market_options& options = {})
{
    const auto bytes = support::to_bytes(text);
    io::byte_source source(bytes, "x.mtx");
    return io::read_matrix_market_dense<T>(source, options);
}

template <class T = double, class Index = std::uint32_t>
std::string refusal(const std::string& text, const io::matrix_market_options& options = {})
{
    const std::string message = message_of<format_error>(
        [&]
        {
            read<T, Index>(text, options);
        });
    // What one reader refuses the other one refuses as well, unless it is the index type.
    if constexpr (std::is_same_v<Index, std::uint32_t>)
    {
        CHECK(message_of<format_error>(
                  [&]
                  {
                      read_dense<T>(text, options);
                  }) == message);
    }
    return message;
}

template <class T = float, class Index = std::uint32_t>
auto read_smtx(const std::string& text)
{
    const auto bytes = support::to_bytes(text);
    io::byte_source source(bytes, "x.smtx");
    return io::read_smtx<T, Index>(source);
}

template <class Index = std::uint32_t>
std::string smtx_refusal(const std::string& text)
{
    return message_of<format_error>(
        [&]
        {
            read_smtx<float, Index>(text);
        });
}

const std::string general = "%%MatrixMarket matrix coordinate real general\n";

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("Matrix Market: coordinates of every kind")
    {
        const auto m = read(general + "% a comment\n\n 3 4\t3\n1 1 1.5\n3 4 -2e1\n\n2 2 0\n");
        CHECK(m == sparse::coo<double>(3, 4, {0, 2, 1}, {0, 3, 1}, {1.5, -20, 0}));

        const auto symmetric = read("%%matrixmarket MATRIX Coordinate Integer SYMMETRIC\r\n"
                                    "2 2 2\r\n1 1 5\r\n2 1 -3\r\n");
        CHECK(symmetric == sparse::coo<double>(2, 2, {0, 1, 0}, {0, 0, 1}, {5, -3, -3}));

        const auto skew = read<std::int8_t>(
            "%%MatrixMarket matrix coordinate integer skew-symmetric\n3 3 1\n3 2 7");
        CHECK(skew == sparse::coo<std::int8_t>(3, 3, {2, 1}, {1, 2}, {7, -7}));

        const auto pattern = read<bfloat16, std::uint8_t>(
            "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n");
        CHECK(pattern == sparse::coo<bfloat16, std::uint8_t>(3, 3, {1, 0, 2}, {0, 1, 2},
                             {bfloat16(1.0f), bfloat16(1.0f), bfloat16(1.0f)}));
    }

    TEST_CASE("Matrix Market: arrays, column by column")
    {
        const std::string text =
            "%%MatrixMarket matrix array real general\n2 3\n1\n2\n0\n4\n5\n6\n";
        const auto dense = read_dense(text);
        CHECK(dense(0, 0) == 1);
        CHECK(dense(1, 0) == 2);
        CHECK(dense(0, 1) == 0);
        CHECK(dense(1, 2) == 6);
        const auto m = read(text);
        CHECK(m.nonzeros() == 5);
        CHECK(sparse::convert<sparse::csr<double>>(m) == sparse::csr<double>{as_view(dense)});

        const auto symmetric =
            read_dense("%%MatrixMarket matrix array real symmetric\n2 2\n1\n2\n3\n");
        CHECK(symmetric(0, 1) == 2);
        CHECK(symmetric(1, 0) == 2);
        CHECK(symmetric(1, 1) == 3);
        const auto skew =
            read_dense("%%MatrixMarket matrix array integer skew-symmetric\n3 3\n1\n2\n3\n");
        CHECK(skew(1, 0) == 1);
        CHECK(skew(0, 2) == -2);
        CHECK(skew(2, 1) == 3);
        CHECK(skew(1, 1) == 0);
    }

    TEST_CASE("smtx: a pattern")
    {
        const auto m = read_smtx<float, std::uint8_t>("3, 5, 4\n0 2 2 4 \n4 1 0 3\n");
        CHECK(m == sparse::csr<float, std::uint8_t>(
                       3, 5, {0, 2, 2, 4}, {1, 4, 0, 3}, {1.f, 1.f, 1.f, 1.f}));
        CHECK(read_smtx("0,0,0\n0\n").rows() == 0);
        CHECK(read_smtx("2,3,0\n0 0 0\n\n").columns() == 3);
        CHECK(read_smtx<std::int8_t>("1,3,1\r\n0 1\r\n2\r\n").to_dense()(0, 2) == 1);
    }
}

TEST_CASE("Matrix Market: empty matrices, and several entries in one place")
{
    CHECK(read(general + "0 0 0\n").rows() == 0);
    CHECK(read(general + "0 5 0").columns() == 5);
    CHECK(shape_of(read_dense(general + "4 0 0")) == shape<2>{4, 0});
    CHECK(
        shape_of(read_dense("%%MatrixMarket matrix array real general\n0 3\n")) == shape<2>{0, 3});
    // As many columns as can be claimed, without a line for any.
    const std::string many = "%%MatrixMarket matrix array real general\n0 1000000000000\n";
    CHECK(shape_of(read_dense(many)) == shape<2>{0, 1'000'000'000'000});
    CHECK(read<double, std::uint64_t>(many).columns() == 1'000'000'000'000);
    const auto twice = general + "1 1 2\n1 1 2\n1 1 3\n";
    CHECK(read(twice).nonzeros() == 2);
    CHECK(read(twice).to_dense()(0, 0) == 5);
    CHECK(read_dense(twice)(0, 0) == 5);
}

TEST_CASE("Matrix Market: what is no such file is refused with its line")
{
    check_parts(refusal(""), {"x.mtx", "%%MatrixMarket", "the end of the file"});
    check_parts(refusal("1 1 1\n"), {"line 1", "%%MatrixMarket", "'1'"});
    check_parts(refusal("%%MatrixMarket vector coordinate real general\n1 1 0"), {"matrix"});
    check_parts(refusal("%%MatrixMarket matrix sparse real general\n1 1 0"),
        {"one of coordinate, array", "'sparse'"});
    check_parts(refusal("%%MatrixMarket matrix coordinate complex general\n1 1 0"),
        {"one of real, double, integer, pattern", "'complex'"});
    check_parts(refusal("%%MatrixMarket matrix array pattern general\n1 1\n1"), {"'pattern'"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real hermitian\n1 1 0"), {"'hermitian'"});
    check_parts(refusal("%%MatrixMarket matrix coordinate pattern skew-symmetric\n1 1 0"),
        {"general or symmetric"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real\n1 1 0"), {"line 1", "nothing"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real general x\n1 1 0"), {"'x'"});
    check_parts(refusal(general), {"the line of extents", "the end of the file"});
    check_parts(refusal(general + "1 1\n"), {"line 2", "a number of entries", "nothing"});
    check_parts(refusal(general + "-1 1 0\n"), {"a number of rows from 0", "'-1'"});
    check_parts(refusal(general + "1.0 1 0\n"), {"'1.0'"});
    check_parts(refusal(general + "1 1 0 0\n"), {"the end of the line after the extents", "'0'"});
    check_parts(refusal(general + "2 3 2\n1 1 5\n% 3 4 5 6 7 8 9\n"), {"line 4", "a row", "'%'"});
    check_parts(
        refusal(general + "2 3 2\n1 1 5.000000000\n"), {"x.mtx", "2 entries", "1 until the end"});
    check_parts(refusal(general + "2 3 1\n3 1 5\n"), {"line 3", "a row from 1 to 2", "'3'"});
    check_parts(refusal(general + "2 3 1\n0 1 5\n"), {"'0'"});
    check_parts(refusal(general + "2 3 1\n1 4 5\n"), {"a column from 1 to 3", "'4'"});
    check_parts(refusal(general + "2 3 1\n1 1\n"), {"line 3", "a number", "nothing"});
    check_parts(refusal(general + "2 3 1\n1 1 x\n"), {"'x'"});
    check_parts(refusal(general + "2 3 1\n1 1 5 6\n"), {"after the entry", "'6'"});
    check_parts(refusal(general + "2 3 1\n1 1 5\n1 2 5\n"),
        {"line 4", "the end of the file after 1 entries", "'1'"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n"),
        {"as many columns as rows", "'2 3'"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 5\n"),
        {"line 3", "lower triangle", "row 1, column 2"});
    check_parts(refusal("%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 2 5\n"),
        {"below the diagonal", "row 2, column 2"});
    check_parts(refusal<std::int8_t>(general + "1 1 1\n1 1 128\n"), {"range", "'128'"});
    check_parts(refusal<std::int8_t>(general + "1 1 1\n1 1 0.5\n"), {"'0.5'"});
    check_parts(refusal<std::int8_t>(
                    "%%MatrixMarket matrix coordinate integer skew-symmetric\n2 2 1\n2 1 -128\n"),
        {"whose negative", "'-128'"});
    check_parts(refusal("%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n\n\n"),
        {"4 values", "3 until the end"});
    check_parts(refusal("%%MatrixMarket matrix array real general\n1 1\n1 2\n"),
        {"after the value", "'2'"});
}

TEST_CASE("Matrix Market: no number in a header is trusted with memory")
{
    check_parts(refusal(general + "9 9 1000000000000\n1 1 1\n"),
        {"line 2", "a number of entries from 0 to 2", "'1000000000000'"});
    check_parts(refusal("%%MatrixMarket matrix array real general\n1000000 1000000\n1\n"),
        {"line 2", "at most 2 values", "'1000000000000'"});
    check_parts(refusal("%%MatrixMarket matrix array integer general\n467612885206812 2\n1\n"),
        {"line 2", "at most 2 values", "'935225770413624'"});
    check_parts(refusal(general + "9223372036854775807 2 0\n"), {"below 2^63"});
    check_parts(refusal(general + "9223372036854775808 1 0\n"), {"a number of rows"});
    check_parts(refusal<double, std::uint8_t>(general + "257 1 0\n"),
        {"line 2", "at most 256 rows and columns", "'257 1'"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        read_dense(general + "1000000 1000000 0\n");
                    }),
        {"at most 268435456 elements", "'1000000 1000000'"});
    CHECK(read(general + "1000000 1000000 0\n").rows() == 1'000'000);
    check_parts(refusal(general + "1 1 0\n", {.max_bytes = 20}), {"at most 20 bytes"});
}

TEST_CASE("smtx: what is no such file is refused with line and row")
{
    CHECK(smtx_refusal("3, 5, 4\n0 2 2 4\n4 1 0 3\n") == "");
    check_parts(smtx_refusal(""), {"x.smtx", "rows, columns, nonzeros"});
    check_parts(smtx_refusal("3, 5\n0 2 2 4\n"), {"line 1", "a number of non-zeros", "nothing"});
    check_parts(smtx_refusal("3, 5, 4, 1\n0 2 2 4\n4 1 0 3\n"), {"after the extents", "'1'"});
    check_parts(smtx_refusal("3, 5, 4\n"), {"line 1", "a number of rows", "'3'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2\n4 1 0 3\n"), {"line 2", "offset 3", "nothing"});
    check_parts(smtx_refusal("3, 5, 4\n1 2 2 4\n4 1 0 3\n"), {"offset 0 from 0 to 0", "'1'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 1 4\n4 1 0 3\n"), {"offset 2 from 2 to 4", "'1'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 5 4\n4 1 0 3\n"), {"offset 2", "'5'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 3\n4 1 0 3\n"), {"offset 3 from 4 to 4", "'3'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4 4\n4 1 0 3\n"), {"after the offsets", "'4'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 1 0 5\n"),
        {"line 3", "a column of row 2 from 0 to 4", "'5'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 -1 0 3\n"), {"a column of row 0", "'-1'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 4 0 3\n"), {"once in row 0", "'4 twice'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 1 0\n"), {"a column of row 2", "nothing"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 1 0 3 3\n"), {"after the indices", "'3'"});
    check_parts(smtx_refusal("3, 5, 4\n0 2 2 4\n4 1 0 3\n3\n"), {"after the matrix", "'3'"});
    check_parts(smtx_refusal<std::uint8_t>("1, 257, 0\n0 0\n"), {"columns from 0 to 256", "'257'"});
    check_parts(smtx_refusal("1000000000, 5, 0\n0 0\n"), {"rows from 0 to 2", "'1000000000'"});
    check_parts(smtx_refusal("1, 5, 1000000000\n0 1\n"), {"non-zeros from 0 to 3"});
}

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("smtx: patterns of real pruned layers have the density of their folder")
{
    const std::string folder = support::real_file("STRUCTOPT_DATA_DIR", "dlmc/transformer");
    index_t files = 0;
    for (const char* const zeros : {"0.5", "0.98"})
    {
        if (folder.empty())
        {
            return;
        }
        for (const auto& entry : std::filesystem::directory_iterator(folder + "/" + zeros))
        {
            const auto m = io::read_smtx<float, std::uint16_t>(entry.path().string());
            const double density =
                static_cast<double>(m.nonzeros()) / static_cast<double>(m.size());
            CHECK(std::abs(1 - density - std::stod(zeros)) < 0.01);
            ++files;
        }
    }
    CHECK(files > 0);
}

#endif

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("Matrix Market: compressed")
{
    const auto packed = support::gzip(support::to_bytes(general + "1 2 1\n1 2 3\n"));
    io::byte_source source(packed, "x.mtx.gz");
    CHECK(io::read_matrix_market<float>(source).to_dense()(0, 1) == 3.0f);
}

#endif

} // namespace test_matrix_market
