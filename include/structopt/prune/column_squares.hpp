/// @file
/// Streamed mean squares of the inputs that meet the columns of a weight.
#pragma once

#include <structopt/calibrate/layer_rows.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune::detail
{

/// Sums of squares per column of a weight [rows, columns], of each group of rows its own.
class column_squares
{
public:
    explicit column_squares(index_t groups = 0, index_t columns = 0)
        : m_columns(columns)
        , m_sums(static_cast<std::size_t>(groups * columns), 0.0)
    {
    }

    /// Takes in the batch that goes into a layer. False if it is not known what the layer multiplies
    /// (`calibrate::layer_with_rows`), or not so many columns.
    template <class L, class T, std::size_t N>
    bool add(const L& layer, view<const T, N> x)
    {
        if constexpr (calibrate::layer_with_rows<L, T, N>)
        {
            bool fits = true;
            calibrate::visit_rows(layer, x,
                [&](index_t group, view<const T, 2> rows)
                {
                    const auto first = static_cast<std::size_t>(group * m_columns);
                    fits = fits && rows.shape(1) == m_columns &&
                           first + static_cast<std::size_t>(m_columns) <= m_sums.size();
                    if (fits)
                    {
                        add_rows(rows, m_sums.data() + first);
                        m_count += group == 0 ? static_cast<double>(rows.shape(0)) : 0.0;
                    }
                });
            return fits;
        }
        else
        {
            return false;
        }
    }

    /// Roots of the mean squares, [groups, columns].
    std::vector<double> norms() const
    {
        std::vector<double> result(m_sums);
        for (double& value : result)
        {
            value = std::sqrt(value / m_count);
        }
        return result;
    }

private:
    template <class T>
    static void add_rows(view<const T, 2> rows, double* sums) noexcept
    {
        const auto square = [&](index_t r, index_t c)
        {
            const auto v =
                static_cast<double>(rows.data()[r * rows.stride(0) + c * rows.stride(1)]);
            return v * v;
        };
        if (rows.stride(0) == 1)
        {
            for (index_t c = 0; c < rows.shape(1); ++c)
            {
                double sum = 0;
                for (index_t r = 0; r < rows.shape(0); ++r)
                {
                    sum += square(r, c);
                }
                sums[c] += sum;
            }
            return;
        }
        for (index_t r = 0; r < rows.shape(0); ++r)
        {
            for (index_t c = 0; c < rows.shape(1); ++c)
            {
                sums[c] += square(r, c);
            }
        }
    }

    index_t m_columns;
    double m_count = 0;
    std::vector<double> m_sums;
};

} // namespace prune::detail
STRUCTOPT_END_NAMESPACE
