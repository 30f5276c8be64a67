#include <structopt/core/random.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/part.hpp>
#include <structopt/simd/widen.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace test_bytes
{

namespace
{

namespace simd = structopt::simd;
using structopt::index_t;
using structopt::random_engine;
using native = simd::default_arch;

template <class Arch>
void check_interleave()
{
    random_engine rng(1);
    constexpr index_t width = simd::interleave_width<Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(4 * width + 3));
    for (auto& value : rows)
    {
        value = static_cast<std::uint8_t>(rng() % 256);
    }
    // Rows that begin anywhere.
    const std::uint8_t* const from[4] = {
        rows.data(), rows.data() + width + 1, rows.data() + 2 * width + 3, rows.data() + 3};
    simd::batch<std::int32_t, Arch>
        words[static_cast<std::size_t>(simd::interleave_registers<Arch>)];
    simd::interleave<Arch>(from[0], from[1], from[2], from[3], words);
    for (index_t i = 0; i < width; ++i)
    {
        std::int32_t found[static_cast<std::size_t>(lanes)];
        simd::store(found, words[i / lanes]);
        std::uint8_t bytes[4];
        std::memcpy(bytes, found + i % lanes, 4);
        for (index_t j = 0; j < 4; ++j)
        {
            CHECK(bytes[j] == from[j][i]);
        }
    }
}

template <class Arch>
void check_narrow()
{
    random_engine rng(2);
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    std::vector<std::int32_t> values(static_cast<std::size_t>(4 * lanes));
    for (auto& value : values)
    {
        value = static_cast<std::int32_t>(rng() % 256) - 128;
    }
    const auto part = [&](index_t i)
    {
        return simd::load<Arch>(values.data() + i * lanes);
    };
    std::vector<std::int8_t> bytes(static_cast<std::size_t>(4 * lanes + 1), 77);
    simd::store_bytes(bytes.data(), simd::narrow(part(0), part(1), part(2), part(3)));
    CHECK(std::equal(values.begin(), values.end(), bytes.begin()));
    CHECK(bytes.back() == 77);
    for (index_t count = 0; count <= lanes; ++count)
    {
        std::fill(bytes.begin(), bytes.end(), std::int8_t{77});
        simd::store_narrow(bytes.data(), part(1), count);
        CHECK(std::equal(
            bytes.begin(), bytes.begin() + count, values.begin() + static_cast<long>(lanes)));
        CHECK(bytes[static_cast<std::size_t>(count)] == 77);
    }
}

template <class Arch>
void check_chosen()
{
    random_engine rng(3);
    constexpr index_t lanes = simd::width<float, Arch>;
    float values[static_cast<std::size_t>(lanes)];
    for (index_t i = 0; i < lanes; ++i)
    {
        values[i] = static_cast<float>(i);
    }
    for (int n = 0; n < 300; ++n)
    {
        const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << lanes) - 1);
        const std::uint32_t chosen =
            n < 16 ? static_cast<std::uint32_t>(n) & all : static_cast<std::uint32_t>(rng()) & all;
        std::vector<float> expected;
        for (index_t i = 0; i < lanes; ++i)
        {
            if ((chosen >> i & 1u) != 0)
            {
                expected.push_back(values[i]);
            }
        }
        const auto count = static_cast<index_t>(expected.size());
        for (const index_t room : {count, lanes, lanes + 5})
        {
            std::vector<float> to(static_cast<std::size_t>(std::max(room, count)) + 1, -1.0f);
            simd::store_chosen(to.data(), simd::load<Arch>(values), chosen, count, room);
            CHECK(std::equal(expected.begin(), expected.end(), to.begin()));
            CHECK(to.back() == -1.0f);
        }
    }
}

template <class Arch>
void check_clamp()
{
    constexpr index_t lanes = simd::width<float, Arch>;
    const float cases[] = {-1e30f, -3.5f, -3.0f, 0.25f, 100.0f, 100.5f, 1e30f};
    for (const float x : cases)
    {
        float found[static_cast<std::size_t>(lanes)];
        simd::store(found, simd::clamp(simd::broadcast<Arch>(x), simd::broadcast<Arch>(-3.0f),
                               simd::broadcast<Arch>(100.0f)));
        CHECK(found[0] == std::clamp(x, -3.0f, 100.0f));
        CHECK(found[lanes - 1] == found[0]);
    }
}

template <class Arch>
void check_all()
{
    check_interleave<Arch>();
    check_narrow<Arch>();
    check_chosen<Arch>();
    check_clamp<Arch>();
}

} // namespace

TEST_CASE("bytes are interleaved, narrowed, chosen and clamped")
{
    check_all<native>();
#if defined(__SSE2__)
    check_all<xsimd::sse2>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_all<xsimd::fma3<xsimd::avx2>>();
#endif
}

TEST_CASE("a row of bytes is dealt out in two")
{
    std::uint8_t row[32];
    for (int i = 0; i < 32; ++i)
    {
        row[i] = static_cast<std::uint8_t>(200 + i);
    }
    std::uint8_t even[17];
    std::uint8_t odd[17];
    even[16] = odd[16] = 7;
    simd::deal_pairs(row, even, odd);
    for (int i = 0; i < 16; ++i)
    {
        CHECK(even[i] == row[2 * i]);
        CHECK(odd[i] == row[2 * i + 1]);
    }
    CHECK(even[16] == 7);
    CHECK(odd[16] == 7);
}

} // namespace test_bytes
