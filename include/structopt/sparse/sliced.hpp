/// @file
/// A sparse matrix laid out for products with single samples: `kernel/spmm_sliced.hpp` describes
/// the layout.
#pragma once

#include <structopt/kernel/spmm_sliced.hpp>
#include <structopt/sparse/csr.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A matrix with unstructured zeros, packed for single samples: about 8 bytes per non-zero at 90 %
/// zeros (float).
///
/// Made from a matrix, never read from a file: files hold the rows that `to_csr` gives back.
template <std::floating_point T>
class sliced
{
public:
    using value_type = T;

    sliced() = default;

    /// `unit` is 16 or 8, see `kernel::sliced_unit`; the default suits the machine that the program
    /// is compiled for, or, dispatched, runs on. O(non-zeros). Throws `argument_error` for other units.
    template <class Index>
    explicit sliced(const csr<T, Index>& from, index_t unit = kernel::sliced_unit<T>())
        : m_rows(from.rows())
        , m_columns(from.columns())
        , m_nonzeros(from.nonzeros())
        , m_unit(unit)
    {
        if (unit != 8 && unit != 16)
        {
            structopt::detail::raise<argument_error>(
                "sliced", "a unit of 8 or 16 columns", std::to_string(unit));
        }
        build(from);
    }

    /// The non-zeros of a dense matrix of any strides.
    explicit sliced(view<const T, 2> dense, index_t unit = kernel::sliced_unit<T>())
        : sliced(csr<T>(dense), unit)
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

    index_t nonzeros() const noexcept
    {
        return m_nonzeros;
    }

