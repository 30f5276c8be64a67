#include "support/golden.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/safetensors.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace test_safetensors_file
{

using namespace structopt;
using support::operator+;
using support::check_parts;
using support::message_of;

static_assert(!std::is_copy_constructible_v<io::safetensors_file>);
static_assert(std::is_nothrow_move_constructible_v<io::safetensors_file>);

namespace
{

support::bytes with_length(std::uint64_t length, const std::string& rest)
{
    support::bytes data;
    for (int i = 0; i < 8; ++i)
    {
        data.push_back(static_cast<std::byte>(length >> (8 * i)));
    }
    return data + support::to_bytes(rest);
}

/// A file with this header and so many bytes of data, all zero.
support::bytes with_header(const std::string& header, std::size_t data = 0)
{
    return with_length(header.size(), header) + support::bytes(data);
}

std::string refusal(const support::bytes& data)
{
    return message_of<format_error>(
        [&]
        {
            io::safetensors_file(data, "x");
        });
}

std::string header_refusal(const std::string& header, std::size_t data = 0)
{
    return refusal(with_header(header, data));
}

const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

} // namespace

TEST_SUITE("smoke")
{
    /// What points into the file needs a file that lives on.
    template <class File>
    concept lends = requires(File && file)
    {
        std::forward<File>(file).template borrow<float, 2>("w");
    };
    static_assert(lends<const io::safetensors_file&>);
    static_assert(!lends<io::safetensors_file>);

    TEST_CASE("safetensors_file: the reference implementation's file")
    {
        io::safetensors_file file(support::golden_path("io/dtypes.safetensors"));
        CHECK(file.size() == 19);
        CHECK(file.entries().size() == 19);
        CHECK(file.names()[0] == "all.U64");
        CHECK(file.metadata().at("format") == "np");
        CHECK(file.contains("scalar"));
        CHECK(!file.contains("Scalar"));
        CHECK(file.find("nothing") == nullptr);

        const auto four = file.read<std::int16_t, 4>("four axes");
        CHECK(shape_of(four) == shape<4>{1, 2, 3, 4});
        CHECK(four(0, 1, 2, 3) == 23);
        CHECK(file.read<float, 0>("scalar")() == 3.25f);
        CHECK(file.at("empty").bytes.empty());
        CHECK(file.read<std::uint8_t, 1>("name \"\\\n\xc3\xa4")(2) == 2);

        const auto check_integers = [&]<class T>(std::type_identity<T>, const std::string& name)
        {
            const auto x = file.read<T, 2>("all." + name);
            CHECK(x(0, 0) == std::numeric_limits<T>::min());
            CHECK(x(1, 1) == 3);
            CHECK(x(1, 2) == std::numeric_limits<T>::max());
        };
        check_integers(std::type_identity<std::int8_t>{}, "I8");
        check_integers(std::type_identity<std::uint8_t>{}, "U8");
        check_integers(std::type_identity<std::int16_t>{}, "I16");
        check_integers(std::type_identity<std::uint16_t>{}, "U16");
        check_integers(std::type_identity<std::int32_t>{}, "I32");
        check_integers(std::type_identity<std::uint32_t>{}, "U32");
        check_integers(std::type_identity<std::int64_t>{}, "I64");
        check_integers(std::type_identity<std::uint64_t>{}, "U64");
        for (const char* const name : {"F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
        {
            const auto x = file.read<float, 2>(std::string("all.") + name);
            const auto y = file.read<double, 2>(std::string("all.") + name);
            CHECK(x(0, 0) == -2.0f);
            CHECK(std::signbit(x(0, 1)));
            CHECK(y(0, 2) == 0.5);
            CHECK(y(1, 1) == 1.5);
            CHECK(x(1, 2) == 448.0f);
        }
        CHECK(file.read<bool, 2>("all.BOOL")(1, 2));
        CHECK(file.read<float, 2>("all.BOOL")(0, 1) == 0.0f);

        // Views stay valid when the file object moves.
        const auto borrowed = file.borrow<float, 2>("all.F32");
        const io::safetensors_file moved(std::move(file));
        CHECK(borrowed(1, 2) == 448.0f);
        CHECK(moved.at("all.F32").bytes.data() ==
              reinterpret_cast<const std::byte*>(borrowed.data()));
    }
}

TEST_CASE("safetensors_file: accepted although unusual")
{
    CHECK(refusal(with_header(good, 8)).empty());
    CHECK(refusal(with_header(good + "     ", 8)).empty());
    CHECK(refusal(with_header("{}")).empty());
    CHECK(refusal(with_header("{\"__metadata__\":{}}")).empty());
    // Keys in any order, JSON spaces, escapes; empty tensors on both sides of one; data order
    // other than header order.
    const auto file_bytes =
        with_header("{\"b\" : {\"data_offsets\":[4,12],\t\"shape\":[ 2, 1 ],\"dtype\":\"F32\"},\n"
                    R"("z":{"dtype":"F64","shape":[3,0],"data_offsets":[4,4]},)"
                    R"("\u0061":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},)"
                    R"("y":{"dtype":"F64","shape":[0],"data_offsets":[12,12]}})",
            12);
    const io::safetensors_file file(file_bytes, "x");
    CHECK(file.names() == std::vector<std::string>{"a", "z", "b", "y"});
    CHECK(file.at("b").offset == file_bytes.size() - 8);
    CHECK(file.read<double, 2>("z").size() == 0);
}

TEST_CASE("safetensors_file: header lengths")
{
    check_parts(refusal({}), {"x at byte 0", "8 bytes", "0 bytes"});
    check_parts(refusal(support::bytes(7)), {"x at byte 0", "7 bytes"});
    check_parts(refusal(with_length(0, "")), {"x at byte 8", "'{'", "an empty one"});
    check_parts(refusal(with_length(3, "{}")),
        {"x at byte 0", "within the file", "3 bytes in a file of 10", "truncated"});
    check_parts(refusal(with_length(100000001, "{}")), {"at most 100000000", "100000001"});
    check_parts(refusal(with_length(UINT64_MAX, "{}")), {"18446744073709551615"});
    check_parts(refusal(with_length(UINT64_MAX - 7, "{}")), {"18446744073709551608"});
    check_parts(refusal(support::to_bytes("a text file of some length")), {"no safetensors file"});
}

TEST_CASE("safetensors_file: JSON that is none")
{
    check_parts(header_refusal(" {}"), {"x at byte 8", "begins with '{'", "' '"});
    check_parts(header_refusal("[]"), {"'['"});
    check_parts(header_refusal("{"), {"x at byte 9", "well-formed JSON"});
    check_parts(header_refusal("{} x"), {"well-formed JSON"});
    check_parts(header_refusal("{}{}"), {"well-formed JSON"});
    check_parts(header_refusal(std::string("{}\0 ", 4)), {"x at byte 10", "a zero byte"});
    check_parts(header_refusal("{\"a\xff\":1}"), {"x at byte 12", "well-formed JSON in UTF-8"});
    check_parts(header_refusal("{\"\\ud800\":1}"), {"well-formed JSON in UTF-8"});
    check_parts(header_refusal("{'a':1}"), {"well-formed JSON"});
    check_parts(header_refusal("{\"a\":01}"), {"'a'"});
    check_parts(header_refusal("{/**/}"), {"well-formed JSON"});
    check_parts(header_refusal(good.substr(0, good.size() - 1) + ",}", 8), {"well-formed JSON"});
    // Deeper than any stack: refused at the second level.
    const std::size_t deep = 10'000'000;
    check_parts(header_refusal("{\"a\":" + std::string(deep, '[')), {"x at byte 14", "an array"});
    std::string objects = "{";
    for (int i = 0; i < 100000; ++i)
    {
        objects += "\"a\":{";
    }
    check_parts(header_refusal(objects), {"only dtype, shape and data_offsets", "'a'"});
    check_parts(header_refusal("{\"a\":{\"shape\":[[[["), {"a shape of tensor 'a'", "an array"});
}

TEST_CASE("safetensors_file: entries that are none")
{
    const auto entry = [](const std::string& text, std::size_t data = 8)
    {
        return header_refusal("{\"a\":" + text + "}", data);
    };
    for (const char* const bad : {"1", "-1", "1.5", "true", "null", "\"F32\"", "[]"})
    {
        check_parts(entry(bad), {"an object with dtype", "tensor 'a'"});
    }
    check_parts(entry("{}"), {"x at byte", "dtype, shape and data_offsets", "no dtype"});
    check_parts(entry(R"({"dtype":"F32","data_offsets":[0,8]})"), {"no shape"});
    check_parts(entry(R"({"dtype":"F32","shape":[2]})"), {"no data_offsets"});
    check_parts(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1})"),
        {"only dtype", "'more'"});
    check_parts(entry(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
        {"dtype of tensor 'a' once", "a second one"});
    check_parts(entry(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})"),
        {"shape of tensor 'a' once"});
    check_parts(entry(R"({"data_offsets":[0,8],"data_offsets":[0,8]})"),
        {"data_offsets of tensor 'a' once"});

    const auto type = [&](const std::string& text)
    {
        return entry(R"({"dtype":)" + text + R"(,"shape":[2],"data_offsets":[0,8]})");
    };
    for (const char* const bad :
        {"\"F31\"", "\"f32\"", "\"C128\"", "\"\"", "32", "[\"F32\"]", "{}"})
    {
        check_parts(type(bad), {"a known dtype of tensor 'a'"});
    }

    const auto extents = [&](const std::string& text)
    {
        return entry(R"({"dtype":"F32","shape":)" + text + R"(,"data_offsets":[0,8]})");
    };
    for (const char* const bad :
        {"2", "[-2]", "[2.0]", "[2e0]", "[\"2\"]", "[true]", "[null]", "{}", "[{}]",
            "[9223372036854775808]", "[18446744073709551615]", "[18446744073709551617]"})
    {
        check_parts(extents(bad), {"a shape of tensor 'a' of whole numbers"});
    }
    check_parts(extents("[3]"), {"12 bytes for F32 [3]", "8 bytes [0, 8]"});
    check_parts(extents("[]"), {"4 bytes for F32 []", "8 bytes"});
    check_parts(extents("[0]"), {"0 bytes for F32 [0]", "8 bytes"});
    // Products that wrap around to the right size in 64 bits.
    check_parts(extents("[4294967296,4294967296,2]"), {"more than 2^63"});
    check_parts(extents("[4611686018427387904,2]"), {"more than 2^63"});
    check_parts(extents("[2305843009213693952,4,2]"), {"more than 2^63"});
    check_parts(extents("[0,9223372036854775807,9223372036854775807]"), {"more than 2^63"});
    std::string many = "[1";
    for (int i = 0; i < 64; ++i)
    {
        many += ",1";
    }
    check_parts(extents(many + "]"), {"more than 64 axes"});

    const auto offsets = [&](const std::string& text)
    {
        return entry(R"({"dtype":"F32","shape":[2],"data_offsets":)" + text + "}");
    };
    for (const char* const bad : {"0", "[]", "[0]", "[0,8,8]", "[-8,0]", "[0.0,8]", "[[0,8]]",
             "[\"0\",8]", "[0,18446744073709551617]"})
    {
        check_parts(offsets(bad), {"two data_offsets of tensor 'a'"});
    }
    check_parts(offsets("[8,0]"), {"in order and within the 8 bytes", "[8, 0]"});
    check_parts(offsets("[8,16]"), {"within the 8 bytes of data", "[8, 16]"});
    check_parts(offsets("[18446744073709551608,18446744073709551615]"), {"within the 8 bytes"});
    check_parts(offsets("[0,4]"), {"8 bytes for F32 [2]", "4 bytes [0, 4]"});
}

TEST_CASE("safetensors_file: names twice, metadata that is none")
{
    const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
    check_parts(header_refusal("{" + a + "," + a + "}", 1), {"tensor 'a' once", "a second one"});
    check_parts(header_refusal(
                    R"({"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)" + a + "}", 1),
        {"tensor 'a' once"});
    check_parts(header_refusal(R"({"__metadata__":{},"__metadata__":{}})"), {"__metadata__ once"});
    check_parts(header_refusal(R"({"__metadata__":{"k":"1","k":"2"}})"), {"metadata key 'k' once"});
    for (const char* const bad : {"1", "[]", "\"x\"", "null"})
    {
        check_parts(header_refusal("{\"__metadata__\":" + std::string(bad) + "}"),
            {"__metadata__ to be an object of strings"});
    }
    for (const char* const bad : {"1", "[]", "{}", "null", "true", "1.5"})
    {
        check_parts(header_refusal("{\"__metadata__\":{\"k\":" + std::string(bad) + "}}"),
            {"a string for metadata key 'k'"});
    }
}

