/// @file
/// SVG, piece by piece: what the pictures of this folder are drawn with.
#pragma once

#include <structopt/compress/text.hpp>
#include <structopt/config.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress::detail
{

inline std::string escaped(std::string_view text)
{
    std::string xml;
    for (const char c : text)
    {
        switch (c)
        {
        case '<':
            xml += "&lt;";
            break;
        case '>':
            xml += "&gt;";
            break;
        case '&':
            xml += "&amp;";
            break;
        default:
            // Control characters are not allowed in XML.
            xml += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
            break;
        }
    }
    return xml;
}

/// A rectangle on the picture.
struct box
{
    double left;
    double top;
    double right;
    double bottom;

    double overlap(const box& other) const noexcept
    {
        const double width = std::min(right, other.right) - std::max(left, other.left);
        const double height = std::min(bottom, other.bottom) - std::max(top, other.top);
        return width > 0 && height > 0 ? width * height : 0.0;
    }

    double area() const noexcept
    {
        return (right - left) * (bottom - top);
    }
};

/// The colour of the i-th thing: told apart by colour-blind eyes too (after Okabe and Ito), dark enough
/// for thin lines on white.
constexpr const char* color_of(std::size_t i) noexcept
{
    constexpr std::array<const char*, 6> colors{
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9"};
    return colors[i % colors.size()];
}

inline constexpr std::size_t colors = 6;

/// Multiples of 1, 2 or 5 times a power of ten within [low, high]: about `parts` of them.
inline std::vector<double> ticks(double low, double high, int parts)
{
    const double raw = (high - low) / parts;
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    const double digit = raw / power;
    const double step = power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
    std::vector<double> list;
    for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    {
        list.push_back(i < 0 || i > 0 ? i * step : 0.0); // no -0
    }
    return list;
}

/// Decimals that tell numbers so far apart from each other.
inline int decimals_of(double step)
{
    const double digits = std::ceil(-std::log10(step) - 1e-9);
    return digits < 0 ? 0 : digits > 12 ? 12 : static_cast<int>(digits);
}

/// An SVG in the making: dark text and lines on a white sheet, so that it can be read on pages of any
/// colour.
class drawing
{
public:
    drawing(int width, int height)
        : m_svg("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(width) +
                "\" height=\"" + std::to_string(height) + "\" viewBox=\"0 0 " +
                std::to_string(width) + " " + std::to_string(height) +
                "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
                "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n")
    {
    }

    void text(double x, double y, const char* anchor, std::string_view content,
        const std::string& style = {})
    {
        m_svg += "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor + "\"" +
                 style + ">" + escaped(content) + "</text>\n";
    }

    void title(double x, std::string_view content)
    {
        text(x, 32, "start", content, " font-size=\"17\" font-weight=\"bold\"");
    }

    /// Text that runs upwards, centred at (x, y).
    void upward_text(double x, double y, std::string_view content)
    {
        text(x, y, "middle", content, " transform=\"rotate(-90 " + at(x) + " " + at(y) + ")\"");
    }

    void line(double x1, double y1, double x2, double y2, const char* color,
        const std::string& style = {})
    {
        m_svg += "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" +
                 at(y2) + "\" stroke=\"" + color + "\"" + style + "/>\n";
    }

    void path(const std::vector<std::pair<double, double>>& points, const char* color,
        const std::string& style = {})
    {
        m_svg += "<polyline points=\"";
        for (std::size_t i = 0; i < points.size(); ++i)
        {
            m_svg += (i == 0 ? "" : " ") + at(points[i].first) + "," + at(points[i].second);
        }
        m_svg += "\" fill=\"none\" stroke=\"" + std::string(color) + "\"" + style + "/>\n";
    }

    void point(double x, double y, const char* color, double radius = 6)
    {
        m_svg += "<circle cx=\"" + at(x) + "\" cy=\"" + at(y) + "\" r=\"" + at(radius) +
                 "\" fill=\"" + color + "\" stroke=\"white\"/>\n";
    }

    void rectangle(const box& place, const char* color)
    {
        m_svg += "<rect x=\"" + at(place.left) + "\" y=\"" + at(place.top) + "\" width=\"" +
                 at(place.right - place.left) + "\" height=\"" + at(place.bottom - place.top) +
                 "\" fill=\"" + color + "\"/>\n";
    }

    std::string finish()
    {
        return std::move(m_svg) + "</svg>\n";
    }

    static std::string at(double value)
    {
        return decimal(value, 1);
    }

private:
    std::string m_svg;
};

} // namespace compress::detail
STRUCTOPT_END_NAMESPACE
