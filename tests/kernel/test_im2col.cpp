#include <structopt/kernel/im2col.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace test_im2col
{

namespace
{

using structopt::index_t;
using structopt::kernel::window;

/// One guard value on either side of a buffer that a kernel writes.
template <class T>
std::vector<T> guarded(index_t n, T value)
{
    std::vector<T> x(static_cast<std::size_t>(n) + 2, value);
    x.front() = T(77);
    x.back() = T(77);
    return x;
}

template <class T>
bool guards_intact(const std::vector<T>& x)
{
    return x.front() == T(77) && x.back() == T(77);
}

/// Input position that an element of the matrix reads, or -1 outside the image.
index_t source(const window& w, index_t row, index_t column)
{
    const index_t j = row % w.kernel_w;
    const index_t i = row / w.kernel_w % w.kernel_h;
    const index_t c = row / (w.kernel_w * w.kernel_h);
    const index_t y = column / w.out_w * w.stride_h - w.pad_top + i * w.dilation_h;
    const index_t x = column % w.out_w * w.stride_w - w.pad_left + j * w.dilation_w;
    if (y < 0 || y >= w.height || x < 0 || x >= w.width)
    {
        return -1;
    }
    return (c * w.height + y) * w.width + x;
}

template <class T>
void check(const window& w)
{
    const index_t pixels = w.channels * w.height * w.width;
    auto image = guarded<T>(pixels, T(0));
    for (index_t i = 0; i < pixels; ++i)
    {
        image[static_cast<std::size_t>(i) + 1] = static_cast<T>(i % 97 + 1);
    }
    auto columns = guarded<T>(w.rows() * w.columns(), T(55));
    structopt::kernel::im2col(w, image.data() + 1, columns.data() + 1);
    bool equal = true;
    auto sum = guarded<T>(pixels, T(3));
    auto expected = guarded<T>(pixels, T(3));
    for (index_t r = 0; r < w.rows(); ++r)
    {
        for (index_t p = 0; p < w.columns(); ++p)
        {
            const index_t from = source(w, r, p);
            const std::size_t at = static_cast<std::size_t>(r * w.columns() + p) + 1;
            const T value = from < 0 ? T(0) : image[static_cast<std::size_t>(from) + 1];
            equal = equal && columns[at] == value;
            // Small integers: sums are exact in every type.
            columns[at] = static_cast<T>((r * 7 + p * 3) % 5);
            if (from >= 0)
            {
                T& pixel = expected[static_cast<std::size_t>(from) + 1];
                pixel = static_cast<T>(pixel + columns[at]);
            }
        }
    }
    CHECK(equal);
    CHECK(guards_intact(columns));
    structopt::kernel::col2im(w, columns.data() + 1, sum.data() + 1);
    CHECK(sum == expected);
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("im2col and col2im agree with the definition, whatever the geometry")
    {
        for (index_t kernel : {1, 2, 3, 5})
        {
            for (index_t stride : {1, 2, 3})
            {
                for (index_t dilation : {1, 2})
                {
                    for (index_t pad : {0, 1, 2})
                    {
                        for (index_t size : {1, 4, 7, 19, 35})
                        {
                            window w;
                            w.channels = 2;
                            w.height = size;
                            w.width = size + 3;
                            w.kernel_h = kernel;
                            w.kernel_w = kernel == 5 ? 3 : kernel;
                            w.stride_h = stride;
                            w.stride_w = stride == 3 ? 1 : stride;
                            w.dilation_h = dilation;
                            w.dilation_w = dilation;
                            w.pad_top = pad;
                            w.pad_left = pad == 2 ? 1 : pad;
                            const index_t reach_h = (w.kernel_h - 1) * dilation + 1;
                            const index_t reach_w = (w.kernel_w - 1) * dilation + 1;
                            // One more row and column of padding at the end than at the start.
                            w.out_h = (w.height + 2 * pad + 1 - reach_h) / w.stride_h + 1;
                            w.out_w = (w.width + 2 * pad + 1 - reach_w) / w.stride_w + 1;
                            if (w.height + 2 * pad + 1 < reach_h || w.width + 2 * pad < reach_w)
                            {
                                continue;
                            }
                            check<float>(w);
                            check<double>(w);
                            check<std::int8_t>(w);
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("a window that lies in the padding altogether reads zeros")
{
    window w;
    w.height = 2;
    w.width = 2;
    w.kernel_h = 3;
    w.kernel_w = 3;
    w.pad_top = 9;
    w.pad_left = 9;
    w.out_h = 4;
    w.out_w = 20;
    check<float>(w);
}

TEST_CASE("a 1x1 window of stride 1 without padding is the image")
{
    window w;
    w.channels = 3;
    w.height = 4;
    w.width = 5;
    w.out_h = 4;
    w.out_w = 5;
    CHECK(w.trivial());
    check<float>(w);
    w.out_w = 4;
    CHECK_FALSE(w.trivial());
}

} // namespace test_im2col
