/// @file
/// Convolution by a weight of any format: by the format's own way where it has one, else as products
/// with patches.
///
/// A format that convolves by itself has in `storage_traits<S>`, beside what nn/storage.hpp lists,
///
/// | `convolve_bytes(s, window, groups)` | scratch of `convolve` |
/// | `convolve(s, images, window, groups, x, bias, y, scratch)` | y[images, rows, positions] from x[images, channels, height, width], `noexcept`, no allocation |
/// | `takes_groups` | `static constexpr bool`: whether `groups` may be more than 1 |
///
/// `window` is that of one group, W is [rows, window.rows()], and group g holds as many rows of W as
/// any other.
#pragma once

#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/patches.hpp>
#include <structopt/nn/storage.hpp>

#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// A format that convolves by itself.
template <class S>
concept convolving_storage = weight_storage<S> && requires(const S& s, index_t n,
    const kernel::window& window, const typename storage_traits<S>::value_type* x,
    typename storage_traits<S>::value_type* y, scratch space)
{
    {
        storage_traits<S>::convolve_bytes(s, window, n)
        } -> std::same_as<std::size_t>;
    {
        storage_traits<S>::convolve(s, n, window, n, x, x, y, space)
    }
    noexcept;
};

/// Whether a convolution with such a weight may have groups.
template <class S>
struct takes_groups : std::false_type
{
};

template <class S>
    requires requires
    {
        storage_traits<S>::takes_groups;
    }
struct takes_groups<S> : std::bool_constant<storage_traits<S>::takes_groups>
{
};

namespace detail
{

/// The window of one group of a convolution with such options (`conv2d_options`, or a user's layer's).
template <class Options>
kernel::window window_of(const Options& options, const shape<4>& in, const shape<4>& out)
{
    kernel::window w;
    w.channels = in[1] / options.groups;
    w.height = in[2];
    w.width = in[3];
    w.kernel_h = options.kernel.height;
    w.kernel_w = options.kernel.width;
    w.stride_h = options.stride.height;
    w.stride_w = options.stride.width;
    w.pad_top = options.padding.height;
    w.pad_left = options.padding.width;
    w.dilation_h = options.dilation.height;
    w.dilation_w = options.dilation.width;
    w.out_h = out[2];
    w.out_w = out[3];
    return w;
}

/// Whether a convolution with this very weight may have groups: formats chosen by data answer one by
/// one.
template <weight_storage S>
bool groups_allowed(const S& s) noexcept
{
    if constexpr (requires { storage_traits<S>::groups_allowed(s); })
    {
        return storage_traits<S>::groups_allowed(s);
    }
    else
    {
        return takes_groups<S>::value;
    }
}

/// The name of the format that is there.
template <weight_storage S>
std::string format_name(const S& s)
{
    if constexpr (requires { s.format(); })
    {
        return std::string(s.format());
    }
    else
    {
        return std::string(storage_traits<S>::name());
    }
}

/// Positions of one block of patches.
inline index_t patch_positions(const kernel::window& w) noexcept
{
    return (w.trivial() ? w.out_h : kernel::convolution_block_rows(w)) * w.out_w;
}

/// Elements of the patches of one block, and what is written behind them.
template <class T>
index_t patch_elements(const kernel::window& w) noexcept
{
    return w.rows() * detail::patch_positions(w) + kernel::register_room<T>;
}

/// Bytes of the framed image and of the patches of one block.
template <class T>
std::size_t patch_bytes(const kernel::window& w) noexcept
{
    return w.trivial() ? 0
                       : scratch_size<T>(kernel::framed_size<T>(w)) +
                             scratch_size<T>(detail::patch_elements<T>(w));
}

/// Calls `body(block's window, patches [positions, depth], first position, scratch left)`.
///
/// An image comes from far away where there are many: it is read once, in order, by `frame`, which
/// the processor foresees. Reading it row by row between the writes of patches costs 25 ns per cache
/// line.
template <class T, class Body>
void for_each_block(const kernel::window& w, const T* x, scratch space, const Body& body) noexcept
{
    if (w.trivial())
    {
        body(w, view<const T, 2>(x, {w.columns(), w.rows()}, {1, w.columns()}), 0, space);
        return;
    }
    T* const framed = space.template take<T>(kernel::framed_size<T>(w));
    T* const patches = space.template take<T>(detail::patch_elements<T>(w));
    kernel::frame(w, x, framed);
    const index_t rows = kernel::convolution_block_rows(w);
    for (index_t first = 0; first < w.out_h; first += rows)
    {
        const kernel::window part = kernel::convolution_block(w, first, rows);
        kernel::gather_patches(w, framed, first, part.out_h, patches);
        body(part, view<const T, 2>(patches, {part.columns(), part.rows()}, {1, part.columns()}),
            first * w.out_w, space);
    }
}

/// Bytes of scratch of `convolve_by_products`.
template <weight_storage S>
std::size_t convolve_by_products_bytes(const S& s, const kernel::window& w) noexcept
{
    using traits = storage_traits<S>;
    return detail::patch_bytes<typename traits::value_type>(w) +
           scratch_size<std::byte>(static_cast<index_t>(kernel::detail::convolution_most_bytes(w,
               [&](index_t positions)
               {
                   return traits::scratch_bytes(s, positions);
               })));
}

/// y[images, rows, positions] = products of the format with the patches of x[images, channels,
/// height, width].
template <weight_storage S>
void convolve_by_products(const S& s, index_t images, const kernel::window& w,
    const typename storage_traits<S>::value_type* x,
    const typename storage_traits<S>::value_type* bias, typename storage_traits<S>::value_type* y,
    scratch space) noexcept
{
    using traits = storage_traits<S>;
    using T = typename traits::value_type;
    const index_t rows = traits::rows(s);
    const index_t positions = w.columns();
    for (index_t i = 0; i < images; ++i)
    {
        T* const to = y + i * rows * positions;
        detail::for_each_block(w, x + i * w.channels * w.height * w.width, space,
            [&](const kernel::window&, view<const T, 2> patches, index_t first, scratch rest)
            {
                traits::product(s, patches, bias,
                    view<T, 2>(to + first, {patches.shape(0), rows}, {1, positions}), rest);
            });
    }
}

/// Bytes of scratch of `convolve`.
template <weight_storage S>
std::size_t convolve_bytes(const S& s, const kernel::window& w, index_t groups) noexcept
{
    if constexpr (convolving_storage<S>)
    {
        return scratch_size<std::byte>(
            static_cast<index_t>(storage_traits<S>::convolve_bytes(s, w, groups)));
    }
    else
    {
        return detail::convolve_by_products_bytes(s, w);
    }
}

/// y[images, rows, positions] = the convolution of x[images, groups * channels, height, width].
template <weight_storage S>
void convolve(const S& s, index_t images, const kernel::window& w, index_t groups,
    const typename storage_traits<S>::value_type* x,
    const typename storage_traits<S>::value_type* bias, typename storage_traits<S>::value_type* y,
    scratch space) noexcept
{
    if constexpr (convolving_storage<S>)
    {
        storage_traits<S>::convolve(s, images, w, groups, x, bias, y, space);
    }
    else
    {
        STRUCTOPT_ASSERT(groups == 1);
        detail::convolve_by_products(s, images, w, x, bias, y, space);
    }
}

} // namespace detail

} // namespace nn
STRUCTOPT_END_NAMESPACE
