/// @file
/// Before and after as a picture: every quantity of a report as bars.
#pragma once

#include <structopt/compress/drawing.hpp>
#include <structopt/compress/report.hpp>
#include <structopt/compress/text.hpp>
#include <structopt/core/finite.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace compress
{

/// What stands on the picture of a comparison.
struct comparison_options
{
    std::string title = "Before and after";
    int width = 760;
};

/// An SVG with a group of bars for each quantity of the reports: accuracy, parameters, non-zeros, bytes on
/// disk, multiply-adds, activations, latencies; a bar per variant, as long as its share of the first one's,
/// with the number and the share beside it; bars of more than twice the first are cut.
///
/// Quantities that no variant has (an accuracy that was not measured) are left out. The height follows the
/// number of variants.
std::string to_comparison(std::span<const report> variants, const comparison_options& options = {});

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// One quantity of all variants; a number that is none stands for no bar.
struct compared
{
    std::string name;
    std::vector<double> values;
    std::vector<std::string> labels;

    bool any() const noexcept
    {
        return std::any_of(values.begin(), values.end(),
            [](double value)
            {
                return value > 0;
            });
    }
};

/// The quantities of reports that some variant has.
inline std::vector<compared> quantities_of(std::span<const report> variants)
{
    std::vector<compared> list;
    const auto add = [&](std::string name, const auto& value_of, const auto& label_of)
    {
        compared quantity{std::move(name), {}, {}};
        for (const report& r : variants)
        {
            const double value = static_cast<double>(value_of(r));
            const bool good = structopt::detail::is_finite(value) && value > 0;
            quantity.values.push_back(good ? value : 0.0);
            quantity.labels.push_back(
                structopt::detail::is_finite(value) ? label_of(value) : std::string());
        }
        if (quantity.any())
        {
            list.push_back(std::move(quantity));
        }
    };
    const auto number = [](double value)
    {
        return detail::short_number(value);
    };
    const auto bytes = [](double value)
    {
        return detail::short_bytes(value);
    };
    const auto microseconds = [](double value)
    {
        return decimal(value, value < 100 ? 2 : 0) + " us";
    };
    add(
        "accuracy",
        [](const report& r)
        {
            return r.accuracy.value_or(0.0);
        },
        [](double value)
        {
            return decimal(100 * value, 2) + " %";
        });
    add(
        "parameters",
        [](const report& r)
        {
            return r.parameters;
        },
        number);
    add(
        "non-zeros",
        [](const report& r)
        {
            return r.nonzeros;
        },
        number);
    add(
        "bytes on disk",
        [](const report& r)
        {
            return r.bytes;
        },
        bytes);
    add(
        "multiply-adds",
        [](const report& r)
        {
            return r.multiply_adds;
        },
        number);
    add(
        "peak activations",
        [](const report& r)
        {
            return r.activation_bytes;
        },
        bytes);
    add(
        "latency, batch 1",
        [](const report& r)
        {
            return r.latency_us_batch1;
        },
        microseconds);
    add(
        "latency, batch 64",
        [](const report& r)
        {
            return r.latency_us_batch64;
        },
        microseconds);
    return list;
}

/// The colour of a variant: the first one's is grey.
constexpr const char* variant_color(std::size_t i) noexcept
{
    return i == 0 ? "#888" : color_of(i - 1);
}

} // namespace detail

inline std::string to_comparison(
    std::span<const report> variants, const comparison_options& options)
{
    constexpr double bar = 16;
    constexpr double gap = 14;
    constexpr double row = 20;
    const auto quantities = detail::quantities_of(variants);
    const detail::box plot{150, 0, std::max(250.0, options.width - 150.0), 0};

    // The names of the variants, as many in a row as fit.
    std::vector<std::pair<double, double>> places;
    double x = 20;
    double y = 60;
    for (const report& r : variants)
    {
        const double width = 40 + 7.0 * static_cast<double>(r.name.size());
        if (x > 20 && x + width > options.width)
        {
            x = 20;
            y += row;
        }
        places.emplace_back(x, y);
        x += width;
    }
    const double top = y + row;
    const double group = bar * static_cast<double>(variants.size()) + gap;
    const double bottom = top + group * static_cast<double>(quantities.size());

    double longest = 1;
    for (const detail::compared& quantity : quantities)
    {
        for (const double value : quantity.values)
        {
            const double first = quantity.values.front();
            longest = std::max(longest, first > 0 ? value / first : 1.0);
        }
    }
    // One that is far longer than the first is cut, rather than all others squeezed.
    longest = std::min(longest, 2.0);
    const double unit = (plot.right - plot.left) / longest;

    detail::drawing svg(options.width, static_cast<int>(bottom + 24));
    svg.title(20, options.title);
    for (std::size_t i = 0; i < variants.size(); ++i)
    {
        const auto [left, middle] = places[i];
        svg.rectangle({left, middle - 6, left + 12, middle + 6}, detail::variant_color(i));
        svg.text(left + 18, middle + 5, "start", variants[i].name);
    }
    svg.line(plot.left, top - 4, plot.left, bottom - gap + 4, "#222");
    svg.line(plot.left + unit, top - 4, plot.left + unit, bottom - gap + 4, "#666",
        " stroke-dasharray=\"4 4\"");
    // Numbers stay legible on the line.
    const char* const halo =
        " font-size=\"12\" stroke=\"white\" stroke-width=\"3\" paint-order=\"stroke\"";
    double at = top;
    for (const detail::compared& quantity : quantities)
    {
        svg.text(plot.left - 10, at + (group - gap) / 2 + 5, "end", quantity.name);
        const double first = quantity.values.front();
        for (std::size_t i = 0; i < quantity.values.size(); ++i)
        {
            const double value = quantity.values[i];
            const double from = at + bar * static_cast<double>(i);
            const double share = first > 0 ? value / first : (value > 0 ? 1.0 : 0.0);
            const double end = plot.left + unit * std::min(share, longest);
            svg.rectangle({plot.left, from + 1, end, from + bar - 1}, detail::variant_color(i));
            if (share > longest)
            {
                const double cut = end - 16;
                svg.line(cut, from + bar, cut + 6, from, "white", " stroke-width=\"4\"");
            }
            std::string label = quantity.labels[i];
            if (i > 0 && first > 0 && quantity.name != "accuracy")
            {
                label += ", " + detail::decimal(100 * share, share < 0.1 ? 1 : 0) + " %";
            }
            svg.text(end + 6, from + bar - 4, "start", label, halo);
        }
        at += group;
    }
    return svg.finish();
}

} // namespace compress
STRUCTOPT_END_NAMESPACE
