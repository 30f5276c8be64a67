/// @file
/// Patches of an image that was framed by its padding first: rows are then copied whole, without a
/// look at the borders.
///
/// `im2col` needs no frame and is for whole images; the dense convolution calls these for blocks of
/// output rows, many times per image.
#pragma once

#include <structopt/kernel/im2col.hpp>
#include <structopt/simd/part.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Elements that may be read and written past the end of a framed image and of patches: one
/// register of any architecture.
template <class T>
inline constexpr index_t register_room = static_cast<index_t>(64 / sizeof(T));

/// Rows of the framed image: those that some patch reads.
constexpr index_t framed_height(const window& g) noexcept
{
    return (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1;
}

/// Columns of the framed image.
constexpr index_t framed_width(const window& g) noexcept
{
    return (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1;
}

/// Elements of the framed image, its room included.
template <class T>
constexpr index_t framed_size(const window& g) noexcept
{
    return g.channels * framed_height(g) * framed_width(g) + register_room<T>;
}

/// Copies an image [channels, height, width] into its frame; padding is zeros.
template <class T, class Arch = simd::default_arch>
void frame(const window& g, const T* image, T* framed) noexcept;

/// The inverse: pixels that no patch reads are zeros.
template <class T, class Arch = simd::default_arch>
void unframe(const window& g, const T* framed, T* image) noexcept;

/// Writes the patches [g.rows(), rows * out_w] of the output rows [first, first + rows), and up to
/// `register_room` elements behind them.
template <class T, class Arch = simd::default_arch>
void gather_patches(
    const window& g, const T* framed, index_t first, index_t rows, T* patches) noexcept;

/// Adds every element of the patches of the output rows [first, first + rows) to the pixel of the
/// frame it was read from, in a fixed order.
template <class T, class Arch = simd::default_arch>
void scatter_patches(
    const window& g, const T* patches, index_t first, index_t rows, T* framed) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The part of a framed row that lies inside the image, as [first, last) of the row.
constexpr span_inside inside_frame(index_t padding, index_t size, index_t framed) noexcept
{
    const index_t first = padding < framed ? padding : framed;
    const index_t last = padding + size < framed ? padding + size : framed;
    return {first, last};
}

} // namespace detail

template <class T, class Arch>
void frame(const window& g, const T* image, T* framed) noexcept
{
    const index_t height = framed_height(g);
    const index_t width = framed_width(g);
    const auto ys = detail::inside_frame(g.pad_top, g.height, height);
    const auto xs = detail::inside_frame(g.pad_left, g.width, width);
    // All zeros at once: a few at the ends of each row cost more than the copies.
    detail::zero_row(framed, framed_size<T>(g));
    for (index_t c = 0; c < g.channels; ++c)
    {
        const T* from = image + c * g.height * g.width;
        T* to = framed + (c * height + ys.first) * width + xs.first;
        for (index_t y = ys.first; y < ys.last; ++y)
        {
            detail::copy_row<T, Arch>(from, xs.last - xs.first, to);
            from += g.width;
            to += width;
        }
    }
}

template <class T, class Arch>
void unframe(const window& g, const T* framed, T* image) noexcept
{
    const index_t height = framed_height(g);
    const index_t width = framed_width(g);
    const auto ys = detail::inside_frame(g.pad_top, g.height, height);
    const auto xs = detail::inside_frame(g.pad_left, g.width, width);
    T* to = image;
    for (index_t c = 0; c < g.channels; ++c)
    {
        const T* from = framed + (c * height + ys.first) * width + xs.first;
        for (index_t y = ys.first; y < ys.last; ++y)
        {
            detail::copy_row<T, Arch>(from, xs.last - xs.first, to);
            detail::zero_row(to + (xs.last - xs.first), g.width - (xs.last - xs.first));
            from += width;
            to += g.width;
        }
        const index_t missing = g.height - (ys.last - ys.first);
        detail::zero_row(to, missing * g.width);
        to += missing * g.width;
    }
}

namespace detail
{

/// Copies rows of `columns` elements, whole registers at a time, next to each other.
template <class T, class Arch>
STRUCTOPT_ALWAYS_INLINE void copy_rows(
    const T* from, index_t from_row, index_t rows, index_t columns, T* to) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    if (columns <= lanes)
    {
        for (index_t y = 0; y < rows; ++y)
        {
            simd::store(to, simd::load<Arch>(from));
            from += from_row;
            to += columns;
        }
        return;
    }
    if (columns <= 2 * lanes)
    {
        for (index_t y = 0; y < rows; ++y)
        {
            const auto low = simd::load<Arch>(from);
            const auto high = simd::load<Arch>(from + lanes);
            simd::store(to, low);
            simd::store(to + lanes, high);
            from += from_row;
            to += columns;
        }
        return;
    }
    for (index_t y = 0; y < rows; ++y)
    {
        for (index_t x = 0; x < columns; x += lanes)
        {
            simd::store(to + x, simd::load<Arch>(from + x));
        }
        from += from_row;
        to += columns;
    }
}

} // namespace detail

