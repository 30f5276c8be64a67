/// @file
/// Convolution of one image by filters that were packed once.
///
/// The filters are laid out by `pack_b` as W [out, depth], in panels of channels. The product is turned,
/// y = W x patches: a tile takes up to `gemm_shape::rows` channels of a panel, whose weights for one k
/// are neighbours, and a panel of positions.
///
/// Patches are not laid out: for a stride of 1 from row to row, the rows of the frame are cut to the
/// columns that one kernel column reads, and put next to each other in a strip. The patch row of kernel
/// row i is then the strip from i rows further on, so that a strip serves all kernel rows: a table says
/// where each row begins. Other strides lay patches out as `convolution_forward` does, 1 x 1 filters
/// read the image.
///
/// Every element is the same chain over k as elsewhere: the result has the bits of `gemm_packed` with
/// patches. Groups of one channel go to `depthwise_forward` instead, filter by filter.
#pragma once

#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/depthwise.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Whether `convolution_packed` is expected to beat a product of patches with the panels: the former
/// fills registers with positions, the latter with channels.
template <class T, class Arch = simd::default_arch>
bool worth_turning(const window& g, index_t out) noexcept;

/// Bytes of scratch that `convolution_packed` needs, aligned as index_t.
template <class T, class Arch = simd::default_arch>
std::size_t convolution_packed_bytes(const window& g, index_t out, index_t groups) noexcept;

