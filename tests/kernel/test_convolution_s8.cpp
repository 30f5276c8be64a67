#include <structopt/core/random.hpp>
#include <structopt/kernel/convolution_s8.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace test_convolution_s8
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::window;
using structopt::simd::dot_kind;

using native = structopt::simd::default_arch;

/// A convolution of two images, with its result by the definition.
struct problem
{
    static constexpr index_t images = 2;

    window g;
    index_t groups;
    index_t out;
    bool with_bias;
    std::vector<float> x;
    std::vector<std::int8_t> w;
    std::vector<float> w_scale;
    std::vector<float> bias;
    std::vector<float> y;

    problem(const window& of, index_t parts, index_t outputs, random_engine& rng)
        : g(of)
        , groups(parts)
        , out(outputs)
        , with_bias(rng() % 2 == 0)
        , x(static_cast<std::size_t>(images * pixels()))
        , w(static_cast<std::size_t>(groups * out * g.rows()))
        , y(static_cast<std::size_t>(images * groups * out * g.columns()))
    {
        for (float& value : x)
        {
            value = structopt::normal<float>(rng);
        }
        for (auto& code : w)
        {
            code = static_cast<std::int8_t>(static_cast<int>(rng() % 255) - 127);
        }
        for (index_t o = 0; o < groups * out; ++o)
        {
            w_scale.push_back(0.003f / static_cast<float>(o % 5 + 1));
            bias.push_back(0.37f * static_cast<float>(o % 9 - 4));
        }
        reference();
    }

    index_t pixels() const
    {
        return groups * g.channels * g.height * g.width;
    }

    void reference()
    {
        for (index_t i = 0; i < images; ++i)
        {
            const float* const image = x.data() + i * pixels();
            std::vector<std::int8_t> codes(static_cast<std::size_t>(pixels()));
            float scale = 0;
            structopt::kernel::quantize_rows<native>(
                1, pixels(), image, pixels(), codes.data(), pixels(), &scale);
            for (index_t o = 0; o < groups * out; ++o)
            {
                for (index_t p = 0; p < g.columns(); ++p)
                {
                    y[static_cast<std::size_t>((i * groups * out + o) * g.columns() + p)] =
                        finish(sum(codes, o, p / g.out_w, p % g.out_w), scale, o);
                }
            }
        }
    }

    /// `zero` is what a pixel outside the image has for a code.
    std::int32_t sum(const std::vector<std::int8_t>& codes, index_t o, index_t row, index_t column,
        std::int32_t zero = 0) const
    {
        std::int32_t total = 0;
        const index_t first = o / out * g.channels;
        for (index_t k = 0; k < g.rows(); ++k)
        {
            const index_t c = k / (g.kernel_h * g.kernel_w);
            const index_t i = k / g.kernel_w % g.kernel_h;
            const index_t j = k % g.kernel_w;
            const index_t r = row * g.stride_h - g.pad_top + i * g.dilation_h;
            const index_t s = column * g.stride_w - g.pad_left + j * g.dilation_w;
            if (r >= 0 && r < g.height && s >= 0 && s < g.width)
            {
                const index_t pixel = ((first + c) * g.height + r) * g.width + s;
                total += (codes[static_cast<std::size_t>(pixel)] - zero) *
                         w[static_cast<std::size_t>(o * g.rows() + k)];
            }
        }
        return total;
    }

    /// The stated expression; volatile forbids fusing here.
    float finish(std::int32_t total, float x_scale, index_t o) const
    {
        const auto at = static_cast<std::size_t>(o);
        volatile float scale = x_scale * w_scale[at];
        volatile float value = static_cast<float>(total);
        value = value * scale;
        if (with_bias)
        {
            value = value + bias[at];
        }
        return value;
    }
};

constexpr float guard = -12345.0f;

template <class Arch, dot_kind Kind>
std::vector<float> run(const problem& p)
{
    namespace k = structopt::kernel;
    const index_t rows = p.groups * p.out;
    const index_t depth = p.g.rows();
    std::vector<std::byte> packed(k::packed_bytes_s8<Arch>(rows, depth));
    k::pack_s8<Arch>(rows, depth, p.w.data(), depth, packed.data());
    // Scratch and result of any alignment; what is around the result stays untouched.
    std::vector<std::byte> scratch(k::convolution_s8_bytes<Arch>(p.g, p.groups, p.out) + 1);
    std::vector<float> y(p.y.size() + 2, guard);
    k::convolution_s8<Arch, Kind>(problem::images, p.g, p.groups, p.out, p.x.data(), packed.data(),
        p.w_scale.data(), p.with_bias ? p.bias.data() : nullptr, y.data() + 1, scratch.data() + 1);
    CHECK(y.front() == guard);
    CHECK(y.back() == guard);
    return std::vector<float>(y.begin() + 1, y.end() - 1);
}

