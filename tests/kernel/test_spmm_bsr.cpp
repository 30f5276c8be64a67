#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_bsr.hpp>
#include <structopt/sparse/bsr.hpp>

#include <doctest/doctest.h>

#include "support/spmm_check.hpp"
#include "support/threads.hpp"

#include <cstdint>
#include <cstring>
#include <vector>

namespace test_spmm_bsr
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using support::sparse_problem;

namespace k = structopt::kernel;

using native = structopt::simd::default_arch;

template <index_t R, index_t C, class T>
k::bsr_operand<T, std::uint16_t> operand(const structopt::sparse::bsr<T, R, C, std::uint16_t>& m)
{
    return {m.rows(), m.columns(), m.offsets().data(), m.indices().data(), m.values().data()};
}

template <index_t R, index_t C, class Arch, class T>
void check(const sparse_problem<T>& w, index_t batch, random_engine& rng)
{
    const structopt::sparse::bsr<T, R, C, std::uint16_t> blocks(w.dense());
    support::check_spmm(w, batch,
        k::spmm_bsr_scratch_bytes<R, C, T, Arch>(batch, w.rows, w.columns), rng,
        [&](index_t n, auto x, auto y, auto finish, std::byte* scratch)
        {
            k::spmm_bsr<R, C, Arch>(n, operand(blocks), x, y, finish, scratch);
        });
}

template <index_t R, index_t C, class Arch, class T>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 15, 16, 17, 150})
    {
        for (index_t columns : {0, 1, 5, 16, 70})
        {
            for (double density : {0.02, 0.2})
            {
                const sparse_problem<T> w(rows, columns, density, rng);
                for (index_t batch : {0, 1, 2, 5, 8, 9, 17, 33, 64, 65})
                {
                    check<R, C, Arch>(w, batch, rng);
                }
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a product with blocks agrees with its definition")
    {
        random_engine rng(3);
        for (index_t batch : {1, 5, 64})
        {
            check<16, 1, native>(sparse_problem<float>(37, 300, 0.02, rng), batch, rng);
            check<4, 4, native>(sparse_problem<double>(37, 300, 0.02, rng), batch, rng);
        }
    }
}

TEST_CASE("products with vectors of 16, all shapes and strides")
{
    sweep<16, 1, native, float>();
    sweep<16, 1, native, double>();
}

TEST_CASE("products with blocks of 4 x 4 and 8 x 8, all shapes and strides")
{
    sweep<4, 4, native, float>();
    sweep<8, 8, native, float>();
}

TEST_CASE("products with blocks of other extents")
{
    random_engine rng(5);
    for (index_t batch : {1, 2, 50})
    {
        const sparse_problem<float> w(53, 71, 0.1, rng);
        check<1, 1, native>(w, batch, rng);
        check<3, 5, native>(w, batch, rng);
        check<1, 16, native>(w, batch, rng);
        check<2, 8, native>(w, batch, rng);
        check<8, 2, native>(w, batch, rng);
        check<8, 1, native>(w, batch, rng);
        check<32, 1, native>(w, batch, rng);
        check<16, 16, native>(w, batch, rng);
        check<2, 32, native>(w, batch, rng);
    }
}

#if defined(__SSE2__)
TEST_CASE("products with blocks with SSE2")
{
    sweep<16, 1, xsimd::sse2, float>();
    sweep<4, 4, xsimd::sse2, float>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("products with blocks with AVX2")
{
    using avx2 = xsimd::fma3<xsimd::avx2>;
    sweep<16, 1, avx2, float>();
    sweep<4, 4, avx2, float>();
    sweep<4, 4, avx2, double>();
    random_engine rng(6);
    check<4, 2, avx2>(sparse_problem<float>(53, 71, 0.1, rng), 1, rng);
    check<2, 8, avx2>(sparse_problem<float>(53, 71, 0.1, rng), 1, rng);
}
#endif

TEST_CASE("products with blocks: a sample gives the same bits in every batch, with every number of "
          "threads")
{
    random_engine rng(7);
    const sparse_problem<float> w(1000, 700, 0.2, rng);
    const structopt::sparse::bsr<float, 16, 1, std::uint16_t> blocks(w.dense());
    const index_t most = 129;
    std::vector<float> x(static_cast<std::size_t>(most * w.columns));
    for (float& value : x)
    {
        value = structopt::normal<float>(rng);
    }
    const auto run = [&](index_t first, index_t batch)
    {
        std::vector<float> y(static_cast<std::size_t>(batch * w.rows));
        std::vector<std::byte> scratch(
            k::spmm_bsr_scratch_bytes<16, 1, float>(batch, w.rows, w.columns));
        k::spmm_bsr<16, 1>(batch, operand(blocks), {x.data() + first * w.columns, w.columns, 1},
            {y.data(), w.rows, 1}, {w.bias.data()}, scratch.data());
        return y;
    };
    const auto whole = run(0, most);
    const auto alone = run(9, 1);
    for (index_t batch : {2, 7, 16, 17, 64})
    {
        for (index_t first : {index_t{0}, index_t{5}, most - batch})
        {
            const auto part = run(first, batch);
            CHECK(std::memcmp(part.data(), whole.data() + first * w.rows,
                      part.size() * sizeof(float)) == 0);
        }
    }
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(run(0, most) == whole);
        CHECK(run(9, 1) == alone);
    }
}

} // namespace test_spmm_bsr
