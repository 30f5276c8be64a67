/// @file
/// Pooling over windows of height and width: the largest element, or the average.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/kernel/pool.hpp>
#include <structopt/nn/extent2.hpp>
#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Options of `max_pool2d`. Each `extent2` takes one number or {height, width}.
struct max_pool2d_options
{
    extent2 kernel;
    extent2 stride = kernel;
    /// Added on all four sides, never chosen; at most half the kernel.
    extent2 padding = 0;
    extent2 dilation = 1;

    friend bool operator==(const max_pool2d_options&, const max_pool2d_options&) = default;
};

/// Options of `avg_pool2d`. Each `extent2` takes one number or {height, width}.
struct avg_pool2d_options
{
    extent2 kernel;
    extent2 stride = kernel;
    /// Zeros added on all four sides; at most half the kernel.
    extent2 padding = 0;
    /// Whether the padding counts in the average's denominator.
    bool count_include_pad = true;

    friend bool operator==(const avg_pool2d_options&, const avg_pool2d_options&) = default;
};

namespace detail
{

using structopt::detail::is_nan;

/// Whether a plane holds a NaN: one pass, which compilers vectorize.
template <class T>
bool any_nan(const T* x, index_t n) noexcept
{
    int found = 0;
    for (index_t i = 0; i < n; ++i)
    {
        found |= int{is_nan(x[i])};
    }
    return found != 0;
}

/// The window as the kernel takes it.
inline kernel::pool_window pool_window(const shape<4>& in, const shape<4>& out,
    const extent2& kernel, const extent2& stride, const extent2& padding, const extent2& dilation)
{
    return {in[2], in[3], out[2], out[3], kernel.height, kernel.width, stride.height, stride.width,
        padding.height, padding.width, dilation.height, dilation.width};
}

/// Checks the options that both kinds of pooling have.
inline void check_pool(
    const char* layer, const extent2& kernel, const extent2& stride, const extent2& padding)
{
    check_option(layer, "kernel", kernel, 1);
    check_option(layer, "stride", stride, 1);
    check_option(layer, "padding", padding, 0);
    if (2 * padding.height > kernel.height || 2 * padding.width > kernel.width)
    {
        structopt::detail::raise<argument_error>(
            layer, "padding of at most half the kernel " + kernel.text(), padding.text());
    }
}

/// The part of a window that starts at `start` and lies in [0, size).
struct clipped
{
    index_t first;
    index_t last;

    constexpr clipped(index_t start, index_t kernel, index_t size) noexcept
        : first(start < 0 ? 0 : start)
        , last(start + kernel < size ? start + kernel : size)
    {
    }
};

} // namespace detail

/// The largest element of each window: x [batch, channels, height, width], y the same with
/// h = (height + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down.
///
/// A NaN in the window is its result. The gradient goes to the first of equal elements.
class max_pool2d
{
public:
    static constexpr std::string_view name = "max_pool2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

    /// Throws `argument_error` for options out of range.
    explicit max_pool2d(const max_pool2d_options& options)
        : m_options(options)
    {
        detail::check_pool(name.data(), options.kernel, options.stride, options.padding);
        detail::check_option(name.data(), "dilation", options.dilation, 1);
    }

    const max_pool2d_options& options() const noexcept
    {
        return m_options;
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        const auto& o = m_options;
        const extent2 out = detail::window_output(
            "max_pool2d input", in, o.kernel, o.stride, o.padding, o.padding, o.dilation);
        // Dilated windows must not step over the whole image, from padding to padding.
        if ((o.padding.height > 0 && in[2] < o.dilation.height) ||
            (o.padding.width > 0 && in[3] < o.dilation.width))
        {
            structopt::detail::raise<shape_error>("max_pool2d input",
                "height and width of at least the dilation " + o.dilation.text(), describe(in));
        }
        // Positions in a plane are kept as 32-bit numbers.
        if (in[3] > 0 && in[2] > std::numeric_limits<std::int32_t>::max() / in[3])
        {
            structopt::detail::raise<shape_error>(
                "max_pool2d input", "planes of fewer than 2^31 elements", describe(in));
        }
        return {in[0], in[1], out.height, out.width};
    }

