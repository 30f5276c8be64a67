#include <doctest/doctest.h>

#include <structopt/core/random.hpp>
#include <structopt/kernel/pool.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace test_pool
{

using structopt::index_t;
using structopt::random_engine;
using structopt::kernel::pool_window;
using structopt::kernel::pooling;

namespace
{

using native = structopt::simd::default_arch;

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

/// The definition, in double.
template <pooling Kind, class T>
double expected(const pool_window& g, const std::vector<T>& x, index_t i, index_t j)
{
    double value = Kind == pooling::largest ? -std::numeric_limits<double>::infinity() : 0.0;
    for (index_t a = 0; a < g.kernel_h; ++a)
    {
        for (index_t b = 0; b < g.kernel_w; ++b)
        {
            const index_t r = i * g.stride_h - g.pad_h + a * g.dilation_h;
            const index_t c = j * g.stride_w - g.pad_w + b * g.dilation_w;
            if (r >= 0 && r < g.height && c >= 0 && c < g.width)
            {
                const auto e = static_cast<double>(x[at(r * g.width + c)]);
                value = Kind == pooling::largest ? std::max(value, e) : value + e;
            }
        }
    }
    return value;
}

index_t outputs(index_t extent, index_t pad, index_t kernel, index_t stride, index_t dilation)
{
    const index_t room = extent + 2 * pad - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

template <pooling Kind, class T, class Arch>
void check(pool_window g, random_engine& rng)
{
    g.out_h = outputs(g.height, g.pad_h, g.kernel_h, g.stride_h, g.dilation_h);
    g.out_w = outputs(g.width, g.pad_w, g.kernel_w, g.stride_w, g.dilation_w);
    // A dilated window may not step over the plane, from padding to padding.
    if (g.out_h < 1 || g.out_w < 1 || (g.pad_w > 0 && g.width < g.dilation_w))
    {
        return;
    }
    // As long as the plane and no longer: the sanitizer sees what is read past it.
    std::vector<T> x(at(g.height * g.width));
    for (T& value : x)
    {
        value = structopt::normal<T>(rng);
    }
    std::vector<T> y(at(g.out_h * g.out_w) + 1, T(77));
    structopt::kernel::pool_plane<Kind, T, Arch>(g, x.data(), y.data());
    const double tolerance = Kind == pooling::largest
                                 ? 0.0
                                 : 8.0 * static_cast<double>(g.kernel_h * g.kernel_w) *
                                       static_cast<double>(std::numeric_limits<T>::epsilon());
    bool right = true;
    for (index_t i = 0; i < g.out_h; ++i)
    {
        for (index_t j = 0; j < g.out_w; ++j)
        {
            const double found = static_cast<double>(y[at(i * g.out_w + j)]);
            right = right && std::abs(found - expected<Kind>(g, x, i, j)) <= tolerance;
        }
    }
    CHECK(right);
    CHECK(y.back() == T(77));
}

template <class T, class Arch>
void sweep()
{
    random_engine rng(1);
    for (index_t width : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 70})
    {
        for (index_t kernel : {1, 2, 3, 5})
        {
            for (index_t stride : {1, 2, 3})
            {
                for (index_t pad = 0; pad <= std::min<index_t>(1, kernel / 2); ++pad)
                {
                    for (index_t dilation : {1, 2})
                    {
                        const pool_window g{7, width, 0, 0, kernel, kernel, stride, stride, pad,
                            pad, dilation, dilation};
                        INFO("width " << width << ", kernel " << kernel << ", stride " << stride
                                      << ", padding " << pad << ", dilation " << dilation);
                        check<pooling::largest, T, Arch>(g, rng);
                        check<pooling::sum, T, Arch>(g, rng);
                    }
                }
            }
        }
    }
    // Uneven windows, planes in pieces, windows wider than the line.
    for (const pool_window& g :
        {pool_window{6, 20, 0, 0, 2, 5, 1, 2, 1, 2}, pool_window{3, 1500, 0, 0, 3, 2, 1, 1, 1, 0},
            pool_window{2, 1301, 0, 0, 1, 3, 1, 2, 0, 1}, pool_window{2, 1300, 0, 0, 2, 4, 2, 4},
            pool_window{2, 1200, 0, 0, 2, 600, 1, 1}, pool_window{2, 900, 0, 0, 2, 480, 1, 7}})
    {
        INFO(g.width << " by " << g.kernel_w);
        check<pooling::largest, T, Arch>(g, rng);
        check<pooling::sum, T, Arch>(g, rng);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("pooled planes agree with the definition")
    {
        sweep<float, native>();
    }
}

TEST_CASE("pooled planes agree with the definition: double")
{
    sweep<double, native>();
}

} // namespace test_pool
