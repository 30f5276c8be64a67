/// @file
/// The layout in which integer products read int8 weights W[n, k].
///
/// Panels of two registers of columns. A panel holds, for each group of four k, the four weights of
/// column 0, of column 1, ...: one register lane per column. k is padded to a multiple of four,
/// columns to the panel, with zeros. Behind the panels, one int32 per padded column: -128 times the
/// sum of its weights, from which a kernel that stores activations as x + 128 starts.
#pragma once

#include <structopt/simd/target.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of a packed W[n, k].
template <class Arch = simd::default_arch>
constexpr std::size_t packed_bytes_s8(index_t n, index_t k) noexcept;

/// Packs W[n, k], values in [-127, 127], rows `row_stride` apart. `packed` is 4-byte aligned.
template <class Arch = simd::default_arch>
void pack_s8(
    index_t n, index_t k, const std::int8_t* w, index_t row_stride, std::byte* packed) noexcept;

/// The inverse of `pack_s8`.
template <class Arch = simd::default_arch>
void unpack_s8(
    index_t n, index_t k, const std::byte* packed, std::int8_t* w, index_t row_stride) noexcept;

// ---------------------------------------------------------------------------------------------

template <class Arch>
constexpr std::size_t packed_bytes_s8(index_t n, index_t k) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t columns = (n + panel - 1) / panel * panel;
    return static_cast<std::size_t>(columns * ((k + 3) / 4 * 4) + 4 * columns);
}

template <class Arch>
void pack_s8(
    index_t n, index_t k, const std::int8_t* w, index_t row_stride, std::byte* packed) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t columns = (n + panel - 1) / panel * panel;
    const index_t depth = (k + 3) / 4 * 4;
    auto* const to = reinterpret_cast<std::int8_t*>(packed);
    auto* const corrections = reinterpret_cast<std::int32_t*>(packed + columns * depth);
    for (index_t j = 0; j < columns; ++j)
    {
        std::int8_t* const column = to + j / panel * panel * depth + j % panel * 4;
        std::int32_t sum = 0;
        for (index_t i = 0; i < depth; ++i)
        {
            const std::int8_t value = j < n && i < k ? w[j * row_stride + i] : std::int8_t{0};
            column[i / 4 * 4 * panel + i % 4] = value;
            sum += value;
        }
        corrections[j] = -128 * sum;
    }
}

template <class Arch>
void unpack_s8(
    index_t n, index_t k, const std::byte* packed, std::int8_t* w, index_t row_stride) noexcept
{
    constexpr index_t panel = 2 * simd::width<std::int32_t, Arch>;
    const index_t depth = (k + 3) / 4 * 4;
    const auto* const from = reinterpret_cast<const std::int8_t*>(packed);
    for (index_t j = 0; j < n; ++j)
    {
        const std::int8_t* const column = from + j / panel * panel * depth + j % panel * 4;
        for (index_t i = 0; i < k; ++i)
        {
            w[j * row_stride + i] = column[i / 4 * 4 * panel + i % 4];
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
STRUCTOPT_KERNELS_PACK_S8(STRUCTOPT_DISPATCHED_KERNEL, STRUCTOPT_DISPATCHED_SIZE)
} // namespace kernel
STRUCTOPT_END_NAMESPACE
#endif
