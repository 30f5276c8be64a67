#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/csv.hpp>

#include <clocale>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace test_csv
{

using namespace structopt;
using support::check_parts;
using support::message_of;

namespace
{

template <class T = double>
tensor<T, 2> read(const std::string& text, const io::csv_options& options = {})
{
    const auto data = support::to_bytes(text);
    io::byte_source source(data, "x.csv");
    return io::read_csv<T>(source, options);
}

template <class T = double>
std::vector<T> values(const std::string& text, const io::csv_options& options = {})
{
    const auto x = read<T>(text, options);
    return {x.begin(), x.end()};
}

template <class T = double>
std::string refusal(const std::string& text, const io::csv_options& options = {})
{
    return message_of<format_error>(
        [&]
        {
            read<T>(text, options);
        });
}

using doubles = std::vector<double>;

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("csv: rows and columns")
    {
        const auto x = read("1,2.5,-3e2\n4,5,.5\n");
        CHECK(shape_of(x) == shape<2>{2, 3});
        CHECK(x(0, 2) == -300);
        CHECK(x(1, 2) == 0.5);
    }
}

TEST_CASE("csv: line ends, blank lines, comments, headers, quotes, spaces")
{
    const doubles expected{1, 2, 3, 4};
    CHECK(values("1,2\n3,4") == expected);
    CHECK(values("1,2\r\n3,4\r\n") == expected);
    CHECK(values("\n1,2\n\n  \n3,4\n\n") == expected);
    CHECK(values("\xef\xbb\xbf"
                 "1,2\n3,4\n") == expected);
    CHECK(values("# a comment, here\n1,2\n#\n3,4\n") == expected);
    CHECK(values("% a comment\n1,2\n3,4\n", {.comment = '%'}) == expected);
    CHECK(values("# x\na,\"b\"\n1,2\n3,4\n", {.header_rows = 1}) == expected);
    CHECK(values("\"1\",\"2\"\n\"3\" , 4\n") == expected);
}

TEST_CASE("csv: spaces around fields, but not inside quotes; other delimiters")
{
    check_parts(refusal("1,2\n\" 3\",4\n"), {"x.csv line 2 column 1", "a number", "' 3'"});
    CHECK(values("  1\t, \"2\" \n 3,+4") == doubles{1, 2, 3, 4});
    CHECK(values("1;2\n3;4", {.delimiter = ';'}) == doubles{1, 2, 3, 4});
    CHECK(values("1\t2\n3\t4", {.delimiter = '\t'}) == doubles{1, 2, 3, 4});
    CHECK(values("1 2\n3 4", {.delimiter = ' '}) == doubles{1, 2, 3, 4});
}

TEST_CASE("csv: columns that are asked for; the others need not be numbers")
{
    const std::string text = "date,name,v\n\"1981-01-01\",\"a, \"\"b\"\"\",20.5\n1981-01-02,,21\n";
    CHECK(values(text, {.header_rows = 1, .columns = {2}}) == doubles{20.5, 21});
    CHECK(values("1,2,3\n4,5,6", {.columns = {2, 0, 2}}) == doubles{3, 1, 3, 6, 4, 6});
    check_parts(refusal(text, {.header_rows = 1, .columns = {0}}),
        {"x.csv line 2 column 1", "a number", "'1981-01-01'"});
    check_parts(refusal("1,2\n", {.columns = {2}}), {"line 1", "a column 2", "2 columns"});
    check_parts(refusal("1,2\n", {.columns = {-1}}), {"line 1", "a column -1"});
}

TEST_CASE("csv: numbers of every type")
{
    CHECK(values<float>("0.1,1e-50,-1e-42,16777217") ==
          std::vector<float>{0.1f, 0.0f, -1e-42f, 16777216.0f});
    CHECK(values("1e308,4.9e-324") == doubles{1e308, 4.9e-324});
    CHECK(std::isnan(read("nan")(0, 0)));
    CHECK(std::isinf(read("-inf")(0, 0)));
    CHECK(values<int>("7,-8,9.0,1e3,-0.0") == std::vector<int>{7, -8, 9, 1000, 0});
    CHECK(values<std::uint8_t>("255,0,2.55e2") == std::vector<std::uint8_t>{255, 0, 255});
    CHECK(values<std::int64_t>("9223372036854775807,-9223372036854775808") ==
          std::vector<std::int64_t>{INT64_MAX, INT64_MIN});
    CHECK(values<std::uint64_t>("18446744073709551615") == std::vector<std::uint64_t>{UINT64_MAX});

    for (const char* const bad :
        {"1e999", "-1e999", "1.5x", "0x10", "--1", "+-1", "1 2", "e5", "."})
    {
        check_parts(refusal("1\n" + std::string(bad)), {"x.csv line 2 column 1", "a number", bad});
    }
    check_parts(refusal<float>("1e39"), {"line 1 column 1", "range", "'1e39'"});
    for (const char* const bad : {"256", "-1", "1.5", "1e3", "nan", "inf"})
    {
        check_parts(refusal<std::uint8_t>(bad), {"line 1 column 1", "a whole number", bad});
    }
    check_parts(refusal<std::int64_t>("9223372036854775808"), {"a whole number"});
    check_parts(refusal<int>("2147483648.0"), {"a whole number"});
}

TEST_CASE("csv: what does not fit is refused with line, column and expectation")
{
    check_parts(refusal("1,2\n3\n"), {"x.csv line 2", "2 columns", "got 1"});
    check_parts(refusal("1,2\n#\n\n3,4,5\n"), {"x.csv line 4", "2 columns", "got 3"});
    check_parts(refusal("1,,2\n"), {"x.csv line 1 column 2", "a number", "got nothing"});
    check_parts(refusal("1,2,\n"), {"x.csv line 1 column 3", "got nothing"});
    check_parts(refusal("a,b\n1,2\n"), {"x.csv line 1 column 1", "'a'"});
    check_parts(refusal("1,\"2\n"), {"x.csv line 1 column 2", "a closing quote"});
    check_parts(refusal("1,\"2\"3\n"), {"x.csv line 1 column 2", "a delimiter", "'3'"});
    check_parts(refusal(std::string("1,\0\n", 4)), {"x.csv line 1 column 2", "'\\x00'"});
    check_parts(refusal("1,\x1b[31m\n"), {"line 1 column 2", "'\\x1b[31m'"});
    check_parts(refusal("123456", {.max_bytes = 5}), {"x.csv", "at most 5 bytes"});
    CHECK_THROWS_AS(read("1", {.delimiter = '"'}), argument_error);
    CHECK_THROWS_AS(read("1", {.header_rows = -1}), argument_error);
}

TEST_CASE("csv: no rows")
{
    CHECK(shape_of(read("")) == shape<2>{0, 0});
    CHECK(shape_of(read("a,b\n", {.header_rows = 1})) == shape<2>{0, 0});
    CHECK(shape_of(read("a,b\n", {.header_rows = 5})) == shape<2>{0, 0});
}

TEST_CASE("csv: the locale does not matter")
{
    const std::string before = std::setlocale(LC_ALL, nullptr);
    // A comma as decimal point; not installed everywhere.
    for (const char* const name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C.UTF-8"})
    {
        if (std::setlocale(LC_ALL, name) != nullptr)
        {
            break;
        }
    }
    CHECK(values("1.5,2") == doubles{1.5, 2});
    std::setlocale(LC_ALL, before.c_str());
}

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("csv: compressed")
{
    const auto packed = support::gzip(support::to_bytes("1,2\n3,4\n"));
    io::byte_source source(packed, "x.csv.gz");
    CHECK(io::read_csv<float>(source)(1, 0) == 3.0f);
}

#endif

} // namespace test_csv
