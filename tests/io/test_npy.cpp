#include "support/golden.hpp"
#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/half.hpp>
#include <structopt/io/npy.hpp>

#include <cstdint>
#include <string>

namespace test_npy
{

using namespace structopt;
using support::operator+;
using support::check_parts;
using support::message_of;
using support::to_bytes;

namespace
{

std::string golden(const char* name)
{
    return support::golden_path(std::string("io/") + name);
}

/// A version 1.0 file with this header text.
support::bytes with_header(const std::string& header, const support::bytes& data = {})
{
    return to_bytes({0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<int>(header.size() & 255),
               static_cast<int>(header.size() >> 8)}) +
           to_bytes(header) + data;
}

template <class T, std::size_t N, class Error = format_error>
std::string refusal(const support::bytes& data)
{
    return message_of<Error>(
        [&]
        {
            io::byte_source source(data, "x.npy");
            io::read_npy<T, N>(source);
        });
}

template <class T>
void check_round_trip(T scale)
{
    auto x = make_tensor<T>(shape<3>{2, 3, 4});
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        x.data()[i] = static_cast<T>(static_cast<T>(i) * scale);
    }
    const auto bytes = io::npy_bytes(x);
    CHECK(bytes.size() == 128 + 24 * sizeof(T));
    io::byte_source source(bytes, "x.npy");
    const auto y = io::read_npy<T, 3>(source);
    CHECK(shape_of(y) == shape<3>{2, 3, 4});
    CHECK(std::equal(x.begin(), x.end(), y.begin()));
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("npy: NumPy's files")
    {
        const auto f4 = io::read_npy<float, 3>(golden("f4.npy"));
        CHECK(shape_of(f4) == shape<3>{2, 3, 4});
        CHECK(f4(1, 2, 3) == 23 / 8.0f);
        CHECK(f4(0, 1, 2) == 6 / 8.0f);
        CHECK(io::read_npy<double, 3>(golden("f8_big.npy"))(1, 0, 1) == 13 / 8.0);
        CHECK(io::read_npy<float, 3>(golden("f8_big.npy"))(1, 0, 1) == 13 / 8.0f);
    }
}

TEST_CASE("npy: Fortran order comes out with the same indices")
{
    const auto x = io::read_npy<std::int16_t, 3>(golden("i2_fortran.npy"));
    const auto y = io::read_npy<std::int64_t, 3>(golden("i8_big_fortran.npy"));
    CHECK(shape_of(x) == shape<3>{2, 3, 4});
    for (index_t i = 0; i < 2; ++i)
    {
        for (index_t j = 0; j < 3; ++j)
        {
            for (index_t k = 0; k < 4; ++k)
            {
                const index_t n = (i * 3 + j) * 4 + k;
                CHECK(x(i, j, k) == n - 5);
                CHECK(y(i, j, k) == -n * (std::int64_t(1) << 40));
            }
        }
    }
}

TEST_CASE("npy: versions, element types, ranks")
{
    CHECK(io::read_npy<std::uint32_t, 3>(golden("u4_v2.npy"))(1, 2, 3) == 23);
    CHECK(io::read_npy<int, 3>(golden("u1_v3.npy"))(1, 2, 3) == 23);
    CHECK(io::read_npy<float, 3>(golden("f2.npy"))(0, 0, 1) == -11 / 4.0f);
    CHECK(io::read_npy<io::half, 3>(golden("f2.npy"))(0, 0, 0).bits() == 0xc200);
    CHECK(io::read_npy<bool, 3>(golden("bool.npy"))(0, 0, 3));
    CHECK(!io::read_npy<bool, 3>(golden("bool.npy"))(0, 1, 0));
    CHECK(io::read_npy<float, 3>(golden("bool.npy"))(1, 2, 1) == 1.0f);
    CHECK(io::read_npy<double, 0>(golden("scalar.npy"))() == 2.5);
    CHECK(shape_of(io::read_npy<float, 2>(golden("empty.npy"))) == shape<2>{0, 3});
}

TEST_CASE("npy: what is written reads back")
{
    check_round_trip<float>(0.37f);
    check_round_trip<double>(-1e100);
    check_round_trip<std::int8_t>(-5);
    check_round_trip<std::uint8_t>(11);
    check_round_trip<std::int16_t>(-1001);
    check_round_trip<std::uint16_t>(2001);
    check_round_trip<std::int32_t>(-10000001);
    check_round_trip<std::uint32_t>(100000001);
    check_round_trip<std::int64_t>(-1000000000000001);
    check_round_trip<std::uint64_t>(1000000000000001);

    const support::scratch_folder folder;
    auto x = make_tensor<float>(shape<2>{2, 3});
    for (int i = 0; i < 6; ++i)
    {
        x.data()[i] = static_cast<float>(i);
    }
    const view<const float, 2> transposed(x.data(), {3, 2}, {1, 3});
    io::write_npy(folder.path("t.npy"), transposed);
    const auto y = io::read_npy<float, 2>(folder.path("t.npy"));
    CHECK(shape_of(y) == shape<2>{3, 2});
    CHECK(y(2, 0) == 2.0f);
    CHECK(y(0, 1) == 3.0f);
    const auto flags = full<bool>(shape<1>{3}, true);
    io::write_npy(folder.path("b.npy"), flags);
    CHECK(io::read_npy<bool, 1>(folder.path("b.npy"))(2));
    CHECK(folder.count() == 2);
}

TEST_CASE("npy: writes what NumPy writes")
{
    const auto x = io::read_npy<float, 3>(golden("f4.npy"));
    const auto bytes = io::npy_bytes(x);
    CHECK(support::bytes(bytes.begin(), bytes.end()) == support::slurp(golden("f4.npy")));
}

TEST_CASE("npy: what does not fit is refused with file, byte and expectation")
{
    const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
    const auto four = to_bytes({0, 0, 128, 63});
    CHECK(refusal<float, 1>(with_header(good, four)).empty());
    CHECK(refusal<float, 1>(
        with_header("{\"shape\":(1L,),\"fortran_order\":False,\"descr\":\"<f4\"}   \n", four))
              .empty());

    check_parts(refusal<float, 1>(to_bytes("PK\3\4........")), {"x.npy at byte 0", "npy magic"});
    check_parts(refusal<float, 1>(to_bytes({0x93, 'N', 'U', 'M', 'P', 'Y', 4, 0, 0, 0})),
        {"x.npy at byte 6", "1.0, 2.0 or 3.0", "4.0"});
    check_parts(
        refusal<float, 1>(to_bytes({0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 255, 255, 255, 255})),
        {"x.npy at byte 8", "at most 65536", "4294967295"});
    check_parts(refusal<float, 2, shape_error>(with_header(good, four)), {"2 axes", "[1]"});
    check_parts(refusal<int, 1>(with_header(good, four)), {"readable as I32", "got F32"});
    check_parts(refusal<float, 1>(with_header(good, to_bytes({0, 0, 0}))),
        {"x.npy at byte 67", "4 bytes of elements for extents [1]", "3 until"});
    check_parts(refusal<float, 1>(with_header(good, four + four)),
        {"x.npy at byte 71", "the end of the file", "4 more bytes"});
    check_parts(
        refusal<bool, 1>(with_header(
            "{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", to_bytes({1, 0, 2}))),
        {"x.npy at byte 67", "0 or 1 (bool)", "got 2"});

    const auto descr = [](const std::string& text)
    {
        return refusal<float, 1>(
            with_header("{'descr': " + text + ", 'fortran_order': False, 'shape': (0,)}"));
    };
    check_parts(descr("'<c8'"), {"x.npy at byte 20", "b1, i1..i8", "'<c8'"});
    check_parts(descr("'|O'"), {"b1, i1..i8", "'|O'"});
    check_parts(descr("'|f4'"), {"'|f4'"});
    check_parts(descr("'<f16'"), {"'<f16'"});
    check_parts(descr("''"), {"b1, i1..i8"});
    check_parts(descr("[('a', '<f4')]"), {"a plain element type", "a structured one"});
    check_parts(descr("'<f4"), {"x.npy at byte"});

    const auto extents = [](const std::string& text)
    {
        return refusal<float, 2>(
            with_header("{'descr': '<f4', 'fortran_order': False, 'shape': " + text + "}"));
    };
    check_parts(extents("(-1, 2)"), {"a non-negative extent", "'-1, 2)"});
    check_parts(extents("(1.5, 2)"), {"')'", ".5"});
    check_parts(extents("(99999999999999999999, 2)"), {"an extent that fits in memory"});
    check_parts(extents("(9223372036854775807, 9223372036854775807)"), {"product fits"});
    check_parts(extents("(1099511627776, 65536)"),
        {"for extents [1099511627776, 65536]", "0 until the end"});
    check_parts(extents("(0, 9223372036854775807)"), {"product fits"});
    check_parts(extents("3"), {"'('"});
    check_parts(extents("(1 2)"), {"')'"});
    std::string many = "(";
    for (int i = 0; i < 100; ++i)
    {
        many += "1,";
    }
    check_parts(extents(many + ")"), {"at most 64 axes"});

    const auto header = [](const std::string& text)
    {
        return refusal<float, 1>(with_header(text, to_bytes({0, 0, 0, 0})));
    };
    check_parts(header("{'descr': '<f4', 'shape': (1,)}"), {"the keys descr"});
    check_parts(header("{'descr': '<f4', 'descr': '<f4'}"), {"once", "'descr'"});
    check_parts(header("{'descr': '<f4', 'strides': 3}"), {"once", "'strides'"});
    check_parts(header(good.substr(0, good.size() - 1)), {"the end of the header"});
    check_parts(header(good + "x"), {"after the dictionary", "'x'"});
    check_parts(header("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}"), {"True or False"});
    check_parts(header(""), {"'{'", "the end of the header"});

    check_parts(message_of<format_error>(
                    []
                    {
                        io::read_npy<float, 1>(golden("complex.npy"));
                    }),
        {"complex.npy at byte 20", "'<c16'"});
    check_parts(message_of<format_error>(
                    []
                    {
                        io::read_npy<float, 1>(golden("record.npy"));
                    }),
        {"record.npy at byte 20", "a structured one"});
}

} // namespace test_npy
