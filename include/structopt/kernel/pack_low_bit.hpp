/// @file
/// Weights of 4, 2 or 1 bits with scales (and zero points) per group, in the layout of
/// `gemm_low_bit`.
///
/// Layout. 64 bytes, of which the first 16 are the table of `low_bit::table4`. Then panels of two
/// registers of rows of W (32 with AVX-512). A panel is a sequence of groups; a group is a header and
/// blocks of 32 columns. The header has the panel's scales, as floats or as pairs of bfloat16
/// (`simd::load_pair`), then its zero points as int8 where there are any, padded to a whole number of
/// registers. A block has 4, 2 or 1 units (4, 2, 1 bits) of two registers: a 32-bit lane of the first
/// belongs to one row of W, a byte of the lane to four columns 4 q + byte, where q is the place of a
/// field within the byte, lowest first, units further on continuing. So one load and a mask or a
/// shift gives the operand of a dot product. Rows past the end have scale 0, columns past the end
/// field 0.
#pragma once

#include <structopt/core/small_float.hpp>
#include <structopt/simd/load_pair.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// What a packed weight is.
///
/// | | bits | codes | value in units of its scale |
/// |---|---|---|---|
/// | `int4` | 4 | [-8, 7] | code - zero point |
/// | `int2` | 2 | [-2, 1], so -1, 0 and 1 too | code - zero point |
/// | `binary` | 1 | -1 and 1 | code - zero point |
/// | `table4` | 4 | [0, 15] | table[code] - zero point |
enum class low_bit
{
    int4,
    int2,
    binary,
    table4
};

/// Extents of W[rows, columns], and how its codes and scales are kept.
struct low_bit_shape
{
    index_t rows = 0;
    index_t columns = 0;
    low_bit codes = low_bit::int4;
    /// Neighbouring columns of a row that share a scale, a multiple of 32; 0 is the whole row.
    index_t group = 0;
    /// Scales are kept in half the bytes: they are rounded to bfloat16.
    bool bfloat16_scales = false;
    /// There are zero points, one int8 for each scale.
    bool zeros = false;

    STRUCTOPT_ALWAYS_INLINE friend constexpr bool operator==(
        const low_bit_shape& a, const low_bit_shape& b) noexcept
    {
        return a.rows == b.rows && a.columns == b.columns && a.codes == b.codes &&
               a.group == b.group && a.bfloat16_scales == b.bfloat16_scales && a.zeros == b.zeros;
    }

    /// Scales of a row.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t groups() const noexcept
    {
        return columns == 0 ? 0 : group == 0 ? 1 : (columns + group - 1) / group;
    }

    /// Bits of a code.
    STRUCTOPT_ALWAYS_INLINE constexpr index_t bits() const noexcept
    {
        return codes == low_bit::binary ? 1 : codes == low_bit::int2 ? 2 : 4;
    }
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::low_bit;
using shared::low_bit_shape;

/// Bytes of a packed matrix.
template <class Arch = simd::default_arch>
std::size_t low_bit_bytes(const low_bit_shape& w) noexcept;

/// Packs codes [rows, columns], next to each other; `scales` and `zeros` [rows, w.groups()]. `zeros`
/// is read if `w.zeros`, `table` (16 entries in [-127, 127]) if the codes are places in it. Products
/// are fastest where `packed` is 64-byte aligned.
template <class Arch = simd::default_arch>
void pack_low_bit(const low_bit_shape& w, const std::int8_t* codes, const float* scales,
    const std::int8_t* zeros, const std::int8_t* table, std::byte* packed) noexcept;

/// The inverse of `pack_low_bit`; writes `zeros` if `w.zeros` and `table` if there is one.
template <class Arch = simd::default_arch>
void unpack_low_bit(const low_bit_shape& w, const std::byte* packed, std::int8_t* codes,
    float* scales, std::int8_t* zeros, std::int8_t* table) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Sizes of the layout, in bytes where nothing else is said.
template <class Arch>
struct low_bit_layout
{
    static constexpr index_t reg = static_cast<index_t>(simd::register_bytes<Arch>);
    static constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    /// Rows of W.
    static constexpr index_t panel = 2 * lanes;
    /// Columns.
    static constexpr index_t block = 32;
    static constexpr index_t table = 64;

    index_t blocks;
    index_t group_blocks;
    index_t groups;
    index_t panels;
    index_t zeros_at;
    index_t header;
    index_t block_bytes;
    index_t panel_bytes;
    index_t bits;

    explicit low_bit_layout(const low_bit_shape& w) noexcept
        : blocks((w.columns + block - 1) / block)
        , group_blocks(w.group == 0 ? blocks : w.group / block)
        , groups(w.groups())
        , panels((w.rows + panel - 1) / panel)
        , zeros_at(panel * (w.bfloat16_scales ? 2 : 4))
        , header((zeros_at + (w.zeros ? panel : 0) + reg - 1) / reg * reg)
        , block_bytes(w.bits() * 2 * reg)
        , panel_bytes(groups * header + blocks * block_bytes)
        , bits(w.bits())
    {
    }

