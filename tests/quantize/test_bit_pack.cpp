#include <structopt/core/random.hpp>
#include <structopt/quantize/bit_pack.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace test_bit_pack
{

using namespace structopt;

namespace
{

/// Every size from 0 to 40 and some larger ones against one bit at a time.
template <int Bits>
void check_round_trip()
{
    CAPTURE(Bits);
    using word = quantize::code_word<Bits>;
    random_engine rng(Bits);
    for (index_t n = 0; n <= 1001; n += n < 40 ? 1 : 137)
    {
        std::vector<word> codes;
        for (index_t i = 0; i < n; ++i)
        {
            codes.push_back(static_cast<word>(rng() & ((1u << Bits) - 1)));
        }
        const index_t bytes = quantize::packed_bytes<Bits>(n);
        CHECK(bytes == (n * Bits + 7) / 8);
        std::vector<std::uint8_t> packed(static_cast<std::size_t>(bytes) + 1, 0xab);
        quantize::pack_codes<Bits>(codes.data(), n, packed.data());
        bool same = packed.back() == 0xab;
        for (index_t bit = 0; bit < 8 * bytes; ++bit)
        {
            const unsigned found = packed[static_cast<std::size_t>(bit / 8)] >> (bit % 8) & 1u;
            const unsigned expected =
                bit < n * Bits ? codes[static_cast<std::size_t>(bit / Bits)] >> (bit % Bits) & 1u
                               : 0u;
            same = same && found == expected;
        }
        CHECK(same);
        for (index_t first = 0; first <= n; first += 16)
        {
            std::vector<word> back(static_cast<std::size_t>(n - first) + 1, 77);
            quantize::unpack_codes<Bits>(packed.data(), first, n - first, back.data());
            bool equal = back.back() == 77;
            for (index_t i = first; i < n; ++i)
            {
                equal = equal && back[static_cast<std::size_t>(i - first)] ==
                                     codes[static_cast<std::size_t>(i)];
            }
            CHECK(equal);
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("bytes by hand")
    {
        const std::uint8_t four[] = {0x1, 0x2, 0xf};
        std::uint8_t bytes[2];
        quantize::pack_codes<4>(four, 3, bytes);
        CHECK(bytes[0] == 0x21);
        CHECK(bytes[1] == 0x0f);
        // 5, 7 and 1 in three bits each: 001 111 101.
        const std::uint8_t three[] = {5, 7, 1};
        quantize::pack_codes<3>(three, 3, bytes);
        CHECK(bytes[0] == 0b0111'1101);
        CHECK(bytes[1] == 0);
        CHECK(quantize::widen_code<4, true>(0xf) == -1);
        CHECK(quantize::widen_code<4, true>(0x8) == -8);
        CHECK(quantize::widen_code<4, true>(0x7) == 7);
        CHECK(quantize::widen_code<4, false>(0xf) == 15);
        CHECK(quantize::widen_code<16, true>(0xffff) == -1);
        CHECK(quantize::narrow_code<4>(-1) == 0xf);
    }
}

TEST_CASE("codes of every width come back, at every size")
{
    check_round_trip<1>();
    check_round_trip<2>();
    check_round_trip<3>();
    check_round_trip<4>();
    check_round_trip<5>();
    check_round_trip<6>();
    check_round_trip<7>();
    check_round_trip<8>();
    check_round_trip<16>();
}

} // namespace test_bit_pack
