#include <structopt/core/random.hpp>
#include <structopt/kernel/gemm_s8.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace test_gemm_s8
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::activation;
using structopt::kernel::dequantize;
using structopt::kernel::matrix_operand;
using structopt::kernel::matrix_result;
using structopt::simd::dot_kind;

template <class Arch, dot_kind Kind>
struct target
{
    using arch = Arch;
    static constexpr dot_kind kind = Kind;
};

using native = structopt::simd::default_arch;

std::vector<std::int8_t> random_codes(index_t n, random_engine& rng)
{
    std::vector<std::int8_t> x(static_cast<std::size_t>(n));
    for (auto& value : x)
    {
        value = static_cast<std::int8_t>(static_cast<int>(rng() >> 33) % 255 - 127);
    }
    return x;
}

struct problem
{
    index_t m;
    index_t n;
    index_t k;
    std::vector<std::int8_t> x;
    std::vector<std::int8_t> w;
    std::vector<float> x_scale;
    std::vector<float> w_scale;
    std::vector<float> bias;
    std::vector<std::int32_t> sums;

    problem(index_t rows, index_t columns, index_t depth, random_engine& rng)
        : m(rows)
        , n(columns)
        , k(depth)
        , x(random_codes(rows * depth, rng))
        , w(random_codes(columns * depth, rng))
        , sums(static_cast<std::size_t>(rows * columns))
    {
        for (index_t i = 0; i < m; ++i)
        {
            x_scale.push_back(0.001f * static_cast<float>(i % 7 + 1));
        }
        for (index_t j = 0; j < n; ++j)
        {
            w_scale.push_back(0.003f / static_cast<float>(j % 5 + 1));
            bias.push_back(0.37f * static_cast<float>(j % 9 - 4));
        }
        reference();
    }

    void reference()
    {
        for (index_t i = 0; i < m; ++i)
        {
            for (index_t j = 0; j < n; ++j)
            {
                std::int64_t sum = 0;
                for (index_t l = 0; l < k; ++l)
                {
                    sum += std::int64_t{x[static_cast<std::size_t>(i * k + l)]} *
                           w[static_cast<std::size_t>(j * k + l)];
                }
                sums[static_cast<std::size_t>(i * n + j)] = static_cast<std::int32_t>(sum);
            }
        }
    }

    /// The stated expression; volatile forbids fusing here.
    float expected(index_t i, index_t j, bool with_bias, activation act) const
    {
        const auto row = static_cast<std::size_t>(i);
        const auto column = static_cast<std::size_t>(j);
        volatile float scale = x_scale[row] * w_scale[column];
        volatile float value = static_cast<float>(sums[row * static_cast<std::size_t>(n) + column]);
        value = value * scale;
        if (with_bias)
        {
            value = value + bias[column];
        }
        return act == activation::relu && value < 0.0f ? 0.0f : value;
    }
};

constexpr float guard = -12345.0f;

