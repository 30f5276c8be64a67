#include <structopt/core/random.hpp>
#include <structopt/kernel/spmm_csr.hpp>

#include <doctest/doctest.h>

#include "support/threads.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace test_spmm_csr
{

namespace
{

using structopt::index_t;
using structopt::random_engine;

using native = structopt::simd::default_arch;

/// A random sparse matrix as arrays: row 0 is empty and row 1 is full, where there are such rows.
template <class T, class Index>
struct sparse_problem
{
    index_t rows;
    index_t columns;
    std::vector<std::uint32_t> offsets = {0};
    std::vector<Index> indices;
    std::vector<T> values;
    std::vector<T> bias;

    sparse_problem(index_t m, index_t n, double density, random_engine& rng)
        : rows(m)
        , columns(n)
    {
        for (index_t r = 0; r < rows; ++r)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                const bool there = r == 1 || (r != 0 && structopt::uniform<double>(rng) < density);
                if (there)
                {
                    indices.push_back(static_cast<Index>(c));
                    values.push_back(structopt::normal<T>(rng));
                }
            }
            offsets.push_back(static_cast<std::uint32_t>(values.size()));
            bias.push_back(structopt::normal<T>(rng));
        }
    }
};

struct strides
{
    index_t row;
    index_t column;
};

/// Batch-major, feature-major, batch-major with longer rows, and neither stride 1.
std::vector<strides> forms(index_t batch, index_t features)
{
    return {{features, 1}, {1, batch}, {features + 3, 1}, {2 * features + 1, 2}};
}

std::size_t extent(const strides& s, index_t batch, index_t features)
{
    return batch == 0 || features == 0
               ? 0
               : static_cast<std::size_t>((batch - 1) * s.row + (features - 1) * s.column + 1);
}

constexpr int guard = -12345;

/// Compares with sums in double; everything around the result must stay untouched, and nothing but
/// the samples may be read: what lies between them is NaN.
template <class Arch, class T, class Index>
void check(const sparse_problem<T, Index>& w, index_t batch, random_engine& rng)
{
    std::vector<T> samples(static_cast<std::size_t>(batch * w.columns));
    for (T& value : samples)
    {
        value = structopt::normal<T>(rng);
    }
    const auto sample = [&](index_t b, index_t c)
    {
        return samples[static_cast<std::size_t>(b * w.columns + c)];
    };
    std::vector<double> expected;
    std::vector<double> bound;
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t r = 0; r < w.rows; ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            double sum = 0;
            double size = 0;
            for (std::size_t i = w.offsets[row]; i < w.offsets[row + 1]; ++i)
            {
                const double product =
                    static_cast<double>(w.values[i]) * static_cast<double>(sample(b, w.indices[i]));
                sum += product;
                size += std::abs(product);
            }
            expected.push_back(sum);
            bound.push_back(size);
        }
    }
    const auto epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
    for (const strides& in : forms(batch, w.columns))
    {
        for (const strides& out : forms(batch, w.rows))
        {
            const bool with_bias = (in.row + out.row) % 2 == 0;
            // One element further than allocated: no pointer is aligned.
            std::vector<T> x(extent(in, batch, w.columns) + 1, std::numeric_limits<T>::quiet_NaN());
            for (index_t b = 0; b < batch; ++b)
            {
                for (index_t c = 0; c < w.columns; ++c)
                {
                    x[static_cast<std::size_t>(1 + b * in.row + c * in.column)] = sample(b, c);
                }
            }
            const std::size_t size = extent(out, batch, w.rows);
            std::vector<T> y(size + 2, T(guard));
            const std::size_t bytes =
                structopt::kernel::spmm_csr_scratch_bytes<T, Arch>(batch, w.columns);
            std::vector<std::byte> scratch(bytes + 1 + 8, std::byte{0x5a});
            structopt::kernel::spmm_csr<Arch>(batch, w.rows, w.columns, w.values.data(),
                w.indices.data(), w.offsets.data(), x.data() + 1, in.row, in.column,
                with_bias ? w.bias.data() : nullptr, y.data() + 1, out.row, out.column,
                scratch.data() + 1);
            std::vector<bool> written(y.size(), false);
            bool right = true;
            for (index_t b = 0; b < batch; ++b)
            {
                for (index_t r = 0; r < w.rows; ++r)
                {
                    const auto at = static_cast<std::size_t>(1 + b * out.row + r * out.column);
                    const auto i = static_cast<std::size_t>(b * w.rows + r);
                    const double start =
                        with_bias ? static_cast<double>(w.bias[static_cast<std::size_t>(r)]) : 0.0;
                    const double difference =
                        std::abs(static_cast<double>(y[at]) - (expected[i] + start));
                    right = right &&
                            difference <= epsilon * (4 + static_cast<double>(w.columns)) *
                                              (bound[i] + std::abs(start)) &&
                            !written[at];
                    written[at] = true;
                }
            }
            for (std::size_t i = 0; i < y.size(); ++i)
            {
                right = right && (written[i] || y[i] == T(guard));
            }
            for (std::size_t i = bytes + 1; i < scratch.size(); ++i)
            {
                right = right && scratch[i] == std::byte{0x5a};
            }
            CHECK_MESSAGE(right, batch, "x", w.columns, "x", w.rows, " in ", in.row, ",", in.column,
                " out ", out.row, ",", out.column, " bias ", with_bias);
        }
    }
}

