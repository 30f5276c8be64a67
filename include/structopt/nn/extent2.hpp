/// @file
/// Height and width of a kernel, a stride or a padding, and the size of what a window leaves.
#pragma once

#include <structopt/core/shape.hpp>

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

/// Throws `argument_error` unless both numbers of an option are at least `least`.
inline void check_option(const char* layer, const char* option, const extent2& value, index_t least)
{
    if (value.height < least || value.width < least)
    {
        structopt::detail::raise<argument_error>(
            layer, std::string(option) + " of at least " + std::to_string(least), value.text());
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
    if (in[0] < 0 || in[1] < 0 || out.height < 1 || out.width < 1)
    {
        const extent2 least{
            dilation.height * (kernel.height - 1) + 1 - before.height - after.height,
            dilation.width * (kernel.width - 1) + 1 - before.width - after.width};
        structopt::detail::raise<shape_error>(
            where, "height and width of at least " + least.text(), describe(in));
    }
    return out;
}

} // namespace detail
} // namespace nn
STRUCTOPT_END_NAMESPACE
