#include <structopt/core/random.hpp>
#include <structopt/kernel/gemm.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace test_gemm
{

namespace
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::activation;
using structopt::kernel::epilogue;
using structopt::kernel::gemm_shape;
using structopt::kernel::matrix_operand;

using native = structopt::simd::default_arch;

/// Elements on either side of C, and between its rows, that no kernel may touch.
constexpr double guard = 1234.5;

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

template <class T>
T signed_unit(random_engine& rng)
{
    return static_cast<T>(static_cast<double>(rng() >> 11) * 0x1p-53 * 2.0 - 1.0);
}

template <class T>
std::vector<T> random_values(index_t n, random_engine& rng)
{
    std::vector<T> x(at(n));
    for (auto& value : x)
    {
        value = signed_unit<T>(rng);
    }
    return x;
}

/// How an operand [rows, columns] lies in memory.
enum class order
{
    rows,
    columns,
    /// Neither stride is 1.
    sparse
};

template <class T>
matrix_operand<T> operand(const std::vector<T>& x, order o, index_t rows, index_t columns)
{
    // One element in, so that nothing is aligned.
    switch (o)
    {
    case order::rows:
        return {x.data() + 1, columns, 1};
    case order::columns:
        return {x.data() + 1, 1, rows};
    default:
        return {x.data() + 1, 2 * columns + 1, 2};
    }
}

template <class T>
struct problem
{
    index_t m;
    index_t n;
    index_t k;
    std::vector<T> a;
    std::vector<T> b;
    std::vector<T> c;
    std::vector<T> bias;
    std::vector<T> row_bias;

    problem(index_t rows, index_t columns, index_t depth, random_engine& rng)
        : m(rows)
        , n(columns)
        , k(depth)
        , a(random_values<T>(rows * (2 * depth + 1) + 2, rng))
        , b(random_values<T>(depth * (2 * columns + 1) + 2, rng))
        , c(random_values<T>(rows * columns, rng))
        , bias(random_values<T>(columns + 1, rng))
        , row_bias(random_values<T>(rows + 1, rng))
    {
    }
};

struct options
{
    order a = order::rows;
    order b = order::columns;
    bool accumulate = false;
    bool bias = false;
    bool row_bias = false;
    activation act = activation::none;
    bool packed = false;
};

/// What a kernel leaves in C, with guards around each row: [m, n + 3] and one element in front.
template <class T, class Arch>
std::vector<T> run(const problem<T>& p, const options& o, bool poison = false)
{
    namespace k = structopt::kernel;
    const index_t stride = p.n + 3;
    std::vector<T> c(at(p.m * stride + 1), static_cast<T>(guard));
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < p.n; ++j)
        {
            // C is not read unless it accumulates.
            c[at(1 + i * stride + j)] =
                o.accumulate ? p.c[at(i * p.n + j)] : std::numeric_limits<T>::quiet_NaN();
        }
    }
    epilogue<T> e;
    e.bias = o.bias ? p.bias.data() + 1 : nullptr;
    e.row_bias = o.row_bias ? p.row_bias.data() + 1 : nullptr;
    e.accumulate = o.accumulate;
    e.act = o.act;
    const auto a = operand(p.a, o.a, p.m, p.k);
    const auto b = operand(p.b, o.b, p.k, p.n);
    const std::byte fill{poison ? std::uint8_t{0xff} : std::uint8_t{0}};
    if (o.packed)
    {
        std::vector<std::byte> scratch(k::gemm_packed_scratch_bytes<T, Arch>(p.m, p.n, p.k), fill);
        std::vector<T> packed(at(k::packed_size<T, Arch>(p.n, p.k)));
        k::pack_b<T, Arch>(p.n, p.k, b.data, b.col_stride, packed.data());
        k::gemm_packed<T, Arch>(
            p.m, p.n, p.k, a, packed.data(), c.data() + 1, stride, e, scratch.data());
    }
    else
    {
        std::vector<std::byte> scratch(k::gemm_scratch_bytes<T, Arch>(p.m, p.n, p.k), fill);
        k::gemm<T, Arch>(p.m, p.n, p.k, a, b, c.data() + 1, stride, e, scratch.data());
    }
    return c;
}

/// Rounding errors of one element: every product and sum is rounded once, values are at most 1.
template <class T>
double tolerance(index_t k)
{
    return 2.0 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
           static_cast<double>(k + 4);
}