template <class Arch, class T, class Index>
void sweep()
{
    random_engine rng(21);
    for (index_t rows : {0, 1, 2, 13, 16, 31, 33})
    {
        for (index_t columns : {0, 1, 3, 17, 32, 97})
        {
            const sparse_problem<T, Index> w(rows, columns, 0.3, rng);
            for (index_t batch : {0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 100})
            {
                check<Arch>(w, batch, rng);
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a sparse product agrees with its definition")
    {
        random_engine rng(3);
        for (index_t batch : {1, 5, 64})
        {
            check<native>(sparse_problem<float, std::uint16_t>(37, 53, 0.2, rng), batch, rng);
            check<native>(sparse_problem<double, std::uint32_t>(37, 53, 0.2, rng), batch, rng);
        }
    }
}

TEST_CASE("sparse products of all shapes and strides, float")
{
    sweep<native, float, std::uint16_t>();
}

TEST_CASE("sparse products of all shapes and strides, double")
{
    sweep<native, double, std::uint32_t>();
}

TEST_CASE("sparse products with columns in a byte")
{
    random_engine rng(5);
    for (index_t batch : {1, 2, 7, 16, 65})
    {
        check<native>(sparse_problem<float, std::uint8_t>(19, 256, 0.1, rng), batch, rng);
    }
}

#if defined(__SSE2__)
TEST_CASE("sparse products with SSE2")
{
    sweep<xsimd::sse2, float, std::uint16_t>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("sparse products with AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, float, std::uint16_t>();
    sweep<xsimd::fma3<xsimd::avx2>, double, std::uint16_t>();
}
#endif

TEST_CASE("a sample gives the same bits in every batch and stride, a matrix for every thread count")
{
    random_engine rng(7);
    // 300 x 500 x 129 at half density is enough work for several blocks of rows.
    const sparse_problem<float, std::uint16_t> w(500, 300, 0.5, rng);
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
            structopt::kernel::spmm_csr_scratch_bytes<float>(batch, w.columns));
        structopt::kernel::spmm_csr(batch, w.rows, w.columns, w.values.data(), w.indices.data(),
            w.offsets.data(), x.data() + first * w.columns, w.columns, index_t(1), w.bias.data(),
            y.data(), w.rows, index_t(1), scratch.data());
        return y;
    };
    const auto whole = run(0, most);
    for (index_t batch : {1, 2, 3, 4, 16, 17, 64})
    {
        for (index_t first : {index_t{0}, index_t{5}, most - batch})
        {
            const auto part = run(first, batch);
            const bool same = std::memcmp(part.data(), whole.data() + first * w.rows,
                                  part.size() * sizeof(float)) == 0;
            CHECK_MESSAGE(same, batch, " samples from ", first);
        }
    }
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(run(0, most) == whole);
        CHECK(run(3, 1) == run(3, 1));
    }
}

} // namespace test_spmm_csr
