/// @file
/// Sensitivity curves (prune/sensitivity.hpp) as table, JSON and picture.
#pragma once

#include <structopt/compress/chart.hpp>
#include <structopt/compress/text.hpp>
#include <structopt/prune/sensitivity.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// What stands on the picture of sensitivity curves.
struct curve_options
{
    std::string title = "Sensitivity: one layer pruned at a time";
    std::string quality = "quality"; ///< what was measured: "accuracy"
    int width = 760;
    int height = 460;
};

/// A line per layer: its weights, and the quality at every share. The first line is the whole network's.
std::string to_table(const prune::sensitivity& curves);

/// `{"whole", "shares": [...], "layers": [{"name", "weights", "quality": [...]}]}`. A number that is NaN
/// or infinite is null.
std::string to_json(const prune::sensitivity& curves);

/// An SVG with a curve per layer: the share removed of it to the right, in percent, the network's quality
/// upwards. All curves begin at the whole network.
std::string to_svg(const prune::sensitivity& curves, const curve_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// Decimals that show four digits of the largest quality, and at least as many.
inline int quality_digits(const prune::sensitivity& curves)
{
    double largest = std::abs(curves.whole);
    for (const prune::layer_sensitivity& layer : curves.layers)
    {
        for (const double quality : layer.quality)
        {
            largest = std::max(largest, std::abs(quality));
        }
    }
    return largest > 0 ? std::clamp(3 + detail::decimals_of(largest), 4, 12) : 4;
}

/// "50 %", "99.5 %"
inline std::string percent(double share)
{
    const double value = 100 * share;
    for (int digits = 0; digits < 4; ++digits)
    {
        const double scale = digits == 0 ? 1 : digits == 1 ? 10 : digits == 2 ? 100 : 1000;
        const double rest = std::abs(value * scale - std::nearbyint(value * scale));
        if (rest < 1e-6 || digits == 3)
        {
            return decimal(value, digits) + " %";
        }
    }
    return {};
}

} // namespace detail

inline std::string to_table(const prune::sensitivity& curves)
{
    std::vector<std::vector<std::string>> lines{{"layer pruned", "weights"}};
    for (const double share : curves.shares)
    {
        lines.front().push_back(detail::percent(share));
    }
    const int digits = detail::quality_digits(curves);
    index_t weights = 0;
    for (const prune::layer_sensitivity& layer : curves.layers)
    {
        weights += layer.weights;
    }
    lines.push_back({"none", std::to_string(weights)});
    for (std::size_t i = 0; i < curves.shares.size(); ++i)
    {
        lines.back().push_back(detail::decimal(curves.whole, digits));
    }
    for (const prune::layer_sensitivity& layer : curves.layers)
    {
        lines.push_back({layer.name, std::to_string(layer.weights)});
        for (const double quality : layer.quality)
        {
            lines.back().push_back(detail::decimal(quality, digits));
        }
    }
    return detail::aligned(lines);
}

inline std::string to_json(const prune::sensitivity& curves)
{
    const auto list = [](const std::vector<double>& values)
    {
        std::string json = "[";
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            json += (i == 0 ? "" : ", ") + detail::exact_number(values[i]);
        }
        return json + "]";
    };
    std::string json = "{\"whole\": " + detail::exact_number(curves.whole);
    json += ", \"shares\": " + list(curves.shares) + ",\n \"layers\": [";
    for (const prune::layer_sensitivity& layer : curves.layers)
    {
        json += &layer == curves.layers.data() ? "\n" : ",\n";
        json += "   {\"name\": " + detail::quoted(layer.name);
        json += ", \"weights\": " + std::to_string(layer.weights);
        json += ", \"quality\": " + list(layer.quality) + "}";
    }
    return json + "]}\n";
}

inline std::string to_svg(const prune::sensitivity& curves, const curve_options& options)
{
    line_chart chart;
    chart.title = options.title;
    chart.x_label = "removed of the layer, %";
    chart.y_label = options.quality;
    chart.level_name = "whole network";
    chart.level = curves.whole;
    chart.width = options.width;
    chart.height = options.height;
    for (const prune::layer_sensitivity& layer : curves.layers)
    {
        chart_line line{layer.name, {0.0}, {curves.whole}};
        for (std::size_t i = 0; i < std::min(curves.shares.size(), layer.quality.size()); ++i)
        {
            line.x.push_back(100 * curves.shares[i]);
            line.y.push_back(layer.quality[i]);
        }
        chart.lines.push_back(std::move(line));
    }
    return compress::to_svg(chart);
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
