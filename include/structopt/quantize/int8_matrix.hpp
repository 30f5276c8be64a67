/// @file
/// int8 matrices in the layouts that the integer kernels multiply by: dense panels and sparse rows.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/quantize/symmetric_int8.hpp>
#include <structopt/sparse/csr.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

namespace detail
{

/// Most codes of a row whose products add up in int32, activations raised by 128: 132,104 * 128 *
/// 127 < 2^31.
inline constexpr index_t most_int8_codes = 132'104;

/// Throws `format_error` unless there is one finite scale per row, not negative.
inline void check_scales(const tensor<float, 1>& scales, index_t rows)
{
    if (size_of(scales) != rows)
    {
        structopt::detail::raise<format_error>(
            "int8 scales", std::to_string(rows) + ", one per row", std::to_string(size_of(scales)));
    }
    for (index_t r = 0; r < rows; ++r)
    {
        const float scale = scales.data()[r];
        if (!structopt::detail::is_finite(scale) || scale < 0)
        {
            structopt::detail::raise<format_error>("int8 scale, row " + std::to_string(r),
                "a finite number, not negative", std::to_string(scale));
        }
    }
}

/// Throws `format_error` for the code -128.
inline void check_codes(std::span<const std::int8_t> codes)
{
    for (std::size_t i = 0; i < codes.size(); ++i)
    {
        if (codes[i] == -128)
        {
            structopt::detail::raise<format_error>(
                "int8 codes, position " + std::to_string(i), "a code in [-127, 127]", "-128");
        }
    }
}

/// Throws `format_error` for a row with so many codes that sums may overflow.
inline void check_row(index_t row, index_t codes)
{
    if (codes > most_int8_codes)
    {
        structopt::detail::raise<format_error>("int8 matrix, row " + std::to_string(row),
            "at most " + std::to_string(most_int8_codes) + " codes", std::to_string(codes));
    }
}

} // namespace detail

/// A dense int8 matrix [rows, columns] with one scale per row, packed for `kernel::gemm_s8`.
class int8_matrix
{
public:
    using value_type = float;

    int8_matrix() = default;

    /// Quantizes (see `to_int8`) and packs.
    explicit int8_matrix(view<const float, 2> w)
        : int8_matrix(to_int8(w))
    {
    }

    /// Packs codes. Throws `format_error` for the code -128, for scales that are not one finite
    /// number per row, and for more than 132,104 columns.
    explicit int8_matrix(const int8_codes& q)
        : m_rows(shape_of(q.codes)[0])
        , m_columns(shape_of(q.codes)[1])
        , m_scales(q.scales)
    {
        detail::check_scales(q.scales, m_rows);
        detail::check_codes({q.codes.data(), q.codes.size()});
        detail::check_row(0, m_columns);
        m_panels.resize(kernel::packed_bytes_s8<>(m_rows, m_columns));
        kernel::pack_s8<>(m_rows, m_columns, q.codes.data(), m_columns, m_panels.data());
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Elements of the matrix, without padding.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Bytes of codes and scales, without padding: what a file holds.
    std::size_t bytes() const noexcept
    {
        return size() + m_scales.size() * sizeof(float);
    }

    const std::byte* panels() const noexcept
    {
        return m_panels.data();
    }

    const tensor<float, 1>& scales() const noexcept
    {
        return m_scales;
    }

    /// The canonical codes again.
    int8_codes codes() const
    {
        int8_codes q{make_tensor<std::int8_t>(shape<2>{m_rows, m_columns}), m_scales};
        kernel::unpack_s8<>(m_rows, m_columns, m_panels.data(), q.codes.data(), m_columns);
        return q;
    }

private:
    index_t m_rows = 0;
    index_t m_columns = 0;
    tensor<float, 1> m_scales = structopt::zeros<float>(shape<1>{0});
    buffer<std::byte> m_panels;
};

/// A sparse int8 matrix: codes in compressed sparse rows, one scale per row. A weight that was
/// pruned to zero is not stored; one that rounds to zero is not either.
template <std::unsigned_integral Index = std::uint32_t>
class sparse_int8
{
public:
    using value_type = float;

    sparse_int8() = default;

    /// Quantizes (see `to_int8`) and keeps the non-zero codes.
    explicit sparse_int8(view<const float, 2> w)
        : sparse_int8(to_int8(w))
    {
    }

    explicit sparse_int8(const int8_codes& q)
        : sparse_int8(sparse::csr<std::int8_t, Index>(as_view(q.codes)), q.scales)
    {
    }

    /// From its parts. Throws `format_error` for the code -128, for scales that are not one finite
    /// number per row, and for rows of more than 132,104 codes.
    sparse_int8(sparse::csr<std::int8_t, Index> codes, tensor<float, 1> scales)
        : m_codes(std::move(codes))
        , m_scales(std::move(scales))
    {
        detail::check_scales(m_scales, m_codes.rows());
        detail::check_codes(m_codes.values());
        for (index_t r = 0; r < m_codes.rows(); ++r)
        {
            const auto row = static_cast<std::size_t>(r);
            detail::check_row(
                r, static_cast<index_t>(m_codes.offsets()[row + 1] - m_codes.offsets()[row]));
        }
    }

    const sparse::csr<std::int8_t, Index>& codes() const noexcept
    {
        return m_codes;
    }

    const tensor<float, 1>& scales() const noexcept
    {
        return m_scales;
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_codes.rows() * m_codes.columns());
    }

    std::size_t bytes() const noexcept
    {
        return m_codes.bytes() + m_scales.size() * sizeof(float);
    }

private:
    sparse::csr<std::int8_t, Index> m_codes;
    tensor<float, 1> m_scales = structopt::zeros<float>(shape<1>{0});
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
