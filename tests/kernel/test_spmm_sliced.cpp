#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_sliced.hpp>
#include <structopt/sparse/sliced.hpp>

#include <doctest/doctest.h>

#include "support/spmm_check.hpp"
#include "support/threads.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace test_spmm_sliced
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::sparse::sliced;
using support::sparse_problem;

namespace k = structopt::kernel;

using native = structopt::simd::default_arch;

template <class Arch, class T>
void check(const sparse_problem<T>& w, index_t batch, index_t unit, random_engine& rng)
{
    const sliced<T> packed(w.dense(), unit);
    const auto operand = packed.operand();
    support::check_spmm(w, batch, k::spmm_sliced_scratch_bytes<T>(batch, operand), rng,
        [&](index_t n, auto x, auto y, auto finish, std::byte* scratch)
        {
            k::spmm_sliced<Arch>(n, operand, x, y, finish, scratch);
        });
}

template <class Arch, class T>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 2, 15, 16, 17, 40, 130})
    {
        for (index_t columns : {0, 1, 3, 15, 16, 17, 31, 32, 33, 97, 300})
        {
            for (double density : {0.0, 0.05, 0.3, 1.0})
            {
                const sparse_problem<T> w(rows, columns, density, rng);
                for (index_t unit : {8, 16})
                {
                    for (index_t batch : {0, 1, 3, 15})
                    {
                        check<Arch>(w, batch, unit, rng);
                    }
                }
            }
        }
    }
    // Gaps of more than 255 units.
    check<Arch>(sparse_problem<T>(18, 9000, 0.0005, rng), 1, 8, rng);
    check<Arch>(sparse_problem<T>(1, 9000, 0.0, rng), 1, 16, rng);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a sliced product agrees with its definition")
    {
        random_engine rng(3);
        for (index_t unit : {8, 16})
        {
            check<native>(sparse_problem<float>(37, 300, 0.2, rng), 1, unit, rng);
            check<native>(sparse_problem<double>(37, 300, 0.2, rng), 2, unit, rng);
        }
    }
}

TEST_CASE("sliced products of all shapes and strides, float")
{
    sweep<native, float>();
}

TEST_CASE("sliced products of all shapes and strides, double")
{
    sweep<native, double>();
}

#if defined(__SSE2__)
TEST_CASE("sliced products with SSE2")
{
    sweep<xsimd::sse2, float>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("sliced products with AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, float>();
    sweep<xsimd::fma3<xsimd::avx2>, double>();
}
#endif

TEST_CASE("sliced products: infinite features reach only the rows that have a value there")
{
    random_engine rng(6);
    const float infinity = std::numeric_limits<float>::infinity();
    const sparse_problem<float> w(50, 100, 0.2, rng);
    for (index_t unit : {8, 16})
    {
        const sliced<float> packed(w.dense(), unit);
        for (index_t c = 0; c < w.columns; ++c)
        {
            std::vector<float> x(static_cast<std::size_t>(w.columns), 1.0f);
            x[static_cast<std::size_t>(c)] = infinity;
            std::vector<float> y(static_cast<std::size_t>(w.rows));
            std::vector<std::byte> scratch(k::spmm_sliced_scratch_bytes(1, packed.operand()));
            k::spmm_sliced(1, packed.operand(), {x.data(), w.columns, 1}, {y.data(), w.rows, 1}, {},
                scratch.data());
            bool right = true;
            for (index_t r = 0; r < w.rows; ++r)
            {
                const float weight = w.values[static_cast<std::size_t>(r * w.columns + c)];
                const float found = y[static_cast<std::size_t>(r)];
                right = right && (weight == 0 ? std::abs(found) < 1000
                                              : found == (weight < 0 ? -infinity : infinity));
            }
            CHECK(right);
        }
    }
}

TEST_CASE(
    "sliced products: a sample gives the same bits in every batch, with every number of threads")
{
    random_engine rng(7);
    // Enough work for several parts, rows of very different length.
    sparse_problem<float> w(2000, 1200, 0.9, rng);
    for (index_t r = 0; r < w.rows; ++r)
    {
        for (index_t c = r * 613 % w.columns; c < w.columns; ++c)
        {
            w.values[static_cast<std::size_t>(r * w.columns + c)] = 0;
        }
    }
    const sliced<float> packed(w.dense());
    CHECK(packed.operand().order != nullptr);
    const index_t batch = 15;
    std::vector<float> x(static_cast<std::size_t>(batch * w.columns));
    for (float& value : x)
    {
        value = structopt::normal<float>(rng);
    }
    const auto run = [&](index_t first, index_t count)
    {
        std::vector<float> y(static_cast<std::size_t>(count * w.rows));
        std::vector<std::byte> scratch(k::spmm_sliced_scratch_bytes(count, packed.operand()));
        k::spmm_sliced(count, packed.operand(), {x.data() + first * w.columns, w.columns, 1},
            {y.data(), w.rows, 1}, {w.bias.data()}, scratch.data());
        return y;
    };
    const auto whole = run(0, batch);
    for (index_t first = 0; first < batch; ++first)
    {
        const auto part = run(first, 1);
        CHECK(std::memcmp(
                  part.data(), whole.data() + first * w.rows, part.size() * sizeof(float)) == 0);
    }
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(run(0, batch) == whole);
    }
}

} // namespace test_spmm_sliced
