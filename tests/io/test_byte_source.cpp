#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io/byte_source.hpp>

#include <array>
#include <string>

namespace test_byte_source
{

using namespace structopt;
using support::operator+;
using support::check_parts;
using support::message_of;

TEST_CASE("byte_source: plain bytes in pieces, and what is missing")
{
    const auto data = support::to_bytes("0123456789");
    io::byte_source source(data, "digits");
    std::array<std::byte, 4> piece{};
    CHECK(!source.compressed());
    CHECK(source.read(piece) == 4);
    CHECK(piece[3] == std::byte{'3'});
    CHECK(source.offset() == 4);
    source.require(6, "things");
    check_parts(message_of<format_error>(
                    [&]
                    {
                        source.require(7, "things");
                    }),
        {"digits at byte 4", "7 bytes of things", "6 until the end"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        source.expect_end();
                    }),
        {"digits at byte 4", "the end of the file", "6 more bytes"});
    source.read_exactly(piece, "things");
    CHECK(source.read_rest(100).size() == 1);
    source.expect_end();
    CHECK(source.read(piece) == 0);
    check_parts(message_of<format_error>(
                    [&]
                    {
                        source.read_exactly(piece, "things");
                    }),
        {"digits at byte 10", "4 bytes of things", "0 until"});
}

TEST_CASE("read_file: a limit on what is kept")
{
    const support::scratch_folder folder;
    support::spill(folder.path("a"), support::to_bytes("0123456789"));
    CHECK(io::read_file(folder.path("a"), 10).size() == 10);
    check_parts(message_of<format_error>(
                    [&]
                    {
                        io::read_file(folder.path("a"), 9);
                    }),
        {folder.path("a").c_str(), "at most 9 bytes"});
    support::spill(folder.path("empty"), {});
    CHECK(io::read_file(folder.path("empty"), 0).empty());
    CHECK_THROWS_AS(io::read_file(folder.path("absent"), 10), file_error);
}

#ifdef STRUCTOPT_HAS_ZLIB

namespace
{

support::bytes pattern(std::size_t n)
{
    support::bytes data(n);
    unsigned state = 1;
    for (auto& b : data)
    {
        state = state * 1664525u + 1013904223u;
        b = static_cast<std::byte>(state >> 24 & (state >> 28));
    }
    return data;
}

std::string inflate_message(const support::bytes& data)
{
    return message_of<format_error>(
        [&]
        {
            io::byte_source source(data, "x.gz");
            source.read_rest(1u << 30);
        });
}

} // namespace

TEST_CASE("byte_source: inflates, several members too")
{
    const auto data = pattern(200000);
    const auto packed = support::gzip(data);
    CHECK(packed.size() < data.size());
    {
        io::byte_source source(packed, "x.gz");
        CHECK(source.compressed());
        const auto found = source.read_rest(data.size());
        CHECK(support::bytes(found.begin(), found.end()) == data);
        source.expect_end();
    }
    const auto members = packed + support::gzip({}) + packed;
    io::byte_source source(members, "x.gz");
    const auto found = source.read_rest(1u << 30);
    CHECK(support::bytes(found.begin(), found.end()) == data + data);

    const support::scratch_folder folder;
    support::spill(folder.path("no suffix"), packed);
    CHECK(io::read_file(folder.path("no suffix"), 1u << 20).size() == data.size());
}

TEST_CASE("byte_source: broken gzip data is refused with the compressed offset")
{
    const auto packed = support::gzip(pattern(5000));
    auto cut = packed;
    cut.resize(packed.size() - 1);
    check_parts(inflate_message(cut), {("x.gz at byte " + std::to_string(cut.size())).c_str(),
                                          "more compressed data", "truncated"});
    auto sum = packed;
    sum[packed.size() - 8] ^= std::byte{1};
    check_parts(inflate_message(sum), {"x.gz at byte", "valid gzip data", "incorrect data check"});
    auto length = packed;
    length[packed.size() - 1] ^= std::byte{1};
    check_parts(inflate_message(length), {"valid gzip data", "incorrect length check"});
    check_parts(inflate_message(packed + support::to_bytes("junk")),
        {("x.gz at byte " + std::to_string(packed.size())).c_str(), "the end of the file",
            "4 more bytes"});
    for (std::size_t n = 2; n < packed.size(); ++n)
    {
        auto part = packed;
        part.resize(n);
        CHECK(!inflate_message(part).empty());
    }
}

TEST_CASE("byte_source: the end is checked even if all bytes have come")
{
    const auto data = pattern(5000);
    auto packed = support::gzip(data);
    packed[packed.size() - 5] ^= std::byte{1}; // of the checksum
    io::byte_source source(packed, "x.gz");
    support::bytes all(data.size());
    const auto read_all = [&]
    {
        source.read_exactly(all, "bytes");
        source.expect_end();
    };
    CHECK_THROWS_AS(read_all(), format_error);
}

TEST_CASE("byte_source: a small file that inflates to much is stopped at the limit")
{
    // 300 MB of zeros in 300 kB.
    const auto bomb = support::gzip(support::bytes(300u << 20));
    REQUIRE(bomb.size() < 400000);
    check_parts(message_of<format_error>(
                    [&]
                    {
                        io::byte_source source(bomb, "bomb.gz");
                        source.read_rest(1u << 20);
                    }),
        {"bomb.gz", "at most 1048576 bytes"});
    io::byte_source source(bomb, "bomb.gz");
    source.require(300u << 20, "zeros");
    CHECK(source.offset() == 0);
    check_parts(message_of<format_error>(
                    [&]
                    {
                        source.require((300u << 20) + 1, "zeros");
                    }),
        {"bomb.gz at byte 0 (inflated)", "314572801 bytes of zeros", "314572800 until"});
}

#else

TEST_CASE("byte_source: without zlib, gzip data is refused with the remedy")
{
    const auto data = support::to_bytes({0x1f, 0x8b, 8, 0});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        io::byte_source source(data, "x.gz");
                    }),
        {"x.gz", "not compressed", "zlib"});
}

#endif

} // namespace test_byte_source
