#include <structopt/compress/chart.hpp>

#include <doctest/doctest.h>

#include "support/xml.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

namespace test_chart
{

using namespace structopt;
using support::times;
using support::well_formed;

namespace
{

/// The pixels of the i-th line.
std::vector<std::pair<double, double>> pixels(const std::string& svg, int line)
{
    std::size_t at = 0;
    for (int i = 0; i <= line; ++i)
    {
        at = svg.find("<polyline points=\"", at + 1);
        REQUIRE(at != std::string::npos);
    }
    const char* next = svg.c_str() + at + std::string("<polyline points=\"").size();
    std::vector<std::pair<double, double>> list;
    while (*next != '"')
    {
        char* end = nullptr;
        const double x = std::strtod(next, &end);
        REQUIRE(*end == ',');
        const double y = std::strtod(end + 1, &end);
        list.emplace_back(x, y);
        next = *end == ' ' ? end + 1 : end;
    }
    return list;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a chart of two lines")
    {
        const std::string svg = compress::to_svg(compress::line_chart{.title = "T < U",
            .x_label = "across",
            .y_label = "up",
            .lines = {{"first", {0, 50, 100}, {1.0, 0.5, 0.0}}, {"second", {0, 100}, {1.0, 1.0}}},
            .level_name = "level",
            .level = 0.25});
        CHECK(well_formed(svg));
        CHECK(times(svg, "<polyline") == 2);
        CHECK(times(svg, "<circle") == 3 + 2 + 2); // the points and one per name
        CHECK(times(svg, ">T &lt; U<") == 1);
        for (const char* const text :
            {"across", "up", "first", "second", "level", "0.2", "1.0", "20"})
        {
            CHECK_MESSAGE(times(svg, ">" + std::string(text) + "<") == 1, text);
        }
        CHECK(times(svg, ">-0") == 0);
        const auto first = pixels(svg, 0);
        const auto second = pixels(svg, 1);
        REQUIRE(first.size() == 3);
        // To the right, downwards, evenly; both lines on the same axes, inside the sheet.
        CHECK(first[1].first - first[0].first ==
              doctest::Approx(first[2].first - first[1].first).epsilon(1e-3));
        CHECK(first[1].second - first[0].second ==
              doctest::Approx(first[2].second - first[1].second).epsilon(1e-3));
        CHECK(first[2].second - first[0].second > 250);
        CHECK(second[0] == first[0]);
        CHECK(second[1].first == first[2].first);
        CHECK(second[1].second == second[0].second);
        CHECK(first[0].first >= 90);
        CHECK(first[0].second >= 60);
        CHECK(first[2].first < 760 - 100);
        CHECK(first[2].second <= 460 - 60);
    }
}

TEST_CASE("nothing, one point, numbers that are none, many lines with long names")
{
    CHECK(well_formed(compress::to_svg(compress::line_chart{})));
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto drawn = [](std::vector<compress::chart_line> lines)
    {
        compress::line_chart chart;
        chart.lines = std::move(lines);
        const std::string svg = compress::to_svg(chart);
        CHECK(well_formed(svg));
        CHECK(times(svg, "nan") == 0);
        CHECK(times(svg, "inf") == 0);
        return svg;
    };
    drawn({{"one", {3}, {7}}});
    drawn({{"zero", {0}, {0}}});
    const auto gap = drawn({{"gap", {0, 1, 2, 3}, {1, nan, 3}}});
    CHECK(pixels(gap, 0).size() == 2);
    drawn({{"none", {nan}, {1}}});
    drawn({{"tiny", {0, 1}, {-1e-9, -3e-9}}, {"huge", {0, 1e12}, {1e9, 2e9}}});

    std::vector<compress::chart_line> many;
    for (int i = 0; i < 30; ++i)
    {
        many.push_back(
            {"a_layer_with_a_name_that_says_far_too_much_about_where_it_is." + std::to_string(i),
                {0, 1}, {0, static_cast<double>(i)}});
    }
    const auto long_names = drawn(many);
    CHECK(times(long_names, "...<") == 30);
    CHECK(times(long_names, "height=\"720\"") == 1);                   // 120 + 30 rows of 20
    CHECK(times(long_names, "stroke-dasharray=\"7 3\"") == 2 * 2 * 6); // lines 6-11, 24-29
}

TEST_CASE("steps of axes")
{
    using list = std::vector<double>;
    CHECK(compress::detail::ticks(0, 100, 6) == list{0, 20, 40, 60, 80, 100});
    CHECK(compress::detail::ticks(-1.1, 1.1, 4) == list{-1, -0.5, 0, 0.5, 1});
    CHECK(compress::detail::decimals_of(20) == 0);
    CHECK(compress::detail::decimals_of(0.5) == 1);
    CHECK(compress::detail::decimals_of(0.01) == 2);
}

} // namespace test_chart
