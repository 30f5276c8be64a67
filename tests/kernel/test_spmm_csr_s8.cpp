#include <structopt/core/random.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/kernel/spmm_csr_s8.hpp>

#include <doctest/doctest.h>

#include "support/threads.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace test_spmm_csr_s8
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::activation;
using structopt::kernel::dequantize;

using native = structopt::simd::default_arch;

std::int8_t random_code(random_engine& rng)
{
    return static_cast<std::int8_t>(structopt::uniform_index(rng, 255) - 127);
}

/// A sparse matrix of codes, and the same one dense.
template <class Index>
struct codes_problem
{
    index_t rows;
    index_t columns;
    std::vector<std::uint32_t> offsets = {0};
    std::vector<Index> indices;
    std::vector<std::int8_t> values;
    std::vector<std::int8_t> dense;
    std::vector<float> scale;
    std::vector<float> bias;

    codes_problem(index_t m, index_t n, double density, random_engine& rng, int extreme = 0)
        : rows(m)
        , columns(n)
    {
        for (index_t r = 0; r < rows; ++r)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                const bool there = r == 1 || (r != 0 && structopt::uniform<double>(rng) < density);
                const auto code =
                    extreme != 0 ? static_cast<std::int8_t>(extreme) : random_code(rng);
                dense.push_back(there ? code : std::int8_t{0});
                if (there)
                {
                    indices.push_back(static_cast<Index>(c));
                    values.push_back(code);
                }
            }
            offsets.push_back(static_cast<std::uint32_t>(values.size()));
            scale.push_back(0.003f / static_cast<float>(r % 5 + 1));
            bias.push_back(0.37f * static_cast<float>(r % 9 - 4));
        }
    }
};

struct batch_of_codes
{
    index_t n;
    std::vector<std::int8_t> x;
    std::vector<float> scale;

    batch_of_codes(index_t batch, index_t columns, random_engine& rng, int extreme = 0)
        : n(batch)
    {
        for (index_t i = 0; i < batch * columns; ++i)
        {
            x.push_back(extreme != 0 ? static_cast<std::int8_t>(extreme) : random_code(rng));
        }
        for (index_t b = 0; b < batch; ++b)
        {
            scale.push_back(0.001f * static_cast<float>(b % 7 + 1));
        }
    }
};

constexpr float guard = -12345.0f;

/// Compares bits with sums in int64 and the stated expression, and with the dense integer product.
template <class Arch, class Index>
void check(const codes_problem<Index>& w, const batch_of_codes& samples)
{
    namespace k = structopt::kernel;
    const index_t batch = samples.n;
    const std::size_t bytes = k::spmm_csr_s8_scratch_bytes<Arch>(batch, w.columns);
    // Rows of x are longer than its columns, and nothing is aligned.
    const index_t x_row = w.columns + 5;
    std::vector<std::int8_t> x(static_cast<std::size_t>(batch * x_row + 1), std::int8_t{111});
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t c = 0; c < w.columns; ++c)
        {
            x[static_cast<std::size_t>(1 + b * x_row + c)] =
                samples.x[static_cast<std::size_t>(b * w.columns + c)];
        }
    }
    std::vector<std::byte> packed(k::packed_bytes_s8<>(w.rows, w.columns));
    k::pack_s8<>(w.rows, w.columns, w.dense.data(), w.columns, packed.data());
    std::vector<std::byte> dense_scratch(k::gemm_s8_scratch_bytes<>(batch, w.rows, w.columns));

    const structopt::kernel::matrix_result<float> forms[] = {{nullptr, w.rows, 1},
        {nullptr, 1, batch}, {nullptr, w.rows + 2, 1}, {nullptr, 2 * w.rows + 1, 2}};
    int form = 0;
    for (auto out : forms)
    {
        const bool with_bias = form % 2 == 0;
        const bool one_scale = form == 1;
        const activation act = form == 2 ? activation::relu : activation::none;
        ++form;
        const dequantize e{.x_scale = samples.scale.data(),
            .w_scale = w.scale.data(),
            .bias = with_bias ? w.bias.data() : nullptr,
            .act = act,
            .one_x_scale = one_scale};
        const std::size_t size = batch == 0 || w.rows == 0
                                     ? 0
                                     : static_cast<std::size_t>((batch - 1) * out.row_stride +
                                                                (w.rows - 1) * out.col_stride + 1);
        std::vector<float> y(size + 2, guard);
        std::vector<float> z(size + 2, guard);
        std::vector<std::byte> scratch(bytes + 9, std::byte{0x5a});
        out.data = y.data() + 1;
        k::spmm_csr_s8<Arch>(batch, w.rows, w.columns, w.values.data(), w.indices.data(),
            w.offsets.data(), x.data() + 1, x_row, e, out, scratch.data() + 1);
        out.data = z.data() + 1;
        k::gemm_s8<>(batch, w.rows, w.columns, {x.data() + 1, x_row, 1}, packed.data(), out, e,
            dense_scratch.data());
        bool right = std::memcmp(y.data(), z.data(), y.size() * sizeof(float)) == 0;
        for (index_t b = 0; b < batch; ++b)
        {
            for (index_t r = 0; r < w.rows; ++r)
            {
                std::int64_t sum = 0;
                for (index_t c = 0; c < w.columns; ++c)
                {
                    sum += std::int64_t{w.dense[static_cast<std::size_t>(r * w.columns + c)]} *
                           samples.x[static_cast<std::size_t>(b * w.columns + c)];
                }
                const auto row = static_cast<std::size_t>(r);
                volatile float scale =
                    samples.scale[one_scale ? 0 : static_cast<std::size_t>(b)] * w.scale[row];
                volatile float value = static_cast<float>(sum);
                value = value * scale;
                if (with_bias)
                {
                    value = value + w.bias[row];
                }
                const float expected = act == activation::relu && value < 0.0f ? 0.0f : value;
                const auto at =
                    static_cast<std::size_t>(1 + b * out.row_stride + r * out.col_stride);
                right = right && y[at] == expected;
                y[at] = guard;
            }
        }
        for (const float value : y)
        {
            right = right && value == guard;
        }
        for (std::size_t i = bytes + 1; i < scratch.size(); ++i)
        {
            right = right && scratch[i] == std::byte{0x5a};
        }
        CHECK_MESSAGE(right, batch, "x", w.columns, "x", w.rows, " form ", form);
    }
}

