#include <structopt/core/random.hpp>
#include <structopt/kernel/gemm_low_bit.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace test_gemm_low_bit
{

using structopt::bfloat16;
using structopt::index_t;
using structopt::random_engine;
using structopt::uniform;
using structopt::uniform_index;
using structopt::kernel::activation;
using structopt::kernel::low_bit;
using structopt::kernel::low_bit_shape;
using structopt::simd::dot_kind;
namespace k = structopt::kernel;

namespace
{

using native = structopt::simd::compiled_arch;

constexpr float guard = 12345.0f;

std::size_t size(index_t n)
{
    return static_cast<std::size_t>(n);
}

/// Random weights and activations, some of them the largest that there are, and Y by the expression
/// of the header's head.
struct problem
{
    low_bit_shape w;
    index_t m;
    std::vector<std::int8_t> codes;
    std::vector<float> scales;
    std::vector<std::int8_t> zeros;
    std::vector<std::int8_t> table;
    std::vector<std::int8_t> x;
    std::vector<float> x_scale;
    std::vector<float> bias;
    std::vector<float> y;

    problem(const low_bit_shape& shape, index_t rows, random_engine& rng, bool extreme = false)
        : w(shape)
        , m(rows)
        , codes(size(w.rows * w.columns))
        , scales(size(w.rows * w.groups()))
        , zeros(scales.size())
        , table(16)
        , x(size(m * w.columns))
        , x_scale(size(m))
        , bias(size(w.rows))
        , y(size(m * w.rows))
    {
        for (auto& code : codes)
        {
            const index_t levels = index_t{1} << w.bits();
            const index_t field = extreme ? (levels - 1) : uniform_index(rng, levels);
            code = static_cast<std::int8_t>(w.codes == low_bit::binary   ? 2 * field - 1
                                            : w.codes == low_bit::table4 ? field
                                                                         : field - levels / 2);
        }
        for (auto& value : scales)
        {
            value = uniform<float>(rng) - 0.25f;
            value = w.bfloat16_scales ? static_cast<float>(bfloat16(value)) : value;
        }
        for (auto& value : zeros)
        {
            value = static_cast<std::int8_t>(extreme ? -128 : uniform_index(rng, 256) - 128);
        }
        for (auto& value : table)
        {
            value = static_cast<std::int8_t>(uniform_index(rng, 255) - 127);
        }
        table[15] = 127;
        table[0] = -127;
        for (auto& value : x)
        {
            value = static_cast<std::int8_t>(extreme ? -128 : uniform_index(rng, 256) - 128);
        }
        for (auto& value : x_scale)
        {
            value = uniform<float>(rng);
        }
        for (auto& value : bias)
        {
            value = uniform<float>(rng) - 0.5f;
        }
        reference();
    }

    std::int64_t sum(index_t i, index_t j, index_t first, index_t last, std::int32_t zero) const
    {
        std::int64_t total = 0;
        for (index_t c = first; c < last; ++c)
        {
            const std::int32_t code = codes[size(j * w.columns + c)];
            const std::int32_t value =
                w.codes == low_bit::table4 ? table[static_cast<std::size_t>(code)] : code;
            total += std::int64_t{x[size(i * w.columns + c)]} * (value - zero);
        }
        return total;
    }

    void reference()
    {
        const index_t group = w.group == 0 ? w.columns : w.group;
        for (index_t i = 0; i < m; ++i)
        {
            for (index_t j = 0; j < w.rows; ++j)
            {
                volatile float total = 0.0f;
                for (index_t g = 0; g < w.groups(); ++g)
                {
                    const std::size_t at = size(j * w.groups() + g);
                    const std::int64_t exact = sum(i, j, g * group,
                        std::min(w.columns, (g + 1) * group), w.zeros ? zeros[at] : 0);
                    volatile float product = static_cast<float>(exact) * scales[at];
                    total = total + product;
                }
                volatile float value = total * x_scale[size(i)];
                value = value + bias[size(j)];
                y[size(i * w.rows + j)] = value;
            }
        }
    }
};

/// Weights at an odd address, results with room between them, in rows or turned.
template <class Arch, dot_kind Kind>
void check(const problem& p, bool turned, activation act)
{
    std::vector<std::byte> memory(k::low_bit_bytes<Arch>(p.w) + 1);
    std::byte* const packed = memory.data() + 1;
    k::pack_low_bit<Arch>(
        p.w, p.codes.data(), p.scales.data(), p.zeros.data(), p.table.data(), packed);
    std::vector<std::byte> scratch(k::gemm_low_bit_scratch_bytes<Arch, Kind>(p.m, p.w) + 1);
    const index_t step = turned ? p.m + 1 : p.w.rows + 1;
    std::vector<float> y(size((turned ? p.w.rows : p.m) * step + 1), guard);
    k::matrix_result<float> to{y.data(), step, 1};
    if (turned)
    {
        to = {y.data(), 1, step};
    }
    k::gemm_low_bit<Arch, Kind>(p.m, p.w, p.x.data(), p.w.columns, packed, to,
        {.x_scale = p.x_scale.data(), .bias = p.bias.data(), .act = act}, scratch.data() + 1);
    bool right = true;
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < p.w.rows; ++j)
        {
            float& found = y[size(turned ? j * step + i : i * step + j)];
            float expected = p.y[size(i * p.w.rows + j)];
            expected = act == activation::relu && expected < 0 ? 0.0f : expected;
            right = right && std::memcmp(&found, &expected, sizeof found) == 0;
            found = guard;
        }
    }
    CHECK_MESSAGE(right, "codes ", static_cast<int>(p.w.codes), " group ", p.w.group, " zeros ",
        p.w.zeros, " extents ", p.m, "x", p.w.columns, "x", p.w.rows);
    CHECK(std::count(y.begin(), y.end(), guard) == static_cast<index_t>(y.size()));
}

/// Every kind of code with every remainder of rows, columns and samples, in one of the settings.
template <class Arch, dot_kind Kind = structopt::simd::best_dot<Arch>>
void sweep()
{
    random_engine rng(7);
    constexpr index_t panel = k::detail::low_bit_layout<Arch>::panel;
    constexpr index_t samples[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17};
    constexpr index_t columns[] = {0, 1, 5, 31, 32, 33, 64, 100, 170};
    const index_t rows[] = {
        0, 1, 7, panel / 2, panel - 1, panel, panel + 1, 2 * panel, 3 * panel + 3};
    index_t turn = 0;
    for (const index_t m : samples)
    {
        for (const index_t depth : columns)
        {
            for (const auto codes :
                {low_bit::int4, low_bit::int2, low_bit::binary, low_bit::table4})
            {
                ++turn;
                low_bit_shape w{.rows = rows[turn * 5 % 9], .columns = depth, .codes = codes};
                w.group = turn % 4 * 32;
                w.bfloat16_scales = turn % 3 == 0;
                w.zeros = turn % 5 < 2;
                const problem p(w, m, rng, turn % 11 == 0);
                check<Arch, Kind>(
                    p, turn % 7 == 0, turn % 2 == 0 ? activation::relu : activation::none);
            }
        }
    }
    // More rows than one block has.
    check<Arch, Kind>(problem({.rows = 5, .columns = 40, .group = 32}, 129, rng), false, {});
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("products of low-bit weights have the bits of the stated expression")
    {
        sweep<native>();
    }

    TEST_CASE("codes, scales, zero points and tables come back out of the packing")
    {
        random_engine rng(3);
        for (const auto codes : {low_bit::int4, low_bit::int2, low_bit::binary, low_bit::table4})
        {
            for (const bool half : {false, true})
            {
                const low_bit_shape w{.rows = 37,
                    .columns = 71,
                    .codes = codes,
                    .group = half ? 32 : 0,
                    .bfloat16_scales = half,
                    .zeros = half};
                const problem p(w, 0, rng);
                std::vector<std::byte> packed(k::low_bit_bytes<native>(w));
                k::pack_low_bit<native>(w, p.codes.data(), p.scales.data(), p.zeros.data(),
                    p.table.data(), packed.data());
                auto found = p;
                std::fill(found.codes.begin(), found.codes.end(), std::int8_t{99});
                std::fill(found.scales.begin(), found.scales.end(), guard);
                found.zeros = std::vector<std::int8_t>(p.zeros.size(), 99);
                found.table = std::vector<std::int8_t>(16, 99);
                k::unpack_low_bit<native>(w, packed.data(), found.codes.data(), found.scales.data(),
                    found.zeros.data(), found.table.data());
                CHECK(found.codes == p.codes);
                CHECK(found.scales == p.scales);
                CHECK((found.zeros == p.zeros) == w.zeros);
                CHECK((found.table == p.table) == (codes == low_bit::table4));
            }
        }
    }
}