    template <class T>
    void forward(view<const T, 4> x, view<T, 4> y, scratch) const noexcept
    {
        const auto& o = m_options;
        const kernel::pool_window g =
            detail::pool_window(x.shape(), y.shape(), o.kernel, o.stride, o.padding, o.dilation);
        const index_t pixels = g.height * g.width;
        parallel_for(x.shape(0) * x.shape(1), grain(pixels),
            [&](index_t first, index_t last)
            {
                for (index_t plane = first; plane < last; ++plane)
                {
                    const T* const from = x.data() + plane * pixels;
                    T* const to = y.data() + plane * g.out_h * g.out_w;
                    if (detail::any_nan(from, pixels))
                    {
                        run_plane<false>(from, g.height, g.width, to, g.out_h, g.out_w, nullptr);
                    }
                    else
                    {
                        kernel::pool_plane<kernel::pooling::largest>(g, from, to);
                    }
                }
            });
    }

    /// For each output, the position of its input in the plane.
    template <class T, std::size_t N>
    struct cache
    {
        buffer<std::int32_t> chosen;
    };

    template <class T>
    void forward(view<const T, 4> x, view<T, 4> y, cache<T, 4>& kept) const
    {
        kept.chosen.resize(static_cast<std::size_t>(y.size()));
        run<true>(x, y, kept.chosen.data());
    }