/// y[groups * out, out_h * out_w] = w x patches of the image + bias (null: none), for each of `groups`
/// groups of g.channels channels and `out` filters. w[groups * out, g.rows()] was packed by `pack_b`.
template <class T, class Arch = simd::default_arch>
void convolution_packed(const window& g, index_t out, index_t groups, const T* image,
    const T* packed, const T* bias, T* y, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// How the positions of an image are dealt out, and what is laid out for them.
template <class T, class Arch>
struct packed_convolution
{
    using shape = gemm_shape<T, Arch>;

    window g;
    index_t out;
    /// Strips, in blocks of output rows; else patches, or the image itself.
    bool strips;
    index_t block_rows;

    packed_convolution(const window& w, index_t filters) noexcept
        : g(w)
        , out(filters)
        , strips(!w.trivial() && w.stride_h == 1)
        , block_rows(w.trivial() ? w.out_h : convolution_block_rows(w))
    {
        if (!strips)
        {
            return;
        }
        // As many rows as stay in the second cache level, and not too few to fill panels.
        const index_t fit = (index_t{1} << 15) / (g.channels * g.kernel_w * g.out_w) - apron();
        const index_t wide = (128 + g.out_w - 1) / g.out_w;
        const index_t most = fit > wide ? fit : wide;
        const index_t blocks = (g.out_h + most - 1) / most;
        const index_t rows = (g.out_h + blocks - 1) / blocks;
        // Far dilated rows are cheaper laid out one by one.
        strips = rows + apron() <= g.kernel_h * rows;
        block_rows = strips ? rows : block_rows;
    }

    /// Rows of a strip beyond those of the outputs.
    index_t apron() const noexcept
    {
        return (g.kernel_h - 1) * g.dilation_h;
    }

    /// Elements of one strip of a block.
    index_t strip(index_t rows) const noexcept
    {
        return (rows + apron()) * g.out_w;
    }

    index_t laid_out() const noexcept
    {
        return g.trivial() ? 0
               : strips    ? g.channels * g.kernel_w * strip(block_rows) + register_room<T>
                           : g.rows() * block_rows * g.out_w + register_room<T>;
    }

    /// Panels of positions that one part of a parallel loop takes.
    index_t chunk(index_t positions) const noexcept
    {
        const index_t panels = (positions + shape::panel - 1) / shape::panel;
        const index_t parts = gemm_plan<T, Arch>::worthwhile_parts(out, positions, g.rows());
        return (panels + parts - 1) / parts;
    }

    /// Panels of the image are copied to where they do not collide in the caches.
    bool copies() const noexcept
    {
        return g.trivial() && g.columns() * static_cast<index_t>(sizeof(T)) % 4096 == 0 &&
               out > 2 * shape::rows;
    }

    /// Elements where panels are copied; the last one is, because the image must not be read past
    /// its end.
    index_t slots() const noexcept
    {
        const index_t n = g.columns();
        if (!g.trivial() || (!copies() && n % shape::panel == 0))
        {
            return 0;
        }
        const index_t panels = (n + shape::panel - 1) / shape::panel;
        return (panels + chunk(n) - 1) / chunk(n) * g.rows() * shape::panel;
    }

    /// Where the rows of B begin, seen from a position.
    void list_rows(index_t rows, index_t* to) const noexcept
    {
        index_t k = 0;
        for (index_t c = 0; c < g.channels; ++c)
        {
            for (index_t i = 0; i < g.kernel_h; ++i)
            {
                for (index_t j = 0; j < g.kernel_w; ++j, ++k)
                {
                    to[k] = strips ? (c * g.kernel_w + j) * strip(rows) + i * g.dilation_h * g.out_w
                                   : k * rows * g.out_w;
                }
            }
        }
    }
};

/// Writes the strips of the output rows [first, first + rows): one per channel and kernel column.
template <class T, class Arch>
void gather_strips(
    const window& g, const T* framed, index_t first, index_t rows, T* strips) noexcept
{
    window columns = g;
    columns.kernel_h = 1;
    columns.out_h = g.out_h + (g.kernel_h - 1) * g.dilation_h;
    gather_patches<T, Arch>(columns, framed, first, rows + (g.kernel_h - 1) * g.dilation_h, strips);
}

/// Elements, rounded to whole cache lines, as bytes.
template <class T>
constexpr std::size_t lines(index_t elements) noexcept
{
    return (static_cast<std::size_t>(elements) * sizeof(T) + 63) / 64 * 64;
}

/// The outputs of the filters from `filter` on at `n` positions: `y_row` elements from filter to filter.
template <class T, class Arch>
void convolve_positions(const packed_convolution<T, Arch>& plan, index_t filter, index_t n,
    const T* rows, const index_t* offsets, const T* packed, const T* bias, T* y, index_t y_row,
    index_t* slot_offsets, T* slots) noexcept
{
    using shape = gemm_shape<T, Arch>;
    const index_t depth = plan.g.rows();
    const index_t out = plan.out;
    const index_t panels = (n + shape::panel - 1) / shape::panel;
    const index_t chunk = plan.chunk(n);
    if (slot_offsets != nullptr)
    {
        for (index_t k = 0; k < depth; ++k)
        {
            slot_offsets[k] = k * shape::panel;
        }
    }
    parallel_for(panels, chunk,
        [&](index_t begin, index_t end)
        {
            T* const slot =
                slot_offsets == nullptr ? nullptr : slots + begin / chunk * depth * shape::panel;
            tile_arguments<T> t{};
            t.depth = depth;
            t.c_row = y_row;
            t.finish = true;
            for (index_t p = begin; p < end; ++p)
            {
                const index_t first = p * shape::panel;
                t.columns = n - first < shape::panel ? n - first : shape::panel;
                t.b = rows + first;
                t.b_rows = offsets;
                if (slot_offsets != nullptr && (plan.copies() || t.columns < shape::panel))
                {
                    pack_panel<T, Arch>(t.columns, depth, matrix_operand<T>{t.b, n, 1}, slot);
                    t.b = slot;
                    t.b_rows = slot_offsets;
                }
                const bool half = t.columns <= shape::panel / 2;
                for (index_t o = 0; o < out;)
                {
                    // Up to the end of a panel, in tiles of nearly equal height.
                    const index_t column = (filter + o) % shape::panel;
                    const T* const panel = packed + (filter + o - column) * depth;
                    const index_t room = shape::panel - column;
                    const index_t channels = out - o < room ? out - o : room;
                    index_t tiles = (channels + shape::rows - 1) / shape::rows;
                    for (index_t at = 0; tiles > 0; --tiles)
                    {
                        const index_t height = (channels - at + tiles - 1) / tiles;
                        t.a = panel + column + at;
                        t.c = y + (o + at) * y_row + first;
                        t.row_bias = bias == nullptr ? nullptr : bias + o + at;
                        by_rows_tile<T, Arch>(height, half)(t);
                        at += height;
                    }
                    o += channels;
                }
            }
        });
}

/// Filters of one channel each, `out` for every channel.
template <class T, class Arch>
void convolve_channels(const window& g, index_t out, index_t channels, const T* image,
    const T* packed, const T* bias, T* y, T* filter) noexcept
{
    constexpr index_t panel = gemm_shape<T, Arch>::panel;
    const index_t depth = g.rows();
    for (index_t row = 0; row < channels * out; ++row)
    {
        const T* const from = packed + row / panel * panel * depth + row % panel;
        for (index_t k = 0; k < depth; ++k)
        {
            filter[k] = from[k * panel];
        }
        depthwise_forward<T, Arch>(g, image + row / out * g.height * g.width, filter,
            bias == nullptr ? T(0) : bias[row], y + row * g.columns());
    }
}

} // namespace detail

