#include <structopt/kernel/spmm_vectors_s8.hpp>
#include <structopt/quantize/int8_vectors.hpp>

#include <doctest/doctest.h>

#include "support/spmm_s8_check.hpp"
#include "support/threads.hpp"

#include <cstdint>
#include <limits>
#include <vector>

namespace test_spmm_vectors_s8
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::quantize::int8_vectors;
using structopt::simd::best_dot;
using structopt::simd::dot_kind;
using support::s8_batch;
using support::s8_problem;

using native = structopt::simd::default_arch;

/// Random vectors. Block row 0 is empty, block row 1 full, and with one block row row 0 is.
s8_problem random_vectors(
    index_t rows, index_t columns, double density, random_engine& rng, int extreme = 0)
{
    s8_problem p(rows, columns);
    for (index_t first = 0; first < rows; first += 16)
    {
        for (index_t c = 0; c < columns; ++c)
        {
            const bool there = first == 16 || ((first > 0 || rows <= 16) &&
                                                  structopt::uniform<double>(rng) < density);
            for (index_t r = first; there && r < first + 16 && r < rows; ++r)
            {
                p.at(r, c) =
                    extreme != 0 ? static_cast<std::int8_t>(extreme) : support::random_code(rng);
            }
        }
    }
    return p;
}

template <class Arch, dot_kind Kind, class Index = std::uint16_t>
void check(const s8_problem& p, const s8_batch& samples)
{
    namespace k = structopt::kernel;
    const int8_vectors<Index> w(p.w);
    support::check_spmm_s8(p, samples,
        k::spmm_vectors_s8_scratch_bytes<Arch>(samples.n, p.columns()),
        [&](const std::int8_t* x, index_t x_row, const k::dequantize& e, k::matrix_result<float> y,
            std::byte* scratch)
        {
            k::spmm_vectors_s8<Arch, Kind>(samples.n, w.operand(), x, x_row, e, y, scratch);
        });
}

template <class Arch, dot_kind Kind, class Index = std::uint16_t>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 15, 16, 17, 33, 50})
    {
        for (index_t columns : {0, 1, 3, 4, 5, 17, 67, 130})
        {
            const auto p = random_vectors(rows, columns, 0.4, rng);
            for (index_t batch : {0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 33, 48, 64, 65, 70})
            {
                check<Arch, Kind, Index>(p, s8_batch(batch, columns, rng));
            }
        }
    }
}

template <class Arch, dot_kind Kind>
void check_extremes()
{
    random_engine rng(5);
    // More quads of one block row than are kept at a time, too.
    for (index_t columns : {600, 5000})
    {
        for (int sign : {-1, 1})
        {
            const auto p = random_vectors(32, columns, 0.9, rng, 127 * sign);
            for (index_t batch : {1, 2, 7, 20, 65})
            {
                check<Arch, Kind>(p, s8_batch(batch, columns, rng, -128));
                check<Arch, Kind>(p, s8_batch(batch, columns, rng, 127));
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a product with int8 vectors is exact and equals the dense one bit for bit")
    {
        random_engine rng(3);
        const auto p = random_vectors(53, 70, 0.3, rng);
        for (index_t batch : {1, 5, 64})
        {
            check<native, best_dot<native>>(p, s8_batch(batch, 70, rng));
        }
    }
}

TEST_CASE("products with int8 vectors of all shapes and strides")
{
    sweep<native, best_dot<native>>();
    sweep<native, best_dot<native>, std::uint8_t>();
    sweep<native, best_dot<native>, std::uint32_t>();
    check_extremes<native, best_dot<native>>();
}

TEST_CASE("every instruction set gives the same bits: vectors, plain C++")
{
    sweep<native, dot_kind::scalar>();
}

#if defined(__SSE2__)
TEST_CASE("every instruction set gives the same bits: vectors, SSE2")
{
    sweep<xsimd::sse2, dot_kind::pairs>();
    check_extremes<xsimd::sse2, dot_kind::pairs>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set gives the same bits: vectors, AVX2")
{
    using avx2 = xsimd::fma3<xsimd::avx2>;
    sweep<avx2, dot_kind::pairs>();
    sweep<avx2, best_dot<avx2>>();
    check_extremes<avx2, best_dot<avx2>>();
}
#endif
#if defined(__AVX512BW__)
TEST_CASE("every instruction set gives the same bits: vectors, AVX-512")
{
    sweep<xsimd::avx512bw, dot_kind::pairs>();
    check_extremes<xsimd::avx512bw, dot_kind::pairs>();
}
#endif

TEST_CASE("a sample without a scale is NaN, the others are not: vectors")
{
    random_engine rng(6);
    const auto p = random_vectors(20, 30, 0.5, rng);
    const int8_vectors<> w(p.w);
    for (index_t batch : {1, 3, 18})
    {
        s8_batch samples(batch, 30, rng);
        samples.scale[0] = std::numeric_limits<float>::quiet_NaN();
        std::vector<float> y(static_cast<std::size_t>(batch * 20));
        std::vector<std::byte> scratch(
            structopt::kernel::spmm_vectors_s8_scratch_bytes<>(batch, 30));
        structopt::kernel::spmm_vectors_s8<>(batch, w.operand(), samples.x.data(), 30,
            {.x_scale = samples.scale.data(), .w_scale = p.w.scales.data()}, {y.data(), 20, 1},
            scratch.data());
        for (index_t i = 0; i < batch * 20; ++i)
        {
            const float value = y[static_cast<std::size_t>(i)];
            CHECK((value == value) == (i >= 20));
        }
    }
}

TEST_CASE("a product with int8 vectors is the same for every number of threads")
{
    random_engine rng(8);
    const auto p = random_vectors(400, 300, 0.5, rng);
    const int8_vectors<> w(p.w);
    for (index_t batch : {1, 8, 130})
    {
        const s8_batch samples(batch, 300, rng);
        std::vector<float> first;
        for (int threads : {1, 2, 4})
        {
            support::with_threads with(threads);
            std::vector<float> y(static_cast<std::size_t>(batch * 400));
            std::vector<std::byte> scratch(
                structopt::kernel::spmm_vectors_s8_scratch_bytes<>(batch, 300));
            structopt::kernel::spmm_vectors_s8<>(batch, w.operand(), samples.x.data(), 300,
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

} // namespace test_spmm_vectors_s8
