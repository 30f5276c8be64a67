#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_tiled.hpp>
#include <structopt/sparse/tiled.hpp>

#include <doctest/doctest.h>

#include "support/spmm_check.hpp"
#include "support/threads.hpp"

#include <cstring>
#include <limits>
#include <vector>

namespace test_spmm_tiled
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::sparse::tiled;
using support::sparse_problem;

namespace k = structopt::kernel;

using native = structopt::simd::default_arch;

template <class Arch, class T>
void check(const sparse_problem<T>& w, index_t batch, const structopt::sparse::tiling& how,
    random_engine& rng)
{
    const tiled<T> packed(w.dense(), how);
    const auto operand = packed.operand();
    support::check_spmm(w, batch, k::spmm_tiled_scratch_bytes<T, Arch>(batch, operand), rng,
        [&](index_t n, auto x, auto y, auto finish, std::byte* scratch)
        {
            k::spmm_tiled<Arch>(n, operand, x, y, finish, scratch);
        });
}

template <class Arch, class T>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 2, 5, 16, 33, 130})
    {
        for (index_t columns : {0, 1, 3, 17, 64, 97})
        {
            const sparse_problem<T> w(rows, columns, 0.3, rng);
            for (index_t batch : {0, 1, 2, 7, 16, 17, 48, 63, 64, 65, 100})
            {
                check<Arch>(w, batch, {}, rng);
            }
            // Several blocks, several tiles, the last of each incomplete.
            check<Arch>(w, 33, {16, 10}, rng);
            check<Arch>(w, 5, {3, 1}, rng);
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a tiled product agrees with its definition")
    {
        random_engine rng(3);
        for (index_t batch : {1, 5, 64})
        {
            check<native>(sparse_problem<float>(37, 300, 0.2, rng), batch, {}, rng);
            check<native>(sparse_problem<double>(37, 300, 0.2, rng), batch, {}, rng);
        }
    }
}

TEST_CASE("tiled products of all shapes and strides, float")
{
    sweep<native, float>();
}

TEST_CASE("tiled products of all shapes and strides, double")
{
    sweep<native, double>();
}

TEST_CASE("tiles of the most columns")
{
    random_engine rng(4);
    check<native>(sparse_problem<float>(40, 600, 0.3, rng), 70, {0, 255}, rng);
}

#if defined(__SSE2__)
TEST_CASE("tiled products with SSE2")
{
    sweep<xsimd::sse2, float>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("tiled products with AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, float>();
    sweep<xsimd::fma3<xsimd::avx2>, double>();
}
#endif

TEST_CASE("tiled products: infinite features reach only the rows that have a value there")
{
    random_engine rng(6);
    const sparse_problem<float> w(50, 40, 0.3, rng);
    const tiled<float> packed(w.dense());
    const index_t batch = 20;
    std::vector<float> x(static_cast<std::size_t>(batch * w.columns), 1.0f);
    for (index_t b = 0; b < batch; ++b)
    {
        x[static_cast<std::size_t>(b * w.columns + 7)] = std::numeric_limits<float>::infinity();
    }
    std::vector<float> y(static_cast<std::size_t>(batch * w.rows));
    std::vector<std::byte> scratch(k::spmm_tiled_scratch_bytes<float>(batch, packed.operand()));
    k::spmm_tiled(batch, packed.operand(), {x.data(), w.columns, 1}, {y.data(), w.rows, 1}, {},
        scratch.data());
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t r = 0; r < w.rows; ++r)
        {
            const float weight = w.values[static_cast<std::size_t>(r * w.columns + 7)];
            const float found = y[static_cast<std::size_t>(b * w.rows + r)];
            const float infinity = std::numeric_limits<float>::infinity();
            CHECK((weight == 0 ? std::abs(found) < 1000
                               : found == (weight < 0 ? -infinity : infinity)));
        }
    }
}

TEST_CASE(
    "tiled products: a sample gives the same bits in every batch, with every number of threads")
{
    random_engine rng(7);
    const sparse_problem<float> w(700, 300, 0.3, rng);
    const tiled<float> packed(w.dense(), {.block_rows = 128});
    const index_t most = 129;
    std::vector<float> x(static_cast<std::size_t>(most * w.columns));
    for (float& value : x)
    {
        value = structopt::normal<float>(rng);
    }
    const auto run = [&](index_t first, index_t batch)
    {
        std::vector<float> y(static_cast<std::size_t>(batch * w.rows));
        std::vector<std::byte> scratch(k::spmm_tiled_scratch_bytes<float>(batch, packed.operand()));
        k::spmm_tiled(batch, packed.operand(), {x.data() + first * w.columns, w.columns, 1},
            {y.data(), w.rows, 1}, {w.bias.data()}, scratch.data());
        return y;
    };
    const auto whole = run(0, most);
    for (index_t batch : {1, 2, 16, 17, 64})
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
    }
}

} // namespace test_spmm_tiled