TEST_CASE("safetensors_file: the data is covered once and whole")
{
    const auto two = [](const std::string& first, const std::string& second, std::size_t data)
    {
        return header_refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
                                  R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second +
                                  "}}",
            data);
    };
    CHECK(two("[0,4]", "[4,8]", 8).empty());
    CHECK(two("[4,8]", "[0,4]", 8).empty());
    check_parts(two("[0,4]", "[3,7]", 7), {"the data of 'b'", "no overlap", "from 4", "got 3"});
    check_parts(two("[0,4]", "[0,4]", 4), {"the data of 'b'", "from 4", "got 0"});
    check_parts(two("[0,4]", "[5,9]", 9), {"the data of 'b'", "no holes", "from 4", "got 5"});
    check_parts(two("[1,5]", "[5,9]", 9), {"the data of 'a'", "from 0", "got 1"});
    check_parts(two("[0,4]", "[4,8]", 9), {"the end of the file", "1 more bytes"});
    check_parts(two("[0,4]", "[4,8]", 7), {"within the 7 bytes"});
    check_parts(header_refusal("{}", 1), {"x at byte 10", "the end of the file", "1 more bytes"});
    // An empty tensor inside another one's data.
    check_parts(header_refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                               R"("b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                    4),
        {"the data of 'b'", "from 4", "got 2"});
}

