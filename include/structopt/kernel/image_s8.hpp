/// @file
/// An image as int8 codes in its frame, laid out so that every kernel position of a convolution
/// reads it at a constant distance from the output's own position.
#pragma once

#include <structopt/kernel/im2col.hpp>
#include <structopt/kernel/quantize_rows.hpp>
#include <structopt/simd/interleave.hpp>

#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// Where the codes of a framed image lie.
///
/// Rows and columns of the frame are dealt out by their remainder modulo the stride: plane (r, s) of
/// a channel holds rows r, r + stride_h, ... and columns s, s + stride_w, ... So an output at row y
/// and column x, whose own position is y * pitch + x, reads kernel position (i, j) of channel c at
/// `tap(c, i, j)` further on, whatever the stride and the dilation. Positions between the end of a
/// row of outputs and the next one belong to no output.
struct code_frame
{
    index_t pitch = 0;
    index_t rows = 0;
    index_t phases_h = 1;
    index_t phases_w = 1;
    window of{};

    STRUCTOPT_ALWAYS_INLINE constexpr explicit code_frame(const window& g) noexcept
        : of(g)
    {
        if (g.trivial())
        {
            // One long row: no position is lost at the end of each.
            of.height = of.out_h = 1;
            of.width = of.out_w = g.out_h * g.out_w;
        }
        pitch = of.out_w + (of.kernel_w - 1) * of.dilation_w / of.stride_w;
        rows = of.out_h + (of.kernel_h - 1) * of.dilation_h / of.stride_h;
        phases_h = phases(of.kernel_h, of.dilation_h, of.stride_h);
        phases_w = phases(of.kernel_w, of.dilation_w, of.stride_w);
    }

    /// Codes of one plane.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t plane() const noexcept
    {
        return rows * pitch;
    }

    /// Codes of one channel.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t channel() const noexcept
    {
        return plane() * phases_h * phases_w;
    }

    /// Positions up to and with the last output.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t positions() const noexcept
    {
        return (of.out_h - 1) * pitch + of.out_w;
    }

    STRUCTOPT_ALWAYS_INLINE constexpr index_t tap(index_t c, index_t i, index_t j) const noexcept
    {
        const index_t y = i * of.dilation_h;
        const index_t x = j * of.dilation_w;
        const index_t phase = y % of.stride_h * phases_w + x % of.stride_w;
        return c * channel() + phase * plane() + y / of.stride_h * pitch + x / of.stride_w;
    }

    /// Writes `tap` of every row of the matrix of patches, in order.
    STRUCTOPT_ALWAYS_INLINE void list_taps(index_t* taps) const noexcept
    {
        for (index_t c = 0; c < of.channels; ++c)
        {
            for (index_t i = 0; i < of.kernel_h; ++i)
            {
                for (index_t j = 0; j < of.kernel_w; ++j)
                {
                    *taps++ = tap(c, i, j);
                }
            }
        }
    }

    /// Bytes of the codes, with room for what is written or read in whole registers past the end.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t bytes() const noexcept
    {
        return of.channels * channel() + room() + row_bytes();
    }

    STRUCTOPT_ALWAYS_INLINE constexpr index_t room() const noexcept
    {
        return 64 + pitch;
    }

