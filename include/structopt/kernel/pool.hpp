/// @file
/// Pooling of one plane: the largest element or the sum of each window.
///
/// Method. The rows of a window are combined first, a register of columns at a time, into a line that
/// carries the padding; the columns of all windows of a row are combined from that line, directly for
/// stride 1, from even and odd elements for stride 2, and one by one otherwise. Windows of 2x2 with
/// stride 2 stay in registers all the way. Wide planes are taken in pieces, so that the line has a fixed
/// size on the stack.
///
/// Bound: the plane is read once per row of the kernel that overlaps, which is what the first level of
/// cache gives.
#pragma once

#include <structopt/simd/deal.hpp>
#include <structopt/simd/tail.hpp>

#include <cstddef>
#include <limits>
#include <type_traits>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A window that moves over a plane [height, width] and leaves [out_h, out_w].
///
/// The padding is that of the top and the left; what is missing at the bottom and the right follows
/// from the extents. Every window holds at least one element of the plane.
struct pool_window
{
    index_t height = 0;
    index_t width = 0;
    index_t out_h = 0;
    index_t out_w = 0;
    index_t kernel_h = 1;
    index_t kernel_w = 1;
    index_t stride_h = 1;
    index_t stride_w = 1;
    index_t pad_h = 0;
    index_t pad_w = 0;
    index_t dilation_h = 1;
    index_t dilation_w = 1;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::pool_window;

/// What pooling does with the elements of a window.
enum class pooling
{
    largest, ///< which of two equal zeros of different sign is left is not said; no NaN may be there
    sum
};

/// y[i, j] = the largest element, or the sum of the elements, of window (i, j) of x.
template <pooling Kind, class T, class Arch = simd::default_arch>
void pool_plane(const pool_window& g, const T* x, T* y) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

template <pooling Kind, class T, class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<T, Arch> pooled(
    const simd::batch<T, Arch>& a, const simd::batch<T, Arch>& b) noexcept
{
    if constexpr (Kind == pooling::largest)
    {
        return simd::max(a, b);
    }
    else
    {
        return a + b;
    }
}

template <pooling Kind, class T>
constexpr T pooled(T a, T b) noexcept
{
    if constexpr (Kind == pooling::largest)
    {
        return a < b ? b : a;
    }
    else
    {
        return a + b;
    }
}

/// Whether windows are 2x2 squares next to each other, all inside the plane.
constexpr bool pools_squares(const pool_window& g) noexcept
{
    return g.kernel_h == 2 && g.kernel_w == 2 && g.stride_h == 2 && g.stride_w == 2 &&
           g.pad_h == 0 && g.pad_w == 0 && g.dilation_h == 1 && g.dilation_w == 1 &&
           2 * g.out_h <= g.height && 2 * g.out_w <= g.width;
}

template <pooling Kind, class T, class Arch>
void pool_squares(const pool_window& g, const T* x, T* y) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    for (index_t i = 0; i < g.out_h; ++i)
    {
        const T* const upper = x + 2 * i * g.width;
        const T* const lower = upper + g.width;
        T* const to = y + i * g.out_w;
        for (index_t j = 0; j < g.out_w; j += lanes)
        {
            const index_t left = g.out_w - j;
            vector even;
            vector odd;
            if (left >= lanes)
            {
                const auto line = [&](index_t at) STRUCTOPT_LAMBDA_INLINE
                {
                    return pooled<Kind, T, Arch>(
                        simd::load<Arch>(upper + at), simd::load<Arch>(lower + at));
                };
                simd::deal<T, Arch>(line(2 * j), line(2 * j + lanes), even, odd);
                simd::store(to + j, pooled<Kind, T, Arch>(even, odd));
            }
            else
            {
                const auto line = [&](index_t at, index_t count) STRUCTOPT_LAMBDA_INLINE
                {
                    const index_t n = count < 0 ? 0 : count < lanes ? count : lanes;
                    return pooled<Kind, T, Arch>(simd::load_tail<Arch>(upper + (n > 0 ? at : 0), n),
                        simd::load_tail<Arch>(lower + (n > 0 ? at : 0), n));
                };
                simd::deal<T, Arch>(
                    line(2 * j, 2 * left), line(2 * j + lanes, 2 * left - lanes), even, odd);
                simd::store_tail(to + j, pooled<Kind, T, Arch>(even, odd), left);
            }
        }
    }
}

/// Elements of a line, padding included, and past it what a register may read too far.
inline constexpr index_t pool_line = 512;

