/// @file
/// N:M sparsity: at most N non-zeros in every M columns of a row.
#pragma once

#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A matrix [rows, columns] whose rows are cut into groups of M columns with N slots each: 2:4, 1:4,
/// 4:8.
///
/// `values` is [rows][groups][N]; `positions` has the slots' places within their groups in
/// `position_bits` bits each, lowest bits first, and every row begins with a byte of its own. The
/// places of a group are strictly ascending; a slot without a non-zero holds the value zero at a
/// place of its own. A last group of w < M columns has places below w; if w < N, its last N - w
/// slots hold zero at place 0.
template <element T, index_t N, index_t M>
    requires(N >= 1 && N <= M && M >= 2 && M <= 256)
class nm
{
public:
    using value_type = T;

    static constexpr index_t group_slots = N;
    static constexpr index_t group_columns = M;

    /// Bits of one position: 1, 2, 4 or 8.
    static constexpr index_t position_bits = M <= 2 ? 1 : M <= 4 ? 2 : M <= 16 ? 4 : 8;

    nm() = default;

    /// From its arrays. Throws `format_error` naming row and group if they are no such matrix.
    nm(index_t rows, index_t columns, buffer<std::uint8_t> positions, buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_positions(std::move(positions))
        , m_values(std::move(values))
    {
        check_extents<format_error>();
        validate();
    }

    /// A dense matrix of any strides; -0.0 counts as zero. Throws `argument_error` naming row and
    /// group for more than N non-zeros among M columns.
    explicit nm(view<const T, 2> dense)
        : nm(entries_of(dense))
    {
    }

    /// From entries; stored zeros count as non-zeros. Throws `argument_error` as the constructor
    /// above.
    explicit nm(const row_entries<T>& from)
        : m_rows(detail::checked(from).rows)
        , m_columns(from.columns)
    {
        check_extents<argument_error>();
        m_values.assign(static_cast<std::size_t>(m_rows * groups() * N), T{});
        m_positions.assign(static_cast<std::size_t>(m_rows * row_bytes()), 0);
        for (index_t r = 0; r < m_rows; ++r)
        {
            std::size_t i = from.offsets[static_cast<std::size_t>(r)];
            const std::size_t end = from.offsets[static_cast<std::size_t>(r) + 1];
            for (index_t g = 0; g < groups(); ++g)
            {
                std::size_t last = i;
                while (last < end && from.indices[last] < (g + 1) * M)
                {
                    ++last;
                }
                fill_group(r, g, from, i, last);
                i = last;
            }
        }
    }

    /// Whether a dense matrix has at most N non-zeros in every group.
    static bool fits(view<const T, 2> dense) noexcept
    {
        for (index_t r = 0; r < dense.shape(0); ++r)
        {
            index_t found = 0;
            for (index_t c = 0; c < dense.shape(1); ++c)
            {
                found = c % M == 0 ? 0 : found;
                found += structopt::detail::is_zero(dense(r, c)) ? 0 : 1;
                if (found > N)
                {
                    return false;
                }
            }
        }
        return true;
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Groups of one row.
    index_t groups() const noexcept
    {
        return m_columns / M + (m_columns % M != 0 ? 1 : 0);
    }

    /// Slots: N per group, whether they hold a non-zero or not.
    index_t nonzeros() const noexcept
    {
        return static_cast<index_t>(m_values.size());
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    /// Bytes of the positions of one row.
    index_t row_bytes() const noexcept
    {
        return (groups() * N * position_bits + 7) / 8;
    }

    const buffer<std::uint8_t>& positions() const noexcept
    {
        return m_positions;
    }

    const buffer<T>& values() const noexcept
    {
        return m_values;
    }

    /// Place of a slot within its group, below M.
    index_t position(index_t row, index_t group, index_t slot) const noexcept
    {
        const index_t bit = (group * N + slot) * position_bits;
        return (m_positions[static_cast<std::size_t>(row * row_bytes() + bit / 8)] >> (bit % 8)) &
               ((1 << position_bits) - 1);
    }

    /// Bytes of both arrays.
    std::size_t bytes() const noexcept
    {
        return m_positions.size() + m_values.size() * sizeof(T);
    }

    /// Calls `f(row, column, value)` for every slot whose value is not zero, row by row.
    template <class F>
    void visit(F&& f) const
    {
        const T* value = m_values.data();
        for (index_t r = 0; r < m_rows && m_columns > 0; ++r)
        {
            for (index_t g = 0; g < groups(); ++g)
            {
                for (index_t s = 0; s < N; ++s, ++value)
                {
                    if (!structopt::detail::is_zero(*value))
                    {
                        f(r, g * M + position(r, g, s), *value);
                    }
                }
            }
        }
    }

    tensor<T, 2> to_dense() const
    {
        return detail::dense_of(*this);
    }

    friend bool operator==(const nm&, const nm&) = default;

private:
    /// Columns of a group: M, or what is left for the last one.
    index_t width(index_t group) const noexcept
    {
        return std::min<index_t>(M, m_columns - group * M);
    }

    void put(index_t row, index_t group, index_t slot, index_t place) noexcept
    {
        const index_t bit = (group * N + slot) * position_bits;
        auto& byte = m_positions[static_cast<std::size_t>(row * row_bytes() + bit / 8)];
        byte = static_cast<std::uint8_t>(byte | (place << (bit % 8)));
    }

    /// Slots of one group: its entries [first, last) among the lowest places that are free.
    void fill_group(
        index_t row, index_t group, const row_entries<T>& from, std::size_t first, std::size_t last)
    {
        index_t spare = N - static_cast<index_t>(last - first);
        if (spare < 0)
        {
            structopt::detail::raise<argument_error>(
                "nm, row " + std::to_string(row) + ", group " + std::to_string(group),
                "at most " + std::to_string(N) + " non-zeros in " + std::to_string(M) + " columns",
                std::to_string(last - first));
        }
        index_t slot = 0;
        for (index_t place = 0; place < width(group) && slot < N; ++place)
        {
            const bool stored = first < last && from.indices[first] == group * M + place;
            if (stored)
            {
                m_values[static_cast<std::size_t>((row * groups() + group) * N + slot)] =
                    from.values[first++];
            }
            else if (spare > 0)
            {
                --spare;
            }
            else
            {
                continue;
            }
            put(row, group, slot++, place);
        }
    }

    template <class Error>
    void check_extents() const
    {
        // The slots of short groups may be more than the columns.
        const bool countable = m_columns < 0 || groups() * N == 0 ||
                               m_rows <= std::numeric_limits<index_t>::max() / 8 / (groups() * N);
        detail::check_extents<Error>(
            "nm", m_rows, m_columns, countable, std::numeric_limits<index_t>::max() / 8, "slots");
    }

    void validate() const
    {
        detail::check_size(
            "nm", "values", static_cast<std::size_t>(m_rows * groups() * N), m_values.size());
        detail::check_size(
            "nm", "positions", static_cast<std::size_t>(m_rows * row_bytes()), m_positions.size());
        // Rows without columns take no memory, so there may be any number of them.
        for (index_t r = 0; r < m_rows && m_columns > 0; ++r)
        {
            for (index_t g = 0; g < groups(); ++g)
            {
                for (index_t s = 0; s < N; ++s)
                {
                    check_slot(r, g, s);
                }
            }
            const index_t bits = groups() * N * position_bits;
            if (bits % 8 != 0 &&
                (m_positions[static_cast<std::size_t>((r + 1) * row_bytes() - 1)] >> (bits % 8)) !=
                    0)
            {
                structopt::detail::raise<format_error>("nm positions, row " + std::to_string(r),
                    "zero bits behind the last slot", "others");
            }
        }
    }

    void check_slot(index_t r, index_t g, index_t s) const
    {
        const index_t place = position(r, g, s);
        const bool beyond = s >= width(g);
        const index_t low = beyond || s == 0 ? 0 : position(r, g, s - 1) + 1;
        const index_t high = beyond ? 0 : width(g) - 1;
        const T value = m_values[static_cast<std::size_t>((r * groups() + g) * N + s)];
        const bool filled = beyond && !structopt::detail::is_zero(value);
        if (place < low || place > high || filled)
        {
            structopt::detail::raise<format_error>("nm positions, row " + std::to_string(r) +
                                                       ", group " + std::to_string(g) + ", slot " +
                                                       std::to_string(s),
                beyond ? std::string("the value zero at place 0")
                       : "a place from " + std::to_string(low) + " to " + std::to_string(high),
                filled ? std::string("another value") : std::to_string(place));
        }
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<std::uint8_t> m_positions;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
