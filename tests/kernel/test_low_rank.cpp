#include <doctest/doctest.h>

#include <structopt/core/random.hpp>
#include <structopt/kernel/low_rank.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace test_low_rank
{

using structopt::index_t;
using structopt::random_engine;
namespace k = structopt::kernel;

namespace
{

using native = structopt::simd::default_arch;

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

template <class T>
std::vector<T> values(index_t n, random_engine& rng)
{
    std::vector<T> list(at(n));
    for (T& value : list)
    {
        value = structopt::normal<T>(rng);
    }
    return list;
}

template <class T, class Arch>
std::vector<T> packed(index_t n, index_t depth, const std::vector<T>& w)
{
    std::vector<T> panels(at(k::packed_size<T, Arch>(n, depth)));
    k::pack_b<T, Arch>(n, depth, w.data(), depth, panels.data());
    return panels;
}

template <class T, class Arch>
void check(index_t m, index_t n, index_t depth, index_t rank, random_engine& rng)
{
    INFO(m << " x " << depth << " x " << n << ", rank " << rank);
    const auto x = values<T>(m * depth, rng);
    const auto v = values<T>(rank * depth, rng);
    const auto u = values<T>(n * rank, rng);
    const auto bias = values<T>(n, rng);
    const auto row_bias = values<T>(m, rng);
    const auto pv = packed<T, Arch>(rank, depth, v);
    const auto pu = packed<T, Arch>(n, rank, u);
    const index_t stride = n + 3;
    std::vector<T> y(at(m * stride), T(9));
    // Exactly as much scratch as is asked for, at an odd address.
    std::vector<std::byte> scratch(k::low_rank_scratch_bytes<T, Arch>(m, n, depth, rank) + 1);
    const k::epilogue<T> e{.bias = bias.data(), .row_bias = row_bias.data(), .accumulate = true};
    k::low_rank_packed<T, Arch>(m, n, depth, rank, {x.data(), depth, 1}, pv.data(), pu.data(),
        y.data(), stride, e, scratch.data() + 1);
    bool right = true;
    for (index_t i = 0; i < m; ++i)
    {
        for (index_t j = 0; j < n; ++j)
        {
            double sum =
                9.0 + static_cast<double>(bias[at(j)]) + static_cast<double>(row_bias[at(i)]);
            double size = std::abs(sum) + 9.0;
            for (index_t r = 0; r < rank; ++r)
            {
                double inner = 0;
                double inner_size = 0;
                for (index_t d = 0; d < depth; ++d)
                {
                    const double term = static_cast<double>(x[at(i * depth + d)]) *
                                        static_cast<double>(v[at(r * depth + d)]);
                    inner += term;
                    inner_size += std::abs(term);
                }
                sum += inner * static_cast<double>(u[at(j * rank + r)]);
                size += inner_size * std::abs(static_cast<double>(u[at(j * rank + r)]));
            }
            const double bound = size * static_cast<double>(depth + rank + 4) *
                                 static_cast<double>(std::numeric_limits<T>::epsilon());
            right = right && std::abs(static_cast<double>(y[at(i * stride + j)]) - sum) <= bound;
        }
        for (index_t j = n; j < stride; ++j)
        {
            right = right && y[at(i * stride + j)] == T(9);
        }
    }
    CHECK(right);
}

template <class T, class Arch>
void sweep()
{
    random_engine rng(1);
    for (const index_t m : {0, 1, 3, 9, 15, 70})
    {
        for (const index_t n : {0, 1, 33, 70})
        {
            for (const index_t depth : {0, 1, 40})
            {
                for (const index_t rank : {0, 1, 5, 33})
                {
                    check<T, Arch>(m, n, depth, rank, rng);
                }
            }
        }
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("products by two factors agree with the definition")
    {
        sweep<float, native>();
        sweep<double, native>();
    }
}

TEST_CASE("more rows than a block: every row has the bits that it has alone")
{
    random_engine rng(2);
    constexpr index_t m = 301;
    constexpr index_t n = 20;
    constexpr index_t depth = 30;
    constexpr index_t rank = 400;
    CHECK(k::detail::low_rank_rows<float, native>(m, rank) < m);
    const auto x = values<float>(m * depth, rng);
    const auto v = packed<float, native>(rank, depth, values<float>(rank * depth, rng));
    const auto u = packed<float, native>(n, rank, values<float>(n * rank, rng));
    std::vector<float> y(at(m * n));
    std::vector<std::byte> scratch(k::low_rank_scratch_bytes<float>(m, n, depth, rank));
    k::low_rank_packed<float>(m, n, depth, rank, {x.data(), depth, 1}, v.data(), u.data(), y.data(),
        n, {}, scratch.data());
    CHECK(std::any_of(y.begin(), y.end(),
        [](float value)
        {
            return value != 0.0f;
        }));
    std::vector<float> one(at(n));
    for (const index_t i : {0, 55, 56, 111, 112, 299, 300})
    {
        k::low_rank_packed<float>(1, n, depth, rank, {x.data() + i * depth, depth, 1}, v.data(),
            u.data(), one.data(), n, {}, scratch.data());
        CHECK(std::equal(one.begin(), one.end(), y.begin() + i * n));
    }
}

} // namespace test_low_rank
