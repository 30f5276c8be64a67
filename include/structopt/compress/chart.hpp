/// @file
/// Lines over numbers as a picture: SVG.
#pragma once

#include <structopt/compress/drawing.hpp>
#include <structopt/compress/text.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// One line of a chart.
struct chart_line
{
    std::string name;
    std::vector<double> x;
    std::vector<double> y; ///< as many; a point with a number that is none is left out

    friend bool operator==(const chart_line&, const chart_line&) = default;
};

/// Lines over numbers.
struct line_chart
{
    std::string title;
    std::string x_label;
    std::string y_label;
    std::vector<chart_line> lines;
    /// A level that lines are compared with, drawn across; only if it has a name.
    std::string level_name = {};
    double level = 0;
    int width = 760;
    int height = 460; ///< more where the names of the lines take it

    friend bool operator==(const line_chart&, const line_chart&) = default;
};

/// An SVG with one line per entry, its points marked, and the names at the right. Lines differ in colour,
/// from the seventh on in dashes too.
std::string to_svg(const line_chart& chart);

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// The plane of a chart: numbers to pixels.
struct plane
{
    box plot;
    double left;
    double right;
    double bottom;
    double top;

    double x(double value) const noexcept
    {
        return plot.left + (value - left) / (right - left) * (plot.right - plot.left);
    }

    double y(double value) const noexcept
    {
        return plot.bottom - (value - bottom) / (top - bottom) * (plot.bottom - plot.top);
    }
};

/// The least and the greatest of numbers.
class extent
{
public:
    void add(double value) noexcept
    {
        m_low = m_any ? std::min(m_low, value) : value;
        m_high = m_any ? std::max(m_high, value) : value;
        m_any = true;
    }

    /// With space around, and never empty.
    std::pair<double, double> widened(double share) const noexcept
    {
        const double spread = m_high - m_low;
        const double size = std::max(std::abs(m_high), std::abs(m_low));
        const double space = spread > 1e-9 * size ? share * spread : (size > 0 ? 0.1 * size : 0.5);
        return {m_low - space, m_high + space};
    }

private:
    bool m_any = false;
    double m_low = 0;
    double m_high = 0;
};

/// Points of a line that are numbers.
inline std::vector<std::pair<double, double>> points_of(const chart_line& line)
{
    std::vector<std::pair<double, double>> points;
    for (std::size_t i = 0; i < std::min(line.x.size(), line.y.size()); ++i)
    {
        if (structopt::detail::is_finite(line.x[i]) && structopt::detail::is_finite(line.y[i]))
        {
            points.emplace_back(line.x[i], line.y[i]);
        }
    }
    return points;
}

/// A name that is not longer than so many characters (bytes; a letter of several is not cut in two).
inline std::string shortened(const std::string& name, std::size_t most)
{
    if (name.size() <= most)
    {
        return name;
    }
    std::size_t end = most - 3;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80)
    {
        --end;
    }
    return name.substr(0, end) + "...";
}

inline void draw_grid(drawing& svg, const plane& p, const line_chart& chart)
{
    const box& plot = p.plot;
    const auto across = detail::ticks(p.left, p.right, 6);
    const auto up = detail::ticks(p.bottom, p.top, 6);
    const auto decimals = [](const std::vector<double>& list)
    {
        return list.size() < 2 ? 3 : detail::decimals_of(list[1] - list[0]);
    };
    for (const double value : across)
    {
        svg.line(p.x(value), plot.top, p.x(value), plot.bottom, "#e4e4e4");
        svg.text(p.x(value), plot.bottom + 20, "middle", decimal(value, decimals(across)));
    }
    for (const double value : up)
    {
        svg.line(plot.left, p.y(value), plot.right, p.y(value), "#e4e4e4");
        svg.text(plot.left - 8, p.y(value) + 4, "end", decimal(value, decimals(up)));
    }
    svg.line(plot.left, plot.bottom, plot.right, plot.bottom, "#222");
    svg.line(plot.left, plot.top, plot.left, plot.bottom, "#222");
    svg.text((plot.left + plot.right) / 2, plot.bottom + 44, "middle", chart.x_label);
    svg.upward_text(20, (plot.top + plot.bottom) / 2, chart.y_label);
}

inline std::string line_style(std::size_t i)
{
    constexpr const char* dashes[] = {"", " stroke-dasharray=\"7 3\"", " stroke-dasharray=\"2 3\""};
    return std::string(" stroke-width=\"2\"") + dashes[i / colors % 3];
}

} // namespace detail

inline std::string to_svg(const line_chart& chart)
{
    constexpr double row = 20;
    std::vector<std::vector<std::pair<double, double>>> lines;
    detail::extent across;
    detail::extent up;
    std::size_t longest = chart.level_name.size();
    for (const chart_line& line : chart.lines)
    {
        lines.push_back(detail::points_of(line));
        longest = std::max(longest, line.name.size());
        for (const auto& [x, y] : lines.back())
        {
            across.add(x);
            up.add(y);
        }
    }
    const bool levelled = !chart.level_name.empty() && structopt::detail::is_finite(chart.level);
    if (levelled)
    {
        up.add(chart.level);
    }
    // About 7 pixels per character of this size; names take 2/5 of the width at most.
    const auto most = static_cast<std::size_t>(std::max(8.0, 0.4 * chart.width / 7));
    const double names = 52 + 7.0 * static_cast<double>(std::min(longest, most));
    const double rows = row * static_cast<double>(lines.size() + (levelled ? 1 : 0));
    const int height = std::max(chart.height, static_cast<int>(120 + rows));
    const auto [left, right] = across.widened(0.03);
    const auto [bottom, top] = up.widened(0.06);
    const detail::plane p{{90, 60, std::max(200.0, chart.width - names - 8), height - 60.0}, left,
        right, bottom, top};

    detail::drawing svg(chart.width, height);
    svg.title(p.plot.left, chart.title);
    detail::draw_grid(svg, p, chart);
    const double from = p.plot.right + 14;
    double name_y = p.plot.top + 10;
    const auto name = [&](const std::string& text)
    {
        svg.text(from + 34, name_y + 4, "start", detail::shortened(text, most));
        name_y += row;
    };
    if (levelled)
    {
        const char* const style = " stroke-width=\"1.5\" stroke-dasharray=\"4 4\"";
        svg.line(p.plot.left, p.y(chart.level), p.plot.right, p.y(chart.level), "#666", style);
        svg.line(from, name_y, from + 26, name_y, "#666", style);
        name(chart.level_name);
    }
    for (std::size_t i = 0; i < lines.size(); ++i)
    {
        std::vector<std::pair<double, double>> pixels;
        for (const auto& [x, y] : lines[i])
        {
            pixels.emplace_back(p.x(x), p.y(y));
        }
        const char* const color = detail::color_of(i);
        svg.path(pixels, color, detail::line_style(i));
        for (const auto& [x, y] : pixels)
        {
            svg.point(x, y, color, 3.5);
        }
        svg.line(from, name_y, from + 26, name_y, color, detail::line_style(i));
        svg.point(from + 13, name_y, color, 3.5);
        name(chart.lines[i].name);
    }
    return svg.finish();
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