    template <class T>
    void backward(view<const T, 4> x, view<const T, 4> y, view<const T, 4> dy, view<T, 4> dx,
        cache<T, 4>& kept, max_pool2d&) const noexcept
    {
        if (dx.data() == nullptr)
        {
            return;
        }
        const index_t pixels = x.shape(2) * x.shape(3);
        const index_t positions = y.shape(2) * y.shape(3);
        parallel_for(x.shape(0) * x.shape(1), grain(pixels),
            [&](index_t first, index_t last)
            {
                for (index_t plane = first; plane < last; ++plane)
                {
                    T* const to = dx.data() + plane * pixels;
                    const T* const from = dy.data() + plane * positions;
                    const std::int32_t* const at = kept.chosen.data() + plane * positions;
                    std::fill_n(to, pixels, T(0));
                    for (index_t i = 0; i < positions; ++i)
                    {
                        to[at[i]] += from[i];
                    }
                }
            });
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    friend bool operator==(const max_pool2d&, const max_pool2d&) = default;

private:
    static constexpr index_t grain(index_t pixels) noexcept
    {
        return pixels >= detail::pointwise_grain ? 1 : detail::pointwise_grain / (pixels + 1);
    }

    template <bool Positions, class T>
    void run(view<const T, 4> x, view<T, 4> y, std::int32_t* chosen) const noexcept
    {
        const index_t pixels = x.shape(2) * x.shape(3);
        const index_t positions = y.shape(2) * y.shape(3);
        const auto& o = m_options;
        const bool pairs = o == max_pool2d_options{.kernel = 2};
        parallel_for(x.shape(0) * x.shape(1), grain(pixels),
            [&](index_t first, index_t last)
            {
                for (index_t plane = first; plane < last; ++plane)
                {
                    const T* const from = x.data() + plane * pixels;
                    T* const to = y.data() + plane * positions;
                    std::int32_t* const at = Positions ? chosen + plane * positions : nullptr;
                    if (pairs)
                    {
                        run_pairs<Positions>(from, x.shape(3), to, y.shape(2), y.shape(3), at);
                    }
                    else
                    {
                        run_plane<Positions>(
                            from, x.shape(2), x.shape(3), to, y.shape(2), y.shape(3), at);
                    }
                }
            });
    }

    /// Whether `candidate` replaces `best`.
    template <class T>
    static constexpr bool beats(T candidate, T best) noexcept
    {
        return detail::is_nan(candidate) || (candidate > best && !detail::is_nan(best));
    }

    template <bool Positions, class T>
    void run_plane(const T* x, index_t height, index_t width, T* y, index_t out_h, index_t out_w,
        std::int32_t* chosen) const noexcept
    {
        const auto& o = m_options;
        for (index_t i = 0; i < out_h; ++i)
        {
            for (index_t j = 0; j < out_w; ++j)
            {
                const index_t top = i * o.stride.height - o.padding.height;
                const index_t left = j * o.stride.width - o.padding.width;
                const index_t first_row = top + (top < 0 ? up(-top, o.dilation.height) : 0);
                const index_t first_column = left + (left < 0 ? up(-left, o.dilation.width) : 0);
                const index_t bottom =
                    std::min(height, top + o.dilation.height * (o.kernel.height - 1) + 1);
                const index_t right =
                    std::min(width, left + o.dilation.width * (o.kernel.width - 1) + 1);
                T best = -std::numeric_limits<T>::infinity();
                index_t at = first_row * width + first_column;
                for (index_t r = first_row; r < bottom; r += o.dilation.height)
                {
                    for (index_t c = first_column; c < right; c += o.dilation.width)
                    {
                        const T candidate = x[r * width + c];
                        if (beats(candidate, best))
                        {
                            best = candidate;
                            at = r * width + c;
                        }
                    }
                }
                y[i * out_w + j] = best;
                if constexpr (Positions)
                {
                    chosen[i * out_w + j] = static_cast<std::int32_t>(at);
                }
            }
        }
    }

    /// 2x2 windows without overlap, without branches on the data.
    template <bool Positions, class T>
    void run_pairs(const T* x, index_t width, T* y, index_t out_h, index_t out_w,
        std::int32_t* chosen) const noexcept
    {
        const auto below = static_cast<std::int32_t>(width);
        const std::int32_t steps[4] = {0, 1, below, below + 1};
        for (index_t i = 0; i < out_h; ++i)
        {
            const T* const upper = x + 2 * i * width;
            const T* const lower = upper + width;
            auto place = static_cast<std::int32_t>(2 * i * width);
            for (index_t j = 0; j < out_w; ++j, place += 2)
            {
                const T a = upper[2 * j];
                const T b = upper[2 * j + 1];
                const T c = lower[2 * j];
                const T d = lower[2 * j + 1];
                // Maxima and sums of comparisons alone: a branch here cannot be predicted.
                const T above = b > a ? b : a;
                const T under = d > c ? d : c;
                T best = under > above ? under : above;
                const int past_a = a < best;
                const int past_b = past_a & int{b < best};
                const int past_c = past_b & int{c < best};
                std::int32_t at = place + steps[past_a + past_b + past_c];
                // Any NaN makes the sum one; so do infinities of both signs, to no harm.
                if (detail::is_nan((a + b) + (c + d)))
                {
                    best = a;
                    at = place;
                    const T others[3] = {b, c, d};
                    for (int k = 0; k < 3; ++k)
                    {
                        if (beats(others[k], best))
                        {
                            best = others[k];
                            at = place + steps[k + 1];
                        }
                    }
                }
                y[i * out_w + j] = best;
                if constexpr (Positions)
                {
                    chosen[i * out_w + j] = at;
                }
            }
        }
    }

    /// The first multiple of `step` that is at least n.
    static constexpr index_t up(index_t n, index_t step) noexcept
    {
        return (n + step - 1) / step * step;
    }

    max_pool2d_options m_options;
};

/// The average of each window: x [batch, channels, height, width], y the same with
/// h = (height + 2 padding - kernel) / stride + 1, rounded down.
class avg_pool2d
{
public:
    static constexpr std::string_view name = "avg_pool2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

    /// Throws `argument_error` for options out of range.
    explicit avg_pool2d(const avg_pool2d_options& options)
        : m_options(options)
    {
        detail::check_pool(name.data(), options.kernel, options.stride, options.padding);
    }