template <class T>
double expected(const problem<T>& p, const options& o, index_t i, index_t j)
{
    const auto a = operand(p.a, o.a, p.m, p.k);
    const auto b = operand(p.b, o.b, p.k, p.n);
    double sum = 0.0;
    for (index_t l = 0; l < p.k; ++l)
    {
        sum += static_cast<double>(a.data[i * a.row_stride + l * a.col_stride]) *
               static_cast<double>(b.data[l * b.row_stride + j * b.col_stride]);
    }
    sum += o.accumulate ? static_cast<double>(p.c[at(i * p.n + j)]) : 0.0;
    sum += o.bias ? static_cast<double>(p.bias[at(j + 1)]) : 0.0;
    sum += o.row_bias ? static_cast<double>(p.row_bias[at(i + 1)]) : 0.0;
    return o.act == activation::relu && sum < 0.0 ? 0.0 : sum;
}

/// Compares all elements, or every `step`-th of a large result.
template <class T, class Arch>
void check(const problem<T>& p, const options& o, index_t step = 1)
{
    const auto c = run<T, Arch>(p, o);
    const index_t stride = p.n + 3;
    double worst = 0.0;
    double largest = 0.0;
    bool untouched = c[0] == static_cast<T>(guard);
    for (index_t i = 0; i < p.m; ++i)
    {
        for (index_t j = 0; j < stride; ++j)
        {
            const T found = c[at(1 + i * stride + j)];
            if (j >= p.n)
            {
                untouched = untouched && found == static_cast<T>(guard);
            }
            else if ((i * p.n + j) % step == 0)
            {
                const double exact = expected(p, o, i, j);
                const double error = std::fabs(static_cast<double>(found) - exact);
                // A NaN must not compare as small.
                worst = error <= worst ? worst : std::isnan(error) ? 1e30 : error;
                largest = std::max(largest, std::fabs(exact));
            }
        }
    }
    const std::string what = std::to_string(p.m) + "x" + std::to_string(p.k) + "x" +
                             std::to_string(p.n) + (o.packed ? " packed" : "");
    CHECK_MESSAGE(untouched, what);
    CHECK_MESSAGE(worst <= tolerance<T>(p.k), what);
    // The bound must be one that a result of zeros would miss.
    if (p.m * p.n > 8 && p.k > 0 && o.act == activation::none)
    {
        REQUIRE(largest > 10.0 * tolerance<T>(p.k));
    }
}

template <class T, class Arch>
void sweep(const std::vector<index_t>& heights, const std::vector<index_t>& depths)
{
    random_engine rng(5);
    constexpr index_t lanes = structopt::simd::width<T, Arch>;
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    const std::vector<index_t> widths{0, 1, 2, lanes - 1, lanes, lanes + 1, panel - 1, panel,
        panel + 1, 2 * panel + 3, 4 * panel + lanes + 1};
    int round = 0;
    for (index_t m : heights)
    {
        for (index_t n : widths)
        {
            for (index_t k : depths)
            {
                const problem<T> p(m, n, k, rng);
                // All layouts, with the epilogues taking turns.
                for (int layout = 0; layout < 5; ++layout)
                {
                    options o;
                    o.a = layout == 2 ? order::columns : order::rows;
                    o.b = layout == 1 || layout == 2 ? order::rows : order::columns;
                    if (layout == 4)
                    {
                        o.a = order::sparse;
                        o.b = order::sparse;
                    }
                    o.packed = layout == 3;
                    o.accumulate = round % 2 == 1;
                    o.bias = round % 3 == 1;
                    o.row_bias = round % 5 == 1;
                    o.act = round % 7 == 1 ? activation::relu : activation::none;
                    ++round;
                    check<T, Arch>(p, o);
                }
            }
        }
    }
}

const std::vector<index_t> all_heights{
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 24, 29, 33, 56, 64};
const std::vector<index_t> few_heights{0, 1, 2, 3, 4, 6, 7, 9, 14, 15, 17, 25, 33};
const std::vector<index_t> all_depths{0, 1, 2, 3, 5, 8, 17, 64, 65};
const std::vector<index_t> few_depths{0, 1, 3, 17, 66};

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a product agrees with the definition: few shapes")
    {
        sweep<float, native>(few_heights, few_depths);
        sweep<double, native>(few_heights, few_depths);
    }
}

TEST_CASE("a product agrees with the definition for every remainder, layout and epilogue")
{
    sweep<float, native>(all_heights, all_depths);
    sweep<double, native>(all_heights, all_depths);
}