template <class Arch, dot_kind Kind>
void check(const problem& p)
{
    namespace k = structopt::kernel;
    std::vector<std::byte> packed(k::packed_bytes_s8<Arch>(p.n, p.k));
    k::pack_s8<Arch>(p.n, p.k, p.w.data(), p.k, packed.data());
    std::vector<std::int8_t> again(p.w.size());
    k::unpack_s8<Arch>(p.n, p.k, packed.data(), again.data(), p.k);
    REQUIRE(again == p.w);
    std::vector<std::byte> scratch(k::gemm_s8_scratch_bytes<Arch, Kind>(p.m, p.n, p.k));

    // Rows of the result are longer than n, and everything around them must stay untouched.
    const index_t stride = p.n + 3;
    std::vector<std::int32_t> sums(static_cast<std::size_t>(p.m * stride + 1), 99);
    k::gemm_s8_s32<Arch, Kind>(p.m, p.n, p.k, {p.x.data(), p.k, 1}, packed.data(),
        {sums.data() + 1, stride, 1}, scratch.data());
    bool right = sums[0] == 99;
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < stride; ++j)
        {
            const auto found = sums[static_cast<std::size_t>(1 + i * stride + j)];
            right =
                right && found == (j < p.n ? p.sums[static_cast<std::size_t>(i * p.n + j)] : 99);
        }
    }
    CHECK_MESSAGE(right, "int32 ", p.m, "x", p.k, "x", p.n);

    for (bool with_bias : {false, true})
    {
        const activation act = with_bias ? activation::relu : activation::none;
        const dequantize e{.x_scale = p.x_scale.data(),
            .w_scale = p.w_scale.data(),
            .bias = with_bias ? p.bias.data() : nullptr,
            .act = act};
        std::vector<float> y(static_cast<std::size_t>(p.m * stride + 1), guard);
        k::gemm_s8<Arch, Kind>(p.m, p.n, p.k, {p.x.data(), p.k, 1}, packed.data(),
            {y.data() + 1, stride, 1}, e, scratch.data());
        right = y[0] == guard;
        for (index_t i = 0; i < p.m; ++i)
        {
            for (index_t j = 0; j < stride; ++j)
            {
                const float found = y[static_cast<std::size_t>(1 + i * stride + j)];
                right = right && found == (j < p.n ? p.expected(i, j, with_bias, act) : guard);
            }
        }
        CHECK_MESSAGE(right, "float ", p.m, "x", p.k, "x", p.n);
    }

    // The convolution's layout: X comes as [k, m], Y leaves as [n, m].
    std::vector<std::int8_t> turned(p.x.size() + 1);
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t l = 0; l < p.k; ++l)
        {
            turned[static_cast<std::size_t>(l * p.m + i)] =
                p.x[static_cast<std::size_t>(i * p.k + l)];
        }
    }
    const float one = 0.25f;
    const dequantize e{.x_scale = &one,
        .w_scale = p.w_scale.data(),
        .bias = nullptr,
        .act = activation::none,
        .one_x_scale = true};
    std::vector<float> y(static_cast<std::size_t>(p.m * p.n) + 1, guard);
    k::gemm_s8<Arch, Kind>(p.m, p.n, p.k, {turned.data(), 1, p.m}, packed.data(),
        {y.data(), 1, p.m}, e, scratch.data());
    std::vector<std::int32_t> z(static_cast<std::size_t>(p.m * p.n) + 1, 99);
    k::gemm_s8_s32<Arch, Kind>(
        p.m, p.n, p.k, {turned.data(), 1, p.m}, packed.data(), {z.data(), 1, p.m}, scratch.data());
    right = y.back() == guard && z.back() == 99;
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < p.n; ++j)
        {
            const std::int32_t sum = p.sums[static_cast<std::size_t>(i * p.n + j)];
            volatile float scale = one * p.w_scale[static_cast<std::size_t>(j)];
            volatile float value = static_cast<float>(sum) * scale;
            right = right && z[static_cast<std::size_t>(j * p.m + i)] == sum &&
                    y[static_cast<std::size_t>(j * p.m + i)] == value;
        }
    }
    CHECK_MESSAGE(right, "transposed ", p.m, "x", p.k, "x", p.n);
}

