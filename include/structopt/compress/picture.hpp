/// @file
/// The trade-off as a picture: accuracy against bytes, as SVG.
#pragma once

#include <structopt/compress/table.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

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
/// upwards. The upper left is where one wants to be.
std::string to_svg(std::span<const report> variants, const picture_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

inline std::string escaped(std::string_view text)
{
    std::string xml;
    for (const char c : text)
    {
        xml += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    }
    return xml;
}

/// "800", "2 k", "1.5 M"
inline std::string short_bytes(double bytes)
{
    const auto trimmed = [](double value)
    {
        return decimal(value, value == std::floor(value) ? 0 : 1);
    };
    return bytes < 1e3   ? trimmed(bytes) + " B"
           : bytes < 1e6 ? trimmed(bytes / 1e3) + " kB"
                         : trimmed(bytes / 1e6) + " MB";
}

} // namespace detail

inline std::string to_svg(std::span<const report> variants, const picture_options& options)
{
    double least = 1;
    double most = 10;
    double low = 1;
    double high = 0;
    for (const report& r : variants)
    {
        const double bytes = std::max<double>(1, static_cast<double>(r.bytes));
        least = &r == variants.data() ? bytes : std::min(least, bytes);
        most = &r == variants.data() ? bytes : std::max(most, bytes);
        low = std::min(low, r.accuracy);
        high = std::max(high, r.accuracy);
    }
    const double from = std::log10(least) - 0.12;
    const double to = std::log10(most) + 0.12;
    const double spread = std::max(high - low, 0.004);
    const double bottom = low - 0.25 * spread;
    const double top = high + 0.25 * spread;
    const double left_edge = 80;
    const double right_edge = options.width - 30.0;
    const double upper_edge = 60;
    const double lower_edge = options.height - 60.0;
    const auto x = [&](double bytes)
    {
        return left_edge + (std::log10(bytes) - from) / (to - from) * (right_edge - left_edge);
    };
    const auto y = [&](double accuracy)
    {
        return lower_edge - (accuracy - bottom) / (top - bottom) * (lower_edge - upper_edge);
    };
    const auto at = [](double value)
    {
        return detail::decimal(value, 1);
    };
    const auto text = [&](double px, double py, const char* anchor, const std::string& content,
                          const char* style = "")
    {
        return "<text x=\"" + at(px) + "\" y=\"" + at(py) + "\" text-anchor=\"" + anchor + "\"" +
               style + ">" + detail::escaped(content) + "</text>\n";
    };
    const auto line = [&](double x1, double y1, double x2, double y2, const char* color)
    {
        return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" +
               at(y2) + "\" stroke=\"" + color + "\"/>\n";
    };
    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                      std::to_string(options.width) + "\" height=\"" +
                      std::to_string(options.height) +
                      "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
                      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    svg += text(left_edge, 32, "start", options.title, " font-size=\"17\" font-weight=\"bold\"");
    for (double decade = std::floor(from); decade <= to; ++decade)
    {
        for (const double step : {1.0, 2.0, 5.0})
        {
            const double bytes = step * std::pow(10.0, decade);
            if (std::log10(bytes) >= from && std::log10(bytes) <= to)
            {
                svg += line(x(bytes), upper_edge, x(bytes), lower_edge, "#e4e4e4");
                svg += text(x(bytes), lower_edge + 20, "middle", detail::short_bytes(bytes));
            }
        }
    }
    const double step = spread > 0.2 ? 0.1 : spread > 0.06 ? 0.02 : spread > 0.02 ? 0.01 : 0.002;
    for (double accuracy = std::ceil(bottom / step) * step; accuracy <= top; accuracy += step)
    {
        svg += line(left_edge, y(accuracy), right_edge, y(accuracy), "#e4e4e4");
        svg += text(left_edge - 8, y(accuracy) + 4, "end",
            detail::decimal(100 * accuracy, step < 0.01 ? 1 : 0) + " %");
    }
    svg += line(left_edge, lower_edge, right_edge, lower_edge, "#222");
    svg += line(left_edge, upper_edge, left_edge, lower_edge, "#222");
    svg += text((left_edge + right_edge) / 2, options.height - 16.0, "middle",
        "bytes on disk (logarithmic)");
    const double middle = (upper_edge + lower_edge) / 2;
    svg += "<text x=\"22\" y=\"" + at(middle) +
           "\" text-anchor=\"middle\" transform=\"rotate(-90 22 " + at(middle) +
           ")\">accuracy</text>\n";
    for (const report& r : variants)
    {
        const double px = x(std::max<double>(1, static_cast<double>(r.bytes)));
        const double py = y(r.accuracy);
        const bool first = &r == variants.data();
        const bool to_left = px > (left_edge + right_edge) / 2;
        svg += "<circle cx=\"" + at(px) + "\" cy=\"" + at(py) + "\" r=\"6\" fill=\"" +
               (first ? "#888" : "#1668b8") + "\"/>\n";
        svg += text(px + (to_left ? -11 : 11), py + ((&r - variants.data()) % 2 == 0 ? -9.0 : 17.0),
            to_left ? "end" : "start",
            r.name + ", " + detail::decimal(detail::ratio(variants, r), 1) + "x");
    }
    return svg + "</svg>\n";
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
