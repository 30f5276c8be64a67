/// @file
/// Activations of a batch turned: one byte per sample and column, a line per column.
#pragma once

#include <structopt/simd/dot.hpp>
#include <structopt/simd/interleave.hpp>
#include <structopt/simd/transpose.hpp>
#include <structopt/simd/widen.hpp>

#include <cstdint>
#include <cstring>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{
namespace detail
{

/// lines[c * bytes of a register of Lines + s] = x[s * x_row + c] + offset; `offset` where there is
/// no sample.
template <class Arch, class Lines, simd::dot_kind Kind>
void turn_codes(index_t count, index_t columns, const std::int8_t* x, index_t x_row,
    std::uint8_t* lines) noexcept
{
    using word = simd::batch<std::int32_t, Lines>;
    using real = simd::batch<float, Lines>;
    constexpr index_t lanes = simd::width<std::int32_t, Lines>;
    constexpr index_t bytes = simd::interleave_width<Lines>;
    constexpr index_t registers = simd::interleave_registers<Lines>;
    static_assert(registers == 4);
    const word flip(simd::dot<Arch, Kind>::offset == 0 ? 0 : -0x7f7f7f80);
    alignas(64) std::uint8_t rest[4][static_cast<std::size_t>(bytes)] = {};
    for (index_t c = 0; c < columns; c += bytes)
    {
        const index_t left = columns - c < bytes ? columns - c : bytes;
        // Four samples as words of a register of columns; groups of four samples are the rows of
        // squares.
        alignas(64) std::int32_t words[registers][static_cast<std::size_t>(lanes)]
                                      [static_cast<std::size_t>(lanes)];
        for (index_t g = 0; g < lanes; ++g)
        {
            word four[registers] = {};
            if (4 * g < count)
            {
                const std::uint8_t* from[4];
                for (index_t j = 0; j < 4; ++j)
                {
                    const bool there = 4 * g + j < count;
                    from[j] = rest[j];
                    if (there && left == bytes)
                    {
                        from[j] =
                            reinterpret_cast<const std::uint8_t*>(x + (4 * g + j) * x_row + c);
                    }
                    else
                    {
                        std::memset(rest[j], 0, sizeof rest[j]);
                        if (there)
                        {
                            std::memcpy(rest[j], x + (4 * g + j) * x_row + c,
                                static_cast<std::size_t>(left));
                        }
                    }
                }
                simd::interleave<Lines>(from[0], from[1], from[2], from[3], four);
            }
            STRUCTOPT_UNROLL
            for (index_t v = 0; v < registers; ++v)
            {
                four[v].store_aligned(words[v][g]);
            }
        }
        for (index_t v = 0; v < registers && v * lanes < left; ++v)
        {
            real square[static_cast<std::size_t>(lanes)];
            STRUCTOPT_UNROLL
            for (index_t g = 0; g < lanes; ++g)
            {
                square[g] = simd::bit_cast<float>(word::load_aligned(words[v][g]));
            }
            simd::transpose<float, Lines>(square);
            std::uint8_t* const to = lines + (c + v * lanes) * bytes;
            STRUCTOPT_UNROLL
            for (index_t i = 0; i < lanes; ++i)
            {
                if (v * lanes + i < left)
                {
                    simd::store_bytes(reinterpret_cast<std::int8_t*>(to + i * bytes),
                        simd::bit_cast<std::int32_t>(square[i]) ^ flip);
                }
            }
        }
    }
}

} // namespace detail
} // namespace kernel
STRUCTOPT_END_NAMESPACE