TEST_CASE("every instruction set gives the same bits: plain C++")
{
    sweep<native, dot_kind::scalar>();
}

#if defined(__SSE2__)
TEST_CASE("every instruction set gives the same bits: SSE2")
{
    sweep<xsimd::sse2>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set gives the same bits: AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, dot_kind::pairs>();
    sweep<xsimd::fma3<xsimd::avx2>>();
}
#endif
#if defined(__AVX512BW__)
TEST_CASE("every instruction set gives the same bits: AVX-512")
{
    sweep<xsimd::avx512bw, dot_kind::pairs>();
}
#endif

TEST_CASE("the largest sums of a row are exact")
{
    random_engine rng(5);
    for (const auto codes : {low_bit::int4, low_bit::int2, low_bit::binary, low_bit::table4})
    {
        const problem p({.rows = 2, .columns = 66'000, .codes = codes}, 1, rng, true);
        check<native, structopt::simd::best_dot<native>>(p, false, {});
#if defined(__SSE2__)
        check<xsimd::sse2, dot_kind::pairs>(p, false, {});
#endif
    }
}

TEST_CASE("activations are quantized on the way as quantize_rows does")
{
    random_engine rng(11);
    for (const index_t m : {1, 5, 20})
    {
        const index_t stride = 103;
        const problem p({.rows = 70, .columns = 100, .group = 32}, m, rng);
        std::vector<float> x(size(m * stride));
        for (auto& value : x)
        {
            value = uniform<float>(rng) * 6 - 3;
        }
        if (m > 2)
        {
            x[size(stride + 99)] = std::numeric_limits<float>::quiet_NaN();
            std::fill_n(x.begin() + 2 * stride, 100, 0.0f);
        }
        std::vector<std::byte> packed(k::low_bit_bytes<native>(p.w));
        k::pack_low_bit<native>(
            p.w, p.codes.data(), p.scales.data(), nullptr, nullptr, packed.data());
        std::vector<std::int8_t> codes(size(m * 101));
        std::vector<float> scales(size(m));
        k::quantize_rows<native>(m, 100, x.data(), stride, codes.data(), 101, scales.data());
        std::vector<std::byte> scratch(k::gemm_low_bit_scratch_bytes<native>(m, p.w));
        std::vector<float> expected(size(m * 70));
        std::vector<float> found(expected.size());
        k::gemm_low_bit<native>(m, p.w, codes.data(), 101, packed.data(), {expected.data(), 70, 1},
            {.x_scale = scales.data()}, scratch.data());
        k::gemm_low_bit_dynamic<native>(
            m, p.w, x.data(), stride, packed.data(), {found.data(), 70, 1}, {}, scratch.data());
        CHECK(std::memcmp(expected.data(), found.data(), found.size() * sizeof(float)) == 0);
        CHECK(std::isnan(found[m > 2 ? 70 : 0]) == (m > 2));
        if (m > 2)
        {
            CHECK(found[140] == 0.0f);
        }
        const float one = 0.5f;
        std::fill(scales.begin(), scales.end(), one);
        k::gemm_low_bit<native>(m, p.w, codes.data(), 101, packed.data(), {expected.data(), 70, 1},
            {.x_scale = scales.data()}, scratch.data());
        k::gemm_low_bit<native>(m, p.w, codes.data(), 101, packed.data(), {found.data(), 70, 1},
            {.x_scale = &one, .one_x_scale = true}, scratch.data());
        CHECK(found == expected);
    }
}

} // namespace test_gemm_low_bit
