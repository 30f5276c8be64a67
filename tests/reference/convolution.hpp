/// @file
/// The definition of a convolution and of pooling, in loops.
#pragma once

#include <structopt/core.hpp>
#include <structopt/nn/conv2d.hpp>

#include <cmath>
#include <limits>

namespace reference
{

using structopt::index_t;
using structopt::shape;
using structopt::tensor;

/// y of `structopt::nn::conv2d` with these options, in double.
template <class T>
tensor<double, 4> convolve(const structopt::nn::conv2d_options& o, const tensor<T, 4>& x,
    const tensor<T, 4>& w, const tensor<T, 1>& bias)
{
    const auto in = structopt::shape_of(x);
    const auto extent = [&](index_t size, index_t before, index_t after, index_t kernel,
                            index_t stride, index_t dilation)
    {
        index_t n = 0;
        while (n * stride + dilation * (kernel - 1) < size + before + after)
        {
            ++n;
        }
        return n;
    };
    const index_t height = extent(in[2], o.padding.height, o.padding_end.height, o.kernel.height,
        o.stride.height, o.dilation.height);
    const index_t width = extent(in[3], o.padding.width, o.padding_end.width, o.kernel.width,
        o.stride.width, o.dilation.width);
    auto y = structopt::make_tensor<double>(shape<4>{in[0], o.out, height, width});
    const index_t channels = o.in / o.groups;
    const index_t filters = o.out / o.groups;
    for (index_t b = 0; b < in[0]; ++b)
    {
        for (index_t f = 0; f < o.out; ++f)
        {
            for (index_t row = 0; row < height; ++row)
            {
                for (index_t column = 0; column < width; ++column)
                {
                    double sum = bias.size() == 0 ? 0.0 : static_cast<double>(bias(f));
                    for (index_t c = 0; c < channels; ++c)
                    {
                        for (index_t i = 0; i < o.kernel.height; ++i)
                        {
                            for (index_t j = 0; j < o.kernel.width; ++j)
                            {
                                const index_t r = row * o.stride.height + i * o.dilation.height -
                                                  o.padding.height;
                                const index_t s = column * o.stride.width + j * o.dilation.width -
                                                  o.padding.width;
                                if (r >= 0 && r < in[2] && s >= 0 && s < in[3])
                                {
                                    sum +=
                                        static_cast<double>(w(f, c, i, j)) *
                                        static_cast<double>(x(b, f / filters * channels + c, r, s));
                                }
                            }
                        }
                    }
                    y(b, f, row, column) = sum;
                }
            }
        }
    }
    return y;
}

} // namespace reference