TEST_CASE("safetensors_file: tensors of types without a C++ type do not bar the others")
{
    const auto bytes = with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                   R"("b":{"dtype":"F4","shape":[3,2],"data_offsets":[8,11]},)"
                                   R"("c":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[11,14]},)"
                                   R"("d":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[14,15]},)"
                                   R"("e":{"dtype":"C64","shape":[1],"data_offsets":[15,23]}})",
        23);
    const io::safetensors_file file(bytes, "x");
    CHECK(file.read<float, 1>("a").size() == 2);
    CHECK(file.at("b").bytes.size() == 3);
    CHECK(io::name_of(file.at("c").type) == "F6_E2M3");
    CHECK_THROWS_AS((file.read<float, 2>("b")), format_error);
    CHECK_THROWS_AS((file.read<double, 1>("e")), format_error);
    CHECK(!header_refusal(R"({"b":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2).empty());
    CHECK(!header_refusal(R"({"b":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,4]}})", 4)
               .empty());
}

TEST_CASE("safetensors_file: BOOL is 0 or 1")
{
    auto data = with_header(R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 3);
    CHECK(refusal(data).empty());
    data.back() = std::byte{2};
    check_parts(refusal(data), {("x at byte " + std::to_string(data.size() - 1)).c_str(),
                                   "0 or 1 in BOOL tensor 'a'", "got 2"});
}

TEST_CASE("safetensors_file: names in messages cannot carry control characters")
{
    const auto message = header_refusal(R"({"\u001b[31m\n":1})");
    check_parts(message, {"'\\x1b[31m\\x0a'"});
    CHECK(message.find('\x1b') == std::string::npos);
    check_parts(header_refusal("{\"" + std::string(100000, 'a') + "\":1}"), {"(100000 bytes)"});
}

TEST_CASE("safetensors_file: reading what does not fit changes nothing")
{
    const io::safetensors_file file(support::golden_path("io/dtypes.safetensors"));
    auto x = full<float>(shape<2>{3, 2}, -7.f);
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        file.read_into("all.F32", x);
                    }),
        {"dtypes.safetensors: tensor 'all.F32'", "[3, 2]", "got [2, 3]"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        file.read_into("all.I32", x);
                    }),
        {"tensor 'all.I32'", "readable as F32", "got I32"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        file.read_into("absent", x);
                    }),
        {"dtypes.safetensors", "a tensor 'absent'", "19 tensors: 'all.U64', 'all.I64'", "..."});
    std::array<float, 5> row{};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        file.read_into("all.F32", std::span<float>(row));
                    }),
        {"tensor 'all.F32'", "5 elements", "[2, 3]"});
    CHECK(row[0] == 0.f);
    for (const float value : x)
    {
        CHECK(value == -7.f);
    }
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        file.read<float, 1>("all.F32");
                    }),
        {"tensor 'all.F32'", "1 axes", "[2, 3]"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        file.borrow<float, 2>("all.F16");
                    }),
        {"tensor 'all.F16'", "F32 to borrow", "got F16"});
    CHECK_THROWS_AS(io::safetensors_file("no such file"), file_error);

    // A header of odd length shifts the data.
    const auto odd = with_header(good + (good.size() % 2 == 0 ? " " : ""), 8);
    const io::safetensors_file shifted(odd, "x");
    check_parts(message_of<format_error>(
                    [&]
                    {
                        shifted.borrow<float, 1>("a");
                    }),
        {"x: tensor 'a'", "aligned to 4 bytes"});
    CHECK(shifted.read<float, 1>("a")(1) == 0.f);
}

} // namespace test_safetensors_file
