/// @file
/// What a plan has to know of a matrix.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/core/view.hpp>
#include <structopt/kernel/pack.hpp>
#include <structopt/kernel/spmm_nm.hpp>
#include <structopt/nn/plan/weight_format.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Where the zeros of a matrix [rows, columns] are. -0.0 counts as zero, NaN and infinities do not.
struct weight_pattern
{
    index_t rows = 0;
    index_t columns = 0;
    index_t nonzeros = 0;
    /// 16 x 1 vectors with a non-zero, of rows 16 i to 16 i + 15.
    index_t vectors = 0;
    bool fits_2x4 = true; ///< at most 2 non-zeros in columns 4 i to 4 i + 3 of any row
    bool fits_1x4 = true;
    bool fits_4x8 = true;
    /// Bytes of an element.
    std::size_t element_bytes = sizeof(float);
    /// Rows that `packed_matrix` pads to.
    index_t packed_rows = 0;
    /// Values that `sparse::sliced` and `sparse::tiled` keep, padding included, and their bytes: both
    /// 0 as long as nobody has packed them, which then counts as the padding of a random pattern.
    index_t sliced_slots = 0;
    index_t tiled_slots = 0;
    std::size_t sliced_bytes = 0;
    std::size_t tiled_bytes = 0;

    /// Elements, zeros included.
    double elements() const noexcept
    {
        return static_cast<double>(rows) * static_cast<double>(columns);
    }

    friend bool operator==(const weight_pattern&, const weight_pattern&) = default;
};

/// One pass over a matrix of any strides. O(elements), and a bit of memory per column.
template <std::floating_point T>
weight_pattern pattern_of(view<const T, 2> w);

/// Share of the elements that a format keeps, 0 to about 1; of `dense` and `packed` 1. Padding of
/// `sliced` and `tiled` does not count.
double stored_density(const weight_pattern& pattern, weight_format format) noexcept;

/// Whether the format can hold the matrix at all.
bool holds(const weight_pattern& pattern, weight_format format) noexcept;

/// Bytes in memory: exact, but for `sliced` and `tiled` that nobody has packed, which are estimated.
std::size_t bytes_in(const weight_pattern& pattern, weight_format format) noexcept;

// ---------------------------------------------------------------------------------------------

template <std::floating_point T>
weight_pattern pattern_of(view<const T, 2> w)
{
    constexpr index_t run = 16;
    weight_pattern found;
    found.rows = w.shape(0);
    found.columns = w.shape(1);
    found.element_bytes = sizeof(T);
    if (found.columns > 0)
    {
        found.packed_rows = kernel::packed_size<T>(found.rows, found.columns) / found.columns;
    }
    buffer<std::uint8_t> seen(static_cast<std::size_t>(found.columns));
    for (index_t first = 0; first < found.rows; first += run)
    {
        std::fill(seen.begin(), seen.end(), std::uint8_t{0});
        for (index_t r = first; r < std::min(first + run, found.rows); ++r)
        {
            index_t four = 0;
            index_t eight = 0;
            for (index_t c = 0; c < found.columns; ++c)
            {
                four = c % 4 == 0 ? 0 : four;
                eight = c % 8 == 0 ? 0 : eight;
                if (structopt::detail::is_zero(w(r, c)))
                {
                    continue;
                }
                ++found.nonzeros;
                seen[static_cast<std::size_t>(c)] = 1;
                ++four;
                ++eight;
                found.fits_1x4 = found.fits_1x4 && four <= 1;
                found.fits_2x4 = found.fits_2x4 && four <= 2;
                found.fits_4x8 = found.fits_4x8 && eight <= 4;
            }
        }
        for (const std::uint8_t there : seen)
        {
            found.vectors += there;
        }
    }
    return found;
}

namespace detail
{

template <index_t N, index_t M>
constexpr std::size_t packed_nm_bytes(index_t rows, index_t columns, std::size_t element) noexcept
{
    using layout = kernel::nm_layout<N, M>;
    const auto lanes =
        static_cast<std::size_t>(layout::slices(rows) * layout::chunks(columns) * layout::rows);
    return lanes * (sizeof(std::uint32_t) + static_cast<std::size_t>(layout::slots) * element);
}

} // namespace detail

inline double stored_density(const weight_pattern& pattern, weight_format format) noexcept
{
    const double elements = std::max(pattern.elements(), 1.0);
    switch (format)
    {
    case weight_format::vectors:
        return 16.0 * static_cast<double>(pattern.vectors) / elements;
    case weight_format::nm2x4:
    case weight_format::nm4x8:
        return 0.5;
    case weight_format::nm1x4:
        return 0.25;
    case weight_format::dense:
    case weight_format::packed:
        return 1;
    default:
        return static_cast<double>(pattern.nonzeros) / elements;
    }
}

inline bool holds(const weight_pattern& pattern, weight_format format) noexcept
{
    switch (format)
    {
    case weight_format::nm2x4:
        return pattern.fits_2x4;
    case weight_format::nm1x4:
        return pattern.fits_1x4;
    case weight_format::nm4x8:
        return pattern.fits_4x8;
    case weight_format::csr16:
    case weight_format::vectors:
        return pattern.columns <= 65536;
    default:
        return true;
    }
}

inline std::size_t bytes_in(const weight_pattern& pattern, weight_format format) noexcept
{
    const auto size = [](index_t n)
    {
        return static_cast<std::size_t>(n);
    };
    const std::size_t element = pattern.element_bytes;
    const std::size_t rows = size(pattern.rows);
    const std::size_t nonzeros = size(pattern.nonzeros);
    switch (format)
    {
    case weight_format::packed:
        return size(pattern.packed_rows) * size(pattern.columns) * element;
    case weight_format::sliced:
        // Six 5-bit places share a word.
        return pattern.sliced_bytes > 0 ? pattern.sliced_bytes
                                        : nonzeros * (element + 1) * 5 / 4 + rows;
    case weight_format::tiled:
        return pattern.tiled_bytes > 0 ? pattern.tiled_bytes : nonzeros * (element + 1) + rows;
    case weight_format::csr16:
        return nonzeros * (element + 2) + 4 * (rows + 1);
    case weight_format::bitmask:
        return nonzeros * element + rows * ((size(pattern.columns) + 63) / 64) * 8 + 4 * (rows + 1);
    case weight_format::vectors:
        return size(pattern.vectors) * (16 * element + 2) + 4 * ((rows + 15) / 16 + 1);
    case weight_format::nm2x4:
        return detail::packed_nm_bytes<2, 4>(pattern.rows, pattern.columns, element);
    case weight_format::nm1x4:
        return detail::packed_nm_bytes<1, 4>(pattern.rows, pattern.columns, element);
    case weight_format::nm4x8:
        return detail::packed_nm_bytes<4, 8>(pattern.rows, pattern.columns, element);
    default:
        return rows * size(pattern.columns) * element;
    }
}

} // namespace nn
STRUCTOPT_END_NAMESPACE