#if defined(__SSE2__)
TEST_CASE("a product agrees with the definition: SSE2")
{
    sweep<float, xsimd::sse2>(few_heights, few_depths);
    sweep<double, xsimd::sse2>(few_heights, few_depths);
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("a product agrees with the definition: AVX2 with FMA")
{
    sweep<float, xsimd::fma3<xsimd::avx2>>(few_heights, few_depths);
    sweep<double, xsimd::fma3<xsimd::avx2>>(few_heights, few_depths);
}
#endif

TEST_CASE("products of more than one block in every direction")
{
    random_engine rng(6);
    struct extents
    {
        index_t m, n, k;
    };
    for (const auto& [m, n, k] : {extents{300, 100, 600}, extents{150, 70, 1100},
             extents{8, 40, 1100}, extents{5, 130, 2100}, extents{64, 230, 1100},
             extents{20, 300, 1030}, extents{1200, 33, 40}, extents{90, 2300, 30},
             extents{16, 100, 1000}, extents{2, 1000, 700}})
    {
        const problem<float> p(m, n, k, rng);
        for (bool accumulate : {false, true})
        {
            const bool relu = accumulate;
            options o{.accumulate = accumulate,
                .bias = true,
                .row_bias = !accumulate,
                .act = relu ? activation::relu : activation::none};
            const index_t step = 17;
            check<float, native>(p, o, step);
            o.packed = true;
            check<float, native>(p, o, step);
            o.packed = false;
            o.b = order::rows;
            check<float, native>(p, o, step);
            o.a = order::columns;
            check<float, native>(p, o, step);
            o.b = order::columns;
            check<float, native>(p, o, step);
            o.a = order::sparse;
            o.b = order::sparse;
            check<float, native>(p, o, step);
        }
    }
}

namespace
{

/// The first `rows` rows of the product.
template <class T>
std::vector<T> first_rows(const problem<T>& p, const options& o, index_t rows)
{
    problem<T> part = p;
    part.m = rows;
    return run<T, native>(part, o);
}

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y, std::size_t n)
{
    return std::memcmp(x.data(), y.data(), n * sizeof(T)) == 0;
}

} // namespace

TEST_CASE_TEMPLATE("a row has the same bits in every batch", T, float, double)
{
    random_engine rng(8);
    for (index_t k : {1, 5, 40, 1300})
    {
        const problem<T> p(130, 77, k, rng);
        for (bool packed : {true, false})
        {
#ifdef STRUCTOPT_USE_CBLAS
            if (!packed)
            {
                continue;
            }
#endif
            const options o{.bias = true, .packed = packed};
            const auto all = run<T, native>(p, o);
            const auto few = first_rows(p, o, structopt::kernel::detail::dot_rows);
            for (index_t rows : {1, 2, 3, 7, 8, 9, 13, 14, 15, 16, 17, 28, 31, 40, 64, 65, 90})
            {
                const bool along_k = !packed && rows <= structopt::kernel::detail::dot_rows;
                CHECK_MESSAGE(same_bits(first_rows(p, o, rows), along_k ? few : all,
                                  at(1 + rows * (p.n + 3))),
                    rows, " rows, k = ", k, std::string(packed ? ", packed" : ""));
            }
#ifndef STRUCTOPT_USE_CBLAS
            if (packed)
            {
                // The other way to the same chains.
                options in_place = o;
                in_place.packed = false;
                CHECK(same_bits(all, run<T, native>(p, in_place), all.size()));
            }
#endif
        }
    }
}

TEST_CASE("scratch need not be initialised")
{
    random_engine rng(9);
    for (index_t m : {3, 20, 64, 100})
    {
        const problem<float> p(m, 45, 33, rng);
        for (order b : {order::rows, order::columns, order::sparse})
        {
            const options o{.b = b};
            const auto zeros = run<float, native>(p, o, false);
            CHECK(same_bits(zeros, run<float, native>(p, o, true), zeros.size()));
        }
    }
}

TEST_CASE("a NaN stays in its row or column, also through ReLU")
{
    random_engine rng(10);
    for (index_t m : {2, 20, 64})
    {
        problem<float> p(m, 40, 19, rng);
        p.a[at(1 + 1 * p.k + 7)] = std::numeric_limits<float>::quiet_NaN();
        for (bool packed : {false, true})
        {
            const options o{.act = activation::relu, .packed = packed};
            const auto c = run<float, native>(p, o);
            bool right = true;
            for (index_t i = 0; i < m; ++i)
            {
                for (index_t j = 0; j < p.n; ++j)
                {
                    right = right && std::isnan(c[at(1 + i * (p.n + 3) + j)]) == (i == 1);
                }
            }
            CHECK(right);
        }
    }
}