    /// Bytes of one row of the frame, before its columns are dealt out and after; none if they are
    /// not.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t row_bytes() const noexcept
    {
        return of.stride_w == 1 ? 0 : 2 * (pitch * of.stride_w + 64);
    }

private:
    STRUCTOPT_ALWAYS_INLINE static constexpr index_t phases(
        index_t kernel, index_t dilation, index_t stride) noexcept
    {
        index_t most = 0;
        for (index_t i = 0; i < kernel && i < stride; ++i)
        {
            const index_t phase = i * dilation % stride;
            most = phase > most ? phase : most;
        }
        return most + 1;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::code_frame;

/// Writes the codes of an image, round(x * factor) + offset, into its frame; padding is `offset`.
/// With a factor of 0 all codes are 0. `codes` has `f.bytes()`.
template <class Arch = simd::default_arch>
void quantize_image(const code_frame& f, const float* image, float factor, std::int32_t offset,
    std::uint8_t* codes) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Writes n bytes and up to 15 behind them.
STRUCTOPT_ALWAYS_INLINE void fill_bytes(std::uint8_t* to, index_t n, std::uint8_t value) noexcept
{
    for (index_t i = 0; i < n; i += 16)
    {
        std::memset(to + i, value, 16);
    }
}

/// The codes of n numbers. Writes up to a register too far.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE void quantize_part(const float* row, index_t n,
    const simd::batch<float, Arch>& factor, std::int32_t offset, std::uint8_t* to) noexcept
{
    constexpr index_t lanes = simd::width<float, Arch>;
    // x + 128 as an unsigned byte is x with its highest bit turned.
    const simd::batch<std::int32_t, Arch> flip(offset == 0 ? 0 : -128);
    auto* const codes = reinterpret_cast<std::int8_t*>(to);
    index_t k = 0;
    for (; k + lanes <= n; k += lanes)
    {
        simd::store_narrow(codes + k, detail::codes_of(simd::load<Arch>(row + k), factor) ^ flip);
    }
    if (k < n)
    {
        const auto rest = simd::load_tail<Arch>(row + k, n - k);
        simd::store_narrow(codes + k, detail::codes_of(rest, factor) ^ flip);
    }
}

/// Deals out the columns of one row, which has room for as many bytes again behind it.
inline void deal_row(std::uint8_t* row, const code_frame& f, std::uint8_t* to) noexcept
{
    if (f.of.stride_w == 2)
    {
        std::uint8_t* const even = row + f.row_bytes() / 2;
        std::uint8_t* const odd = even + f.pitch + 16;
        for (index_t x = 0; x < f.pitch; x += 16)
        {
            simd::deal_pairs(row + 2 * x, even + x, odd + x);
        }
        std::memcpy(to, even, static_cast<std::size_t>(f.pitch));
        if (f.phases_w == 2)
        {
            std::memcpy(to + f.plane(), odd, static_cast<std::size_t>(f.pitch));
        }
        return;
    }
    for (index_t s = 0; s < f.phases_w; ++s)
    {
        for (index_t x = 0; x < f.pitch; ++x)
        {
            to[s * f.plane() + x] = row[x * f.of.stride_w + s];
        }
    }
}

/// Fills a frame: `write(row, n, to)` writes the codes of the first n pixels of a row, and up to a
/// register more.
template <class T, class Write>
STRUCTOPT_ALWAYS_INLINE void fill_frame(const code_frame& f, const T* image, std::uint8_t padding,
    std::uint8_t* codes, const Write& write) noexcept
{
    const window& g = f.of;
    const index_t width = f.pitch * g.stride_w;
    const index_t left = g.pad_left < width ? g.pad_left : width;
    const index_t inside = g.width < width - left ? g.width : width - left;
    const bool dealt = f.row_bytes() != 0;
    std::uint8_t* const row_codes = codes + g.channels * f.channel() + f.room();
    std::uint8_t* to = codes;
    for (index_t c = 0; c < g.channels; ++c)
    {
        const T* const plane = image + c * g.height * g.width;
        for (index_t r = 0; r < f.phases_h; ++r)
        {
            for (index_t y = 0; y < f.rows; ++y)
            {
                const index_t from = y * g.stride_h + r - g.pad_top;
                std::uint8_t* const row = dealt ? row_codes : to + y * f.pitch;
                if (from < 0 || from >= g.height)
                {
                    detail::fill_bytes(row, width, padding);
                }
                else
                {
                    detail::fill_bytes(row, left, padding);
                    write(plane + from * g.width, inside, row + left);
                    detail::fill_bytes(row + left + inside, width - left - inside, padding);
                }
                if (dealt)
                {
                    detail::deal_row(row, f, to + y * f.pitch);
                }
            }
            to += f.phases_w * f.plane();
        }
    }
}

/// Writes the codes of an image into its frame, `offset` (0 or 128) added; padding is `zero`.
inline void frame_codes(const code_frame& f, const std::int8_t* image, std::int32_t zero,
    std::int32_t offset, std::uint8_t* codes) noexcept
{
    const auto flip = static_cast<std::uint8_t>(offset);
    const std::uint64_t flips = flip * std::uint64_t{0x0101010101010101};
    detail::fill_frame(f, image, static_cast<std::uint8_t>(zero + offset), codes,
        [=](const std::int8_t* row, index_t n, std::uint8_t* to) STRUCTOPT_LAMBDA_INLINE
        {
            index_t i = 0;
            for (; i + 8 <= n; i += 8)
            {
                std::uint64_t eight;
                std::memcpy(&eight, row + i, sizeof eight);
                eight ^= flips;
                std::memcpy(to + i, &eight, sizeof eight);
            }
            for (; i < n; ++i)
            {
                to[i] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(row[i]) ^ flip);
            }
        });
}

} // namespace detail

template <class Arch>
void quantize_image(const code_frame& f, const float* image, float factor, std::int32_t offset,
    std::uint8_t* codes) noexcept
{
    if (factor == 0.0f)
    {
        std::memset(codes, static_cast<std::uint8_t>(offset),
            static_cast<std::size_t>(f.of.channels * f.channel()));
        return;
    }
    const simd::batch<float, Arch> factors(factor);
    detail::fill_frame(f, image, static_cast<std::uint8_t>(offset), codes,
        [&](const float* row, index_t n, std::uint8_t* to) STRUCTOPT_LAMBDA_INLINE
        {
            detail::quantize_part<Arch>(row, n, factors, offset, to);
        });
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE

#ifdef STRUCTOPT_DISPATCH
#include <structopt/kernel/dispatch.hpp>
STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
STRUCTOPT_KERNELS_IMAGE_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
