/// @file
/// Pooling of int8 codes: the largest of a window, averages of windows and of whole channels. Codes of
/// the result mean what those of the input mean.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/nn/global_avg_pool.hpp>
#include <structopt/nn/pool.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

namespace detail
{

/// The part of a window at `start` that lies inside, of every `step`-th position.
struct taken
{
    index_t first;
    index_t last;

    constexpr taken(index_t start, index_t kernel, index_t step, index_t size) noexcept
        : first(start < 0 ? start + (-start + step - 1) / step * step : start)
        , last(std::min(start + (kernel - 1) * step + 1, size))
    {
    }
};

/// Planes of a thread at a time.
constexpr index_t plane_grain(index_t pixels) noexcept
{
    return std::max<index_t>((index_t{1} << 16) / std::max<index_t>(pixels, 1), 1);
}

/// The sum of n codes over n, rounded to the nearest, halves up.
constexpr std::int8_t average_code(std::int32_t sum, index_t n) noexcept
{
    const auto twice = static_cast<std::int64_t>(2 * n);
    const std::int64_t above = 2 * std::int64_t{sum} + static_cast<std::int64_t>(n);
    // Rounded down, for negative sums too.
    return static_cast<std::int8_t>(above >= 0 ? above / twice : -((-above + twice - 1) / twice));
}

} // namespace detail

/// `nn::max_pool2d` of codes: exact, since codes are in the order of what they stand for.
class int8_max_pool2d
{
public:
    static constexpr std::string_view name = "int8_max_pool2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

    explicit int8_max_pool2d(const nn::max_pool2d& layer)
        : m_layer(layer)
    {
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        return m_layer.output_shape(in);
    }

    void forward(view<const std::int8_t, 4> x, view<std::int8_t, 4> y, nn::scratch) const noexcept
    {
        const auto& o = m_layer.options();
        const index_t height = x.shape(2);
        const index_t width = x.shape(3);
        parallel_for(x.shape(0) * x.shape(1), detail::plane_grain(height * width),
            [&](index_t first, index_t last)
            {
                std::int8_t* to = y.data() + first * y.shape(2) * y.shape(3);
                for (index_t plane = first; plane < last; ++plane)
                {
                    const std::int8_t* const from = x.data() + plane * height * width;
                    for (index_t i = 0; i < y.shape(2); ++i)
                    {
                        const detail::taken rows(i * o.stride.height - o.padding.height,
                            o.kernel.height, o.dilation.height, height);
                        pool_row(from, width, rows, to, y.shape(3));
                        to += y.shape(3);
                    }
                }
            });
    }

private:
    void pool_row(const std::int8_t* from, index_t width, const detail::taken& rows,
        std::int8_t* to, index_t count) const noexcept
    {
        const auto& o = m_layer.options();
        std::fill_n(to, count, std::numeric_limits<std::int8_t>::min());
        for (index_t r = rows.first; r < rows.last; r += o.dilation.height)
        {
            const std::int8_t* const row = from + r * width;
            for (index_t j = 0; j < count; ++j)
            {
                const detail::taken columns(
                    j * o.stride.width - o.padding.width, o.kernel.width, o.dilation.width, width);
                std::int8_t most = to[j];
                for (index_t c = columns.first; c < columns.last; c += o.dilation.width)
                {
                    most = row[c] > most ? row[c] : most;
                }
                to[j] = most;
            }
        }
    }

    nn::max_pool2d m_layer;
};

/// `nn::avg_pool2d` of codes: the sum of a window over its number of positions, rounded to the nearest
/// code, halves up. Where padding counts, it counts as zero.
class int8_avg_pool2d
{
public:
    static constexpr std::string_view name = "int8_avg_pool2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

    /// `input` says what codes mean.
    int8_avg_pool2d(const nn::avg_pool2d& layer, const scale_and_zero& input)
        : codes(detail::list_codes(input))
        , m_layer(layer)
    {
        refresh();
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        return m_layer.output_shape(in);
    }

    void forward(view<const std::int8_t, 4> x, view<std::int8_t, 4> y, nn::scratch) const noexcept
    {
        const auto& o = m_layer.options();
        const index_t height = x.shape(2);
        const index_t width = x.shape(3);
        parallel_for(x.shape(0) * x.shape(1), detail::plane_grain(height * width),
            [&](index_t first, index_t last)
            {
                std::int8_t* to = y.data() + first * y.shape(2) * y.shape(3);
                for (index_t plane = first; plane < last; ++plane)
                {
                    const std::int8_t* const from = x.data() + plane * height * width;
                    for (index_t i = 0; i < y.shape(2); ++i)
                    {
                        for (index_t j = 0; j < y.shape(3); ++j)
                        {
                            *to++ =
                                window(from, height, width, i * o.stride.height - o.padding.height,
                                    j * o.stride.width - o.padding.width);
                        }
                    }
                }
            });
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("codes", self.codes, nn::role::statistic);
    }

    /// Throws `format_error` for codes from a file that cannot be.
    void refresh()
    {
        detail::check_codes("int8_avg_pool2d", codes, 1);
        m_zero = detail::listed_code(codes, 0).zero;
    }

    /// Scale and zero point.
    tensor<float, 1> codes;

private:
    std::int8_t window(const std::int8_t* from, index_t height, index_t width, index_t top,
        index_t left) const noexcept
    {
        const auto& o = m_layer.options();
        const detail::taken rows(top, o.kernel.height, 1, height);
        const detail::taken columns(left, o.kernel.width, 1, width);
        std::int32_t sum = 0;
        for (index_t r = rows.first; r < rows.last; ++r)
        {
            for (index_t c = columns.first; c < columns.last; ++c)
            {
                sum += from[r * width + c];
            }
        }
        const index_t inside = (rows.last - rows.first) * (columns.last - columns.first);
        const index_t counted = o.count_include_pad ? o.kernel.height * o.kernel.width : inside;
        return detail::average_code(
            sum + m_zero * static_cast<std::int32_t>(counted - inside), counted);
    }

    nn::avg_pool2d m_layer;
    std::int32_t m_zero = 0;
};

/// `nn::global_avg_pool` of codes: the sum of a channel over its number of positions, rounded to the
/// nearest code, halves up.
struct int8_global_avg_pool
{
    static constexpr std::string_view name = "int8_global_avg_pool";
    static constexpr std::size_t output_rank = 2;

    template <std::size_t N>
        requires(N >= 3)
    shape<2> output_shape(const shape<N>& in)
    const
    {
        return nn::global_avg_pool{}.output_shape(in);
    }

    template <std::size_t N>
    void forward(view<const std::int8_t, N> x, view<std::int8_t, 2> y, nn::scratch) const noexcept
    {
        const index_t n = count(tail(tail(x.shape())));
        parallel_for(y.size(), detail::plane_grain(n),
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    std::int32_t sum = 0;
                    for (index_t p = 0; p < n; ++p)
                    {
                        sum += x.data()[i * n + p];
                    }
                    y.data()[i] = detail::average_code(sum, n);
                }
            });
    }
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