    index_t unit() const noexcept
    {
        return m_unit;
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Values in memory, padding included.
    index_t slots() const noexcept
    {
        return static_cast<index_t>(m_values.size());
    }

    /// Bytes of all arrays.
    std::size_t bytes() const noexcept
    {
        return (m_first_groups.size() + m_advances.size()) * sizeof(std::uint64_t) +
               (m_order.size() + m_places.size()) * sizeof(std::uint32_t) +
               m_values.size() * sizeof(T);
    }

    /// What the kernel reads; valid as long as this object.
    kernel::sliced_operand<T> operand() const noexcept
    {
        return {m_rows, m_columns, m_unit, m_first_groups.data(),
            m_order.empty() ? nullptr : m_order.data(), m_advances.data(), m_places.data(),
            m_values.data()};
    }

    /// The matrix in compressed rows; what was a stored zero there is one here.
    csr<T> to_csr() const
    {
        std::vector<std::uint32_t> next(static_cast<std::size_t>(m_rows) + 1, 0);
        each(
            [&](std::size_t r, index_t, T)
            {
                ++next[r + 1];
            });
        std::partial_sum(next.begin(), next.end(), next.begin());
        buffer<std::uint32_t> offsets(next.begin(), next.end());
        buffer<std::uint32_t> indices(static_cast<std::size_t>(m_nonzeros));
        buffer<T> values(static_cast<std::size_t>(m_nonzeros));
        each(
            [&](std::size_t r, index_t c, T value)
            {
                const std::uint32_t at = next[r]++;
                indices[at] = static_cast<std::uint32_t>(c);
                values[at] = value;
            });
        return csr<T>(m_rows, m_columns, std::move(offsets), std::move(indices), std::move(values));
    }

    tensor<T, 2> to_dense() const
    {
        auto dense = structopt::zeros<T>(shape<2>{m_rows, m_columns});
        each(
            [&](std::size_t r, index_t c, T value)
            {
                dense.data()[static_cast<index_t>(r) * m_columns + c] = value;
            });
        return dense;
    }

    friend bool operator==(const sliced&, const sliced&) = default;

private:
    static constexpr std::size_t lanes = static_cast<std::size_t>(kernel::slice_rows);
    static constexpr std::size_t group = static_cast<std::size_t>(kernel::sliced_group);

    /// Plays the steps of one slice of the rows `slice[0 .. count)` of `from`: `step(advance)` at
    /// the start of each, then `take(lane, place, position in values)`. Whole groups of steps.
    template <class Index, class Step, class Take>
    void play(const csr<T, Index>& from, const std::uint32_t* slice, std::size_t count,
        const Step& step, const Take& take) const
    {
        std::uint32_t next[lanes];
        std::uint32_t end[lanes];
        std::size_t left = 0;
        for (std::size_t i = 0; i < count; ++i)
        {
            next[i] = from.offsets()[slice[i]];
            end[i] = from.offsets()[slice[i] + 1];
            left += end[i] - next[i];
        }
        index_t start = 0;
        for (std::size_t s = 0; left > 0 || s % group != 0; ++s)
        {
            index_t wanted = m_columns;
            for (std::size_t i = 0; i < count; ++i)
            {
                if (next[i] < end[i])
                {
                    wanted = std::min(wanted, static_cast<index_t>(from.indices()[next[i]]));
                }
            }
            // A long way takes several steps, that do what they can.
            const index_t advance =
                left > 0 ? std::min<index_t>((wanted - start) / m_unit, 255) : 0;
            start += advance * m_unit;
            step(static_cast<std::uint8_t>(advance));
            for (std::size_t i = 0; i < count; ++i)
            {
                if (next[i] < end[i] &&
                    static_cast<index_t>(from.indices()[next[i]]) < start + 2 * m_unit - 1)
                {
                    take(i,
                        static_cast<std::uint32_t>(
                            static_cast<index_t>(from.indices()[next[i]]) - start),
                        next[i]);
                    ++next[i];
                    --left;
                }
            }
        }
    }

    template <class Index>
    std::size_t steps(const csr<T, Index>& from, const std::vector<std::uint32_t>& order) const
    {
        std::size_t total = 0;
        for (std::size_t r = 0; r < order.size(); r += lanes)
        {
            play(
                from, order.data() + r, std::min(lanes, order.size() - r),
                [&](std::uint8_t)
                {
                    ++total;
                },
                [](std::size_t, std::uint32_t, std::uint32_t) {});
        }
        return total;
    }

    template <class Index>
    void build(const csr<T, Index>& from)
    {
        // Rows of about equal length belong together, unless that saves next to nothing: then they
        // stay in order, which is easier to write.
        std::vector<std::uint32_t> order(static_cast<std::size_t>(m_rows));
        std::iota(order.begin(), order.end(), 0u);
        std::vector<std::uint32_t> sorted = order;
        std::stable_sort(sorted.begin(), sorted.end(),
            [&](std::uint32_t a, std::uint32_t b)
            {
                return from.offsets()[a + 1] - from.offsets()[a] >
                       from.offsets()[b + 1] - from.offsets()[b];
            });
        const std::size_t plain = steps(from, order);
        if (steps(from, sorted) + plain / 16 < plain)
        {
            order = sorted;
            m_order.assign(sorted.begin(), sorted.end());
        }
        constexpr std::uint32_t nothing = (1u << 30) - 1;
        for (std::size_t r = 0; r < order.size(); r += lanes)
        {
            std::size_t s = 0;
            play(
                from, order.data() + r, std::min(lanes, order.size() - r),
                [&](std::uint8_t advance)
                {
                    if (s % group == 0)
                    {
                        m_advances.push_back(0);
                        m_places.resize(m_places.size() + lanes, nothing);
                    }
                    m_advances.back() |= std::uint64_t{advance} << (8 * (s % group));
                    m_values.resize(m_values.size() + lanes, T(0));
                    ++s;
                },
                [&](std::size_t lane, std::uint32_t place, std::uint32_t i)
                {
                    const std::size_t shift = 5 * ((s - 1) % group);
                    std::uint32_t& word = m_places[m_places.size() - lanes + lane];
                    word = (word & ~(31u << shift)) | place << shift;
                    m_values[m_values.size() - lanes + lane] = from.values()[i];
                });
            m_first_groups.push_back(m_advances.size());
        }
    }

    /// Calls `body(row, column, value)` for all that is stored; the columns of a row ascend.
    template <class Body>
    void each(const Body& body) const
    {
        for (std::size_t slice = 0; slice + 1 < m_first_groups.size(); ++slice)
        {
            index_t start = 0;
            for (std::size_t s = static_cast<std::size_t>(m_first_groups[slice]) * group;
                 s < m_first_groups[slice + 1] * group; ++s)
            {
                start +=
                    static_cast<index_t>((m_advances[s / group] >> (8 * (s % group))) & 0xffu) *
                    m_unit;
                for (std::size_t i = 0; i < lanes; ++i)
                {
                    const std::uint32_t place =
                        (m_places[s / group * lanes + i] >> (5 * (s % group))) & 31u;
                    if (place != kernel::sliced_none)
                    {
                        const std::size_t r = slice * lanes + i;
                        body(m_order.empty() ? r : m_order[r], start + static_cast<index_t>(place),
                            m_values[s * lanes + i]);
                    }
                }
            }
        }
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    index_t m_nonzeros = 0;
    index_t m_unit = kernel::sliced_unit<T>();
    buffer<std::uint64_t> m_first_groups = {0};
    buffer<std::uint32_t> m_order;
    buffer<std::uint64_t> m_advances;
    buffer<std::uint32_t> m_places;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