template <class Arch, dot_kind Kind, class Y>
void check_requantized(const problem& p, const structopt::kernel::code_operand& x,
    const std::vector<std::byte>& packed, const structopt::kernel::requantize& e,
    const std::vector<std::int32_t>& sums, std::byte* space)
{
    constexpr std::int32_t least = std::numeric_limits<Y>::min();
    constexpr std::int32_t most = std::numeric_limits<Y>::max();
    const index_t stride = p.n + 3;
    std::vector<Y> y(static_cast<std::size_t>(p.m * stride + 1), Y{99});
    structopt::kernel::gemm_s8<Arch, Kind>(
        p.m, p.n, p.k, x, packed.data(), {y.data() + 1, stride, 1}, e, space);
    std::vector<Y> turned(static_cast<std::size_t>(p.m * p.n), Y{99});
    structopt::kernel::gemm_s8<Arch, Kind>(
        p.m, p.n, p.k, x, packed.data(), {turned.data(), 1, p.m}, e, space);
    bool right = y[0] == Y{99};
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < stride; ++j)
        {
            const Y found = y[static_cast<std::size_t>(1 + i * stride + j)];
            if (j >= p.n)
            {
                right = right && found == Y{99};
                continue;
            }
            volatile float value = static_cast<float>(sums[static_cast<std::size_t>(i * p.n + j)]);
            value = value * e.multiplier[j];
            const double whole = std::nearbyint(static_cast<double>(value)) + e.y_zero;
            const double low = e.act == activation::relu ? e.y_zero : least;
            const double code = std::clamp(whole, low, static_cast<double>(most));
            right = right && found == static_cast<Y>(code) &&
                    turned[static_cast<std::size_t>(j * p.m + i)] == found;
        }
    }
    CHECK_MESSAGE(right, "codes ", p.m, "x", p.k, "x", p.n, " zero ", e.y_zero);
}

/// Zero points, signed and unsigned codes, integer bias, codes as results, quantization on the way.
template <class Arch, dot_kind Kind>
void check_codes(const problem& p, random_engine& rng)
{
    namespace k = structopt::kernel;
    std::vector<std::byte> packed(k::packed_bytes_s8<Arch>(p.n, p.k));
    k::pack_s8<Arch>(p.n, p.k, p.w.data(), p.k, packed.data());
    std::vector<std::byte> scratch(k::gemm_s8_scratch_bytes<Arch, Kind>(p.m, p.n, p.k) + 1);
    std::byte* const space = scratch.data() + 1;
    const auto size = static_cast<std::size_t>(p.m * p.n);
    std::vector<std::int32_t> bias(static_cast<std::size_t>(p.n));
    std::vector<float> multiplier(bias.size());
    for (std::size_t j = 0; j < bias.size(); ++j)
    {
        bias[j] = static_cast<std::int32_t>(rng() % 20001) - 10000;
        // Some saturate, some round at a half, some are zero.
        multiplier[j] = j % 4 == 0 ? 0.5f : j % 4 == 1 ? 1000.0f : j % 4 == 2 ? -0.003f : 0.0f;
    }
    const std::int32_t x_zero = p.x.empty() ? 5 : p.x[0];
    std::vector<std::int32_t> sums(size);
    for (std::size_t i = 0; i < size; ++i)
    {
        const auto column = static_cast<index_t>(i) % p.n;
        std::int64_t weights = 0;
        for (index_t l = 0; l < p.k; ++l)
        {
            weights += p.w[static_cast<std::size_t>(column * p.k + l)];
        }
        sums[i] = static_cast<std::int32_t>(
            p.sums[i] - x_zero * weights + bias[static_cast<std::size_t>(column)]);
    }
    // The same activations as unsigned codes, 128 higher.
    std::vector<std::uint8_t> raised(p.x.size());
    for (std::size_t i = 0; i < raised.size(); ++i)
    {
        raised[i] = static_cast<std::uint8_t>(p.x[i] + 128);
    }

    for (const bool is_unsigned : {false, true})
    {
        const k::code_operand x = is_unsigned ? k::code_operand(raised.data(), p.k, 1)
                                              : k::code_operand(p.x.data(), p.k, 1);
        const k::integer_start start{
            .x_zero = is_unsigned ? x_zero + 128 : x_zero, .bias = bias.data()};
        std::vector<std::int32_t> y(size, 99);
        k::gemm_s8_s32<Arch, Kind>(
            p.m, p.n, p.k, x, packed.data(), {y.data(), p.n, 1}, space, start);
        CHECK(y == sums);

        const float one = 0.25f;
        std::vector<float> z(size, guard);
        k::gemm_s8<Arch, Kind>(p.m, p.n, p.k, x, packed.data(), {z.data(), p.n, 1},
            dequantize{
                .x_scale = &one, .w_scale = p.w_scale.data(), .one_x_scale = true, .start = start},
            space);
        bool right = true;
        for (std::size_t i = 0; i < size; ++i)
        {
            volatile float scale = one * p.w_scale[i % static_cast<std::size_t>(p.n)];
            volatile float value = static_cast<float>(sums[i]) * scale;
            right = right && z[i] == value;
        }
        CHECK_MESSAGE(right, "start of floats ", p.m, "x", p.k, "x", p.n);

        for (const activation act : {activation::none, activation::relu})
        {
            for (const std::int32_t zero : {0, -7, 100})
            {
                check_requantized<Arch, Kind, std::int8_t>(
                    p, x, packed, {multiplier.data(), zero, act, start}, sums, space);
            }
            for (const std::int32_t zero : {0, 128, 250})
            {
                check_requantized<Arch, Kind, std::uint8_t>(
                    p, x, packed, {multiplier.data(), zero, act, start}, sums, space);
            }
        }
    }

    std::vector<float> floats(static_cast<std::size_t>(p.m * (p.k + 2)) + 1);
    for (float& value : floats)
    {
        value = static_cast<float>(static_cast<double>(rng() >> 11) * 0x1p-53 * 6.0 - 3.0);
    }
    if (p.m > 2 && p.k > 0)
    {
        floats[static_cast<std::size_t>(p.k + 2)] = std::numeric_limits<float>::quiet_NaN();
        std::fill_n(floats.begin() + 2 * (p.k + 2), p.k, 0.0f);
    }
    std::vector<std::int8_t> codes(p.x.size());
    std::vector<float> scales(static_cast<std::size_t>(p.m));
    k::quantize_rows<Arch>(p.m, p.k, floats.data(), p.k + 2, codes.data(), p.k, scales.data());
    const dequantize e{
        .x_scale = scales.data(), .w_scale = p.w_scale.data(), .bias = p.bias.data()};
    std::vector<float> expected(size, guard);
    std::vector<float> found(size, guard);
    k::gemm_s8<Arch, Kind>(
        p.m, p.n, p.k, {codes.data(), p.k, 1}, packed.data(), {expected.data(), p.n, 1}, e, space);
    k::gemm_s8_dynamic<Arch, Kind>(p.m, p.n, p.k, floats.data(), p.k + 2, packed.data(),
        {found.data(), p.n, 1}, {.w_scale = p.w_scale.data(), .bias = p.bias.data()}, space);
    const bool same =
        size == 0 || std::memcmp(expected.data(), found.data(), size * sizeof(float)) == 0;
    CHECK_MESSAGE(same, "quantized on the way ", p.m, "x", p.k, "x", p.n);
}

