#include <structopt/kernel/csr_transposed.hpp>
#include <structopt/kernel/sddmm_csr.hpp>
#include <structopt/sparse/csr.hpp>

#include <doctest/doctest.h>

#include "support/sparse.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace test_csr_training
{

using namespace structopt;

namespace
{

/// A matrix [rows, columns] in memory that begins one element off and has its strides; what lies
/// between its elements must stay as it is.
template <class T>
struct strided
{
    std::vector<T> data;
    index_t row;
    index_t column;
    index_t rows;
    index_t columns;

    strided(index_t n, index_t m, int layout, T fill)
        : row(layout == 0   ? m
              : layout == 1 ? 1
                            : 3 * m + 2)
        , column(layout == 0   ? 1
                 : layout == 1 ? n
                               : 3)
        , rows(n)
        , columns(m)
    {
        data.assign(static_cast<std::size_t>(1 + (n + 1) * (3 * m + 3)), fill);
    }

    T* at(index_t i, index_t j)
    {
        return data.data() + 1 + i * row + j * column;
    }
};

template <class T>
strided<T> random_matrix(index_t n, index_t m, int layout, random_engine& rng)
{
    strided<T> x(n, m, layout, std::numeric_limits<T>::quiet_NaN());
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j < m; ++j)
        {
            *x.at(i, j) = normal<T>(rng);
        }
    }
    return x;
}

template <class T>
double bound(index_t terms, double largest)
{
    return static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(terms + 2) *
           largest;
}

template <class T, class Index>
void check(
    index_t batch, index_t rows, index_t columns, double density, int layout, random_engine& rng)
{
    INFO(batch << ", " << rows << "x" << columns << ", density " << density << ", layout "
               << layout);
    const auto w = support::random_sparse<T>(shape<2>{rows, columns}, density, rng);
    const sparse::csr<T, Index> s{as_view(w)};
    auto dy = random_matrix<T>(batch, rows, layout, rng);
    auto x = random_matrix<T>(batch, columns, layout == 2 ? 0 : 1 - layout, rng);

    strided<T> dx(batch, columns, layout, T(77));
    std::vector<std::byte> scratch(
        kernel::csr_transposed_scratch_bytes<T>(batch, rows, columns) + 1, std::byte{0xff});
    kernel::csr_transposed<>(batch, rows, columns, s.values().data(), s.indices().data(),
        s.offsets().data(), dy.at(0, 0), dy.row, dy.column, dx.at(0, 0), dx.row, dx.column,
        scratch.data() + 1);
    index_t untouched = 0;
    for (const T value : dx.data)
    {
        untouched += value == T(77) ? 1 : 0;
    }
    CHECK(untouched == static_cast<index_t>(dx.data.size()) - batch * columns);
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t c = 0; c < columns; ++c)
        {
            double expected = 0;
            double size = 0;
            for (index_t r = 0; r < rows; ++r)
            {
                const double term =
                    static_cast<double>(*dy.at(b, r)) * static_cast<double>(w(r, c));
                expected += term;
                size += std::abs(term);
            }
            REQUIRE(std::abs(static_cast<double>(*dx.at(b, c)) - expected) <= bound<T>(rows, size));
        }
    }

    sparse::csr<T, Index> g = s;
    const sparse::csr<T, Index>& result = g;
    std::fill(g.values().begin(), g.values().end(), T(1));
    scratch.assign(kernel::sddmm_csr_scratch_bytes<T>(batch, rows, columns) + 1, std::byte{0xff});
    kernel::sddmm_csr<>(batch, rows, columns, g.values().data(), g.indices().data(),
        g.offsets().data(), dy.at(0, 0), dy.row, dy.column, x.at(0, 0), x.row, x.column,
        scratch.data() + 1);
    CHECK(result.offsets() == s.offsets());
    CHECK(result.indices() == s.indices());
    result.visit(
        [&](index_t r, index_t c, T value)
        {
            double expected = 1;
            double size = 1;
            for (index_t b = 0; b < batch; ++b)
            {
                const double term =
                    static_cast<double>(*dy.at(b, r)) * static_cast<double>(*x.at(b, c));
                expected += term;
                size += std::abs(term);
            }
            REQUIRE(std::abs(static_cast<double>(value) - expected) <= bound<T>(batch, size));
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE(
        "transposed and sampled products: remainders in all extents", T, float, double)
    {
        random_engine rng(1);
        for (index_t batch : {0, 1, 2, 7, 16, 17, 33, 64, 70})
        {
            for (int layout : {0, 1, 2})
            {
                check<T, std::uint8_t>(batch, 5, 37, 0.3, layout, rng);
                check<T, std::uint32_t>(batch, 18, 16, 1.0, layout, rng);
            }
            check<T, std::uint16_t>(batch, 3, 1, 0.5, 0, rng);
            check<T, std::uint16_t>(batch, 1, 40, 0.0, 0, rng);
        }
        check<T, std::uint32_t>(300, 4, 40, 0.5, 0, rng);
        check<T, std::uint32_t>(513, 3, 5, 0.9, 1, rng);
        check<T, std::uint32_t>(4, 0, 5, 0.5, 0, rng);
        check<T, std::uint32_t>(4, 5, 0, 0.5, 0, rng);
    }
}

TEST_CASE("a sample's gradient is the same in every batch, and for every number of threads")
{
    random_engine rng(2);
    constexpr index_t rows = 300;
    constexpr index_t columns = 400;
    constexpr index_t batch = 100;
    const auto w = support::random_sparse<float>(shape<2>{rows, columns}, 0.3, rng);
    const sparse::csr<float> s{as_view(w)};
    auto dy = random_matrix<float>(batch, rows, 0, rng);
    auto x = random_matrix<float>(batch, columns, 0, rng);
    const auto both = [&](index_t first, index_t n)
    {
        std::vector<float> all(static_cast<std::size_t>(n * columns));
        std::vector<std::byte> scratch(
            std::max(kernel::csr_transposed_scratch_bytes<float>(n, rows, columns),
                kernel::sddmm_csr_scratch_bytes<float>(n, rows, columns)));
        kernel::csr_transposed<>(n, rows, columns, s.values().data(), s.indices().data(),
            s.offsets().data(), dy.at(first, 0), dy.row, dy.column, all.data(), columns, index_t{1},
            scratch.data());
        if (n == batch)
        {
            std::vector<float> g(s.values().size());
            kernel::sddmm_csr<>(n, rows, columns, g.data(), s.indices().data(), s.offsets().data(),
                dy.at(0, 0), dy.row, dy.column, x.at(0, 0), x.row, x.column, scratch.data());
            all.insert(all.end(), g.begin(), g.end());
        }
        return all;
    };
    std::vector<float> one;
    {
        const support::with_threads limit(1);
        one = both(0, batch);
    }
    {
        const support::with_threads limit(3);
        CHECK(both(0, batch) == one);
    }
    for (index_t b : {0, 31, 32, 99})
    {
        const auto alone = both(b, 1);
        CHECK(std::equal(alone.begin(), alone.end(), one.begin() + b * columns));
    }
}

} // namespace test_csr_training