template <class T, class Arch>
void gather_patches(
    const window& g, const T* framed, index_t first, index_t rows, T* patches) noexcept
{
    const index_t width = framed_width(g);
    const index_t plane = framed_height(g) * width;
    const index_t step = g.stride_h * width;
    T* to = patches;
    for (index_t c = 0; c < g.channels; ++c)
    {
        for (index_t i = 0; i < g.kernel_h; ++i)
        {
            const T* const row =
                framed + c * plane + (first * g.stride_h + i * g.dilation_h) * width;
            for (index_t j = 0; j < g.kernel_w; ++j)
            {
                const T* from = row + j * g.dilation_w;
                if (g.stride_w == 1)
                {
                    detail::copy_rows<T, Arch>(from, step, rows, g.out_w, to);
                    to += rows * g.out_w;
                    continue;
                }
                for (index_t y = 0; y < rows; ++y)
                {
                    for (index_t x = 0; x < g.out_w; ++x)
                    {
                        to[x] = from[x * g.stride_w];
                    }
                    from += step;
                    to += g.out_w;
                }
            }
        }
    }
}

namespace detail
{

/// Most kernel columns whose parts are kept at hand.
inline constexpr index_t part_columns = 16;

/// The gradient of a channel, row of the frame by row: all patches that read a row are summed in
/// registers before it is written once. For stride_w == 1 and kernel_w <= part_columns.
template <class T, class Arch>
void scatter_by_rows(
    const window& g, const T* patches, index_t first, index_t rows, T* framed) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const index_t width = framed_width(g);
    const index_t plane = framed_height(g) * width;
    const index_t one = rows * g.out_w;
    const index_t begin = first * g.stride_h;
    const index_t end = (first + rows - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1;
    for (index_t v = 0; v < width; v += lanes)
    {
        // Element x of the frame's row is read at kernel column j by output x - j * dilation.
        simd::part<T, Arch> parts[part_columns];
        index_t offsets[part_columns];
        index_t low = g.kernel_w;
        index_t high = 0;
        for (index_t j = 0; j < g.kernel_w; ++j)
        {
            offsets[j] = v - j * g.dilation_w;
            const index_t from = offsets[j] < 0 ? -offsets[j] : 0;
            const index_t to = g.out_w - offsets[j] < lanes ? g.out_w - offsets[j] : lanes;
            if (from < to)
            {
                parts[j] = simd::part<T, Arch>(from, to);
                low = j < low ? j : low;
                high = j + 1;
            }
        }
        for (index_t c = 0; c < g.channels; ++c)
        {
            const T* const channel = patches + c * g.kernel_h * g.kernel_w * one;
            for (index_t r = begin; r < end; ++r)
            {
                T* const to = framed + c * plane + r * width + v;
                auto sum = simd::load<Arch>(to);
                for (index_t i = 0; i < g.kernel_h; ++i)
                {
                    const index_t start = r - i * g.dilation_h;
                    const index_t y = g.stride_h == 1 ? start : start / g.stride_h;
                    if (start < begin || y >= first + rows || y * g.stride_h != start)
                    {
                        continue;
                    }
                    const T* const from = channel + i * g.kernel_w * one + (y - first) * g.out_w;
                    for (index_t j = low; j < high; ++j)
                    {
                        sum = sum + parts[j].load(from + j * one + offsets[j]);
                    }
                }
                simd::store(to, sum);
            }
        }
    }
}

} // namespace detail

template <class T, class Arch>
void scatter_patches(
    const window& g, const T* patches, index_t first, index_t rows, T* framed) noexcept
{
    if constexpr (simd::has_cheap_parts<Arch>)
    {
        // Narrow images and wide kernels: elsewhere, adding row by row is as good.
        const bool by_rows = framed_width(g) <= simd::width<T, Arch> || g.kernel_w > 4;
        if (by_rows && g.stride_w == 1 && g.kernel_w <= detail::part_columns)
        {
            detail::scatter_by_rows<T, Arch>(g, patches, first, rows, framed);
            return;
        }
    }
    const index_t width = framed_width(g);
    const index_t plane = framed_height(g) * width;
    const T* from = patches;
    for (index_t c = 0; c < g.channels; ++c)
    {
        for (index_t i = 0; i < g.kernel_h; ++i)
        {
            T* const row = framed + c * plane + (first * g.stride_h + i * g.dilation_h) * width;
            for (index_t j = 0; j < g.kernel_w; ++j)
            {
                T* to = row + j * g.dilation_w;
                for (index_t y = 0; y < rows; ++y)
                {
                    if (g.stride_w == 1)
                    {
                        detail::add_row<T, Arch>(from, g.out_w, to);
                    }
                    else
                    {
                        for (index_t x = 0; x < g.out_w; ++x)
                        {
                            to[x * g.stride_w] += from[x];
                        }
                    }
                    from += g.out_w;
                    to += g.stride_h * width;
                }
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
STRUCTOPT_KERNELS_PATCHES(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
