#include "support/golden.hpp"

#include <doctest/doctest.h>
#include <structopt/io/half.hpp>
#include <structopt/io/safetensors_file.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace test_half
{

using namespace structopt;

namespace
{

template <class Small>
void check_all_codes_round_trip()
{
    const std::uint32_t codes = 1u << (8 * sizeof(Small));
    int wrong = 0;
    for (std::uint32_t code = 0; code < codes; ++code)
    {
        using bits = typename Small::bits_type;
        const auto x = Small::from_bits(static_cast<bits>(code));
        const bool as_float = Small(static_cast<float>(x)).bits() == code;
        const bool as_double = Small(static_cast<double>(x)).bits() == code;
        const bool same = std::isnan(static_cast<double>(x)) ||
                          static_cast<double>(static_cast<float>(x)) == static_cast<double>(x);
        wrong += as_float && as_double && same ? 0 : 1;
    }
    CHECK(wrong == 0);
}

// What the format means, straight from its definition.
template <class Small>
double by_definition(std::uint32_t code, int exponent_bits, int mantissa_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const auto mantissa = static_cast<double>(code & ((1u << mantissa_bits) - 1));
    const int field = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const double unit = std::ldexp(1.0, -mantissa_bits);
    const double magnitude = field == 0 ? std::ldexp(mantissa * unit, 1 - bias)
                                        : std::ldexp(1 + mantissa * unit, field - bias);
    return (code >> (exponent_bits + mantissa_bits)) != 0 ? -magnitude : magnitude;
}

template <class Small>
void check_finite_codes(int exponent_bits, int mantissa_bits, std::uint32_t finite_codes)
{
    int wrong = 0;
    for (std::uint32_t code = 0; code < finite_codes; ++code)
    {
        const std::uint32_t minus = 1u << (exponent_bits + mantissa_bits);
        for (const std::uint32_t c : {code, code | minus})
        {
            const auto x = Small::from_bits(static_cast<typename Small::bits_type>(c));
            const double expected = by_definition<Small>(c, exponent_bits, mantissa_bits);
            const auto found = static_cast<double>(x);
            wrong += found == expected && std::signbit(found) == std::signbit(expected) ? 0 : 1;
        }
    }
    CHECK(wrong == 0);
}

// Nearest, ties to even, against the two neighbouring codes in double.
template <class Small>
void check_rounding_between_neighbours(std::uint32_t finite_codes)
{
    using bits = typename Small::bits_type;
    int wrong = 0;
    for (std::uint32_t code = 0; code + 1 < finite_codes; ++code)
    {
        const auto low = static_cast<double>(Small::from_bits(static_cast<bits>(code)));
        const auto high = static_cast<double>(Small::from_bits(static_cast<bits>(code + 1)));
        const double middle = (low + high) / 2;
        const std::uint32_t even = code % 2 == 0 ? code : code + 1;
        wrong += Small(middle).bits() == even ? 0 : 1;
        wrong += Small(std::nextafter(middle, 0.0)).bits() == code ? 0 : 1;
        wrong += Small(std::nextafter(middle, high)).bits() == code + 1 ? 0 : 1;
    }
    CHECK(wrong == 0);
}

template <class Small>
void check_against_reference(const io::safetensors_file& file, const std::string& name)
{
    const auto codes = file.read<Small, 1>(name + ".codes");
    const auto decoded = file.read<float, 1>(name + ".decoded");
    const auto source = file.read<float, 1>(name + ".source");
    const auto rounded = file.read<Small, 1>(name + ".rounded");
    REQUIRE(codes.size() == decoded.size());
    REQUIRE(source.size() == rounded.size());
    REQUIRE(source.size() > 1000);
    for (std::size_t i = 0; i < codes.size(); ++i)
    {
        const auto found = static_cast<float>(codes.data()[i]);
        const float expected = decoded.data()[i];
        const bool same = std::isnan(expected) ? std::isnan(found)
                                               : std::bit_cast<std::uint32_t>(found) ==
                                                     std::bit_cast<std::uint32_t>(expected);
        CHECK_MESSAGE(same, name << " code " << int(codes.data()[i].bits()));
    }
    for (std::size_t i = 0; i < source.size(); ++i)
    {
        const float x = source.data()[i];
        CHECK_MESSAGE(Small(x).bits() == rounded.data()[i].bits(), name << " of " << x);
        CHECK_MESSAGE(Small(double(x)).bits() == rounded.data()[i].bits(), name << " of " << x);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("half: known values")
    {
        CHECK(io::half(1.0f).bits() == 0x3c00);
        CHECK(io::half(-2.0f).bits() == 0xc000);
        CHECK(io::half(65504.0f).bits() == 0x7bff);
        CHECK(io::half(65519.996f).bits() == 0x7bff);
        CHECK(io::half(65520.0f).bits() == 0x7c00);
        CHECK(io::half(5.9604645e-8f).bits() == 1);
        CHECK(io::half(2.9802322e-8f).bits() == 0); // the tie goes to even
        CHECK(io::half(2.9802326e-8f).bits() == 1);
        CHECK(io::half(-0.0f).bits() == 0x8000);
        CHECK(io::half(std::numeric_limits<float>::infinity()).bits() == 0x7c00);
        CHECK(std::isnan(static_cast<float>(io::half(std::nanf("")))));
        CHECK(static_cast<float>(io::half::from_bits(0x3555)) == 0.333251953125f);

        CHECK(io::bfloat16(1.0f).bits() == 0x3f80);
        CHECK(io::bfloat16(3.3895314e38f).bits() == 0x7f7f);
        CHECK(io::bfloat16(3.4028235e38f).bits() == 0x7f80);
        CHECK(io::bfloat16(1e-45f).bits() == 0);

        CHECK(io::float8_e4m3(448.0f).bits() == 0x7e);
        CHECK(io::float8_e4m3(464.0f).bits() == 0x7e);
        CHECK(io::float8_e4m3(465.0f).bits() == 0x7f);
        CHECK(io::float8_e5m2(57344.0f).bits() == 0x7b);
        CHECK(io::float8_e5m2(61440.0f).bits() == 0x7c);

        constexpr io::half compile_time(0.5f);
        static_assert(compile_time.bits() == 0x3800 && static_cast<float>(compile_time) == 0.5f);
        static_assert(std::is_trivial_v<io::half> && sizeof(io::half) == 2);
        static_assert(sizeof(io::float8_e4m3) == 1);
    }
}

TEST_CASE("half: every code survives float and double")
{
    check_all_codes_round_trip<io::half>();
    check_all_codes_round_trip<io::bfloat16>();
    check_all_codes_round_trip<io::float8_e5m2>();
    check_all_codes_round_trip<io::float8_e4m3>();
}

TEST_CASE("half: codes mean what the formats define")
{
    check_finite_codes<io::half>(5, 10, 0x7c00);
    check_finite_codes<io::bfloat16>(8, 7, 0x7f80);
    check_finite_codes<io::float8_e5m2>(5, 2, 0x7c);
    check_finite_codes<io::float8_e4m3>(4, 3, 0x7f);
    CHECK(std::isnan(static_cast<float>(io::float8_e4m3::from_bits(0x7f))));
    CHECK(std::isnan(static_cast<float>(io::float8_e4m3::from_bits(0xff))));
    CHECK(std::isinf(static_cast<float>(io::float8_e5m2::from_bits(0x7c))));
    CHECK(std::isnan(static_cast<float>(io::float8_e5m2::from_bits(0x7d))));
}

TEST_CASE("half: rounds to the nearest code, ties to even")
{
    check_rounding_between_neighbours<io::half>(0x7c00);
    check_rounding_between_neighbours<io::bfloat16>(0x7f80);
    check_rounding_between_neighbours<io::float8_e5m2>(0x7c);
    check_rounding_between_neighbours<io::float8_e4m3>(0x7f);
}

TEST_CASE("half: agrees with the reference implementation")
{
    const io::safetensors_file file(support::golden_path("io/floats.safetensors"));
    check_against_reference<io::half>(file, "F16");
    check_against_reference<io::bfloat16>(file, "BF16");
    check_against_reference<io::float8_e4m3>(file, "F8_E4M3");
    check_against_reference<io::float8_e5m2>(file, "F8_E5M2");
}

} // namespace test_half
