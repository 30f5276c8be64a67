#include <structopt/compress/table.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace test_table
{

using namespace structopt;
using compress::report;

namespace
{

std::vector<report> variants()
{
    report dense;
    dense.name = "dense";
    dense.accuracy = 0.98765;
    dense.parameters = 12345;
    dense.nonzeros = 12345;
    dense.bytes = 50000;
    dense.multiply_adds = 12000;
    dense.activation_bytes = 800;
    dense.scratch_bytes = 1024;
    dense.latency_us_batch1 = 1.5;
    dense.latency_us_batch64 = 40.25;
    dense.layers = {
        {"0", "dense", "dense", 12000, 12000, 48000, 11900}, {"1", "relu", "", 0, 0, 0, 0}};
    report small = dense;
    small.name = "pruned + \"int8\" \\ \n<&>";
    small.accuracy = 1;
    small.bytes = 4000;
    small.layers.clear();
    return {dense, small};
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
    {
        lines.push_back(line);
    }
    return lines;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a table of variants, to the letter")
    {
        auto list = variants();
        list[1].name = "pruned";
        list[1].accuracy.reset();
        CHECK(compress::to_table(list) == "variant  accuracy  parameters  non-zeros  bytes  ratio  "
                                          "multiply-adds  activation bytes"
                                          "  us, batch 1  us, batch 64\n"
                                          "dense     98.77 %       12345      12345  50000   1.0x  "
                                          "        12000               800"
                                          "         1.50         40.25\n"
                                          "pruned          -       12345      12345   4000  12.5x  "
                                          "        12000               800"
                                          "         1.50         40.25\n");
    }

    TEST_CASE("JSON says all of it")
    {
        const auto list = variants();
        const auto json = nlohmann::json::parse(compress::to_json(list));
        REQUIRE(json.size() == 2);
        CHECK(json[0]["name"] == "dense");
        CHECK(json[0]["accuracy"] == 0.98765);
        CHECK(json[0]["parameters"] == 12345);
        CHECK(json[0]["nonzeros"] == 12345);
        CHECK(json[0]["bytes"] == 50000);
        CHECK(json[0]["ratio"] == 1.0);
        CHECK(json[0]["multiply_adds"] == 12000);
        CHECK(json[0]["activation_bytes"] == 800);
        CHECK(json[0]["scratch_bytes"] == 1024);
        CHECK(json[0]["latency_us_batch1"] == 1.5);
        CHECK(json[0]["latency_us_batch64"] == 40.25);
        REQUIRE(json[0]["layers"].size() == 2);
        CHECK(json[0]["layers"][0]["type"] == "dense");
        CHECK(json[0]["layers"][0]["bytes"] == 48000);
        CHECK(json[0]["layers"][1]["format"] == "");
        CHECK(json[1]["name"] == list[1].name);
        CHECK(json[1]["ratio"] == 12.5);
        CHECK(json[1]["layers"].empty());
        CHECK(json[1].size() == 12);
    }
}

TEST_CASE("a table of layers ends with the whole")
{
    const auto lines = lines_of(compress::to_layer_table(variants()[0]));
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "layer       format  parameters  non-zeros  bytes  multiply-adds");
    CHECK(lines[1] == "0 dense      dense       12000      12000  48000          11900");
    CHECK(lines[2] == "1 relu                       0          0      0              0");
    CHECK(lines[3] == "whole file               12345      12345  50000          12000");
}

TEST_CASE("nothing to show")
{
    CHECK(lines_of(compress::to_table(std::span<const report>())).size() == 1);
    CHECK(nlohmann::json::parse(compress::to_json(std::span<const report>())).empty());
    report nothing;
    const report list[] = {nothing};
    CHECK(nlohmann::json::parse(compress::to_json(list))[0]["ratio"] == 0.0);
    CHECK(lines_of(compress::to_table(list)).size() == 2);
}

TEST_CASE("numbers that are none are null, long ones stay numbers")
{
    auto list = variants();
    list[0].accuracy = std::numeric_limits<double>::quiet_NaN();
    list[0].latency_us_batch1 = std::numeric_limits<double>::infinity();
    list[0].latency_us_batch64 = std::numeric_limits<double>::max();
    list[1].accuracy = -1e-9;
    const auto json = nlohmann::json::parse(compress::to_json(list));
    CHECK(json[0]["accuracy"].is_null());
    CHECK(json[0]["latency_us_batch1"].is_null());
    CHECK(json[0]["latency_us_batch64"] == std::numeric_limits<double>::max());
    CHECK(json[1]["accuracy"] == 0.0);
    CHECK(compress::to_table(list).find("nan") == std::string::npos);
    list[1].accuracy.reset();
    CHECK(nlohmann::json::parse(compress::to_json(list))[1]["accuracy"].is_null());
}

} // namespace test_table
