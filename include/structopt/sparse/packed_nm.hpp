/// @file
/// An N:M sparse matrix laid out for products: `kernel/spmm_nm.hpp` describes the layout.
#pragma once

#include <structopt/kernel/spmm_nm.hpp>
#include <structopt/sparse/nm.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// 2:4, 1:4, 4:8 and the like, packed for products: for 2:4, 4.25 bytes per slot (float).
///
/// Made from a matrix, never read from a file: files hold what `to_nm` gives back.
template <std::floating_point T, index_t N, index_t M>
class packed_nm
{
public:
    using value_type = T;
    using layout = kernel::nm_layout<N, M>;

    packed_nm() = default;

    explicit packed_nm(const nm<T, N, M>& from)
        : m_rows(from.rows())
        , m_columns(from.columns())
    {
        const index_t chunks = layout::chunks(m_columns);
        const index_t all = layout::slices(m_rows) * chunks;
        m_places.assign(static_cast<std::size_t>(all * layout::rows), 0);
        m_values.assign(static_cast<std::size_t>(all * layout::rows * layout::slots), T(0));
        const index_t groups = (m_columns + M - 1) / M;
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t g = 0; g < groups; ++g)
            {
                for (index_t s = 0; s < N; ++s)
                {
                    const index_t slot = g % layout::groups * N + s;
                    const auto place = static_cast<std::uint32_t>(from.position(r, g, s));
                    m_places[word(r, g)] |= place << (slot * layout::bits);
                    m_values[value(r, g, s)] =
                        from.values()[static_cast<std::size_t>((r * groups + g) * N + s)];
                }
            }
        }
    }

    /// Throws `argument_error` naming row and group for more than N non-zeros among M columns.
    explicit packed_nm(view<const T, 2> dense)
        : packed_nm(nm<T, N, M>(dense))
    {
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
        return m_rows * ((m_columns + M - 1) / M) * N;
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Bytes of both arrays.
    std::size_t bytes() const noexcept
    {
        return m_places.size() * sizeof(std::uint32_t) + m_values.size() * sizeof(T);
    }

    /// What the kernel reads; valid as long as this object.
    kernel::nm_operand<T> operand() const noexcept
    {
        return {m_rows, m_columns, m_places.data(), m_values.data()};
    }

    tensor<T, 2> to_dense() const
    {
        auto dense = structopt::zeros<T>(shape<2>{m_rows, m_columns});
        for (index_t r = 0; r < m_rows; ++r)
        {
            for (index_t g = 0; g * M < m_columns; ++g)
            {
                for (index_t s = 0; s < N; ++s)
                {
                    const index_t slot = g % layout::groups * N + s;
                    const auto place =
                        static_cast<index_t>((m_places[word(r, g)] >> (slot * layout::bits)) &
                                             static_cast<std::uint32_t>(M - 1));
                    const T number = m_values[value(r, g, s)];
                    if (!structopt::detail::is_zero(number))
                    {
                        dense.data()[r * m_columns + g * M + place] = number;
                    }
                }
            }
        }
        return dense;
    }

    nm<T, N, M> to_nm() const
    {
        const auto dense = to_dense();
        return nm<T, N, M>(view<const T, 2>(dense.data(), shape<2>{m_rows, m_columns}));
    }

    friend bool operator==(const packed_nm&, const packed_nm&) = default;

private:
    index_t chunk(index_t row, index_t group) const noexcept
    {
        const index_t own = group / layout::groups;
        const index_t first = own / layout::tile * layout::tile;
        return layout::at(
                   layout::slices(m_rows), layout::chunks(m_columns), first, row / layout::rows) +
               own - first;
    }

    std::size_t word(index_t row, index_t group) const noexcept
    {
        return static_cast<std::size_t>(chunk(row, group) * layout::rows + row % layout::rows);
    }

    std::size_t value(index_t row, index_t group, index_t slot) const noexcept
    {
        return static_cast<std::size_t>(
            (chunk(row, group) * layout::slots + group % layout::groups * N + slot) * layout::rows +
            row % layout::rows);
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<std::uint32_t> m_places;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
