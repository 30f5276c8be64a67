#include <structopt/simd.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace test_simd
{

namespace
{

using structopt::index_t;
namespace simd = structopt::simd;

template <class T, class Arch>
struct lane
{
    using value_type = T;
    using arch = Arch;
};

#if defined(__AVX2__) && defined(__FMA__)
#define STRUCTOPT_TEST_LANES                                                                       \
    lane<float, simd::default_arch>, lane<double, simd::default_arch>, lane<float, xsimd::sse2>,   \
        lane<double, xsimd::sse2>, lane<float, xsimd::fma3<xsimd::avx2>>,                          \
        lane<double, xsimd::fma3<xsimd::avx2>>
#else
#define STRUCTOPT_TEST_LANES lane<float, simd::default_arch>, lane<double, simd::default_arch>
#endif

template <class T>
std::vector<T> counted(index_t n)
{
    std::vector<T> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i)
    {
        x[i] = static_cast<T>(i + 1);
    }
    return x;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE(
        "part of a register is read and written, and nothing else", Lane, STRUCTOPT_TEST_LANES)
    {
        using T = typename Lane::value_type;
        using arch = typename Lane::arch;
        constexpr index_t n = simd::width<T, arch>;
        const auto x = counted<T>(n);
        for (index_t count = 0; count <= n; ++count)
        {
            // The buffer ends where the part ends: a sanitizer would see a read behind it.
            const std::vector<T> part(x.begin(), x.begin() + count);
            const auto loaded = simd::load_tail<arch>(part.data(), count);
            std::vector<T> whole(static_cast<std::size_t>(n), T(99));
            simd::store(whole.data(), loaded);
            std::vector<T> some(static_cast<std::size_t>(n), T(99));
            simd::store_tail(some.data(), simd::load<arch>(x.data()), count);
            for (index_t i = 0; i < n; ++i)
            {
                const auto at = static_cast<std::size_t>(i);
                CHECK(whole[at] == (i < count ? x[at] : T(0)));
                CHECK(some[at] == (i < count ? x[at] : T(99)));
            }
        }
    }

    TEST_CASE_TEMPLATE("a square of registers is transposed", Lane, STRUCTOPT_TEST_LANES)
    {
        using T = typename Lane::value_type;
        using arch = typename Lane::arch;
        constexpr auto n = static_cast<std::size_t>(simd::width<T, arch>);
        const auto x = counted<T>(static_cast<index_t>(n * n));
        simd::batch<T, arch> rows[n];
        for (std::size_t i = 0; i < n; ++i)
        {
            rows[i] = simd::load<arch>(x.data() + i * n);
        }
        simd::transpose<T, arch>(rows);
        for (std::size_t i = 0; i < n; ++i)
        {
            std::vector<T> row(n);
            simd::store(row.data(), rows[i]);
            for (std::size_t j = 0; j < n; ++j)
            {
                CHECK(row[j] == x[j * n + i]);
            }
        }
    }

    TEST_CASE_TEMPLATE("sums and ReLU of a register", Lane, STRUCTOPT_TEST_LANES)
    {
        using T = typename Lane::value_type;
        using arch = typename Lane::arch;
        constexpr index_t n = simd::width<T, arch>;
        auto x = counted<T>(n);
        CHECK(simd::reduce_add(simd::load<arch>(x.data())) == static_cast<T>(n * (n + 1) / 2));
        x[0] = T(-3);
        x[1] = std::numeric_limits<T>::quiet_NaN();
        std::vector<T> y(x.size());
        simd::store(y.data(), simd::relu(simd::load<arch>(x.data())));
        CHECK(y[0] == T(0));
        CHECK(std::isnan(y[1]));
        for (std::size_t i = 2; i < x.size(); ++i)
        {
            CHECK(y[i] == x[i]);
        }
    }
}

namespace
{

/// Numbers of which a product and a sum, rounded twice, differ from the fused form.
template <class Arch>
void check_rounded()
{
    constexpr index_t n = simd::width<float, Arch>;
    int differ = 0;
    for (int trial = 0; trial < 100; ++trial)
    {
        std::vector<float> a;
        std::vector<float> b;
        std::vector<float> c;
        for (index_t i = 0; i < n; ++i)
        {
            a.push_back(1.0f + 0x1p-12f * static_cast<float>(trial + 3 * i + 1));
            b.push_back(1.0f + 0x1p-13f * static_cast<float>(7 * trial + i + 1));
            c.push_back(-1.0f - 0x1p-14f * static_cast<float>(trial));
        }
        std::vector<float> found(a.size());
        simd::store(
            found.data(), simd::rounded(simd::load<Arch>(a.data()) * simd::load<Arch>(b.data())) +
                              simd::load<Arch>(c.data()));
        for (std::size_t i = 0; i < a.size(); ++i)
        {
            volatile float product = a[i] * b[i];
            const float expected = product + c[i];
            CHECK(std::bit_cast<std::uint32_t>(found[i]) == std::bit_cast<std::uint32_t>(expected));
            differ += std::fma(a[i], b[i], c[i]) != expected;
        }
    }
    // Otherwise the check above says nothing.
    CHECK(differ > 10);
}

} // namespace

TEST_CASE("rounded() keeps a product and a sum apart")
{
    check_rounded<simd::default_arch>();
#if defined(__SSE2__)
    check_rounded<xsimd::sse2>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_rounded<xsimd::fma3<xsimd::avx2>>();
#endif
}

namespace
{

template <class Arch>
void check_integers()
{
    constexpr auto n = static_cast<std::size_t>(simd::width<std::int32_t, Arch>);
    std::vector<std::int32_t> x(n);
    for (std::size_t i = 0; i < n; ++i)
    {
        x[i] = static_cast<std::int32_t>(i * 17 % 256) - 128;
    }
    for (std::size_t count = 0; count <= n; ++count)
    {
        std::vector<std::int8_t> narrow(n, 77);
        simd::store_narrow(narrow.data(), simd::load<Arch>(x.data()), static_cast<index_t>(count));
        for (std::size_t i = 0; i < n; ++i)
        {
            CHECK(narrow[i] == (i < count ? x[i] : 77));
        }
    }

    // Half to even, both ways, and numbers that a float cannot hold exactly.
    std::vector<float> halves(n);
    for (std::size_t i = 0; i < n; ++i)
    {
        halves[i] = static_cast<float>(i) - 2.5f;
    }
    std::vector<std::int32_t> whole(n);
    simd::store(whole.data(), simd::to_int(simd::load<Arch>(halves.data())));
    for (std::size_t i = 0; i < n; ++i)
    {
        CHECK(whole[i] == static_cast<std::int32_t>(std::nearbyint(halves[i])));
        whole[i] = (1 << 24) + static_cast<std::int32_t>(2 * i) + 1;
    }
    std::vector<float> real(n);
    simd::store(real.data(), simd::to_float(simd::load<Arch>(whole.data())));
    for (std::size_t i = 0; i < n; ++i)
    {
        CHECK(real[i] == static_cast<float>(whole[i]));
    }
    std::vector<std::int32_t> most(n);
    simd::store(most.data(),
        simd::max(simd::load<Arch>(x.data()), simd::batch<std::int32_t, Arch>(std::int32_t{5})));
    for (std::size_t i = 0; i < n; ++i)
    {
        CHECK(most[i] == (x[i] > 5 ? x[i] : 5));
    }
}

template <class Arch, simd::dot_kind Kind>
void check_dot()
{
    using dot = simd::dot<Arch, Kind>;
    constexpr auto n = static_cast<std::size_t>(simd::width<std::int32_t, Arch>);
    std::vector<std::int8_t> w(4 * n);
    const std::int8_t extremes[] = {127, -127, 1, 0, -1, 64, 127, 127};
    for (int trial = 0; trial < 64; ++trial)
    {
        std::int8_t x[4];
        for (std::size_t j = 0; j < 4; ++j)
        {
            // -128 is a legal activation, not a legal weight.
            x[j] = static_cast<std::int8_t>(
                trial == 0 ? -128 : (trial * 37 + 91 * int(j)) % 256 - 128);
        }
        for (std::size_t i = 0; i < w.size(); ++i)
        {
            w[i] = extremes[(i + static_cast<std::size_t>(trial)) % 8];
        }
        std::vector<std::int32_t> sum(n, 1000 * trial);
        std::uint32_t prepared[static_cast<std::size_t>(dot::words)];
        dot::prepare(x, prepared);
        const auto found =
            dot::add(simd::load<Arch>(sum.data()), dot::load(w.data()), dot::broadcast(prepared));
        std::vector<std::int32_t> result(n);
        simd::store(result.data(), found);
        for (std::size_t i = 0; i < n; ++i)
        {
            std::int32_t expected = sum[i];
            for (std::size_t j = 0; j < 4; ++j)
            {
                expected += (x[j] + dot::offset) * w[4 * i + j];
            }
            CHECK(result[i] == expected);
        }
    }
}

} // namespace

TEST_CASE("conversions between int8, int32 and float")
{
    check_integers<simd::default_arch>();
#if defined(__SSE2__)
    check_integers<xsimd::sse2>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_integers<xsimd::fma3<xsimd::avx2>>();
#endif
}

TEST_CASE("four int8 products per lane, on every kind of instruction")
{
    check_dot<simd::default_arch, simd::dot_kind::scalar>();
    check_dot<simd::default_arch, simd::best_dot<simd::default_arch>>();
#if defined(__SSE2__)
    check_dot<xsimd::sse2, simd::dot_kind::pairs>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_dot<xsimd::fma3<xsimd::avx2>, simd::dot_kind::pairs>();
    check_dot<xsimd::fma3<xsimd::avx2>, simd::best_dot<xsimd::fma3<xsimd::avx2>>>();
#endif
#if defined(__AVX512BW__)
    check_dot<xsimd::avx512bw, simd::dot_kind::pairs>();
#endif
}

TEST_CASE("the default architecture is usable here")
{
    CHECK(simd::target_name<>() != nullptr);
    CHECK(simd::register_bytes<simd::default_arch> ==
          sizeof(float) * static_cast<std::size_t>(simd::width<float, simd::default_arch>));
#if defined(__FMA__)
    // Fused: one rounding.
    using real = simd::batch<float, simd::default_arch>;
    const real x(1.0f + 0x1p-12f);
    std::vector<float> y(static_cast<std::size_t>(simd::width<float, simd::default_arch>));
    simd::store(y.data(), simd::fma(x, x, real(-1.0f - 0x1p-11f)));
    CHECK(y[0] == 0x1p-24f);
#endif
}

} // namespace test_simd
