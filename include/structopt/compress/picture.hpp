/// @file
/// The trade-off as a picture: accuracy against bytes, as SVG.
#pragma once

#include <structopt/compress/drawing.hpp>
#include <structopt/compress/table.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// What stands on the picture.
struct picture_options
{
    std::string title = "Accuracy against size";
    int width = 760;
    int height = 460;
};

/// An SVG with one labelled point per variant: bytes on disk (logarithmic) to the right, accuracy
/// upwards. The upper left is where one wants to be. The first variant, which the ratios refer to,
/// is grey; a variant whose accuracy was not measured, or is no number, is left out.
std::string to_svg(std::span<const report> variants, const picture_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The axes of the picture: bytes to x, accuracies to y.
class axes
{
public:
    axes(std::span<const report* const> points, const picture_options& options)
        : plot{90, 60, options.width - 30.0, options.height - 60.0}
    {
        double least = 1;
        double most = 10;
        double low = 0;
        double high = 1;
        for (std::size_t i = 0; i < points.size(); ++i)
        {
            const double bytes = bytes_of(*points[i]);
            const double accuracy = *points[i]->accuracy;
            least = i == 0 ? bytes : std::min(least, bytes);
            most = i == 0 ? bytes : std::max(most, bytes);
            low = i == 0 ? accuracy : std::min(low, accuracy);
            high = i == 0 ? accuracy : std::max(high, accuracy);
        }
        from = std::log10(least) - 0.15;
        to = std::log10(most) + 0.15;
        const double spread = std::max(high - low, 0.004);
        bottom = (low + high - spread) / 2 - 0.3 * spread;
        top = (low + high + spread) / 2 + 0.3 * spread;
        step = top - bottom > 0.4    ? 0.1
               : top - bottom > 0.16 ? 0.05
               : top - bottom > 0.08 ? 0.02
               : top - bottom > 0.03 ? 0.01
               : top - bottom > 0.01 ? 0.005
                                     : 0.001;
    }

    static double bytes_of(const report& r)
    {
        return std::max<double>(1, static_cast<double>(r.bytes));
    }

    double x(double bytes) const
    {
        return plot.left + (std::log10(bytes) - from) / (to - from) * (plot.right - plot.left);
    }

    double y(double accuracy) const
    {
        return plot.bottom - (accuracy - bottom) / (top - bottom) * (plot.bottom - plot.top);
    }

    box plot;
    double from; ///< log10 of bytes
    double to;
    double bottom; ///< accuracy
    double top;
    double step;
};

inline void draw_axes(drawing& svg, const axes& a)
{
    const box& plot = a.plot;
    const bool wide = a.to - a.from > 3;
    for (double decade = std::floor(a.from); decade <= a.to; ++decade)
    {
        for (const double digit : {1.0, 2.0, 5.0})
        {
            const double bytes = digit * std::pow(10.0, decade);
            const double place = std::log10(bytes);
            if (place < a.from || place > a.to || (wide && digit != 1.0))
            {
                continue;
            }
            svg.line(a.x(bytes), plot.top, a.x(bytes), plot.bottom, "#e4e4e4");
            svg.text(a.x(bytes), plot.bottom + 20, "middle", short_bytes(bytes));
        }
    }
    const int digits = a.step < 0.01 ? 1 : 0;
    for (double i = std::ceil(a.bottom / a.step); i * a.step <= a.top; ++i)
    {
        const double accuracy = i * a.step;
        if (accuracy > -a.step / 2 && accuracy < 1 + a.step / 2) // 0 % to 100 %
        {
            svg.line(plot.left, a.y(accuracy), plot.right, a.y(accuracy), "#e4e4e4");
            svg.text(
                plot.left - 8, a.y(accuracy) + 4, "end", decimal(100 * accuracy, digits) + " %");
        }
    }
    svg.line(plot.left, plot.bottom, plot.right, plot.bottom, "#222");
    svg.line(plot.left, plot.top, plot.left, plot.bottom, "#222");
    svg.text(
        (plot.left + plot.right) / 2, plot.bottom + 44, "middle", "bytes on disk (logarithmic)");
    svg.upward_text(20, (plot.top + plot.bottom) / 2, "accuracy");
}

/// Where the label of a point goes: the first of several places around it that is free, or the one
/// that hides least. `taken` gets it.
inline box place_label(double x, double y, double width, const box& plot, std::vector<box>& taken)
{
    constexpr double height = 16;
    constexpr double gap = 10;
    const box places[] = {{x + gap, y - height / 2, x + gap + width, y + height / 2},
        {x - gap - width, y - height / 2, x - gap, y + height / 2},
        {x - width / 2, y - gap - height, x + width / 2, y - gap},
        {x - width / 2, y + gap, x + width / 2, y + gap + height},
        {x + gap, y - gap - height, x + gap + width, y - gap},
        {x + gap, y + gap, x + gap + width, y + gap + height},
        {x - gap - width, y - gap - height, x - gap, y - gap},
        {x - gap - width, y + gap, x - gap, y + gap + height},
        {x - width / 2, y - gap - 2 * height, x + width / 2, y - gap - height},
        {x - width / 2, y + gap + height, x + width / 2, y + gap + 2 * height}};
    const box* best = nullptr;
    double least = 0;
    for (const box& place : places)
    {
        double hidden = place.area() - place.overlap(plot);
        for (const box& other : taken)
        {
            hidden += place.overlap(other);
        }
        if (best == nullptr || hidden < least)
        {
            best = &place;
            least = hidden;
        }
    }
    taken.push_back(*best);
    return *best;
}

} // namespace detail

inline std::string to_svg(std::span<const report> variants, const picture_options& options)
{
    std::vector<const report*> points;
    for (const report& r : variants)
    {
        if (r.accuracy && structopt::detail::is_finite(*r.accuracy))
        {
            points.push_back(&r);
        }
    }
    const detail::axes axes(points, options);
    detail::drawing svg(options.width, options.height);
    svg.title(axes.plot.left, options.title);
    detail::draw_axes(svg, axes);
    std::vector<detail::box> taken;
    for (const report* r : points)
    {
        const double x = axes.x(detail::axes::bytes_of(*r));
        const double y = axes.y(*r->accuracy);
        taken.push_back({x - 7, y - 7, x + 7, y + 7});
    }
    for (const report* r : points)
    {
        const double x = axes.x(detail::axes::bytes_of(*r));
        const double y = axes.y(*r->accuracy);
        svg.point(x, y, r == variants.data() ? "#888" : "#1668b8");
        const std::string label =
            r->name + ", " + detail::decimal(detail::ratio(variants, *r), 1) + "x";
        // About 7 pixels per character of this size.
        const double width = 7.0 * static_cast<double>(label.size());
        const auto place = detail::place_label(x, y, width, axes.plot, taken);
        const double centre = (place.left + place.right) / 2;
        const char* const anchor = place.left >= x ? "start" : place.right <= x ? "end" : "middle";
        svg.text(place.left >= x    ? place.left
                 : place.right <= x ? place.right
                                    : centre,
            place.bottom - 4, anchor, label);
    }
    return svg.finish();
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