template <class T, class Arch>
bool worth_turning(const window& g, index_t out) noexcept
{
    constexpr index_t lanes = simd::width<T, Arch>;
    const auto positions =
        static_cast<double>(detail::packed_convolution<T, Arch>(g, out).block_rows * g.out_w);
    const auto filters = static_cast<double>(out);
    const auto depth = static_cast<double>(g.rows());
    const auto registers = [](index_t n)
    {
        return static_cast<double>((n + lanes - 1) / lanes);
    };
    // Measured, in multiply-adds of a register: the products lay out patches, interleave them, and turn
    // the result.
    const double turned = 1.35 * registers(static_cast<index_t>(positions)) * filters * depth;
    const double products =
        registers(out) * positions * depth + 6 * positions * depth + 16 * positions * filters;
    return turned <= products;
}

template <class T, class Arch>
std::size_t convolution_packed_bytes(const window& g, index_t out, index_t groups) noexcept
{
    if (groups > 1 && g.channels == 1)
    {
        return detail::lines<T>(g.rows());
    }
    const detail::packed_convolution<T, Arch> plan(g, out);
    const index_t framed = g.trivial() ? 0 : framed_size<T>(g);
    return detail::lines<T>(framed) + detail::lines<T>(plan.laid_out()) +
           2 * detail::lines<index_t>(g.rows()) + detail::lines<T>(plan.slots());
}

namespace detail
{

/// One group: the filters from `filter` on.
template <class T, class Arch>
void convolve_group(const packed_convolution<T, Arch>& plan, index_t filter, const T* image,
    const T* packed, const T* bias, T* y, std::byte* scratch) noexcept
{
    const window& g = plan.g;
    const index_t positions = g.columns();
    auto* const offsets = reinterpret_cast<index_t*>(scratch);
    scratch += lines<index_t>(g.rows());
    if (g.trivial())
    {
        auto* const slot_offsets = reinterpret_cast<index_t*>(scratch);
        scratch += lines<index_t>(g.rows());
        plan.list_rows(g.out_h, offsets);
        convolve_positions<T, Arch>(plan, filter, positions, image, offsets, packed, bias, y,
            positions, slot_offsets, reinterpret_cast<T*>(scratch));
        return;
    }
    T* const framed = reinterpret_cast<T*>(scratch);
    scratch += lines<T>(framed_size<T>(g));
    T* const laid_out = reinterpret_cast<T*>(scratch);
    frame<T, Arch>(g, image, framed);
    for (index_t first = 0; first < g.out_h; first += plan.block_rows)
    {
        const index_t rows = g.out_h - first < plan.block_rows ? g.out_h - first : plan.block_rows;
        if (first == 0 || rows < plan.block_rows)
        {
            plan.list_rows(rows, offsets);
        }
        (plan.strips ? &gather_strips<T, Arch> : &gather_patches<T, Arch>)(g, framed, first, rows,
            laid_out);
        convolve_positions<T, Arch>(plan, filter, rows * g.out_w, laid_out, offsets, packed, bias,
            y + first * g.out_w, positions, nullptr, nullptr);
    }
}

} // namespace detail

template <class T, class Arch>
void convolution_packed(const window& g, index_t out, index_t groups, const T* image,
    const T* packed, const T* bias, T* y, std::byte* scratch) noexcept
{
    if (groups > 1 && g.channels == 1)
    {
        detail::convolve_channels<T, Arch>(
            g, out, groups, image, packed, bias, y, reinterpret_cast<T*>(scratch));
        return;
    }
    const detail::packed_convolution<T, Arch> plan(g, out);
    for (index_t group = 0; group < groups; ++group)
    {
        detail::convolve_group<T, Arch>(plan, group * out,
            image + group * g.channels * g.height * g.width, packed,
            bias == nullptr ? nullptr : bias + group * out, y + group * out * g.columns(), scratch);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_CONVOLUTION_PACKED(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