template <class Arch, dot_kind Kind>
void sweep()
{
    random_engine rng(7);
    constexpr index_t panel = structopt::kernel::detail::gemm_s8_shape<Arch, Kind>::panel;
    for (index_t m : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 17, 29})
    {
        for (index_t n : {index_t{0}, index_t{1}, index_t{7}, panel - 1, panel, panel + 1,
                 2 * panel, 5 * panel + 3})
        {
            for (index_t k : {0, 1, 2, 3, 4, 5, 8, 17, 65})
            {
                const problem p(m, n, k, rng);
                check<Arch, Kind>(p);
                if ((m + n + k) % 3 == 0)
                {
                    check_codes<Arch, Kind>(p, rng);
                }
            }
        }
    }
    const problem large(301, 33, 129, rng);
    check<Arch, Kind>(large);
    check_codes<Arch, Kind>(large, rng);
    for (index_t m : {1, 5, 14})
    {
        check_codes<Arch, Kind>(problem(m, 70, 259, rng), rng);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the integer product is exact and its floats are the stated expression")
    {
        sweep<native, structopt::simd::best_dot<native>>();
    }
}

TEST_CASE("every instruction set gives the same bits: plain C++")
{
    sweep<native, dot_kind::scalar>();
}

#if defined(__SSE2__)
TEST_CASE("every instruction set gives the same bits: SSE2")
{
    sweep<xsimd::sse2, dot_kind::pairs>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set gives the same bits: AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, dot_kind::pairs>();
    sweep<xsimd::fma3<xsimd::avx2>, structopt::simd::best_dot<xsimd::fma3<xsimd::avx2>>>();
}
#endif
#if defined(__AVX512BW__)
TEST_CASE("every instruction set gives the same bits: AVX-512")
{
    sweep<xsimd::avx512bw, dot_kind::pairs>();
}
#endif

