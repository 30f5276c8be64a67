#include <doctest/doctest.h>
#include <structopt/core/tensor.hpp>
#include <structopt/io/convert.hpp>
#include <structopt/io/dtype.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace test_dtype
{

using namespace structopt;
using io::dtype;

namespace
{

struct not_an_element
{
};

static_assert(io::element<float> && io::element<bool> && io::element<io::half>);
static_assert(!io::element<not_an_element> && !io::element<const float> && !io::element<float*>);

static_assert(io::dtype_of<bool>() == dtype::boolean);
static_assert(io::dtype_of<std::int8_t>() == dtype::i8);
static_assert(io::dtype_of<std::uint16_t>() == dtype::u16);
static_assert(io::dtype_of<long long>() == dtype::i64);
static_assert(io::dtype_of<index_t>() == (sizeof(index_t) == 8 ? dtype::i64 : dtype::i32));
static_assert(io::dtype_of<io::bfloat16>() == dtype::bf16);

// Floating point converts to floating point, integers to what holds them.
static_assert(io::readable_as<float>(dtype::f64) && io::readable_as<double>(dtype::f8_e4m3));
static_assert(io::readable_as<io::half>(dtype::f32));
static_assert(io::readable_as<float>(dtype::i16) && !io::readable_as<float>(dtype::i32));
static_assert(io::readable_as<double>(dtype::i32) && !io::readable_as<double>(dtype::i64));
static_assert(io::readable_as<std::int32_t>(dtype::u16) && io::readable_as<int>(dtype::boolean));
static_assert(!io::readable_as<std::int32_t>(dtype::u32) && !io::readable_as<int>(dtype::f32));
static_assert(!io::readable_as<std::uint32_t>(dtype::i8) && !io::readable_as<bool>(dtype::u8));
static_assert(!io::readable_as<io::half>(dtype::i8));

} // namespace

TEST_CASE("dtype: names, sizes and C++ types agree")
{
    std::set<std::string_view> names;
    for (const auto& row : io::detail::dtype_table)
    {
        names.insert(row.name);
        CHECK(io::name_of(row.type) == row.name);
        CHECK(io::bytes_of(row.type) == static_cast<std::size_t>((row.bits + 7) / 8));
        CHECK(io::dtype_named(row.name) == row.type);
        if (!io::has_element_type(row.type))
        {
            CHECK_FALSE(io::readable_as<double>(row.type));
            CHECK_FALSE(io::readable_as<std::uint64_t>(row.type));
            continue;
        }
        io::visit_dtype(row.type,
            [&]<class T>(std::type_identity<T>)
            {
                CHECK(io::dtype_of<T>() == row.type);
                CHECK(8 * sizeof(T) == static_cast<std::size_t>(row.bits));
            });
    }
    CHECK(names.size() == 22);
    CHECK(!io::dtype_named("f32"));
    CHECK(!io::dtype_named("C128"));
    CHECK(!io::dtype_named(""));
}

TEST_CASE("convert: byte orders and strides")
{
    const std::array<std::byte, 8> raw{std::byte{0}, std::byte{1}, std::byte{0xff}, std::byte{0xfe},
        std::byte{0x80}, std::byte{0}, std::byte{0}, std::byte{7}};
    std::array<std::int32_t, 4> big{};
    io::detail::convert_elements(dtype::i16, std::endian::big, raw.data(), 4, big.data());
    CHECK(big == std::array<std::int32_t, 4>{1, -2, -32768, 7});
    std::array<std::int16_t, 4> little{};
    io::detail::convert_elements(dtype::i16, std::endian::little, raw.data(), 4, little.data());
    CHECK(little == std::array<std::int16_t, 4>{0x100, -257, 0x80, 0x700});

    // Every second column of a wider tensor, and a transposed one.
    auto wide = full<float>(shape<2>{2, 4}, -1.f);
    const view<float, 2> even(wide.data(), {2, 2}, {4, 2});
    io::detail::convert_elements(dtype::i16, std::endian::big, raw.data(), even);
    const std::vector<float> expected{1, -1, -2, -1, -32768, -1, 7, -1};
    CHECK(std::vector<float>(wide.begin(), wide.end()) == expected);
    auto square = zeros<double>(shape<2>{2, 2});
    const view<double, 2> transposed(square.data(), {2, 2}, {1, 2});
    io::detail::convert_elements(dtype::i16, std::endian::big, raw.data(), transposed);
    CHECK(square(0, 1) == -32768);
    CHECK(square(1, 0) == -2);

    std::array<std::byte, 16> back{};
    io::detail::store_elements<std::int32_t>(view<const float, 2>(even), back.data());
    CHECK(back[0] == std::byte{1});
    CHECK(back[4] == std::byte{0xfe});
    CHECK(back[7] == std::byte{0xff});
    CHECK(back[12] == std::byte{7});
}

TEST_CASE("convert: every pair of types that readable_as allows keeps small numbers")
{
    for (const auto& row : io::detail::element_types)
    {
        io::visit_dtype(row.type,
            [&]<class From>(std::type_identity<From>)
            {
                for (const auto& other : io::detail::element_types)
                {
                    io::visit_dtype(other.type,
                        [&]<class To>(std::type_identity<To>)
                        {
                            if constexpr (io::readable_as<To, From>())
                            {
                                const auto one = [](auto identity)
                                {
                                    using type = typename decltype(identity)::type;
                                    if constexpr (std::is_integral_v<type>)
                                    {
                                        return static_cast<type>(1);
                                    }
                                    else
                                    {
                                        return type(1.0f);
                                    }
                                };
                                for (const auto order : {std::endian::little, std::endian::big})
                                {
                                    std::array<std::byte, sizeof(From)> raw{};
                                    io::detail::store_element(
                                        one(std::type_identity<From>{}), order, raw.data());
                                    auto found = To(0.0f);
                                    io::detail::convert_elements(
                                        row.type, order, raw.data(), 1, &found);
                                    const auto expected = one(std::type_identity<To>{});
                                    CHECK(static_cast<double>(found) ==
                                          static_cast<double>(expected));
                                }
                            }
                        });
                }
            });
    }
}

} // namespace test_dtype
