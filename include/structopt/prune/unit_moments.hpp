/// @file
/// Streamed statistics of what goes into a layer and what its units put out.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/shape.hpp>
#include <structopt/core/view.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace prune::detail
{

/// Mean, variance, mean absolute value and zeros of units: axis 1 of a batch.
class unit_moments
{
public:
    explicit unit_moments(index_t units = 0)
        : m_mean(static_cast<std::size_t>(units), 0.0)
        , m_squares(m_mean)
        , m_absolute(m_mean)
        , m_zeros(m_mean)
    {
    }

    /// Whether x [batch, units, ...] has so many units; false changes nothing.
    template <class T, std::size_t N>
    bool add(view<const T, N> x) noexcept
    {
        if constexpr (N < 2)
        {
            return false;
        }
        else
        {
            const auto units = static_cast<index_t>(m_mean.size());
            if (x.shape(1) != units)
            {
                return false;
            }
            const index_t inner = count(tail(tail(x.shape())));
            const auto n = static_cast<double>(x.shape(0) * inner);
            for (index_t u = 0; n > 0 && u < units; ++u)
            {
                const auto at = static_cast<std::size_t>(u);
                const auto for_each = [&](const auto& f)
                {
                    for (index_t b = 0; b < x.shape(0); ++b)
                    {
                        const T* const from = x.data() + (b * units + u) * inner;
                        for (index_t i = 0; i < inner; ++i)
                        {
                            f(from[i]);
                        }
                    }
                };
                double sum = 0;
                for_each(
                    [&](T value)
                    {
                        const auto v = static_cast<double>(value);
                        sum += v;
                        m_absolute[at] += std::abs(v);
                        m_zeros[at] += structopt::detail::is_zero(value) ? 1 : 0;
                    });
                const double mean = sum / n;
                double squares = 0;
                for_each(
                    [&](T value)
                    {
                        const double d = static_cast<double>(value) - mean;
                        squares += d * d;
                    });
                // Chan, Golub and LeVeque, "Updating formulae ...", 1979: two sets become one.
                const double apart = mean - m_mean[at];
                m_mean[at] += apart * n / (m_count + n);
                m_squares[at] += squares + apart * apart * m_count * n / (m_count + n);
            }
            m_count += n;
            return true;
        }
    }

    std::vector<double> mean() const
    {
        return m_mean;
    }

    std::vector<double> variance() const
    {
        return divided(m_squares);
    }

    std::vector<double> mean_absolute() const
    {
        return divided(m_absolute);
    }

    std::vector<double> zero_share() const
    {
        return divided(m_zeros);
    }

private:
    std::vector<double> divided(std::vector<double> sums) const
    {
        for (double& sum : sums)
        {
            sum /= m_count;
        }
        return sums;
    }

    double m_count = 0;
    std::vector<double> m_mean;
    std::vector<double> m_squares; ///< of the distances from the mean
    std::vector<double> m_absolute;
    std::vector<double> m_zeros;
};

/// Mean squares of the inputs that meet the columns of a weight [rows, columns], per group of rows.
class column_moments
{
public:
    explicit column_moments(index_t columns = 0)
        : m_squares(static_cast<std::size_t>(columns), 0.0)
    {
    }

    /// The batch that goes into a layer. False if the layer is neither one whose columns are the
    /// features of its input nor a convolution (`layer.options()` with kernel, stride, padding and
    /// dilation): nothing changes then.
    template <class L, class T, std::size_t N>
    bool add(const L& layer, view<const T, N> x) noexcept
    {
        const auto columns = static_cast<index_t>(m_squares.size());
        if constexpr (N == 2)
        {
            if (x.shape(1) != columns)
            {
                return false;
            }
            for (index_t b = 0; b < x.shape(0); ++b)
            {
                const T* const from = x.data() + b * columns;
                for (index_t c = 0; c < columns; ++c)
                {
                    const auto v = static_cast<double>(from[c]);
                    m_squares[static_cast<std::size_t>(c)] += v * v;
                }
            }
            m_count += static_cast<double>(x.shape(0));
            return true;
        }
        else if constexpr (N == 4 && requires {
                               layer.options().kernel.height;
                               layer.options().stride.height;
                               layer.options().padding.height;
                               layer.options().dilation.height;
                           })
        {
            const auto& o = layer.options();
            const auto y = layer.output_shape(x.shape());
            if (x.shape(1) * o.kernel.height * o.kernel.width != columns)
            {
                return false;
            }
            for (index_t b = 0; b < x.shape(0); ++b)
            {
                std::size_t column = 0;
                for (index_t c = 0; c < x.shape(1); ++c)
                {
                    const T* const plane =
                        x.data() + (b * x.shape(1) + c) * x.shape(2) * x.shape(3);
                    for (index_t ky = 0; ky < o.kernel.height; ++ky)
                    {
                        for (index_t kx = 0; kx < o.kernel.width; ++kx)
                        {
                            double sum = 0;
                            for (index_t oy = 0; oy < y[2]; ++oy)
                            {
                                const index_t iy = oy * o.stride.height - o.padding.height +
                                                   ky * o.dilation.height;
                                if (iy < 0 || iy >= x.shape(2))
                                {
                                    continue;
                                }
                                for (index_t ox = 0; ox < y[3]; ++ox)
                                {
                                    const index_t ix = ox * o.stride.width - o.padding.width +
                                                       kx * o.dilation.width;
                                    if (ix >= 0 && ix < x.shape(3))
                                    {
                                        const auto v =
                                            static_cast<double>(plane[iy * x.shape(3) + ix]);
                                        sum += v * v;
                                    }
                                }
                            }
                            m_squares[column++] += sum;
                        }
                    }
                }
            }
            m_count += static_cast<double>(y[0] * y[2] * y[3]);
            return true;
        }
        else
        {
            return false;
        }
    }

    /// Roots of the mean squares.
    std::vector<double> norms() const
    {
        std::vector<double> result(m_squares);
        for (double& value : result)
        {
            value = std::sqrt(value / m_count);
        }
        return result;
    }

private:
    double m_count = 0;
    std::vector<double> m_squares;
};

} // namespace prune::detail
STRUCTOPT_END_NAMESPACE
