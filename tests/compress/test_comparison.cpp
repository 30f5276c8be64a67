#include <structopt/compress/comparison.hpp>

#include <doctest/doctest.h>

#include "support/xml.hpp"

#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

namespace test_comparison
{

using namespace structopt;
using compress::report;
using support::times;
using support::well_formed;

namespace
{

std::vector<report> before_and_after()
{
    report before;
    before.name = "dense";
    before.accuracy = 0.9811;
    before.parameters = before.nonzeros = 20000;
    before.bytes = 80000;
    before.multiply_adds = 15000;
    before.activation_bytes = 4096;
    before.latency_us_batch1 = 10;
    before.latency_us_batch64 = 400;
    report after = before;
    after.name = "narrow & small";
    after.accuracy = 0.975;
    after.parameters = after.nonzeros = 5000;
    after.bytes = 8000;
    after.multiply_adds = 3000;
    after.activation_bytes = 1024;
    after.latency_us_batch1 = 2.5;
    after.latency_us_batch64 = 500;
    return {before, after};
}

/// The widths of the rectangles of one colour, the names' squares left out.
std::vector<double> bars(const std::string& svg, const std::string& color)
{
    std::vector<double> widths;
    for (std::size_t i = svg.find("<rect x="); i != std::string::npos;
         i = svg.find("<rect x=", i + 1))
    {
        const std::string tag = svg.substr(i, svg.find('>', i) - i);
        if (tag.find("fill=\"" + color) != std::string::npos)
        {
            widths.push_back(std::strtod(tag.c_str() + tag.find("width=\"") + 7, nullptr));
        }
    }
    widths.erase(widths.begin());
    return widths;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("bars are shares of the first variant")
    {
        const auto list = before_and_after();
        const std::string svg = compress::to_comparison(list);
        CHECK(well_formed(svg));
        for (const char* const name : {"accuracy", "parameters", "non-zeros", "bytes on disk",
                 "multiply-adds", "peak activations", "latency, batch 1", "latency, batch 64",
                 "dense", "narrow &amp; small"})
        {
            CHECK_MESSAGE(times(svg, ">" + std::string(name) + "<") == 1, name);
        }
        CHECK(times(svg, ">97.50 %<") == 1);
        CHECK(times(svg, ">20 k<") == 2);
        CHECK(times(svg, ">5000, 25 %<") == 2);
        CHECK(times(svg, ">8 kB, 10 %<") == 1);
        CHECK(times(svg, ">2.50 us, 25 %<") == 1);
        CHECK(times(svg, ">500 us, 125 %<") == 1);
        const auto grey = bars(svg, "#888");
        const auto blue = bars(svg, "#0072b2");
        const double shares[] = {0.975 / 0.9811, 0.25, 0.25, 0.1, 0.2, 0.25, 0.25, 1.25};
        REQUIRE(grey.size() == 8);
        REQUIRE(blue.size() == 8);
        for (std::size_t i = 0; i < 8; ++i)
        {
            CHECK(grey[i] == grey[0]);
            CHECK(blue[i] / grey[i] == doctest::Approx(shares[i]).epsilon(2e-3));
        }
        CHECK(blue[7] < 760 - 150);
    }
}

TEST_CASE("a bar far longer than the first is cut, the others keep their lengths")
{
    auto list = before_and_after();
    list[1].latency_us_batch64 = 3600;
    const std::string svg = compress::to_comparison(list);
    CHECK(well_formed(svg));
    CHECK(times(svg, ">3600 us, 900 %<") == 1);
    const auto grey = bars(svg, "#888");
    const auto blue = bars(svg, "#0072b2");
    CHECK(blue[7] / grey[7] == doctest::Approx(2).epsilon(2e-3));
    CHECK(blue[1] / grey[1] == doctest::Approx(0.25).epsilon(2e-3));
    CHECK(times(svg, "stroke=\"white\" stroke-width=\"4\"") == 1);
}

TEST_CASE("what nobody has measured is left out")
{
    auto list = before_and_after();
    list[0].accuracy.reset();
    list[1].accuracy.reset();
    list[0].latency_us_batch64 = list[1].latency_us_batch64 = 0;
    list[1].latency_us_batch1 = std::numeric_limits<double>::quiet_NaN();
    const std::string svg = compress::to_comparison(list, {.title = "a < b", .width = 400});
    CHECK(well_formed(svg));
    CHECK(times(svg, ">a &lt; b<") == 1);
    CHECK(times(svg, ">accuracy<") == 0);
    CHECK(times(svg, ">latency, batch 64<") == 0);
    CHECK(times(svg, ">latency, batch 1<") == 1);
    CHECK(times(svg, "nan") == 0);
    CHECK(well_formed(compress::to_comparison({})));
    const report nothing[] = {report{}, report{}};
    CHECK(bars(compress::to_comparison(nothing), "#888").empty());
    // The first one has none: the bar of another is drawn, without a share.
    list[0].latency_us_batch1 = 0;
    list[1].latency_us_batch1 = 3;
    CHECK(times(compress::to_comparison(list), ">3.00 us<") == 1);
}

} // namespace test_comparison
