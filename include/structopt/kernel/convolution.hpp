/// @file
/// Convolution of one image as dense products over blocks of output rows.
#pragma once

#include <structopt/kernel/gemm.hpp>
#include <structopt/kernel/patches.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch that `convolution_forward` needs, aligned as T.
template <class T, class Arch = simd::default_arch>
std::size_t convolution_forward_bytes(const window& g, index_t out) noexcept;

/// y[out, out_h * out_w] = w[out, g.rows()] x patches of the image + bias (null: none).
template <class T, class Arch = simd::default_arch>
void convolution_forward(const window& g, index_t out, const T* image, const T* w, const T* bias,
    T* y, std::byte* scratch) noexcept;

/// Bytes of scratch that `convolution_backward` needs, aligned as T.
template <class T, class Arch = simd::default_arch>
std::size_t convolution_backward_bytes(const window& g, index_t out) noexcept;

/// Adds the gradient of the weights to dw[out, g.rows()], and writes that of the image to dimage
/// unless it is null.
template <class T, class Arch = simd::default_arch>
void convolution_backward(const window& g, index_t out, const T* image, const T* w, const T* dy,
    T* dw, T* dimage, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

/// Output rows of one block: its patches stay in the second cache level.
constexpr index_t convolution_block_rows(const window& g) noexcept
{
    const index_t elements = index_t{1} << 15;
    const index_t fit = elements / (g.rows() * g.out_w);
    const index_t wide = (128 + g.out_w - 1) / g.out_w;
    const index_t rows = fit > wide ? fit : wide;
    return rows < g.out_h ? rows : g.out_h;
}

/// The window of output rows [first, first + rows).
constexpr window convolution_block(const window& g, index_t first, index_t rows) noexcept
{
    window part = g;
    part.out_h = first + rows <= g.out_h ? rows : g.out_h - first;
    part.pad_top = g.pad_top - first * g.stride_h;
    return part;
}

namespace detail
{

/// Where a pass over one image keeps what it needs.
template <class T, class Arch>
struct convolution_scratch
{
    T* framed = nullptr;
    T* gradient = nullptr;
    T* patches = nullptr;
    std::byte* rest = nullptr;

    convolution_scratch(const window& g, std::byte* scratch, bool backward) noexcept
    {
        if (!g.trivial())
        {
            framed = take(framed_size<T>(g), scratch);
            gradient = backward ? take(framed_size<T>(g), scratch) : nullptr;
            patches = take(patches_size(g), scratch);
        }
        rest = scratch;
    }

    static constexpr index_t patches_size(const window& g) noexcept
    {
        return g.rows() * convolution_block_rows(g) * g.out_w + register_room<T>;
    }

    static constexpr std::size_t bytes(const window& g, bool backward) noexcept
    {
        return g.trivial()
                   ? 0
                   : (backward ? 2 : 1) * rounded(framed_size<T>(g)) + rounded(patches_size(g));
    }

private:
    static constexpr std::size_t rounded(index_t elements) noexcept
    {
        return (static_cast<std::size_t>(elements) * sizeof(T) + 63) / 64 * 64;
    }

    static T* take(index_t elements, std::byte*& scratch) noexcept
    {
        T* const taken = reinterpret_cast<T*>(scratch);
        scratch += rounded(elements);
        return taken;
    }
};

/// Positions of one product: those of a block of rows, or all where nothing is laid out.
constexpr index_t convolution_block_positions(const window& g) noexcept
{
    return (g.trivial() ? g.out_h : convolution_block_rows(g)) * g.out_w;
}

/// Positions of the last block, which may be smaller.
constexpr index_t convolution_last_positions(const window& g) noexcept
{
    const index_t step = g.trivial() ? g.out_h : convolution_block_rows(g);
    const index_t rest = step > 0 ? g.out_h % step : 0;
    return (rest > 0 ? rest : step) * g.out_w;
}

/// The larger of `bytes(positions)` for the blocks and for the last of them: a smaller product may
/// need more scratch.
template <class Bytes>
std::size_t convolution_most_bytes(const window& g, const Bytes& bytes) noexcept
{
    const std::size_t full = bytes(convolution_block_positions(g));
    const std::size_t last = bytes(convolution_last_positions(g));
    return full > last ? full : last;
}

} // namespace detail

template <class T, class Arch>
std::size_t convolution_forward_bytes(const window& g, index_t out) noexcept
{
    return detail::convolution_scratch<T, Arch>::bytes(g, false) +
           detail::convolution_most_bytes(g,
               [&](index_t n)
               {
                   return gemm_scratch_bytes<T, Arch>(out, n, g.rows());
               });
}

template <class T, class Arch>
void convolution_forward(const window& g, index_t out, const T* image, const T* w, const T* bias,
    T* y, std::byte* scratch) noexcept
{
    const index_t depth = g.rows();
    const index_t positions = g.columns();
    epilogue<T> finish;
    finish.row_bias = bias;
    const detail::convolution_scratch<T, Arch> space(g, scratch, false);
    if (g.trivial())
    {
        gemm<T, Arch>(out, positions, depth, {w, depth, 1}, {image, positions, 1}, y, positions,
            finish, space.rest);
        return;
    }
    frame<T, Arch>(g, image, space.framed);
    const index_t step = convolution_block_rows(g);
    for (index_t first = 0; first < g.out_h; first += step)
    {
        const index_t rows = first + step <= g.out_h ? step : g.out_h - first;
        const index_t n = rows * g.out_w;
        gather_patches<T, Arch>(g, space.framed, first, rows, space.patches);
        gemm<T, Arch>(out, n, depth, {w, depth, 1}, {space.patches, n, 1}, y + first * g.out_w,
            positions, finish, space.rest);
    }
}

template <class T, class Arch>
std::size_t convolution_backward_bytes(const window& g, index_t out) noexcept
{
    return detail::convolution_scratch<T, Arch>::bytes(g, true) +
           detail::convolution_most_bytes(g,
               [&](index_t n)
               {
                   const std::size_t dw = gemm_scratch_bytes<T, Arch>(out, g.rows(), n);
                   const std::size_t dx = gemm_scratch_bytes<T, Arch>(g.rows(), n, out);
                   return dw > dx ? dw : dx;
               });
}

template <class T, class Arch>
void convolution_backward(const window& g, index_t out, const T* image, const T* w, const T* dy,
    T* dw, T* dimage, std::byte* scratch) noexcept
{
    const index_t depth = g.rows();
    const index_t positions = g.columns();
    epilogue<T> add;
    add.accumulate = true;
    const detail::convolution_scratch<T, Arch> space(g, scratch, true);
    if (g.trivial())
    {
        gemm<T, Arch>(out, depth, positions, {dy, positions, 1}, {image, 1, positions}, dw, depth,
            add, space.rest);
        if (dimage != nullptr)
        {
            gemm<T, Arch>(depth, positions, out, {w, 1, depth}, {dy, positions, 1}, dimage,
                positions, epilogue<T>{}, space.rest);
        }
        return;
    }
    frame<T, Arch>(g, image, space.framed);
    if (dimage != nullptr)
    {
        detail::zero_row(space.gradient, framed_size<T>(g));
    }
    const index_t step = convolution_block_rows(g);
    for (index_t first = 0; first < g.out_h; first += step)
    {
        const index_t rows = first + step <= g.out_h ? step : g.out_h - first;
        const index_t n = rows * g.out_w;
        const T* const from = dy + first * g.out_w;
        gather_patches<T, Arch>(g, space.framed, first, rows, space.patches);
        gemm<T, Arch>(
            out, depth, n, {from, positions, 1}, {space.patches, 1, n}, dw, depth, add, space.rest);
        if (dimage != nullptr)
        {
            gemm<T, Arch>(depth, n, out, {w, 1, depth}, {from, positions, 1}, space.patches, n,
                epilogue<T>{}, space.rest);
            scatter_patches<T, Arch>(g, space.patches, first, rows, space.gradient);
        }
    }
    if (dimage != nullptr)
    {
        unframe<T, Arch>(g, space.gradient, dimage);
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_CONVOLUTION(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
