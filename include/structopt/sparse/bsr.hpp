/// @file
/// Block compressed sparse rows: dense blocks of fixed extents.
#pragma once

#include <structopt/sparse/compressed.hpp>
#include <structopt/sparse/entries.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace sparse
{

/// A sparse matrix [rows, columns] in blocks of R x C: block row b owns positions
/// `offsets[b] .. offsets[b + 1]` of `indices` (its block columns, strictly ascending), and block i
/// has the elements `values[i * R * C ..]`, row by row.
///
/// The extents need not be multiples of R and C: the last block row and column reach over the edge,
/// where their elements are zero. `Index` bounds the number of block columns. There are at most
/// 2^32 - 1 blocks.
template <element T, index_t R, index_t C, std::unsigned_integral Index = std::uint32_t>
    requires(R >= 1 && C >= 1)
class bsr
{
public:
    using value_type = T;
    using index_type = Index;
    using offset_type = std::uint32_t;

    static constexpr index_t block_rows = R;
    static constexpr index_t block_columns = C;

    bsr() = default;

    /// From its arrays. Throws `format_error` naming block row and position if they are no such
    /// matrix, and for an element over the edge that is not zero.
    bsr(index_t rows, index_t columns, buffer<offset_type> offsets, buffer<Index> indices,
        buffer<T> values)
        : m_rows(rows)
        , m_columns(columns)
        , m_offsets(std::move(offsets))
        , m_indices(std::move(indices))
        , m_values(std::move(values))
    {
        check_extents<format_error>();
        const detail::compressed_names names{"bsr", "block row", "block columns"};
        detail::check_arrays(names, m_offsets, m_indices, m_values.size(), block_size);
        detail::check_lists(names, blocks_down(), blocks_across(m_columns), m_offsets, m_indices);
        check_edges();
    }

    /// The blocks of a dense matrix of any strides that are not all zero; -0.0 counts as zero.
    /// Throws `argument_error` for more block columns or blocks than the format holds.
    explicit bsr(view<const T, 2> dense)
        : bsr(entries_of(dense))
    {
    }

    /// From entries: a block is stored where one of its elements is. Throws `argument_error` as the
    /// constructor above.
    explicit bsr(const row_entries<T>& from)
        : m_rows(detail::checked(from).rows)
        , m_columns(from.columns)
    {
        check_extents<argument_error>();
        std::vector<index_t> blocks;
        for (index_t first = 0; first < m_rows; first += R)
        {
            const auto begin = from.offsets[static_cast<std::size_t>(first)];
            const auto end = from.offsets[static_cast<std::size_t>(std::min(first + R, m_rows))];
            blocks.clear();
            for (std::size_t i = begin; i < end; ++i)
            {
                blocks.push_back(from.indices[i] / C);
            }
            std::sort(blocks.begin(), blocks.end());
            blocks.erase(std::unique(blocks.begin(), blocks.end()), blocks.end());
            const std::size_t before = m_indices.size();
            detail::check_count("bsr", before + blocks.size());
            for (const index_t block : blocks)
            {
                m_indices.push_back(static_cast<Index>(block));
            }
            m_offsets.push_back(static_cast<offset_type>(m_indices.size()));
            m_values.resize(m_indices.size() * block_size, T{});
            for (index_t r = first; r < std::min(first + R, m_rows); ++r)
            {
                std::size_t block = 0;
                for (std::size_t i = from.offsets[static_cast<std::size_t>(r)];
                     i < from.offsets[static_cast<std::size_t>(r) + 1]; ++i)
                {
                    while (blocks[block] < from.indices[i] / C)
                    {
                        ++block;
                    }
                    m_values[(before + block) * block_size +
                             static_cast<std::size_t>((r - first) * C + from.indices[i] % C)] =
                        from.values[i];
                }
            }
        }
    }

    /// Whether `Index` can number the block columns.
    static constexpr bool fits(index_t columns) noexcept
    {
        return columns >= 0 && blocks_across(columns) <= detail::most_positions<Index>;
    }

    index_t rows() const noexcept
    {
        return m_rows;
    }

    index_t columns() const noexcept
    {
        return m_columns;
    }

    /// Stored blocks.
    index_t blocks() const noexcept
    {
        return static_cast<index_t>(m_indices.size());
    }

    /// Elements of the stored blocks, zeros and what lies over the edge included.
    index_t nonzeros() const noexcept
    {
        return static_cast<index_t>(m_values.size());
    }

    /// Elements of the matrix, zeros included.
    std::size_t size() const noexcept
    {
        return static_cast<std::size_t>(m_rows * m_columns);
    }

    const buffer<offset_type>& offsets() const noexcept
    {
        return m_offsets;
    }

    const buffer<Index>& indices() const noexcept
    {
        return m_indices;
    }

    const buffer<T>& values() const noexcept
    {
        return m_values;
    }

    /// Bytes of the three arrays.
    std::size_t bytes() const noexcept
    {
        return m_offsets.size() * sizeof(offset_type) + m_indices.size() * sizeof(Index) +
               m_values.size() * sizeof(T);
    }

    /// Calls `f(row, column, value)` for every element of a block that is not zero, block by block.
    template <class F>
    void visit(F&& f) const
    {
        each_element(
            [&](index_t r, index_t c, T value, std::size_t)
            {
                if (!structopt::detail::is_zero(value))
                {
                    f(r, c, value);
                }
            });
    }

    tensor<T, 2> to_dense() const
    {
        return detail::dense_of(*this);
    }

    friend bool operator==(const bsr&, const bsr&) = default;

private:
    static constexpr auto block_size = static_cast<std::size_t>(R * C);

    static constexpr index_t blocks_across(index_t columns) noexcept
    {
        return columns / C + (columns % C != 0 ? 1 : 0);
    }

    index_t blocks_down() const noexcept
    {
        return m_rows / R + (m_rows % R != 0 ? 1 : 0);
    }

    /// Calls `f(row, column, value, block)`, over the edge as well.
    template <class F>
    void each_element(const F& f) const
    {
        for (std::size_t b = 0; b + 1 < m_offsets.size(); ++b)
        {
            for (std::size_t i = m_offsets[b]; i < m_offsets[b + 1]; ++i)
            {
                const T* const block = m_values.data() + i * block_size;
                const index_t column = static_cast<index_t>(m_indices[i]) * C;
                for (index_t e = 0; e < R * C; ++e)
                {
                    f(static_cast<index_t>(b) * R + e / C, column + e % C, block[e], i);
                }
            }
        }
    }

    template <class Error>
    void check_extents() const
    {
        detail::check_extents<Error>("bsr", m_rows, m_columns, fits(m_columns),
            detail::most_positions<Index>, "block columns");
    }

    void check_edges() const
    {
        if (m_rows % R == 0 && m_columns % C == 0)
        {
            return;
        }
        each_element(
            [&](index_t r, index_t c, T value, std::size_t block)
            {
                if ((r >= m_rows || c >= m_columns) && !structopt::detail::is_zero(value))
                {
                    structopt::detail::raise<format_error>(
                        "bsr values, block row " + std::to_string(r / R) + ", position " +
                            std::to_string(block),
                        "zeros over the edge",
                        "another number at row " + std::to_string(r) + ", column " +
                            std::to_string(c));
                }
            });
    }

    index_t m_rows = 0;
    index_t m_columns = 0;
    buffer<offset_type> m_offsets = {0};
    buffer<Index> m_indices;
    buffer<T> m_values;
};

/// V x 1 vectors: V rows, one below the other, share their columns.
template <element T, index_t V, std::unsigned_integral Index = std::uint32_t>
using vector_blocks = bsr<T, V, 1, Index>;

} // namespace sparse
STRUCTOPT_END_NAMESPACE
