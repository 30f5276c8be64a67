#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_nm.hpp>
#include <structopt/sparse/packed_nm.hpp>

#include <doctest/doctest.h>

#include "support/spmm_check.hpp"
#include "support/threads.hpp"

#include <cstring>
#include <vector>

namespace test_spmm_nm
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using support::sparse_problem;

namespace k = structopt::kernel;

using native = structopt::simd::default_arch;

/// At most N non-zeros in M columns, fewer here and there; row 0 is empty.
template <index_t N, index_t M, class T>
sparse_problem<T> problem(index_t rows, index_t columns, random_engine& rng)
{
    sparse_problem<T> w(rows, columns, 0.0, rng);
    for (index_t r = 0; r < rows; ++r)
    {
        for (index_t c = 0; c < columns; ++c)
        {
            w.values[static_cast<std::size_t>(r * columns + c)] = T(0);
        }
        for (index_t g = 0; g < columns; g += M)
        {
            for (index_t s = 0; s < N && r != 0; ++s)
            {
                const index_t c =
                    g + static_cast<index_t>(structopt::uniform_index(rng, std::uint64_t{M}));
                if (c < columns)
                {
                    w.values[static_cast<std::size_t>(r * columns + c)] =
                        sparse_problem<T>::value(rng);
                }
            }
        }
    }
    return w;
}

template <index_t N, index_t M, class Arch, class T>
void check(const sparse_problem<T>& w, index_t batch, random_engine& rng)
{
    const structopt::sparse::packed_nm<T, N, M> packed(w.dense());
    support::check_spmm(w, batch, k::spmm_nm_scratch_bytes<N, M, T, Arch>(batch, w.rows, w.columns),
        rng,
        [&](index_t n, auto x, auto y, auto finish, std::byte* scratch)
        {
            k::spmm_nm<N, M, Arch>(n, packed.operand(), x, y, finish, scratch);
        });
}

template <index_t N, index_t M, class Arch, class T>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 15, 17, 70})
    {
        for (index_t columns : {0, 1, 4, 7, 31, 64, 150, 300})
        {
            const auto w = problem<N, M, T>(rows, columns, rng);
            for (index_t batch : {0, 1, 3, 4, 7, 8, 9, 33, 64, 65})
            {
                check<N, M, Arch>(w, batch, rng);
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("an N:M product agrees with its definition")
    {
        random_engine rng(3);
        for (index_t batch : {1, 5, 64})
        {
            check<2, 4, native>(problem<2, 4, float>(37, 300, rng), batch, rng);
            check<2, 4, native>(problem<2, 4, double>(37, 300, rng), batch, rng);
        }
    }
}

TEST_CASE("2:4, 1:4 and 4:8 products of all shapes and strides")
{
    sweep<2, 4, native, float>();
    sweep<1, 4, native, float>();
    sweep<4, 8, native, float>();
}

TEST_CASE("N:M products, double and other N")
{
    sweep<2, 4, native, double>();
    random_engine rng(5);
    for (index_t batch : {1, 6, 20})
    {
        check<4, 4, native>(problem<4, 4, float>(33, 65, rng), batch, rng);
        check<1, 8, native>(problem<1, 8, float>(33, 65, rng), batch, rng);
        check<2, 8, native>(problem<2, 8, double>(33, 65, rng), batch, rng);
        check<8, 8, native>(problem<8, 8, float>(33, 65, rng), batch, rng);
    }
}

#if defined(__SSE2__)
TEST_CASE("N:M products with SSE2")
{
    sweep<2, 4, xsimd::sse2, float>();
    sweep<4, 8, xsimd::sse2, float>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("N:M products with AVX2")
{
    using avx2 = xsimd::fma3<xsimd::avx2>;
    sweep<2, 4, avx2, float>();
    sweep<4, 8, avx2, float>();
    sweep<2, 4, avx2, double>();
}
#endif

TEST_CASE("N:M products: a sample gives the same bits in every batch, with every number of threads")
{
    random_engine rng(7);
    const auto w = problem<2, 4, float>(1000, 700, rng);
    const structopt::sparse::packed_nm<float, 2, 4> packed(w.dense());
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
            k::spmm_nm_scratch_bytes<2, 4, float>(batch, w.rows, w.columns));
        k::spmm_nm<2, 4>(batch, packed.operand(), {x.data() + first * w.columns, w.columns, 1},
            {y.data(), w.rows, 1}, {w.bias.data()}, scratch.data());
        return y;
    };
    const auto whole = run(0, most);
    const auto alone = run(9, 1);
    for (index_t batch : {4, 7, 8, 16, 17, 64})
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

} // namespace test_spmm_nm