TEST_CASE_TEMPLATE("packing and unpacking give the same matrix back", T, float, double)
{
    namespace k = structopt::kernel;
    random_engine rng(11);
    for (index_t n : {0, 1, 15, 16, 31, 32, 33, 70})
    {
        for (index_t depth : {0, 1, 7, 16, 33})
        {
            const index_t stride = depth + 2;
            const auto w = random_values<T>(n * stride + 1, rng);
            std::vector<T> packed(at(k::packed_size<T>(n, depth)), T(99));
            std::vector<T> again(w.size(), T(99));
            k::pack_b<T>(n, depth, w.data(), stride, packed.data());
            k::unpack_b<T>(n, depth, packed.data(), again.data(), stride);
            bool right = true;
            for (index_t i = 0; i < n * stride; ++i)
            {
                right = right && again[at(i)] == (i % stride < depth ? w[at(i)] : T(99));
            }
            CHECK(right);
        }
    }
}

/// Products by weights that are kept in bfloat16 have the bits of products by the rounded weights.
template <class Arch>
void check_bfloat16()
{
    namespace k = structopt::kernel;
    random_engine rng(14);
    for (const index_t m : {1, 2, 3, 5, 8, 9, 14, 15, 33})
    {
        for (const index_t n : {1, 7, 8, 16, 17, 31, 32, 33, 64, 70, 130})
        {
            for (const index_t depth : {0, 1, 2, 17, 66, 1100})
            {
                if (depth > 66 && (m > 9 || n > 33))
                {
                    continue;
                }
                INFO(m << " x " << depth << " x " << n);
                const auto w = random_values<float>(n * depth + 1, rng);
                std::vector<float> rounded(w.size());
                for (std::size_t i = 0; i < w.size(); ++i)
                {
                    rounded[i] = static_cast<float>(structopt::bfloat16(w[i]));
                }
                const index_t size = k::packed_size<float, Arch>(n, depth);
                std::vector<float> wide(at(size));
                // Not aligned to more than its elements.
                std::vector<structopt::bfloat16> storage(at(size + 1));
                structopt::bfloat16* const small = storage.data() + 1;
                k::pack_b<float, Arch>(n, depth, rounded.data(), depth, wide.data());
                k::pack_b<float, Arch>(n, depth, w.data(), depth, small);
                std::vector<float> again(w.size(), 0.0f);
                k::unpack_b<float, Arch>(n, depth, small, again.data(), depth);
                again.back() = rounded.back();
                CHECK(again == rounded);

                const auto x = random_values<float>(m * depth + 1, rng);
                const auto bias = random_values<float>(n, rng);
                std::vector<float> expected(at(m * n), 3.0f);
                std::vector<float> found(at(m * n), 4.0f);
                std::vector<std::byte> scratch(
                    k::gemm_packed_scratch_bytes<float, Arch>(m, n, depth));
                const k::epilogue<float> e{.bias = bias.data(), .act = k::activation::relu};
                k::gemm_packed<float, Arch>(m, n, depth, {x.data(), depth, 1}, wide.data(),
                    expected.data(), n, e, scratch.data());
                k::gemm_packed<float, Arch>(
                    m, n, depth, {x.data(), depth, 1}, small, found.data(), n, e, scratch.data());
                CHECK(found == expected);
            }
        }
    }
}

TEST_CASE("weights in bfloat16 are widened exactly")
{
    check_bfloat16<native>();
#if defined(__SSE2__)
    check_bfloat16<xsimd::sse2>();
#endif
#if defined(__AVX2__) && defined(__FMA__)
    check_bfloat16<xsimd::fma3<xsimd::avx2>>();
#endif
}

#ifdef _OPENMP
TEST_CASE("results do not depend on the number of threads")
{
    random_engine rng(12);
    const int before = omp_get_max_threads();
    for (index_t m : {1, 8, 64, 100})
    {
        const problem<float> p(m, 700, 2000 / m + 300, rng);
        for (int layout = 0; layout < 4; ++layout)
        {
            const options o{.a = layout == 2 ? order::columns : order::rows,
                .b = layout == 0 ? order::columns : order::rows,
                .packed = layout == 3};
            options used = o;
            used.b = o.packed ? order::columns : o.b;
            omp_set_num_threads(1);
            const auto one = run<float, native>(p, used);
            for (int threads : {2, 3, 5})
            {
                omp_set_num_threads(threads);
                CHECK(same_bits(one, run<float, native>(p, used), one.size()));
            }
        }
    }
    omp_set_num_threads(before);
}
#endif

