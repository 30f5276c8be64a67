/// @file
/// int8 matrices with at most two codes in every four columns of a row: 2:4.
#pragma once

#include <structopt/kernel/spmm_nm_s8.hpp>
#include <structopt/quantize/int8_matrix.hpp>
#include <structopt/sparse/nm.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A 2:4 int8 matrix [rows, columns] with one scale per row, laid out for `kernel::spmm_nm_s8`: 0.625
/// bytes per element, and 8 bytes per row.
class int8_nm
{
public:
    using value_type = float;
    /// The canonical form.
    using slots = sparse::nm<std::int8_t, 2, 4>;

    int8_nm() = default;

    /// Quantizes (see `to_int8`) and lays out, with the errors of the constructor below.
    explicit int8_nm(view<const float, 2> w)
        : int8_nm(to_int8(w))
    {
    }

    /// Throws `argument_error` naming row and group for more than two codes among four columns, and
    /// what the constructor below throws.
    explicit int8_nm(const int8_codes& q)
        : int8_nm(slots(as_view(q.codes)), q.scales)
    {
    }

    /// Lays out codes. Throws `format_error` for the code -128, for scales that are not one finite
    /// number per row, and for rows of more than 132,104 codes.
    int8_nm(const slots& codes, tensor<float, 1> scales)
        : m_rows(codes.rows())
        , m_columns(codes.columns())
        , m_scales(std::move(scales))
    {
        detail::check_scales(m_scales, m_rows);
        detail::check_codes(codes.values());
        detail::check_row(0, 2 * codes.groups());
        const index_t slices = (m_rows + kernel::nm_s8_rows - 1) / kernel::nm_s8_rows;
        const auto lanes = static_cast<std::size_t>(slices * kernel::nm_s8_rows * groups());
        m_codes.assign(4 * lanes, std::int8_t{0});
        m_places.assign(lanes, std::uint8_t{0});
        m_corrections.assign(static_cast<std::size_t>(slices * kernel::nm_s8_rows), 0);
        for (index_t r = 0; r < m_rows && m_columns > 0; ++r)
        {
            std::int32_t sum = 0;
            for (index_t i = 0; i < 2 * codes.groups(); ++i)
            {
                const std::int8_t code =
                    codes.values()[static_cast<std::size_t>(r * 2 * codes.groups() + i)];
                const std::size_t lane = lane_of(r, i / 4);
                auto& places = m_places[lane];
                m_codes[4 * lane + static_cast<std::size_t>(i % 4)] = code;
                places = static_cast<std::uint8_t>(
                    places | codes.position(r, i / 2, i % 2) << (2 * (i % 4)));
                sum += code;
            }
            m_corrections[static_cast<std::size_t>(r)] = -128 * sum;
        }
    }

    /// Whether a matrix has at most two non-zeros in every four columns.
    static bool fits(view<const float, 2> w) noexcept
    {
        return sparse::nm<float, 2, 4>::fits(w);
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Slots, spare ones included.
    index_t nonzeros() const noexcept
    {
        return m_rows * 2 * (m_columns / 4 + (m_columns % 4 != 0 ? 1 : 0));
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Bytes in memory, padding included: codes, places, sums and scales.
    std::size_t bytes() const noexcept
    {
        return m_codes.size() + m_places.size() + m_corrections.size() * sizeof(std::int32_t) +
               m_scales.size() * sizeof(float);
    }

    const tensor<float, 1>& scales() const noexcept
    {
        return m_scales;
    }

    /// What the kernel reads; valid as long as this object.
    kernel::nm_s8_operand operand() const noexcept
    {
        return {m_rows, m_columns, m_codes.data(), m_places.data(), m_corrections.data()};
    }

    /// All codes again, zeros included.
    int8_codes codes() const
    {
        int8_codes q{structopt::zeros<std::int8_t>(shape<2>{m_rows, m_columns}), m_scales};
        for (index_t r = 0; r < m_rows && m_columns > 0; ++r)
        {
            for (index_t i = 0; i < 4 * groups(); ++i)
            {
                const std::size_t lane = lane_of(r, i / 4);
                const std::int8_t code = m_codes[4 * lane + static_cast<std::size_t>(i % 4)];
                if (code != 0)
                {
                    const index_t place = m_places[lane] >> (2 * (i % 4)) & 3;
                    q.codes.data()[r * m_columns + i / 2 * 4 + place] = code;
                }
            }
        }
        return q;
    }

    /// The canonical form again: what files hold.
    slots to_slots() const
    {
        const auto all = codes().codes;
        return slots(as_view(all));
    }

private:
    /// Groups of eight columns.
    index_t groups() const noexcept
    {
        return m_columns / kernel::nm_s8_columns + (m_columns % kernel::nm_s8_columns != 0 ? 1 : 0);
    }

    std::size_t lane_of(index_t row, index_t group) const noexcept
    {
        return static_cast<std::size_t>(
            (row / kernel::nm_s8_rows * groups() + group) * kernel::nm_s8_rows +
            row % kernel::nm_s8_rows);
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<std::int8_t> m_codes;
    buffer<std::uint8_t> m_places;
    buffer<std::int32_t> m_corrections;
    tensor<float, 1> m_scales = structopt::zeros<float>(shape<1>{0});
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
