/// @file
/// int8 matrices in vectors of 16 rows x 1 column: a column of 16 outputs is there or all zero.
#pragma once

#include <structopt/kernel/spmm_vectors_s8.hpp>
#include <structopt/quantize/int8_matrix.hpp>
#include <structopt/sparse/bsr.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A sparse int8 matrix [rows, columns] in vectors 16 x 1 with one scale per row, laid out for
/// `kernel::spmm_vectors_s8`. Vectors without a non-zero code are not stored.
template <std::unsigned_integral Index = std::uint16_t>
class int8_vectors
{
public:
    using value_type = float;
    /// The canonical form.
    using vectors = sparse::bsr<std::int8_t, kernel::vector_s8_rows, 1, Index>;

    int8_vectors() = default;

    /// Quantizes (see `to_int8`) and keeps the vectors that are not all zero.
    explicit int8_vectors(view<const float, 2> w)
        : int8_vectors(to_int8(w))
    {
    }

    /// Throws `argument_error` for more columns than `Index` can number, and what the constructor
    /// below throws.
    explicit int8_vectors(const int8_codes& q)
        : int8_vectors(vectors(as_view(q.codes)), q.scales)
    {
    }

    /// Lays out codes. Throws `format_error` for the code -128, for scales that are not one finite
    /// number per row, and for rows of more than 132,104 codes.
    int8_vectors(const vectors& codes, tensor<float, 1> scales)
        : m_rows(codes.rows())
        , m_columns(codes.columns())
        , m_scales(std::move(scales))
    {
        constexpr index_t height = kernel::vector_s8_rows;
        detail::check_scales(m_scales, m_rows);
        detail::check_codes(codes.values());
        for (std::size_t b = 0; b + 1 < codes.offsets().size(); ++b)
        {
            const auto first = static_cast<index_t>(codes.offsets()[b]);
            const auto last = static_cast<index_t>(codes.offsets()[b + 1]);
            detail::check_row(static_cast<index_t>(b) * height, last - first);
            std::int32_t sums[static_cast<std::size_t>(height)] = {};
            for (index_t i = first; i < last; i += 4)
            {
                for (index_t j = i; j < i + 4; ++j)
                {
                    m_indices.push_back(
                        codes.indices()[static_cast<std::size_t>(j < last ? j : last - 1)]);
                }
                for (index_t r = 0; r < height; ++r)
                {
                    for (index_t j = i; j < i + 4; ++j)
                    {
                        const std::int8_t code =
                            j < last ? codes.values()[static_cast<std::size_t>(j * height + r)]
                                     : std::int8_t{0};
                        m_codes.push_back(code);
                        sums[r] += code;
                    }
                }
            }
            m_offsets.push_back(static_cast<std::uint32_t>(m_indices.size() / 4));
            for (const std::int32_t sum : sums)
            {
                m_corrections.push_back(-128 * sum);
            }
        }
    }

    /// Whether `Index` can number the columns.
    static constexpr bool fits(index_t columns) noexcept
    {
        return vectors::fits(columns);
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Stored codes, padding included.
    index_t nonzeros() const noexcept
    {
        return static_cast<index_t>(m_codes.size());
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Bytes in memory: codes, indices, offsets, sums and scales.
    std::size_t bytes() const noexcept
    {
        return m_codes.size() + m_indices.size() * sizeof(Index) +
               m_offsets.size() * sizeof(std::uint32_t) +
               m_corrections.size() * sizeof(std::int32_t) + m_scales.size() * sizeof(float);
    }

    const tensor<float, 1>& scales() const noexcept
    {
        return m_scales;
    }

    /// What the kernel reads; valid as long as this object.
    kernel::vectors_s8_operand<Index> operand() const noexcept
    {
        return {m_rows, m_columns, m_offsets.data(), m_indices.data(), m_codes.data(),
            m_corrections.data()};
    }

    /// The canonical form again: what files hold.
    vectors to_vectors() const
    {
        constexpr auto height = static_cast<std::size_t>(kernel::vector_s8_rows);
        buffer<std::uint32_t> offsets = {0};
        buffer<Index> indices;
        buffer<std::int8_t> values;
        for (std::size_t b = 0; b + 1 < m_offsets.size(); ++b)
        {
            for (std::size_t i = 4 * std::size_t{m_offsets[b]};
                 i < 4 * std::size_t{m_offsets[b + 1]}; ++i)
            {
                // What fills up a quad repeats a column.
                if (i % 4 != 0 && m_indices[i] == m_indices[i - 1])
                {
                    continue;
                }
                indices.push_back(m_indices[i]);
                for (std::size_t r = 0; r < height; ++r)
                {
                    values.push_back(m_codes[i / 4 * 4 * height + 4 * r + i % 4]);
                }
            }
            offsets.push_back(static_cast<std::uint32_t>(indices.size()));
        }
        return vectors(
            m_rows, m_columns, std::move(offsets), std::move(indices), std::move(values));
    }

    /// All codes again, zeros included.
    int8_codes codes() const
    {
        return {to_vectors().to_dense(), m_scales};
    }

private:
    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<std::uint32_t> m_offsets = {0};
    buffer<Index> m_indices;
    buffer<std::int8_t> m_codes;
    buffer<std::int32_t> m_corrections;
    tensor<float, 1> m_scales = structopt::zeros<float>(shape<1>{0});
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