/// From codes to codes, by the stated expression.
template <class Arch, dot_kind Kind>
void check_codes(const problem& p, random_engine& rng)
{
    namespace k = structopt::kernel;
    const index_t rows = p.groups * p.out;
    const index_t depth = p.g.rows();
    std::vector<std::byte> packed(k::packed_bytes_s8<Arch>(rows, depth));
    k::pack_s8<Arch>(rows, depth, p.w.data(), depth, packed.data());
    const auto code = [&]
    {
        return static_cast<std::int8_t>(static_cast<int>(rng() % 256) - 128);
    };
    std::vector<std::int8_t> x(p.x.size());
    std::generate(x.begin(), x.end(), code);
    std::vector<float> multiplier;
    std::vector<std::int32_t> bias;
    for (index_t o = 0; o < rows; ++o)
    {
        multiplier.push_back(
            p.w_scale[static_cast<std::size_t>(o)] / std::sqrt(static_cast<float>(depth)));
        bias.push_back(static_cast<std::int32_t>(rng() % 20001) - 10000);
    }
    k::requantize e{.multiplier = multiplier.data(), .y_zero = code()};
    e.act = rng() % 2 == 0 ? k::activation::relu : k::activation::none;
    e.start = {.x_zero = code(), .bias = p.with_bias ? bias.data() : nullptr};

    std::vector<std::byte> scratch(k::convolution_s8_bytes<Arch>(p.g, p.groups, p.out) + 1);
    std::vector<std::int8_t> y(p.y.size() + 2, 77);
    k::convolution_s8<Arch, Kind>(problem::images, p.g, p.groups, p.out, x.data(), packed.data(), e,
        y.data() + 1, scratch.data() + 1);
    CHECK(y.front() == 77);
    CHECK(y.back() == 77);
    const float lowest = e.act == k::activation::relu ? 0.0f : static_cast<float>(-128 - e.y_zero);
    const float highest = static_cast<float>(127 - e.y_zero);
    index_t wrong = 0;
    const std::int8_t* got = y.data() + 1;
    for (index_t i = 0; i < problem::images; ++i)
    {
        const std::vector<std::int8_t> image(
            x.begin() + i * p.pixels(), x.begin() + (i + 1) * p.pixels());
        for (index_t j = 0; j < rows * p.g.columns(); ++j)
        {
            const index_t o = j / p.g.columns();
            const index_t at = j % p.g.columns();
            const std::int32_t total =
                p.sum(image, o, at / p.g.out_w, at % p.g.out_w, e.start.x_zero) +
                (p.with_bias ? bias[static_cast<std::size_t>(o)] : 0);
            const float value =
                std::nearbyint(static_cast<float>(total) * multiplier[static_cast<std::size_t>(o)]);
            const float clamped = std::min(std::max(value, lowest), highest);
            wrong += *got++ != static_cast<int>(clamped) + e.y_zero;
        }
    }
    CHECK_MESSAGE(wrong == 0, wrong, " wrong codes of ", p.y.size());
}

template <class Arch, dot_kind Kind>
void check(const problem& p)
{
    const auto y = run<Arch, Kind>(p);
    const window& g = p.g;
    CHECK_MESSAGE(std::memcmp(y.data(), p.y.data(), y.size() * sizeof(float)) == 0, p.groups,
        " groups of ", g.channels, " to ", p.out, ", image ", g.height, "x", g.width, ", kernel ",
        g.kernel_h, "x", g.kernel_w, ", stride ", g.stride_h, "x", g.stride_w, ", dilation ",
        g.dilation_h, "x", g.dilation_w, ", padding ", g.pad_top, ",", g.pad_left, ", result ",
        g.out_h, "x", g.out_w);
}

index_t pick(random_engine& rng, index_t first, index_t last)
{
    return first + static_cast<index_t>(rng() % static_cast<std::uint64_t>(last - first + 1));
}

