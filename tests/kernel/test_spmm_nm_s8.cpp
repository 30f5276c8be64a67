#include <structopt/kernel/spmm_nm_s8.hpp>
#include <structopt/quantize/int8_nm.hpp>

#include <doctest/doctest.h>

#include "support/spmm_s8_check.hpp"
#include "support/threads.hpp"

#include <cstdint>
#include <limits>
#include <vector>

namespace test_spmm_nm_s8
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::quantize::int8_nm;
using structopt::simd::best_dot;
using structopt::simd::dot_kind;
using support::s8_batch;
using support::s8_problem;

using native = structopt::simd::default_arch;

/// At most two of every four columns. Row 0 is empty; in row 1 every group has two.
s8_problem random_nm(index_t rows, index_t columns, random_engine& rng, int extreme = 0)
{
    s8_problem p(rows, columns);
    for (index_t r = 1; r < rows; ++r)
    {
        for (index_t g = 0; g < columns; g += 4)
        {
            const auto count = r == 1 ? 2 : static_cast<int>(structopt::uniform_index(rng, 3));
            for (int i = 0; i < count; ++i)
            {
                const index_t c = g + static_cast<index_t>(structopt::uniform_index(rng, 4));
                if (c < columns)
                {
                    p.at(r, c) = extreme != 0 ? static_cast<std::int8_t>(extreme)
                                              : support::random_code(rng);
                }
            }
        }
    }
    return p;
}

template <class Arch, dot_kind Kind>
void check(const s8_problem& p, const s8_batch& samples)
{
    namespace k = structopt::kernel;
    const int8_nm w(p.w);
    support::check_spmm_s8(p, samples,
        k::spmm_nm_s8_scratch_bytes<Arch, Kind>(samples.n, p.columns()),
        [&](const std::int8_t* x, index_t x_row, const k::dequantize& e, k::matrix_result<float> y,
            std::byte* scratch)
        {
            k::spmm_nm_s8<Arch, Kind>(samples.n, w.operand(), x, x_row, e, y, scratch);
        });
}

template <class Arch, dot_kind Kind>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 15, 17, 31, 32, 33, 70})
    {
        for (index_t columns : {0, 1, 3, 4, 5, 8, 9, 63, 64, 65, 130})
        {
            const auto p = random_nm(rows, columns, rng);
            for (index_t batch : {0, 1, 2, 3, 5, 6, 11, 12, 13, 25, 64, 65})
            {
                check<Arch, Kind>(p, s8_batch(batch, columns, rng));
            }
        }
    }
}

template <class Arch, dot_kind Kind>
void check_extremes()
{
    random_engine rng(5);
    for (int sign : {-1, 1})
    {
        const auto p = random_nm(33, 3000, rng, 127 * sign);
        for (index_t batch : {1, 2, 7, 20})
        {
            check<Arch, Kind>(p, s8_batch(batch, 3000, rng, -128));
            check<Arch, Kind>(p, s8_batch(batch, 3000, rng, 127));
        }
    }
    // More samples than are laid out at a time.
    check<Arch, Kind>(random_nm(40, 20, rng), s8_batch(250, 20, rng));
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a product with 2:4 codes is exact and equals the dense one bit for bit")
    {
        random_engine rng(3);
        const auto p = random_nm(53, 70, rng);
        for (index_t batch : {1, 5, 64})
        {
            check<native, best_dot<native>>(p, s8_batch(batch, 70, rng));
        }
    }
}

TEST_CASE("every place of a group of four is read")
{
    random_engine rng(4);
    s8_problem p(36, 8);
    // Row 6 a + b has the pair a in the lower and the pair b in the upper four columns.
    const index_t pairs[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
    for (index_t r = 0; r < 36; ++r)
    {
        for (index_t i = 0; i < 2; ++i)
        {
            p.at(r, pairs[r / 6][i]) = support::random_code(rng);
            p.at(r, 4 + pairs[r % 6][i]) = support::random_code(rng);
        }
    }
    for (index_t batch : {1, 20})
    {
        check<native, best_dot<native>>(p, s8_batch(batch, 8, rng));
    }
}

TEST_CASE("products with 2:4 codes of all shapes and strides")
{
    sweep<native, best_dot<native>>();
    check_extremes<native, best_dot<native>>();
}

TEST_CASE("every instruction set gives the same bits: 2:4, plain C++")
{
    sweep<native, dot_kind::scalar>();
}

#if defined(__SSE2__)
TEST_CASE("every instruction set gives the same bits: 2:4, SSE2")
{
    sweep<xsimd::sse2, dot_kind::pairs>();
    check_extremes<xsimd::sse2, dot_kind::pairs>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set gives the same bits: 2:4, AVX2")
{
    using avx2 = xsimd::fma3<xsimd::avx2>;
    sweep<avx2, dot_kind::pairs>();
    sweep<avx2, best_dot<avx2>>();
    check_extremes<avx2, dot_kind::pairs>();
    check_extremes<avx2, best_dot<avx2>>();
}
#endif
#if defined(__AVX512BW__)
TEST_CASE("every instruction set gives the same bits: 2:4, AVX-512")
{
    sweep<xsimd::avx512bw, dot_kind::pairs>();
    check_extremes<xsimd::avx512bw, dot_kind::pairs>();
}
#endif

TEST_CASE("a sample without a scale is NaN, the others are not: 2:4")
{
    random_engine rng(6);
    const auto p = random_nm(20, 30, rng);
    const int8_nm w(p.w);
    for (index_t batch : {1, 3, 18})
    {
        s8_batch samples(batch, 30, rng);
        samples.scale[0] = std::numeric_limits<float>::quiet_NaN();
        std::vector<float> y(static_cast<std::size_t>(batch * 20));
        std::vector<std::byte> scratch(structopt::kernel::spmm_nm_s8_scratch_bytes<>(batch, 30));
        structopt::kernel::spmm_nm_s8<>(batch, w.operand(), samples.x.data(), 30,
            {.x_scale = samples.scale.data(), .w_scale = p.w.scales.data()}, {y.data(), 20, 1},
            scratch.data());
        for (index_t i = 0; i < batch * 20; ++i)
        {
            const float value = y[static_cast<std::size_t>(i)];
            CHECK((value == value) == (i >= 20));
        }
    }
}

TEST_CASE("a product with 2:4 codes is the same for every number of threads")
{
    random_engine rng(8);
    const auto p = random_nm(400, 300, rng);
    const int8_nm w(p.w);
    for (index_t batch : {1, 8, 130})
    {
        const s8_batch samples(batch, 300, rng);
        std::vector<float> first;
        for (int threads : {1, 2, 4})
        {
            support::with_threads with(threads);
            std::vector<float> y(static_cast<std::size_t>(batch * 400));
            std::vector<std::byte> scratch(
                structopt::kernel::spmm_nm_s8_scratch_bytes<>(batch, 300));
            structopt::kernel::spmm_nm_s8<>(batch, w.operand(), samples.x.data(), 300,
                {.x_scale = samples.scale.data(), .w_scale = p.w.scales.data()}, {y.data(), 400, 1},
                scratch.data());
            if (first.empty())
            {
                first = y;
            }
            CHECK(first == y);
        }
    }
}

} // namespace test_spmm_nm_s8