    /// Where the header of a row's group begins.
    index_t header_at(index_t row, index_t g) const noexcept
    {
        return table + row / panel * panel_bytes + g * (header + group_blocks * block_bytes);
    }

    /// Where a column's field lies.
    struct place
    {
        index_t byte;
        index_t shift;
    };

    place of(index_t row, index_t column) const noexcept
    {
        const index_t b = column / block;
        const index_t q = column % block / 4;
        const index_t fields = 8 / bits;
        const index_t lane = row % panel;
        return {header_at(row, b / group_blocks) + header + b % group_blocks * block_bytes +
                    q / fields * 2 * reg + lane * 4 + column % 4,
            q % fields * bits};
    }

    /// Where a scale lies in its header.
    static index_t scale_at(index_t row, bool half) noexcept
    {
        return half ? 2 * simd::pair_position<Arch>(row % panel) : 4 * (row % panel);
    }
};

/// Added to a code to make its field.
STRUCTOPT_ALWAYS_INLINE std::int32_t low_bit_raise(low_bit codes) noexcept
{
    return codes == low_bit::int4 ? 8 : codes == low_bit::int2 ? 2 : 0;
}

} // namespace detail

template <class Arch>
std::size_t low_bit_bytes(const low_bit_shape& w) noexcept
{
    const detail::low_bit_layout<Arch> at(w);
    return static_cast<std::size_t>(at.table + at.panels * at.panel_bytes);
}

template <class Arch>
void pack_low_bit(const low_bit_shape& w, const std::int8_t* codes, const float* scales,
    const std::int8_t* zeros, const std::int8_t* table, std::byte* packed) noexcept
{
    const detail::low_bit_layout<Arch> at(w);
    std::memset(packed, 0, low_bit_bytes<Arch>(w));
    if (w.codes == low_bit::table4)
    {
        std::memcpy(packed, table, 16);
    }
    const std::int32_t raise = detail::low_bit_raise(w.codes);
    for (index_t r = 0; r < w.rows; ++r)
    {
        for (index_t g = 0; g < at.groups; ++g)
        {
            std::byte* const header = packed + at.header_at(r, g);
            const float scale = scales[r * at.groups + g];
            if (w.bfloat16_scales)
            {
                const bfloat16 half(scale);
                std::memcpy(header + at.scale_at(r, true), &half, 2);
            }
            else
            {
                std::memcpy(header + at.scale_at(r, false), &scale, 4);
            }
            if (w.zeros)
            {
                header[at.zeros_at + r % at.panel] =
                    static_cast<std::byte>(zeros[r * at.groups + g]);
            }
        }
        for (index_t c = 0; c < w.columns; ++c)
        {
            const std::int32_t code = codes[r * w.columns + c];
            const std::int32_t field =
                w.codes == low_bit::binary ? (code > 0 ? 1 : 0) : code + raise;
            const auto place = at.of(r, c);
            packed[place.byte] |= static_cast<std::byte>(field << place.shift);
        }
    }
}

template <class Arch>
void unpack_low_bit(const low_bit_shape& w, const std::byte* packed, std::int8_t* codes,
    float* scales, std::int8_t* zeros, std::int8_t* table) noexcept
{
    const detail::low_bit_layout<Arch> at(w);
    if (w.codes == low_bit::table4)
    {
        std::memcpy(table, packed, 16);
    }
    const std::int32_t raise = detail::low_bit_raise(w.codes);
    const std::int32_t mask = (1 << at.bits) - 1;
    for (index_t r = 0; r < w.rows; ++r)
    {
        for (index_t g = 0; g < at.groups; ++g)
        {
            const std::byte* const header = packed + at.header_at(r, g);
            if (w.bfloat16_scales)
            {
                bfloat16 half;
                std::memcpy(&half, header + at.scale_at(r, true), 2);
                scales[r * at.groups + g] = static_cast<float>(half);
            }
            else
            {
                std::memcpy(scales + r * at.groups + g, header + at.scale_at(r, false), 4);
            }
            if (w.zeros)
            {
                zeros[r * at.groups + g] =
                    static_cast<std::int8_t>(header[at.zeros_at + r % at.panel]);
            }
        }
        for (index_t c = 0; c < w.columns; ++c)
        {
            const auto place = at.of(r, c);
            const std::int32_t field =
                static_cast<std::int32_t>(packed[place.byte]) >> place.shift & mask;
            codes[r * w.columns + c] = static_cast<std::int8_t>(
                w.codes == low_bit::binary ? 2 * field - 1 : field - raise);
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
STRUCTOPT_KERNELS_PACK_LOW_BIT(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
