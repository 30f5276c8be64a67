#include <structopt/compress/curves.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/xml.hpp"

#include <limits>
#include <string>

namespace test_curves
{

using namespace structopt;

namespace
{

prune::sensitivity made_up()
{
    return {.shares = {0.5, 0.8, 0.995},
        .whole = 0.98125,
        .layers = {{"0.weight", 200, {0.9, 0.5, 0.1}}, {"2.weight", 3000, {0.98, 0.97, 0.96}}}};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a table of curves, to the letter")
    {
        CHECK(compress::to_table(made_up()) == "layer pruned  weights    50 %    80 %  99.5 %\n"
                                               "none             3200  0.9812  0.9812  0.9812\n"
                                               "0.weight          200  0.9000  0.5000  0.1000\n"
                                               "2.weight         3000  0.9800  0.9700  0.9600\n");
        auto small = made_up();
        small.whole = -1.5e-5;
        small.layers = {{"0.weight", 9, {-2e-5, -1e-5, -4e-6}}};
        CHECK(compress::to_table(small).find("-0.00001500") != std::string::npos);
    }

    TEST_CASE("JSON gives the numbers back")
    {
        auto curves = made_up();
        curves.layers[0].name = "\"0\"";
        curves.layers[0].quality[2] = 1.0 / 3;
        curves.layers[1].quality[1] = std::numeric_limits<double>::quiet_NaN();
        const auto json = nlohmann::json::parse(compress::to_json(curves));
        CHECK(json["whole"] == 0.98125);
        CHECK(json["shares"] == nlohmann::json(curves.shares));
        REQUIRE(json["layers"].size() == 2);
        CHECK(json["layers"][0]["name"] == "\"0\"");
        CHECK(json["layers"][0]["weights"] == 200);
        CHECK(json["layers"][0]["quality"] == nlohmann::json(curves.layers[0].quality));
        CHECK(json["layers"][1]["quality"][1].is_null());
    }
}

TEST_CASE("a picture: a line per layer from the whole network on")
{
    const std::string svg =
        compress::to_svg(made_up(), {.title = "Where it hurts", .quality = "accuracy"});
    CHECK(support::well_formed(svg));
    CHECK(support::times(svg, "<polyline") == 2);
    CHECK(support::times(svg, "<circle") == 2 * 4 + 2);
    for (const char* const text :
        {"Where it hurts", "accuracy", "0.weight", "2.weight", "whole network"})
    {
        CHECK_MESSAGE(support::times(svg, ">" + std::string(text) + "<") == 1, text);
    }
    CHECK(support::well_formed(compress::to_svg(prune::sensitivity{})));
}

} // namespace test_curves
