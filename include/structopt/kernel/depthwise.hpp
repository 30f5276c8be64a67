/// @file
/// Convolution of every channel on its own: direct loops, no matrix is laid out.
#pragma once

#include <structopt/kernel/im2col.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// y[out_h, out_w] = bias + the convolution of one plane with w[kernel_h, kernel_w].
///
/// `g.channels` is ignored: one call is one plane.
template <class T, class Arch = simd::default_arch>
void depthwise_forward(const window& g, const T* plane, const T* w, T bias, T* y) noexcept;

/// Adds the gradient with respect to the plane.
template <class T, class Arch = simd::default_arch>
void depthwise_backward_input(const window& g, const T* dy, const T* w, T* dplane) noexcept;

/// Adds the gradient with respect to w.
template <class T, class Arch = simd::default_arch>
void depthwise_backward_weight(const window& g, const T* dy, const T* plane, T* dw) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// to[i] += a * from[i * step]
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void add_scaled(index_t n, T a, const T* from, index_t step, T* to) noexcept
{
    index_t i = 0;
    if (step == 1)
    {
        constexpr index_t lanes = simd::width<T, Arch>;
        const auto factor = simd::broadcast<Arch>(a);
        for (; i + lanes <= n; i += lanes)
        {
            simd::store(
                to + i, simd::fma(factor, simd::load<Arch>(from + i), simd::load<Arch>(to + i)));
        }
    }
    for (; i < n; ++i)
    {
        to[i] += a * from[i * step];
    }
}

} // namespace detail

template <class T, class Arch>
void depthwise_forward(const window& g, const T* plane, const T* w, T bias, T* y) noexcept
{
    for (index_t i = 0; i < g.out_h * g.out_w; ++i)
    {
        y[i] = bias;
    }
    for (index_t oy = 0; oy < g.out_h; ++oy)
    {
        T* const row = y + oy * g.out_w;
        for (index_t i = 0; i < g.kernel_h; ++i)
        {
            const index_t iy = oy * g.stride_h - g.pad_top + i * g.dilation_h;
            if (iy < 0 || iy >= g.height)
            {
                continue;
            }
            for (index_t j = 0; j < g.kernel_w; ++j)
            {
                const index_t offset = j * g.dilation_w - g.pad_left;
                const auto xs = detail::inside(offset, g.stride_w, g.width, g.out_w);
                detail::add_scaled<T, Arch>(xs.last - xs.first, w[i * g.kernel_w + j],
                    plane + iy * g.width + xs.first * g.stride_w + offset, g.stride_w,
                    row + xs.first);
            }
        }
    }
}

template <class T, class Arch>
void depthwise_backward_input(const window& g, const T* dy, const T* w, T* dplane) noexcept
{
    for (index_t oy = 0; oy < g.out_h; ++oy)
    {
        const T* const row = dy + oy * g.out_w;
        for (index_t i = 0; i < g.kernel_h; ++i)
        {
            const index_t iy = oy * g.stride_h - g.pad_top + i * g.dilation_h;
            if (iy < 0 || iy >= g.height)
            {
                continue;
            }
            for (index_t j = 0; j < g.kernel_w; ++j)
            {
                const index_t offset = j * g.dilation_w - g.pad_left;
                const auto xs = detail::inside(offset, g.stride_w, g.width, g.out_w);
                const T a = w[i * g.kernel_w + j];
                T* const to = dplane + iy * g.width + offset;
                if (g.stride_w == 1)
                {
                    detail::add_scaled<T, Arch>(
                        xs.last - xs.first, a, row + xs.first, 1, to + xs.first);
                }
                else
                {
                    for (index_t x = xs.first; x < xs.last; ++x)
                    {
                        to[x * g.stride_w] += a * row[x];
                    }
                }
            }
        }
    }
}

template <class T, class Arch>
void depthwise_backward_weight(const window& g, const T* dy, const T* plane, T* dw) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    for (index_t i = 0; i < g.kernel_h; ++i)
    {
        const index_t y_offset = i * g.dilation_h - g.pad_top;
        const auto ys = detail::inside(y_offset, g.stride_h, g.height, g.out_h);
        for (index_t j = 0; j < g.kernel_w; ++j)
        {
            const index_t x_offset = j * g.dilation_w - g.pad_left;
            const auto xs = detail::inside(x_offset, g.stride_w, g.width, g.out_w);
            auto sums = simd::broadcast<Arch>(T(0));
            T rest = T(0);
            for (index_t oy = ys.first; oy < ys.last; ++oy)
            {
                const T* const row = dy + oy * g.out_w;
                const T* const from = plane + (oy * g.stride_h + y_offset) * g.width + x_offset;
                index_t x = xs.first;
                if (g.stride_w == 1)
                {
                    for (; x + lanes <= xs.last; x += lanes)
                    {
                        sums =
                            simd::fma(simd::load<Arch>(row + x), simd::load<Arch>(from + x), sums);
                    }
                }
                for (; x < xs.last; ++x)
                {
                    rest += row[x] * from[x * g.stride_w];
                }
            }
            T partial[lanes];
            simd::store(partial, sums);
            for (index_t lane = 0; lane < lanes; ++lane)
            {
                rest += partial[lane];
            }
            dw[i * g.kernel_w + j] += rest;
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_DEPTHWISE(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
