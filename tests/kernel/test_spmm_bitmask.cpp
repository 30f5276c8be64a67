#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_bitmask.hpp>
#include <structopt/sparse/bitmask.hpp>

#include <doctest/doctest.h>

#include "support/spmm_check.hpp"
#include "support/threads.hpp"

#include <cstring>
#include <limits>
#include <vector>

namespace test_spmm_bitmask
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using support::sparse_problem;

namespace k = structopt::kernel;

using native = structopt::simd::default_arch;

template <class T>
k::bitmask_operand<T> operand(const structopt::sparse::bitmask<T>& m)
{
    return {m.rows(), m.columns(), m.words().data(), m.offsets().data(), m.values().data()};
}

template <class Arch, class T>
void check(const sparse_problem<T>& w, index_t batch, random_engine& rng)
{
    const structopt::sparse::bitmask<T> packed(w.dense());
    support::check_spmm(w, batch, k::spmm_bitmask_scratch_bytes<T, Arch>(batch, w.rows, w.columns),
        rng,
        [&](index_t n, auto x, auto y, auto finish, std::byte* scratch)
        {
            k::spmm_bitmask<Arch>(n, operand(packed), x, y, finish, scratch);
        });
}

template <class Arch, class T>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 2, 17, 40})
    {
        for (index_t columns : {0, 1, 15, 63, 64, 65, 128, 200})
        {
            for (double density : {0.0, 0.2, 0.7, 1.0})
            {
                const sparse_problem<T> w(rows, columns, density, rng);
                for (index_t batch : {0, 1, 2, 17, 64, 65})
                {
                    check<Arch>(w, batch, rng);
                }
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a product with a bitmask agrees with its definition")
    {
        random_engine rng(3);
        for (index_t batch : {1, 5, 64})
        {
            check<native>(sparse_problem<float>(37, 300, 0.5, rng), batch, rng);
            check<native>(sparse_problem<double>(37, 300, 0.2, rng), batch, rng);
        }
    }
}

TEST_CASE("features without a weight do not matter, infinite or not a number")
{
    using structopt::shape;
    auto w = structopt::zeros<float>(shape<2>{2, 70});
    for (const index_t c : {0, 3, 40, 69})
    {
        w(0, c) = 1.0f + static_cast<float>(c);
        w(1, c) = 2.0f;
    }
    const structopt::sparse::bitmask<float> packed(structopt::as_view(w));
    for (const index_t batch : {1, 3})
    {
        auto x =
            structopt::full<float>(shape<2>{batch, 70}, std::numeric_limits<float>::infinity());
        for (index_t b = 0; b < batch; ++b)
        {
            x(b, 5) = std::numeric_limits<float>::quiet_NaN();
            for (const index_t c : {0, 3, 40, 69})
            {
                x(b, c) = 0.5f;
            }
        }
        auto y = structopt::zeros<float>(shape<2>{batch, 2});
        structopt::buffer<std::byte> scratch(
            k::spmm_bitmask_scratch_bytes<float, native>(batch, 2, 70));
        k::spmm_bitmask<native>(
            batch, operand(packed), {x.data(), 70, 1}, {y.data(), 2, 1}, {}, scratch.data());
        for (index_t b = 0; b < batch; ++b)
        {
            CHECK(y(b, 0) == 0.5f * (1 + 4 + 41 + 70));
            CHECK(y(b, 1) == 4.0f);
        }
    }
}

TEST_CASE("bitmask products of all shapes and strides, float")
{
    sweep<native, float>();
}

TEST_CASE("bitmask products of all shapes and strides, double")
{
    sweep<native, double>();
}

#if defined(__SSE2__)
TEST_CASE("bitmask products with SSE2")
{
    sweep<xsimd::sse2, float>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("bitmask products with AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, float>();
}
#endif

TEST_CASE(
    "bitmask products: a sample gives the same bits in every batch, with every number of threads")
{
    random_engine rng(7);
    const sparse_problem<float> w(1500, 800, 0.5, rng);
    const structopt::sparse::bitmask<float> packed(w.dense());
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
            k::spmm_bitmask_scratch_bytes<float>(batch, w.rows, w.columns));
        k::spmm_bitmask(batch, operand(packed), {x.data() + first * w.columns, w.columns, 1},
            {y.data(), w.rows, 1}, {w.bias.data()}, scratch.data());
        return y;
    };
    const auto whole = run(0, most);
    const auto alone = run(9, 1);
    for (index_t batch : {2, 16, 17, 64})
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

} // namespace test_spmm_bitmask
