#include <structopt/compress/picture.hpp>

#include <doctest/doctest.h>

#include "support/xml.hpp"

#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace test_picture
{

using namespace structopt;
using compress::report;
using support::times;
using support::well_formed;

namespace
{

report variant(const std::string& name, double accuracy, std::size_t bytes)
{
    report r;
    r.name = name;
    r.accuracy = accuracy;
    r.bytes = bytes;
    return r;
}

struct label
{
    double left;
    double right;
    double baseline;
    std::string text;
};

double attribute(const std::string& tag, const std::string& name)
{
    const auto at = tag.find(" " + name + "=\"");
    REQUIRE(at != std::string::npos);
    return std::strtod(tag.c_str() + at + name.size() + 3, nullptr);
}

/// The texts with an "x" ratio: labels of points.
std::vector<label> labels_of(const std::string& svg)
{
    std::vector<label> labels;
    for (std::size_t i = svg.find("<text"); i != std::string::npos; i = svg.find("<text", i + 1))
    {
        const auto close = svg.find('>', i);
        const std::string tag = svg.substr(i, close - i);
        const std::string text = svg.substr(close + 1, svg.find('<', close) - close - 1);
        if (text.size() < 4 || text.back() != 'x' || text.find(", ") == std::string::npos)
        {
            continue;
        }
        const double x = attribute(tag, "x");
        const double width = 7.0 * static_cast<double>(text.size());
        const double left = tag.find("\"start\"") != std::string::npos ? x
                            : tag.find("\"end\"") != std::string::npos ? x - width
                                                                       : x - width / 2;
        labels.push_back({left, left + width, attribute(tag, "y"), text});
    }
    return labels;
}

bool apart(const label& a, const label& b)
{
    return a.right <= b.left || b.right <= a.left || std::abs(a.baseline - b.baseline) >= 13;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a picture of five variants: points, labels, nothing on top of anything")
    {
        const report list[] = {variant("dense", 0.9711, 72248), variant("pruned", 0.9688, 20520),
            variant("pruned int8", 0.9666, 6372), variant("narrow int8", 0.9666, 6100),
            variant("small dense", 0.9288, 6456)};
        const std::string svg = compress::to_svg(list, {.title = "a < b & c > d"});
        CHECK(well_formed(svg));
        CHECK(svg.find("a &lt; b &amp; c &gt; d") != std::string::npos);
        CHECK(times(svg, "<circle") == 5);
        CHECK(times(svg, "\"#888\"") == 1);
        const auto labels = labels_of(svg);
        REQUIRE(labels.size() == 5);
        CHECK(labels[0].text == "dense, 1.0x");
        CHECK(labels[2].text == "pruned int8, 11.3x");
        for (std::size_t i = 0; i < 5; ++i)
        {
            CHECK(labels[i].left >= 90);
            CHECK(labels[i].right <= 730);
            for (std::size_t j = 0; j < i; ++j)
            {
                CHECK_MESSAGE(apart(labels[i], labels[j]), labels[i].text, " and ", labels[j].text);
            }
        }
        CHECK(svg.find("20 kB") != std::string::npos);
        CHECK(svg.find("94 %") != std::string::npos);
    }
}

TEST_CASE("higher is better, and smaller is to the left")
{
    const report list[] = {variant("a", 0.9, 100000), variant("b", 0.8, 1000)};
    const std::string svg = compress::to_svg(list);
    const auto first = svg.find("<circle");
    const auto second = svg.find("<circle", first + 1);
    CHECK(attribute(svg.substr(first), "cx") > attribute(svg.substr(second), "cx") + 400);
    CHECK(attribute(svg.substr(first), "cy") < attribute(svg.substr(second), "cy") - 100);
}

TEST_CASE("extremes: nothing, one point, equal points, many decades, no accuracy")
{
    CHECK(well_formed(compress::to_svg(std::span<const report>())));
    const report one[] = {variant("only", 1.0, 0)};
    const std::string single = compress::to_svg(one);
    CHECK(well_formed(single));
    CHECK(single.find("100.0 %") != std::string::npos);
    CHECK(single.find("100.1 %") == std::string::npos);
    CHECK(single.find("nan") == std::string::npos);
    CHECK(single.find("inf") == std::string::npos);

    const report equal[] = {variant("a", 0.5, 10), variant("b", 0.5, 10), variant("c", 0.5, 10)};
    const auto labels = labels_of(compress::to_svg(equal));
    REQUIRE(labels.size() == 3);
    CHECK(apart(labels[0], labels[1]));
    CHECK(apart(labels[1], labels[2]));
    CHECK(apart(labels[0], labels[2]));

    const report far[] = {variant("huge", 0.0, 5'000'000'000), variant("tiny", 1.0, 1)};
    const std::string wide = compress::to_svg(far, {.width = 400, .height = 300});
    CHECK(well_formed(wide));
    CHECK(wide.find("1 GB") != std::string::npos);
    CHECK(wide.find("20 kB") == std::string::npos);
    CHECK(wide.find("110 %") == std::string::npos);
    CHECK(wide.find("-10 %") == std::string::npos);
    CHECK(wide.find(">0 %") != std::string::npos);

    report unmeasured = variant("d", 0, 50);
    unmeasured.accuracy.reset();
    const report unknown[] = {unmeasured, variant("a", 0.9, 1000),
        variant("b", std::numeric_limits<double>::quiet_NaN(), 100), variant("c\x01\n", 0.8, 10)};
    const std::string svg = compress::to_svg(unknown);
    CHECK(well_formed(svg));
    CHECK(times(svg, "<circle") == 2);
    CHECK(svg.find("nan") == std::string::npos);
}

} // namespace test_picture
