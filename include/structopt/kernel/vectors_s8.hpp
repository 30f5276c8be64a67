/// @file
/// int8 weights in vectors of 16 rows x 1 column: the layout and what its products share.
///
/// W [rows, columns] in block rows of 16. A block row lists its columns that are not all zero,
/// ascending, in quads: `offsets`, one more than block rows, counts quads; quad q has four columns
/// indices[4 q] .. and 64 codes, the four of row 0, of row 1, ...: one 32-bit lane per row. The last
/// quad of a block row is filled up with zeros at its last column. Rows past the end are zeros.
/// `corrections` holds, per row of all block rows, -128 times the sum of its codes.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/simd/dot.hpp>
#include <structopt/simd/interleave.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_SHARED_NAMESPACE

/// A sparse int8 matrix in vectors; see the top of the file.
template <class Index>
struct vectors_s8_operand
{
    index_t rows = 0;
    index_t columns = 0;
    const std::uint32_t* offsets = nullptr;
    const Index* indices = nullptr;
    const std::int8_t* values = nullptr;
    const std::int32_t* corrections = nullptr;
};

STRUCTOPT_END_SHARED_NAMESPACE

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

using shared::vectors_s8_operand;

/// Rows of one vector.
inline constexpr index_t vector_s8_rows = 16;

namespace detail
{

/// Sizes that the product is built from.
template <class Arch, simd::dot_kind Kind>
struct vectors_s8_shape
{
    static constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    /// Registers of lanes of one vector.
    static constexpr index_t parts = vector_s8_rows / lanes;
    /// Most samples that are multiplied with rows as lanes.
    static constexpr index_t few = lanes / 2;
    /// Registers of samples of a tile, and those that are multiplied at once.
    static constexpr index_t registers = simd::interleave_registers<Arch>;
    static constexpr index_t at_once(index_t of) noexcept
    {
        constexpr bool wide = simd::dot<Arch, Kind>::weight_registers > 1;
        constexpr index_t most = Kind == simd::dot_kind::scalar              ? 1
                                 : simd::register_count<Arch> >= 32 && !wide ? 4
                                                                             : 2;
        return of < most ? of : most;
    }
    /// Most rows that so many registers of samples are multiplied by at once.
    static constexpr index_t rows(index_t vectors) noexcept
    {
        constexpr index_t needed = simd::dot<Arch, Kind>::weight_registers;
        const index_t left = simd::register_count<Arch> - needed * (vectors + 1) - 1;
        return Kind == simd::dot_kind::scalar ? 2 : left / vectors < 16 ? left / vectors : 16;
    }
    /// Quads of so many samples whose words are kept at once: 16 KiB.
    static constexpr index_t quads(index_t samples) noexcept
    {
        return (index_t{1} << 12) / samples;
    }
};

/// Calls `body(first, last)` over runs of block rows, of about 2^21 multiply-adds each.
template <class Index, class Body>
void vectors_s8_for_blocks(
    const vectors_s8_operand<Index>& w, index_t samples, const Body& body) noexcept
{
    const index_t blocks = (w.rows + vector_s8_rows - 1) / vector_s8_rows;
    const double work = static_cast<double>(w.offsets[blocks]) * 64.0 *
                        static_cast<double>(samples) / static_cast<double>(index_t{1} << 21);
    const index_t parts = work < 2.0 ? 1 : work > 32.0 ? 32 : static_cast<index_t>(work);
    parallel_for(blocks, (blocks + parts - 1) / parts, body);
}

/// What the sums of a block row start from.
template <class Arch, simd::dot_kind Kind, class Index>
STRUCTOPT_ALWAYS_INLINE std::int32_t vectors_s8_start(
    const vectors_s8_operand<Index>& w, index_t row) noexcept
{
    return simd::dot<Arch, Kind>::offset == 0 ? 0 : w.corrections[row];
}

} // namespace detail

} // namespace kernel
STRUCTOPT_END_NAMESPACE
