/// @file
/// The definition of pooling, in loops.
#pragma once

#include <structopt/core.hpp>

#include <vector>

namespace reference
{

/// Positions (row, column) of each window of a plane [height, width] that lie inside it, in
/// row-major order of outputs and of the window.
struct pool_windows
{
    using index_t = structopt::index_t;

    index_t out_h = 0;
    index_t out_w = 0;
    std::vector<std::vector<index_t>> positions;

    template <class Extent>
    pool_windows(index_t height, index_t width, const Extent& kernel, const Extent& stride,
        const Extent& padding, const Extent& dilation)
    {
        const auto fits = [](index_t at, index_t n, index_t k, index_t s, index_t p, index_t d)
        {
            return at * s + d * (k - 1) < n + 2 * p;
        };
        while (fits(out_h, height, kernel.height, stride.height, padding.height, dilation.height))
        {
            ++out_h;
        }
        while (fits(out_w, width, kernel.width, stride.width, padding.width, dilation.width))
        {
            ++out_w;
        }
        for (index_t i = 0; i < out_h; ++i)
        {
            for (index_t j = 0; j < out_w; ++j)
            {
                positions.emplace_back();
                for (index_t k = 0; k < kernel.height; ++k)
                {
                    for (index_t l = 0; l < kernel.width; ++l)
                    {
                        const index_t r = i * stride.height + k * dilation.height - padding.height;
                        const index_t c = j * stride.width + l * dilation.width - padding.width;
                        if (r >= 0 && r < height && c >= 0 && c < width)
                        {
                            positions.back().push_back(r * width + c);
                        }
                    }
                }
            }
        }
    }
};

} // namespace reference