#ifdef __linux__
namespace
{

/// Memory that ends where the next page may not be touched.
template <class T>
class fenced
{
public:
    explicit fenced(const std::vector<T>& values)
        : m_page(static_cast<std::size_t>(sysconf(_SC_PAGESIZE)))
        , m_bytes((values.size() * sizeof(T) + m_page - 1) / m_page * m_page)
    {
        m_base = mmap(
            nullptr, m_bytes + m_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(m_base != MAP_FAILED);
        REQUIRE(mprotect(static_cast<char*>(m_base) + m_bytes, m_page, PROT_NONE) == 0);
        m_data =
            reinterpret_cast<T*>(static_cast<char*>(m_base) + m_bytes - values.size() * sizeof(T));
        std::copy(values.begin(), values.end(), m_data);
    }
    fenced(const fenced&) = delete;
    fenced& operator=(const fenced&) = delete;
    ~fenced()
    {
        munmap(m_base, m_bytes + m_page);
    }
    T* data() const
    {
        return m_data;
    }

private:
    std::size_t m_page;
    std::size_t m_bytes;
    void* m_base = nullptr;
    T* m_data = nullptr;
};

} // namespace

TEST_CASE("no kernel reads or writes past the end of an operand")
{
    namespace k = structopt::kernel;
    random_engine rng(13);
    for (index_t m : {1, 3, 8, 9, 15, 17, 30, 64})
    {
        for (index_t n : {1, 5, 16, 31, 33, 70})
        {
            for (index_t depth : {1, 3, 16, 35})
            {
                const fenced<float> a(random_values<float>(m * depth, rng));
                const fenced<float> b(random_values<float>(n * depth, rng));
                const fenced<float> bias(random_values<float>(n, rng));
                const fenced<float> row_bias(random_values<float>(m, rng));
                const fenced<float> c(random_values<float>(m * n, rng));
                const fenced<std::byte> scratch(
                    std::vector<std::byte>(k::gemm_scratch_bytes<float>(m, n, depth)));
                for (int layout = 0; layout < 8; ++layout)
                {
                    const epilogue<float> e{.bias = bias.data(),
                        .row_bias = row_bias.data(),
                        .accumulate = layout >= 4};
                    const matrix_operand<float> left{
                        a.data(), layout % 2 == 0 ? depth : 1, layout % 2 == 0 ? 1 : m};
                    const matrix_operand<float> right{
                        b.data(), layout / 2 % 2 == 0 ? n : 1, layout / 2 % 2 == 0 ? 1 : depth};
                    k::gemm<float>(m, n, depth, left, right, c.data(), n, e, scratch.data());
                }
                // No stride is 1: rows of twice the length, every other element.
                const fenced<float> sparse_a(random_values<float>(2 * m * depth - 1, rng));
                const fenced<float> sparse_b(random_values<float>(2 * n * depth - 1, rng));
                k::gemm<float>(m, n, depth, {sparse_a.data(), 2 * depth, 2},
                    {sparse_b.data(), 2 * n, 2}, c.data(), n, {}, scratch.data());
                std::vector<float> packed(at(k::packed_size<float>(n, depth)), 99.0f);
                k::pack_b<float>(n, depth, b.data(), depth, packed.data());
                const index_t panel = gemm_shape<float, native>::panel;
                bool padded = true;
                for (index_t i = 0; i < n / panel * panel * depth + panel * depth; ++i)
                {
                    // The last panel: whatever lies past the columns is zero.
                    const index_t column = i / (panel * depth) * panel + i % panel;
                    padded = padded && (i >= k::packed_size<float>(n, depth) || column < n ||
                                           packed[at(i)] == 0.0f);
                }
                CHECK(padded);
                const fenced<float> panels(packed);
                const fenced<std::byte> some(
                    std::vector<std::byte>(k::gemm_packed_scratch_bytes<float>(m, n, depth)));
                k::gemm_packed<float>(m, n, depth, {a.data(), depth, 1}, panels.data(), c.data(), n,
                    {.bias = bias.data()}, some.data());
                CHECK(std::isfinite(c.data()[0]));
            }
        }
    }
}
#endif

} // namespace test_gemm
