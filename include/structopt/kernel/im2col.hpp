/// @file
/// Convolution windows laid out as a matrix, and the sum back into an image.
#pragma once

#include <structopt/simd/tail.hpp>
#include <structopt/simd/target.hpp>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// The geometry of a convolution over one image [channels, height, width].
///
/// Output (y, x) reads input row y * stride_h - pad_top + i * dilation_h for kernel row i, columns
/// likewise; positions outside the image read 0. Padding on the other two sides follows from the
/// output extents, which the caller chooses.
struct window
{
    index_t channels = 1;
    index_t height = 1;
    index_t width = 1;
    index_t kernel_h = 1;
    index_t kernel_w = 1;
    index_t stride_h = 1;
    index_t stride_w = 1;
    index_t pad_top = 0;
    index_t pad_left = 0;
    index_t dilation_h = 1;
    index_t dilation_w = 1;
    index_t out_h = 1;
    index_t out_w = 1;

    /// Rows of the matrix: one per channel and kernel position.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t rows() const noexcept
    {
        return channels * kernel_h * kernel_w;
    }

    /// Columns of the matrix: one per output position.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t columns() const noexcept
    {
        return out_h * out_w;
    }

    /// True where the matrix is the image itself and no copy is needed: 1x1, stride 1, no padding.
    STRUCTOPT_ALWAYS_INLINE constexpr bool trivial() const noexcept
    {
        return kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && pad_top == 0 &&
               pad_left == 0 && out_h == height && out_w == width;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::window;

/// Writes the matrix [channels * kernel_h * kernel_w, out_h * out_w], contiguous, of one image.
template <class T, class Arch = simd::default_arch>
void im2col(const window& w, const T* image, T* columns) noexcept;

/// Adds every element of the matrix to the pixel that it was read from: the gradient of `im2col`.
/// Pixels are summed in a fixed order, so that the result does not depend on anything else.
template <class T, class Arch = simd::default_arch>
void col2im(const window& w, const T* columns, T* image) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Outputs [first, last) of one axis that read inside the image at one kernel position.
struct span_inside
{
    index_t first;
    index_t last;
};

constexpr span_inside inside(index_t offset, index_t stride, index_t size, index_t out) noexcept
{
    // position(o) = o * stride + offset, to lie in [0, size)
    const index_t first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    const index_t last = offset >= size ? 0 : (size - 1 - offset) / stride + 1;
    const index_t end = last < out ? last : out;
    return {first < end ? first : end, end};
}

/// The registers pay for themselves only where they are masked or rows are long; bytes go by loops.
template <class T, class Arch>
inline constexpr bool copies_by_register = std::is_floating_point_v<T>;

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void copy_row(const T* from, index_t n, T* to) noexcept
{
    if constexpr (copies_by_register<T, Arch>)
    {
        constexpr index_t lanes = simd::width<T, Arch>;
        index_t i = 0;
        for (; i + lanes <= n; i += lanes)
        {
            simd::store(to + i, simd::load<Arch>(from + i));
        }
        if (i < n)
        {
            simd::store_tail(to + i, simd::load_tail<Arch>(from + i, n - i), n - i);
        }
    }
    else
    {
        for (index_t i = 0; i < n; ++i)
        {
            to[i] = from[i];
        }
    }
}

template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void add_row(const T* from, index_t n, T* to) noexcept
{
    if constexpr (copies_by_register<T, Arch>)
    {
        constexpr index_t lanes = simd::width<T, Arch>;
        index_t i = 0;
        for (; i + lanes <= n; i += lanes)
        {
            simd::store(to + i, simd::load<Arch>(to + i) + simd::load<Arch>(from + i));
        }
        if (i < n)
        {
            simd::store_tail(to + i,
                simd::load_tail<Arch>(to + i, n - i) + simd::load_tail<Arch>(from + i, n - i),
                n - i);
        }
    }
    else
    {
        for (index_t i = 0; i < n; ++i)
        {
            to[i] = static_cast<T>(to[i] + from[i]);
        }
    }
}

template <class T>
STRUCTOPT_ALWAYS_INLINE void zero_row(T* to, index_t n) noexcept
{
    for (index_t i = 0; i < n; ++i)
    {
        to[i] = T(0);
    }
}

} // namespace detail

template <class T, class Arch>
void im2col(const window& w, const T* image, T* columns) noexcept
{
    T* to = columns;
    for (index_t c = 0; c < w.channels; ++c)
    {
        const T* const plane = image + c * w.height * w.width;
        for (index_t i = 0; i < w.kernel_h; ++i)
        {
            const index_t y_offset = i * w.dilation_h - w.pad_top;
            const auto ys = detail::inside(y_offset, w.stride_h, w.height, w.out_h);
            for (index_t j = 0; j < w.kernel_w; ++j)
            {
                const index_t x_offset = j * w.dilation_w - w.pad_left;
                const auto xs = detail::inside(x_offset, w.stride_w, w.width, w.out_w);
                detail::zero_row(to, ys.first * w.out_w);
                for (index_t y = ys.first; y < ys.last; ++y)
                {
                    const T* const from = plane + (y * w.stride_h + y_offset) * w.width;
                    T* const row = to + y * w.out_w;
                    detail::zero_row(row, xs.first);
                    if (w.stride_w == 1)
                    {
                        detail::copy_row<T, Arch>(
                            from + xs.first + x_offset, xs.last - xs.first, row + xs.first);
                    }
                    else
                    {
                        for (index_t x = xs.first; x < xs.last; ++x)
                        {
                            row[x] = from[x * w.stride_w + x_offset];
                        }
                    }
                    detail::zero_row(row + xs.last, w.out_w - xs.last);
                }
                detail::zero_row(to + ys.last * w.out_w, (w.out_h - ys.last) * w.out_w);
                to += w.out_h * w.out_w;
            }
        }
    }
}

template <class T, class Arch>
void col2im(const window& w, const T* columns, T* image) noexcept
{
    const T* from = columns;
    for (index_t c = 0; c < w.channels; ++c)
    {
        T* const plane = image + c * w.height * w.width;
        for (index_t i = 0; i < w.kernel_h; ++i)
        {
            const index_t y_offset = i * w.dilation_h - w.pad_top;
            const auto ys = detail::inside(y_offset, w.stride_h, w.height, w.out_h);
            for (index_t j = 0; j < w.kernel_w; ++j)
            {
                const index_t x_offset = j * w.dilation_w - w.pad_left;
                const auto xs = detail::inside(x_offset, w.stride_w, w.width, w.out_w);
                for (index_t y = ys.first; y < ys.last; ++y)
                {
                    T* const to = plane + (y * w.stride_h + y_offset) * w.width;
                    const T* const row = from + y * w.out_w;
                    if (w.stride_w == 1)
                    {
                        detail::add_row<T, Arch>(
                            row + xs.first, xs.last - xs.first, to + xs.first + x_offset);
                    }
                    else
                    {
                        for (index_t x = xs.first; x < xs.last; ++x)
                        {
                            T& pixel = to[x * w.stride_w + x_offset];
                            pixel = static_cast<T>(pixel + row[x]);
                        }
                    }
                }
                from += w.out_h * w.out_w;
            }
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
STRUCTOPT_KERNELS_IM2COL(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