/// Extents of every kind: padding wider than the image, steps longer than the kernel, one output.
window random_window(random_engine& rng)
{
    window g;
    g.channels = pick(rng, 1, 6);
    g.kernel_h = pick(rng, 1, 5);
    g.kernel_w = pick(rng, 1, 6);
    g.stride_h = pick(rng, 1, 3);
    g.stride_w = pick(rng, 1, 3);
    g.dilation_h = pick(rng, 1, 3);
    g.dilation_w = pick(rng, 1, 3);
    g.pad_top = pick(rng, 0, 3);
    g.pad_left = pick(rng, 0, 3);
    g.height = pick(rng, 1, 12);
    g.width = pick(rng, 1, rng() % 4 == 0 ? 80 : 20);
    const index_t span_h = (g.kernel_h - 1) * g.dilation_h + 1;
    const index_t span_w = (g.kernel_w - 1) * g.dilation_w + 1;
    const index_t room_h = g.height + g.pad_top + pick(rng, 0, 3) - span_h;
    const index_t room_w = g.width + g.pad_left + pick(rng, 0, 3) - span_w;
    g.out_h = room_h < 0 ? 1 : room_h / g.stride_h + 1;
    g.out_w = room_w < 0 ? 1 : room_w / g.stride_w + 1;
    return g;
}

window plain_window(index_t channels, index_t size, index_t kernel, index_t padding)
{
    window g;
    g.channels = channels;
    g.height = g.width = size;
    g.kernel_h = g.kernel_w = kernel;
    g.pad_top = g.pad_left = padding;
    g.out_h = g.out_w = size + 2 * padding - kernel + 1;
    return g;
}

template <class Arch, dot_kind Kind>
void sweep(int cases)
{
    random_engine rng(5);
    random_engine codes(6);
    const auto both = [&](const problem& p)
    {
        check<Arch, Kind>(p);
        check_codes<Arch, Kind>(p, codes);
    };
    for (int i = 0; i < cases; ++i)
    {
        const window g = random_window(rng);
        both(problem(g, 1, pick(rng, 1, 40), rng));
        both(problem(g, pick(rng, 2, 4), pick(rng, 1, 5), rng));
        window one = g;
        one.channels = 1;
        both(problem(one, pick(rng, 2, 5), pick(rng, 1, 2), rng));
    }
    both(problem(plain_window(9, 13, 1, 0), 1, 70, rng));
    both(problem(plain_window(3, 30, 5, 2), 1, 33, rng));
    both(problem(plain_window(1, 30, 3, 1), 3, 1, rng));
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the integer convolution is exact and its floats are the stated expression")
    {
        sweep<native, structopt::simd::best_dot<native>>(40);
    }
}

TEST_CASE("every instruction set convolves to the same bits: plain C++")
{
    sweep<native, dot_kind::scalar>(40);
}

#if defined(__SSE2__)
TEST_CASE("every instruction set convolves to the same bits: SSE2")
{
    sweep<xsimd::sse2, dot_kind::pairs>(40);
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set convolves to the same bits: AVX2")
{
    using avx2 = xsimd::fma3<xsimd::avx2>;
    sweep<avx2, dot_kind::pairs>(40);
    sweep<avx2, structopt::simd::best_dot<avx2>>(40);
}
#endif
#if defined(__AVX512BW__)
TEST_CASE("every instruction set convolves to the same bits: AVX-512")
{
    sweep<xsimd::avx512bw, dot_kind::pairs>(40);
}
#endif

TEST_CASE("the largest sums of a convolution do not saturate")
{
    random_engine rng(3);
    problem p(plain_window(300, 6, 3, 1), 1, 3, rng);
    for (int sign : {-1, 1})
    {
        for (float& value : p.x)
        {
            value = 2.0f * static_cast<float>(sign);
        }
        for (auto& code : p.w)
        {
            code = 127;
        }
        p.reference();
        check<native, structopt::simd::best_dot<native>>(p);
        check<native, dot_kind::scalar>(p);
    }
}

TEST_CASE(
    "an image that is not finite gives NaN, one of zeros the bias, and neither touches others")
{
    random_engine rng(4);
    for (const index_t groups : {1, 3})
    {
        problem p(plain_window(groups == 1 ? 2 : 1, 9, 3, 1), groups, 4, rng);
        p.with_bias = true;
        p.reference();
        const index_t half = static_cast<index_t>(p.y.size()) / 2;
        const auto first = [&](auto&& holds)
        {
            const auto y = run<native, structopt::simd::best_dot<native>>(p);
            CHECK(std::equal(y.begin() + half, y.end(), p.y.begin() + half));
            for (index_t i = 0; i < half; ++i)
            {
                CHECK(holds(y[static_cast<std::size_t>(i)],
                    p.bias[static_cast<std::size_t>(i / p.g.columns())]));
            }
        };
        for (const float bad :
            {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
        {
            p.x[static_cast<std::size_t>(p.pixels() - 1)] = bad;
            first(
                [](float y, float)
                {
                    return std::isnan(y);
                });
        }
        std::fill_n(p.x.begin(), p.pixels(), 0.0f);
        first(
            [](float y, float bias)
            {
                return y == bias;
            });
    }
}

} // namespace test_convolution_s8