template <class Arch, class Index>
void sweep()
{
    random_engine rng(31);
    for (index_t rows : {0, 1, 2, 15, 16, 33})
    {
        for (index_t columns : {0, 1, 5, 16, 31, 67})
        {
            const codes_problem<Index> w(rows, columns, 0.3, rng);
            for (index_t batch : {0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 100})
            {
                check<Arch>(w, batch_of_codes(batch, columns, rng));
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a sparse integer product is exact and equals the dense one bit for bit")
    {
        random_engine rng(3);
        const codes_problem<std::uint16_t> w(37, 53, 0.2, rng);
        for (index_t batch : {1, 5, 64})
        {
            check<native>(w, batch_of_codes(batch, w.columns, rng));
        }
    }
}

TEST_CASE("sparse integer products of all shapes and strides")
{
    sweep<native, std::uint16_t>();
    sweep<native, std::uint32_t>();
    sweep<native, std::uint8_t>();
}

#if defined(__SSE2__)
TEST_CASE("every instruction set gives the same bits: sparse, SSE2")
{
    sweep<xsimd::sse2, std::uint16_t>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("every instruction set gives the same bits: sparse, AVX2")
{
    sweep<xsimd::fma3<xsimd::avx2>, std::uint16_t>();
}
#endif

TEST_CASE("the largest sums of long rows are exact")
{
    // Float adds integers exactly below 2^24 only: 128 * 127 * 1,033 is above.
    random_engine rng(5);
    for (index_t columns : {1023, 1024, 1025, 1041, 2048, 5000})
    {
        for (int sign : {-1, 1})
        {
            const codes_problem<std::uint16_t> w(4, columns, 0.999, rng, 127 * sign);
            for (index_t batch : {1, 2, 35})
            {
                check<native>(w, batch_of_codes(batch, columns, rng, -128));
                check<native>(w, batch_of_codes(batch, columns, rng, 127));
            }
            // Odd sums: a float sum beyond 2^24 could not hold them.
            check<native>(w, batch_of_codes(3, columns, rng, 125));
        }
    }
}

TEST_CASE("a sample without a scale is NaN, the others are not")
{
    random_engine rng(6);
    const codes_problem<std::uint16_t> w(20, 30, 0.5, rng);
    for (index_t batch : {1, 3, 18})
    {
        batch_of_codes samples(batch, 30, rng);
        samples.scale[0] = std::numeric_limits<float>::quiet_NaN();
        std::vector<float> y(static_cast<std::size_t>(batch * w.rows));
        std::vector<std::byte> scratch(structopt::kernel::spmm_csr_s8_scratch_bytes<>(batch, 30));
        structopt::kernel::spmm_csr_s8<>(batch, w.rows, w.columns, w.values.data(),
            w.indices.data(), w.offsets.data(), samples.x.data(), w.columns,
            {.x_scale = samples.scale.data(), .w_scale = w.scale.data()}, {y.data(), w.rows, 1},
            scratch.data());
        for (index_t i = 0; i < batch * w.rows; ++i)
        {
            const float value = y[static_cast<std::size_t>(i)];
            CHECK((value == value) == (i >= w.rows));
        }
    }
}

TEST_CASE("a sparse integer product is the same for every number of threads")
{
    random_engine rng(8);
    const codes_problem<std::uint16_t> w(400, 300, 0.5, rng);
    const batch_of_codes samples(130, 300, rng);
    std::vector<float> first;
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        std::vector<float> y(static_cast<std::size_t>(samples.n * w.rows));
        std::vector<std::byte> scratch(
            structopt::kernel::spmm_csr_s8_scratch_bytes<>(samples.n, w.columns));
        structopt::kernel::spmm_csr_s8<>(samples.n, w.rows, w.columns, w.values.data(),
            w.indices.data(), w.offsets.data(), samples.x.data(), w.columns,
            {.x_scale = samples.scale.data(), .w_scale = w.scale.data()}, {y.data(), w.rows, 1},
            scratch.data());
        if (first.empty())
        {
            first = y;
        }
        CHECK(first == y);
    }
}

} // namespace test_spmm_csr_s8