TEST_CASE("the largest sums do not saturate")
{
    random_engine rng(3);
    for (int sign : {-1, 1})
    {
        problem p(3, 5, 4096, rng);
        std::fill(p.x.begin(), p.x.end(), static_cast<std::int8_t>(127 * sign));
        std::fill(p.w.begin(), p.w.end(), std::int8_t{127});
        p.reference();
        check<native, structopt::simd::best_dot<native>>(p);
        check<native, dot_kind::scalar>(p);
#if defined(__SSE2__)
        check<xsimd::sse2, dot_kind::pairs>(p);
#endif
        std::fill(p.x.begin(), p.x.end(), std::int8_t{-128});
        p.reference();
        check<native, structopt::simd::best_dot<native>>(p);
        check_codes<native, structopt::simd::best_dot<native>>(p, rng);
        check_codes<native, dot_kind::scalar>(p, rng);
    }
}

namespace
{

template <class Arch>
void check_quantize()
{
    random_engine rng(11);
    for (index_t columns : {0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 100})
    {
        const index_t rows = 7;
        std::vector<float> x(static_cast<std::size_t>(rows * columns));
        for (auto& value : x)
        {
            value = static_cast<float>(static_cast<double>(rng() >> 11) * 0x1p-53 * 6.0 - 3.0);
        }
        const auto at = [&](index_t i, index_t j) -> float&
        {
            return x[static_cast<std::size_t>(i * columns + j)];
        };
        if (columns > 3)
        {
            at(1, columns - 1) = std::numeric_limits<float>::quiet_NaN();
            at(2, 0) = -std::numeric_limits<float>::infinity();
            for (index_t j = 0; j < columns; ++j)
            {
                at(3, j) = j % 2 == 0 ? 0.0f : -0.0f;
                at(4, j) = 1e-38f;
                at(5, j) = static_cast<float>(j % 3) * 0.5f;
            }
            at(5, 0) = 127.0f;
            at(6, 1) = std::numeric_limits<float>::max();
        }
        std::vector<std::int8_t> codes(static_cast<std::size_t>(rows * (columns + 1)), 33);
        std::vector<float> scales(static_cast<std::size_t>(rows));
        structopt::kernel::quantize_rows<Arch>(
            rows, columns, x.data(), columns, codes.data(), columns + 1, scales.data());
        for (index_t i = 0; i < rows; ++i)
        {
            const float scale = scales[static_cast<std::size_t>(i)];
            float most = 0.0f;
            bool finite = true;
            for (index_t j = 0; j < columns; ++j)
            {
                finite = finite && std::isfinite(at(i, j));
                most = std::max(most, std::fabs(at(i, j)));
            }
            const bool zero = !finite || most < structopt::kernel::smallest_row;
            CHECK(std::isnan(scale) == !finite);
            if (finite)
            {
                CHECK(scale == (zero ? 0.0f : most / 127.0f));
            }
            for (index_t j = 0; j < columns; ++j)
            {
                const int code = codes[static_cast<std::size_t>(i * (columns + 1) + j)];
                volatile float inverse = zero ? 0.0f : 127.0f / most;
                volatile float product = zero ? 0.0f : at(i, j) * inverse;
                CHECK(code == static_cast<int>(std::nearbyint(product)));
            }
            CHECK(codes[static_cast<std::size_t>(i * (columns + 1) + columns)] == 33);
        }
    }
}

} // namespace

TEST_CASE("rows are quantized by the stated formula, on every instruction set")
{
    check_quantize<native>();
#if defined(__SSE2__)
    check_quantize<xsimd::sse2>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_quantize<xsimd::fma3<xsimd::avx2>>();
#endif
}

} // namespace test_gemm_s8