    const avg_pool2d_options& options() const noexcept
    {
        return m_options;
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        const auto& o = m_options;
        const extent2 out = detail::window_output(
            "avg_pool2d input", in, o.kernel, o.stride, o.padding, o.padding, 1);
        return {in[0], in[1], out.height, out.width};
    }

    template <class T>
    void forward(view<const T, 4> x, view<T, 4> y, scratch) const noexcept
    {
        const auto& o = m_options;
        const kernel::pool_window g =
            detail::pool_window(x.shape(), y.shape(), o.kernel, o.stride, o.padding, 1);
        const index_t pixels = g.height * g.width;
        const index_t positions = g.out_h * g.out_w;
        parallel_for(x.shape(0) * x.shape(1), grain(pixels),
            [&](index_t first, index_t last)
            {
                for (index_t plane = first; plane < last; ++plane)
                {
                    T* const to = y.data() + plane * positions;
                    kernel::pool_plane<kernel::pooling::sum>(g, x.data() + plane * pixels, to);
                    for (index_t i = 0; i < g.out_h; ++i)
                    {
                        const detail::clipped rows(
                            i * o.stride.height - o.padding.height, o.kernel.height, g.height);
                        for (index_t j = 0; j < g.out_w; ++j)
                        {
                            to[i * g.out_w + j] /= static_cast<T>(counted(rows, j, g.width));
                        }
                    }
                }
            });
    }

    template <class T>
    void backward(view<const T, 4> x, view<const T, 4> y, view<const T, 4> dy, view<T, 4> dx, auto&,
        avg_pool2d&) const noexcept
    {
        if (dx.data() == nullptr)
        {
            return;
        }
        std::fill_n(dx.data(), dx.size(), T(0));
        each_window(x.shape(), y.shape(),
            [&](index_t plane, index_t at, const detail::clipped& rows,
                const detail::clipped& columns, index_t counted)
            {
                const T share = dy.data()[at] / static_cast<T>(counted);
                for (index_t r = rows.first; r < rows.last; ++r)
                {
                    T* const row = dx.data() + plane + r * x.shape(3);
                    for (index_t c = columns.first; c < columns.last; ++c)
                    {
                        row[c] += share;
                    }
                }
            });
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    friend bool operator==(const avg_pool2d&, const avg_pool2d&) = default;

private:
    /// Planes that one part of a parallel loop takes.
    static constexpr index_t grain(index_t pixels) noexcept
    {
        return pixels >= detail::pointwise_grain ? 1 : detail::pointwise_grain / (pixels + 1);
    }

    /// The denominator of a window in column j of the output.
    index_t counted(const detail::clipped& rows, index_t j, index_t width) const noexcept
    {
        const auto& o = m_options;
        if (o.count_include_pad)
        {
            return o.kernel.height * o.kernel.width;
        }
        const detail::clipped columns(j * o.stride.width - o.padding.width, o.kernel.width, width);
        return (rows.last - rows.first) * (columns.last - columns.first);
    }

    /// Calls `body(start of the plane, output's position, rows, columns, denominator)`; planes run
    /// on several threads.
    template <class Body>
    void each_window(const shape<4>& in, const shape<4>& out, const Body& body) const noexcept
    {
        const index_t pixels = in[2] * in[3];
        const auto& o = m_options;
        parallel_for(in[0] * in[1], grain(pixels),
            [&](index_t first, index_t last)
            {
                for (index_t plane = first; plane < last; ++plane)
                {
                    index_t at = plane * out[2] * out[3];
                    for (index_t i = 0; i < out[2]; ++i)
                    {
                        const detail::clipped rows(
                            i * o.stride.height - o.padding.height, o.kernel.height, in[2]);
                        for (index_t j = 0; j < out[3]; ++j)
                        {
                            const detail::clipped columns(
                                j * o.stride.width - o.padding.width, o.kernel.width, in[3]);
                            body(plane * pixels, at++, rows, columns, counted(rows, j, in[3]));
                        }
                    }
                }
            });
    }

    avg_pool2d_options m_options;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
