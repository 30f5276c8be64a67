#include <doctest/doctest.h>

#include <structopt/core.hpp>
#include <structopt/kernel/patches.hpp>

#include "support/random_tensor.hpp"

#include <vector>

namespace test_patches
{

using namespace structopt;

namespace
{

kernel::window random_window(random_engine& rng)
{
    const auto below = [&](index_t n)
    {
        return uniform_index(rng, n);
    };
    kernel::window g;
    g.channels = 1 + below(3);
    g.height = 1 + below(9);
    g.width = 1 + below(40);
    g.kernel_h = 1 + below(4);
    g.kernel_w = 1 + below(below(4) == 0 ? 20 : 6);
    g.stride_h = 1 + below(2);
    g.stride_w = 1 + below(2);
    g.pad_top = below(4);
    g.pad_left = below(4);
    g.dilation_h = 1 + below(2);
    g.dilation_w = 1 + below(2);
    // Any output extents are allowed: patches beyond the image read zeros.
    g.out_h = 1 + below(9);
    g.out_w = 1 + below(40);
    return g;
}

template <class T>
void agrees_with_im2col(const kernel::window& g, random_engine& rng)
{
    INFO("channels " << g.channels << " image " << g.height << "x" << g.width << " kernel "
                     << g.kernel_h << "x" << g.kernel_w << " stride " << g.stride_h << "x"
                     << g.stride_w << " padding " << g.pad_top << "," << g.pad_left << " dilation "
                     << g.dilation_h << "x" << g.dilation_w << " out " << g.out_h << "x"
                     << g.out_w);
    const auto image = support::random_tensor<T>(shape<3>{g.channels, g.height, g.width}, rng);
    const auto whole = g.rows() * g.columns();
    std::vector<T> expected(static_cast<std::size_t>(whole));
    kernel::im2col<T>(g, image.data(), expected.data());
    std::vector<T> framed(static_cast<std::size_t>(kernel::framed_size<T>(g)), T(77));
    kernel::frame<T>(g, image.data(), framed.data());

    // Block by block of two output rows, and back.
    std::vector<T> gradient(framed.size(), T(0));
    bool equal = true;
    for (index_t first = 0; first < g.out_h; first += 2)
    {
        const index_t rows = std::min<index_t>(2, g.out_h - first);
        const index_t n = rows * g.out_w;
        std::vector<T> patches(static_cast<std::size_t>(g.rows() * n + kernel::register_room<T>));
        kernel::gather_patches<T>(g, framed.data(), first, rows, patches.data());
        for (index_t k = 0; k < g.rows(); ++k)
        {
            for (index_t i = 0; i < n; ++i)
            {
                equal =
                    equal &&
                    patches[static_cast<std::size_t>(k * n + i)] ==
                        expected[static_cast<std::size_t>(k * g.columns() + first * g.out_w + i)];
            }
        }
        kernel::scatter_patches<T>(g, patches.data(), first, rows, gradient.data());
    }
    CHECK(equal);

    auto back = full<T>(shape_of(image), T(55));
    kernel::unframe<T>(g, gradient.data(), back.data());
    auto sums = structopt::zeros<T>(shape_of(image));
    kernel::col2im<T>(g, expected.data(), sums.data());
    CHECK(support::largest_difference(back, sums) <=
          100 * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

} // namespace

TEST_SUITE("smoke patches")
{
    TEST_CASE_TEMPLATE("patches of a framed image are those of im2col", T, float, double)
    {
        random_engine rng(1);
        for (int i = 0; i < 10; ++i)
        {
            agrees_with_im2col<T>(random_window(rng), rng);
        }
    }
}

TEST_SUITE("patches")
{
    TEST_CASE_TEMPLATE("many windows", T, float, double)
    {
        random_engine rng(2);
        for (int i = 0; i < 400; ++i)
        {
            agrees_with_im2col<T>(random_window(rng), rng);
        }
    }
}

} // namespace test_patches