/// line[c] = the combined rows of a window at column `from` + c, 0 <= c < count; columns that lie in
/// the padding, and `spare` elements behind, are neutral.
template <pooling Kind, class T, class Arch>
void combine_rows(const pool_window& g, const T* x, index_t top, index_t from, index_t count,
    index_t spare, T* line) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr T neutral = Kind == pooling::largest ? -std::numeric_limits<T>::infinity() : T(0);
    // Columns first .. last - 1 of the line lie in the plane.
    const index_t first = from < 0 ? (-from < count ? -from : count) : 0;
    const index_t last =
        from + count > g.width ? (g.width - from > first ? g.width - from : first) : count;
    for (index_t c = 0; c < first; ++c)
    {
        line[c] = neutral;
    }
    for (index_t c = last; c < count + spare; ++c)
    {
        line[c] = neutral;
    }
    bool begun = false;
    for (index_t k = 0; k < g.kernel_h; ++k)
    {
        const index_t r = top + k * g.dilation_h;
        if (r < 0 || r >= g.height)
        {
            continue;
        }
        const T* const row = x + r * g.width;
        for (index_t c = first; c < last; c += lanes)
        {
            const index_t left = last - c;
            const index_t n = left < lanes ? left : lanes;
            auto value = n == lanes ? simd::load<Arch>(row + (from + c))
                                    : simd::load_tail<Arch>(row + (from + c), n);
            if (begun)
            {
                const auto before =
                    n == lanes ? simd::load<Arch>(line + c) : simd::load_tail<Arch>(line + c, n);
                value = pooled<Kind, T, Arch>(before, value);
            }
            if (n == lanes)
            {
                simd::store(line + c, value);
            }
            else
            {
                simd::store_tail(line + c, value, n);
            }
        }
        begun = true;
    }
}

/// y[j] = the combined columns of window j of the line, 0 <= j < count.
template <pooling Kind, class T, class Arch>
void combine_columns(const pool_window& g, const T* line, index_t count, T* y) noexcept
{
    using vector = simd::batch<T, Arch>;
    constexpr index_t lanes = simd::width<T, Arch>;
    if (g.stride_w > 2)
    {
        for (index_t j = 0; j < count; ++j)
        {
            T value = line[j * g.stride_w];
            for (index_t k = 1; k < g.kernel_w; ++k)
            {
                value = pooled<Kind>(value, line[j * g.stride_w + k * g.dilation_w]);
            }
            y[j] = value;
        }
        return;
    }
    for (index_t j = 0; j < count; j += lanes)
    {
        vector value(T(0));
        for (index_t k = 0; k < g.kernel_w; ++k)
        {
            const T* const from = line + j * g.stride_w + k * g.dilation_w;
            vector next = simd::load<Arch>(from);
            if (g.stride_w == 2)
            {
                vector odd;
                simd::deal<T, Arch>(next, simd::load<Arch>(from + lanes), next, odd);
            }
            value = k == 0 ? next : pooled<Kind, T, Arch>(value, next);
        }
        const index_t left = count - j;
        if (left >= lanes)
        {
            simd::store(y + j, value);
        }
        else
        {
            simd::store_tail(y + j, value, left);
        }
    }
}

/// Windows too wide for the line: element by element.
template <pooling Kind, class T>
void pool_elements(const pool_window& g, const T* x, T* y) noexcept
{
    for (index_t i = 0; i < g.out_h; ++i)
    {
        for (index_t j = 0; j < g.out_w; ++j)
        {
            T value = Kind == pooling::largest ? -std::numeric_limits<T>::infinity() : T(0);
            for (index_t a = 0; a < g.kernel_h; ++a)
            {
                const index_t r = i * g.stride_h - g.pad_h + a * g.dilation_h;
                for (index_t b = 0; r >= 0 && r < g.height && b < g.kernel_w; ++b)
                {
                    const index_t c = j * g.stride_w - g.pad_w + b * g.dilation_w;
                    if (c >= 0 && c < g.width)
                    {
                        value = pooled<Kind>(value, x[r * g.width + c]);
                    }
                }
            }
            y[i * g.out_w + j] = value;
        }
    }
}

} // namespace detail

template <pooling Kind, class T, class Arch>
void pool_plane(const pool_window& g, const T* x, T* y) noexcept
{
    if (detail::pools_squares(g))
    {
        detail::pool_squares<Kind, T, Arch>(g, x, y);
        return;
    }
    constexpr index_t lanes = simd::width<T, Arch>;
    constexpr index_t spare = 4 * lanes;
    const index_t reach = g.dilation_w * (g.kernel_w - 1) + 1;
    if (reach + lanes * g.stride_w > detail::pool_line)
    {
        detail::pool_elements<Kind>(g, x, y);
        return;
    }
    alignas(64) T line[static_cast<std::size_t>(detail::pool_line + spare)];
    const index_t most = (detail::pool_line - reach) / g.stride_w + 1;
    for (index_t i = 0; i < g.out_h; ++i)
    {
        for (index_t j = 0; j < g.out_w; j += most)
        {
            const index_t count = g.out_w - j < most ? g.out_w - j : most;
            detail::combine_rows<Kind, T, Arch>(g, x, i * g.stride_h - g.pad_h,
                j * g.stride_w - g.pad_w, (count - 1) * g.stride_w + reach, spare, line);
            detail::combine_columns<Kind, T, Arch>(g, line, count, y + i * g.out_w + j);
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
STRUCTOPT_KERNELS_POOL(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
