/// @file
/// Height and width of a kernel, a stride or a padding, and the size of what a window leaves.
#pragma once

#include <structopt/core/shape.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Height and width. One number stands for both: `.kernel = 3` or `.kernel = {3, 5}`.
struct extent2
{
    index_t height;
    index_t width;

    constexpr extent2(index_t both) noexcept
        : height(both)
        , width(both)
    {
    }

    constexpr extent2(index_t h, index_t w) noexcept
        : height(h)
        , width(w)
    {
    }

    /// "3x5", for messages.
    std::string text() const
    {
        return std::to_string(height) + "x" + std::to_string(width);
    }

    friend constexpr bool operator==(const extent2&, const extent2&) = default;
};

namespace detail
{

/// Throws `argument_error` unless both numbers of an option are at least `least`, and small enough
/// that sums and products of two do not overflow.
inline void check_option(const char* layer, const char* option, const extent2& value, index_t least)
{
    if (value.height < least || value.width < least)
    {
        structopt::detail::raise<argument_error>(
            layer, std::string(option) + " of at least " + std::to_string(least), value.text());
    }
    constexpr index_t most = std::numeric_limits<std::int32_t>::max();
    if (value.height > most || value.width > most)
    {
        structopt::detail::raise<argument_error>(
            layer, std::string(option) + " of at most " + std::to_string(most), value.text());
    }
}

/// Positions of a window along one axis; 0 or less if it does not fit once.
constexpr index_t window_count(
    index_t extent, index_t before, index_t after, index_t kernel, index_t stride, index_t dilation)
{
    const index_t room = extent + before + after - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/// Height and width of what a window leaves of [batch, channels, height, width]; throws
/// `shape_error` if it does not fit once.
inline extent2 window_output(const char* where, const shape<4>& in, const extent2& kernel,
    const extent2& stride, const extent2& before, const extent2& after, const extent2& dilation)
{
    const extent2 out{window_count(in[2], before.height, after.height, kernel.height, stride.height,
                          dilation.height),
        window_count(in[3], before.width, after.width, kernel.width, stride.width, dilation.width)};
    if (in[0] < 0 || in[1] < 0 || in[2] < 1 || in[3] < 1 || out.height < 1 || out.width < 1)
    {
        const auto needed = [](index_t k, index_t d, index_t b, index_t a)
        {
            return std::max<index_t>(1, d * (k - 1) + 1 - b - a);
        };
        const extent2 least{needed(kernel.height, dilation.height, before.height, after.height),
            needed(kernel.width, dilation.width, before.width, after.width)};
        structopt::detail::raise<shape_error>(
            where, "height and width of at least " + least.text(), describe(in));
    }
    return out;
}

} // namespace detail
} // namespace nn
STRUCTOPT_END_NAMESPACE
