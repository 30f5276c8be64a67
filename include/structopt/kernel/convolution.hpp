/// @file
/// Convolution of one image as dense products over blocks of output rows.
#pragma once

#include <structopt/kernel/gemm.hpp>
#include <structopt/kernel/im2col.hpp>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch that `convolution_forward` needs.
template <class T, class Arch = simd::default_arch>
std::size_t convolution_forward_bytes(const window& g, index_t out) noexcept;

/// y[out, out_h * out_w] = w[out, g.rows()] x patches of the image + bias (null: none).
template <class T, class Arch = simd::default_arch>
void convolution_forward(const window& g, index_t out, const T* image, const T* w, const T* bias,
    T* y, std::byte* scratch) noexcept;

/// Bytes of scratch that `convolution_backward` needs.
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

constexpr std::size_t rounded_bytes(std::size_t bytes) noexcept
{
    return (bytes + 63) / 64 * 64;
}

template <class T>
constexpr std::size_t block_bytes(const window& g) noexcept
{
    return g.trivial() ? 0
                       : rounded_bytes(static_cast<std::size_t>(
                                           g.rows() * convolution_block_rows(g) * g.out_w) *
                                       sizeof(T));
}

} // namespace detail

template <class T, class Arch>
std::size_t convolution_forward_bytes(const window& g, index_t out) noexcept
{
    const index_t n = (g.trivial() ? g.out_h : convolution_block_rows(g)) * g.out_w;
    return detail::block_bytes<T>(g) + gemm_scratch_bytes<T, Arch>(out, n, g.rows());
}

template <class T, class Arch>
void convolution_forward(const window& g, index_t out, const T* image, const T* w, const T* bias,
    T* y, std::byte* scratch) noexcept
{
    const index_t depth = g.rows();
    const index_t positions = g.columns();
    epilogue<T> finish;
    finish.row_bias = bias;
    if (g.trivial())
    {
        gemm<T, Arch>(out, positions, depth, {w, depth, 1}, {image, positions, 1}, y, positions,
            finish, scratch);
        return;
    }
    T* const patches = reinterpret_cast<T*>(scratch);
    std::byte* const rest = scratch + detail::block_bytes<T>(g);
    const index_t rows = convolution_block_rows(g);
    for (index_t first = 0; first < g.out_h; first += rows)
    {
        const window part = convolution_block(g, first, rows);
        const index_t n = part.columns();
        im2col<T, Arch>(part, image, patches);
        gemm<T, Arch>(out, n, depth, {w, depth, 1}, {patches, n, 1}, y + first * g.out_w, positions,
            finish, rest);
    }
}

template <class T, class Arch>
std::size_t convolution_backward_bytes(const window& g, index_t out) noexcept
{
    const index_t n = (g.trivial() ? g.out_h : convolution_block_rows(g)) * g.out_w;
    const std::size_t dw = gemm_scratch_bytes<T, Arch>(out, g.rows(), n);
    const std::size_t dx = gemm_scratch_bytes<T, Arch>(g.rows(), n, out);
    return detail::block_bytes<T>(g) + (dw > dx ? dw : dx);
}

template <class T, class Arch>
void convolution_backward(const window& g, index_t out, const T* image, const T* w, const T* dy,
    T* dw, T* dimage, std::byte* scratch) noexcept
{
    const index_t depth = g.rows();
    const index_t positions = g.columns();
    epilogue<T> add;
    add.accumulate = true;
    if (g.trivial())
    {
        gemm<T, Arch>(out, depth, positions, {dy, positions, 1}, {image, 1, positions}, dw, depth,
            add, scratch);
        if (dimage != nullptr)
        {
            gemm<T, Arch>(depth, positions, out, {w, 1, depth}, {dy, positions, 1}, dimage,
                positions, epilogue<T>{}, scratch);
        }
        return;
    }
    T* const patches = reinterpret_cast<T*>(scratch);
    std::byte* const rest = scratch + detail::block_bytes<T>(g);
    if (dimage != nullptr)
    {
        detail::zero_row(dimage, g.channels * g.height * g.width);
    }
    const index_t rows = convolution_block_rows(g);
    for (index_t first = 0; first < g.out_h; first += rows)
    {
        const window part = convolution_block(g, first, rows);
        const index_t n = part.columns();
        const T* const from = dy + first * g.out_w;
        im2col<T, Arch>(part, image, patches);
        gemm<T, Arch>(out, depth, n, {from, positions, 1}, {patches, 1, n}, dw, depth, add, rest);
        if (dimage != nullptr)
        {
            gemm<T, Arch>(depth, n, out, {w, 1, depth}, {from, positions, 1}, patches, n,
                epilogue<T>{}, rest);
            col2im<T, Arch>(part, patches, dimage);
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE
