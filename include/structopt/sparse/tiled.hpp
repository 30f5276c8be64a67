/// @file
/// A sparse matrix laid out for products with batches: `kernel/spmm_tiled.hpp` describes the
/// layout.
#pragma once

#include <structopt/kernel/spmm_tiled.hpp>
#include <structopt/sparse/csr.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// How a matrix is cut into tiles; 0 lets `tiled` choose. Results do not depend on it but for the
/// order of rounding.
struct tiling
{
    /// 1 to 65535. More blocks give more threads something to do.
    index_t block_rows = 0;
    /// 1 to 255.
    index_t tile_columns = 0;

    friend bool operator==(const tiling&, const tiling&) = default;
};

/// A matrix with unstructured zeros, packed for batches: about 5 bytes per non-zero (float).
///
/// Made from a matrix, never read from a file: files hold the rows that `to_csr` gives back.
template <std::floating_point T>
class tiled
{
public:
    using value_type = T;

    tiled() = default;

    /// O(non-zeros * log(rows)). Throws `argument_error` if `how` is out of range.
    template <class Index>
    explicit tiled(const csr<T, Index>& from, const tiling& how = {})
        : m_rows(from.rows())
        , m_columns(from.columns())
        , m_nonzeros(from.nonzeros())
        , m_tiling(chosen(how, from.rows(), from.columns(), from.nonzeros()))
    {
        build(from);
    }

    /// The non-zeros of a dense matrix of any strides.
    explicit tiled(view<const T, 2> dense, const tiling& how = {})
        : tiled(csr<T>(dense), how)
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

    const structopt::sparse::tiling& cut() const noexcept
    {
        return m_tiling;
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
        return m_groups.size() * sizeof(std::uint32_t) +
               m_first_steps.size() * sizeof(std::uint64_t) +
               (m_steps.size() + m_group_rows.size()) * sizeof(std::uint16_t) + m_places.size() +
               m_values.size() * sizeof(T);
    }

    /// What the kernel reads; valid as long as this object.
    kernel::tiled_operand<T> operand() const noexcept
    {
        return {m_rows, m_columns, m_tiling.block_rows, m_tiling.tile_columns, m_groups.data(),
            m_first_steps.data(), m_steps.data(), m_group_rows.data(), m_places.data(),
            m_values.data()};
    }

    /// The matrix in compressed rows; what was a stored zero there is one here.
    csr<T> to_csr() const
    {
        // Cells of a row come in the order of tiles, so its columns come in ascending order.
        std::vector<std::uint32_t> next(static_cast<std::size_t>(m_rows) + 1, 0);
        each(
            [&](index_t r, index_t, T)
            {
                ++next[static_cast<std::size_t>(r) + 1];
            });
        std::partial_sum(next.begin(), next.end(), next.begin());
        buffer<std::uint32_t> offsets(next.begin(), next.end());
        buffer<std::uint32_t> indices(static_cast<std::size_t>(m_nonzeros));
        buffer<T> values(static_cast<std::size_t>(m_nonzeros));
        each(
            [&](index_t r, index_t c, T value)
            {
                const std::uint32_t at = next[static_cast<std::size_t>(r)]++;
                indices[at] = static_cast<std::uint32_t>(c);
                values[at] = value;
            });
        return csr<T>(m_rows, m_columns, std::move(offsets), std::move(indices), std::move(values));
    }

    tensor<T, 2> to_dense() const
    {
        auto dense = structopt::zeros<T>(shape<2>{m_rows, m_columns});
        each(
            [&](index_t r, index_t c, T value)
            {
                dense.data()[r * m_columns + c] = value;
            });
        return dense;
    }

    friend bool operator==(const tiled&, const tiled&) = default;

private:
    static constexpr index_t most_rows = std::numeric_limits<std::uint16_t>::max();

    static structopt::sparse::tiling chosen(
        structopt::sparse::tiling how, index_t rows, index_t columns, index_t nonzeros)
    {
        if (how.block_rows < 0 || how.block_rows > most_rows || how.tile_columns < 0 ||
            how.tile_columns > kernel::tiled_most_columns)
        {
            structopt::detail::raise<argument_error>("tiled",
                "0 to " + std::to_string(most_rows) + " rows and 0 to " +
                    std::to_string(kernel::tiled_most_columns) + " columns",
                std::to_string(how.block_rows) + ", " + std::to_string(how.tile_columns));
        }
        const auto even = [](index_t n, index_t most)
        {
            const index_t parts = std::max<index_t>(1, (n + most - 1) / most);
            return std::max<index_t>(1, (n + parts - 1) / parts);
        };
        if (how.block_rows == 0)
        {
            how.block_rows = (even(rows, 512) + 15) / 16 * 16;
        }
        if (how.tile_columns == 0)
        {
            // Measured: 128 columns leave room in L1 for everything else; with fewer non-zeros per
            // row fewer passes over the sums are worth a tile that does not quite fit.
            const double elements = static_cast<double>(rows) * static_cast<double>(columns);
            const double density = static_cast<double>(nonzeros) / std::max(elements, 1.0);
            const index_t most = density > 0.15 ? 128 : density > 0.03 ? 176 : 240;
            // Whole squares of X are turned.
            how.tile_columns = (even(columns, most) + 15) / 16 * 16;
        }
        return how;
    }

    template <class Index>
    void build(const csr<T, Index>& from)
    {
        const index_t blocks = operand().blocks();
        const index_t tiles = operand().tiles();
        std::vector<std::uint32_t> next(from.offsets().begin(), from.offsets().end());
        std::vector<index_t> order;
        std::vector<std::uint32_t> ends;
        const auto at = [](index_t i)
        {
            return static_cast<std::size_t>(i);
        };
        for (index_t b = 0; b < blocks; ++b)
        {
            const index_t row = b * m_tiling.block_rows;
            const index_t here = std::min(m_tiling.block_rows, m_rows - row);
            ends.resize(at(here));
            for (index_t t = 0; t < tiles; ++t)
            {
                const index_t column = t * m_tiling.tile_columns;
                order.clear();
                for (index_t r = 0; r < here; ++r)
                {
                    std::uint32_t end = next[at(row + r)];
                    while (
                        end < from.offsets()[at(row + r) + 1] &&
                        static_cast<index_t>(from.indices()[end]) < column + m_tiling.tile_columns)
                    {
                        ++end;
                    }
                    ends[at(r)] = end;
                    if (t == 0 || t + 1 == tiles || end > next[at(row + r)])
                    {
                        order.push_back(r);
                    }
                }
                const auto length = [&](index_t r)
                {
                    return ends[at(r)] - next[at(row + r)];
                };
                std::stable_sort(order.begin(), order.end(),
                    [&](index_t a, index_t c)
                    {
                        return length(a) < length(c);
                    });
                for (std::size_t g = 0; g < order.size(); g += group)
                {
                    const std::size_t count = std::min(group, order.size() - g);
                    const std::size_t steps = length(order[g + count - 1]);
                    const std::size_t start = m_values.size();
                    m_values.resize(start + steps * group, T(0));
                    m_places.resize(
                        start + steps * group, static_cast<std::uint8_t>(m_tiling.tile_columns));
                    for (std::size_t q = 0; q < group; ++q)
                    {
                        const index_t r = q < count ? order[g + q] : m_tiling.block_rows;
                        m_group_rows.push_back(static_cast<std::uint16_t>(r));
                        if (q >= count)
                        {
                            continue;
                        }
                        for (std::uint32_t i = next[at(row + r)], s = 0; i < ends[at(r)]; ++i, ++s)
                        {
                            m_values[start + s * group + q] = from.values()[i];
                            m_places[start + s * group + q] = static_cast<std::uint8_t>(
                                static_cast<index_t>(from.indices()[i]) - column);
                        }
                    }
                    m_steps.push_back(static_cast<std::uint16_t>(steps));
                }
                for (index_t r = 0; r < here; ++r)
                {
                    next[at(row + r)] = ends[at(r)];
                }
                m_groups.push_back(static_cast<std::uint32_t>(m_steps.size()));
                m_first_steps.push_back(m_values.size() / group);
            }
        }
    }

    /// Calls `body(row, column, value)` for all that is stored, but for padding.
    template <class Body>
    void each(const Body& body) const
    {
        const index_t tiles = operand().tiles();
        for (std::size_t cell = 0; cell + 1 < m_groups.size(); ++cell)
        {
            const index_t row = static_cast<index_t>(cell) / tiles * m_tiling.block_rows;
            const index_t column = static_cast<index_t>(cell) % tiles * m_tiling.tile_columns;
            std::size_t at = static_cast<std::size_t>(m_first_steps[cell]) * group;
            for (std::size_t g = m_groups[cell]; g < m_groups[cell + 1]; ++g)
            {
                for (std::size_t end = at + m_steps[g] * group; at < end; ++at)
                {
                    if (m_places[at] != m_tiling.tile_columns)
                    {
                        body(row + m_group_rows[g * group + at % group], column + m_places[at],
                            m_values[at]);
                    }
                }
            }
        }
    }

    static constexpr std::size_t group = static_cast<std::size_t>(kernel::tiled_group);

    index_t m_rows = 0;
    index_t m_columns = 0;
    index_t m_nonzeros = 0;
    structopt::sparse::tiling m_tiling = {1, 1};
    buffer<std::uint32_t> m_groups = {0};
    buffer<std::uint64_t> m_first_steps = {0};
    buffer<std::uint16_t> m_steps;
    buffer<std::uint16_t> m_group_rows;
    buffer<std::uint8_t> m_places;
    buffer<T> m_values;
};

} // namespace sparse
STRUCTOPT_END_NAMESPACE
