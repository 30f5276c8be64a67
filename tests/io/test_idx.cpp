#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/idx.hpp>

#include <cstdint>
#include <string>

namespace test_idx
{

using namespace structopt;
using support::operator+;
using support::check_parts;
using support::message_of;
using support::to_bytes;

namespace
{

template <class T, std::size_t N>
tensor<T, N> read(const support::bytes& data)
{
    io::byte_source source(data, "x.idx");
    return io::read_idx<T, N>(source);
}

template <class T, std::size_t N, class Error = format_error>
std::string refusal(const support::bytes& data)
{
    return message_of<Error>(
        [&]
        {
            read<T, N>(data);
        });
}

const auto two_by_three = to_bytes({0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 253, 254, 255});

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("idx: bytes, as themselves and as wider types")
    {
        const auto x = read<std::uint8_t, 2>(two_by_three);
        CHECK(shape_of(x) == shape<2>{2, 3});
        CHECK(x(0, 2) == 2);
        CHECK(x(1, 2) == 255);
        CHECK(read<float, 2>(two_by_three)(1, 1) == 254.0f);
        CHECK(read<std::int16_t, 2>(two_by_three)(1, 0) == 253);
    }
}

TEST_CASE("idx: every element type is big-endian")
{
    CHECK(read<std::int8_t, 1>(to_bytes({0, 0, 9, 1, 0, 0, 0, 2, 255, 128}))(1) == -128);
    CHECK(read<std::int16_t, 1>(to_bytes({0, 0, 0x0b, 1, 0, 0, 0, 2, 0, 1, 255, 254}))(1) == -2);
    CHECK(read<std::int32_t, 1>(to_bytes({0, 0, 0x0c, 1, 0, 0, 0, 1, 0, 1, 0, 2}))(0) == 65538);
    CHECK(read<float, 1>(to_bytes({0, 0, 0x0d, 1, 0, 0, 0, 1, 0xc0, 0x20, 0, 0}))(0) == -2.5f);
    const auto f64 = to_bytes({0, 0, 0x0e, 1, 0, 0, 0, 1, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0});
    CHECK(read<double, 1>(f64)(0) == 1.5);
    CHECK(read<float, 1>(f64)(0) == 1.5f);
    CHECK(read<std::uint8_t, 0>(to_bytes({0, 0, 8, 0, 42}))() == 42);
    CHECK(read<std::uint8_t, 2>(to_bytes({0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 3})).size() == 0);
}

TEST_CASE("idx: large converted tensors come in pieces")
{
    auto data = to_bytes({0, 0, 0x0b, 1, 0, 3, 0, 0});
    for (int i = 0; i < 0x30000; ++i)
    {
        data.push_back(static_cast<std::byte>(i >> 8));
        data.push_back(static_cast<std::byte>(i));
    }
    const auto x = read<float, 1>(data);
    const auto y = read<std::int16_t, 1>(data);
    int wrong = 0;
    for (int i = 0; i < 0x30000; ++i)
    {
        const auto expected = static_cast<std::int16_t>(i);
        wrong += x(i) == static_cast<float>(expected) && y(i) == expected ? 0 : 1;
    }
    CHECK(wrong == 0);
}

TEST_CASE("idx: what does not fit is refused with file, byte and expectation")
{
    check_parts(refusal<std::uint8_t, 2>({}), {"x.idx at byte 0", "4 bytes of idx header", "0"});
    check_parts(refusal<std::uint8_t, 2>(to_bytes("PNG...")), {"x.idx at byte 0", "idx magic"});
    check_parts(refusal<std::uint8_t, 2>(to_bytes({0, 0, 0x0a, 2})), {"idx magic", "0 0 10 2"});
    check_parts(refusal<std::uint8_t, 3, shape_error>(two_by_three),
        {"x.idx at byte 3", "3 axes", "got 2"});
    check_parts(refusal<std::int8_t, 2>(two_by_three),
        {"x.idx at byte 2", "elements readable as I8", "got U8"});

    auto cut = two_by_three;
    cut.pop_back();
    check_parts(refusal<std::uint8_t, 2>(cut),
        {"x.idx at byte 12", "6 bytes of elements for extents [2, 3]", "5 until the end"});
    check_parts(refusal<std::uint8_t, 2>(two_by_three + to_bytes("!")),
        {"x.idx at byte 18", "the end of the file", "1 more bytes"});
    check_parts(refusal<std::uint8_t, 2>(to_bytes({0, 0, 8, 2, 0, 0, 0, 2, 0, 0})),
        {"x.idx at byte 4", "8 bytes of idx extents"});
}

TEST_CASE("idx: huge extents cost nothing")
{
    // 2^64 - 2^33 + 1 elements, and 2^62 bytes that are not there.
    check_parts(
        refusal<std::uint8_t, 2>(to_bytes({0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255})),
        {"x.idx at byte 4", "product fits in memory", "[4294967295, 4294967295]"});
    check_parts(
        refusal<std::uint8_t, 2>(to_bytes({0, 0, 8, 2, 127, 255, 255, 255, 16, 0, 0, 0, 1})),
        {"for extents [2147483647, 268435456]", "1 until the end"});
    // No elements at all, but strides that would overflow.
    check_parts(refusal<std::uint8_t, 3>(
                    to_bytes({0, 0, 8, 3, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})),
        {"product fits in memory"});
}

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("idx: compressed")
{
    const auto packed = support::gzip(two_by_three);
    CHECK(read<std::uint8_t, 2>(packed)(1, 2) == 255);
    auto cut = two_by_three;
    cut.pop_back();
    check_parts(refusal<std::uint8_t, 2>(support::gzip(cut)),
        {"x.idx at byte 12 (inflated)", "6 bytes of elements", "5 until the end"});
    check_parts(refusal<std::uint8_t, 2>(support::gzip(two_by_three + to_bytes("!"))),
        {"x.idx at byte 18 (inflated)", "the end of the file", "more bytes"});
    // 2^40 bytes are claimed: counted, not asked for.
    check_parts(refusal<std::uint8_t, 2>(
                    support::gzip(to_bytes({0, 0, 8, 2, 0, 16, 0, 0, 0, 16, 0, 0, 1}))),
        {"x.idx at byte 12 (inflated)", "for extents [1048576, 1048576]", "1 until the end"});
}

#endif

} // namespace test_idx
