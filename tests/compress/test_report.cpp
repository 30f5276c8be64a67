// Reports against numbers worked out by hand.

#include <structopt/compress.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

using namespace structopt;

namespace
{

auto small_net()
{
    random_engine rng(1);
    return nn::sequential{nn::conv2d{{.in = 1, .out = 2, .kernel = 3, .padding = 1}, rng},
        nn::relu{}, nn::max_pool2d{{.kernel = 2}}, nn::flatten{},
        nn::sequential{nn::dense{{.in = 8, .out = 3}, rng}}};
}

const shape<4> sample{64, 1, 4, 4};

constexpr compress::latency_options quick{.seconds = 0.001, .groups = 1};

} // namespace

TEST_SUITE("smoke.compress")
{
    TEST_CASE("a report counts parameters, bytes, multiply-adds and activations")
    {
        auto net = small_net();
        net.layer<0>().weight(1, 0, 2, 2) = 0;
        const auto r = compress::measure(net, sample, "net", 0.5, quick);
        CHECK(r.name == "net");
        CHECK(r.accuracy == 0.5);
        REQUIRE(r.layers.size() == 5);
        CHECK(r.layers[0].name == "0");
        CHECK(r.layers[0].type == "conv2d");
        CHECK(r.layers[0].format == "dense");
        CHECK(r.layers[0].parameters == 2 * 9 + 2);
        CHECK(r.layers[0].nonzeros == 2 * 9 - 1); // one weight and both biases are zero
        CHECK(r.layers[0].bytes == 4 * 20);
        CHECK(r.layers[0].multiply_adds == 2 * 9 * 16);
        CHECK(r.layers[1].parameters == 0);
        CHECK(r.layers[4].name == "4.0");
        CHECK(r.layers[4].type == "dense");
        CHECK(r.layers[4].multiply_adds == 24);
        CHECK(r.parameters == 20 + 27);
        CHECK(r.nonzeros == 17 + 24);
        CHECK(r.multiply_adds == 288 + 24);
        // The convolution: one plane of 4x4 in, two out. The activation works in place.
        CHECK(r.activation_bytes == 4 * (16 + 32));
        const auto packed = nn::pack(net);
        CHECK(r.scratch_bytes == nn::scratch_bytes<float>(packed, shape<4>{1, 1, 4, 4}));
        CHECK(r.latency_us_batch1 > 0);
        CHECK(r.latency_us_batch64 > 0);
    }
}

TEST_CASE("bytes are those of the file")
{
    const auto net = small_net();
    const std::string path = "report_bytes.safetensors";
    io::save_state(net, path);
    CHECK(
        compress::measure(net, sample, "net", 0, quick).bytes == std::filesystem::file_size(path));
    const auto int8 = quantize::convert(net);
    io::save_state(int8, path);
    const auto r = compress::measure(int8, sample, "int8", 0, quick);
    CHECK(r.bytes == std::filesystem::file_size(path));
    CHECK(r.layers[0].format == "int8");
    CHECK(r.layers[0].bytes == 18 + 2 * 4 + 2 * 4); // codes, scales, biases
    std::filesystem::remove(path);
}

TEST_CASE("a sparse layer reports what it stores")
{
    auto net = small_net();
    prune::apply(net, prune::magnitude{}, {.sparsity = 0.5});
    const auto r = compress::measure(
        nn::convert<sparse::csr<float, std::uint8_t>>(net), sample, "csr", 0, quick);
    CHECK(r.layers[4].format == "csr8");
    CHECK(r.layers[4].nonzeros == 12);
    CHECK(r.layers[4].multiply_adds == 12);
    CHECK(r.layers[4].bytes == 4 * 4 + 12 + 12 * 4 + 3 * 4); // offsets, indices, values, biases
}

TEST_CASE("tables have a line per variant and per layer, in aligned columns")
{
    const auto net = small_net();
    const std::vector<compress::report> variants{
        compress::measure(net, sample, "dense", 0.9, quick),
        compress::measure(quantize::convert(net), sample, "a longer name", 0.875, quick)};
    const std::string table = compress::to_table(variants);
    std::vector<std::size_t> lengths;
    for (std::size_t from = 0; from < table.size();)
    {
        const std::size_t end = table.find('\n', from);
        REQUIRE(end != std::string::npos);
        lengths.push_back(end - from);
        from = end + 1;
    }
    REQUIRE(lengths.size() == 3);
    CHECK(lengths[0] == lengths[1]);
    CHECK(lengths[1] == lengths[2]);
    CHECK(table.find("87.50 %") != std::string::npos);
    CHECK(table.find("1.0x") != std::string::npos);
    const std::string layers = compress::to_layer_table(variants[0]);
    CHECK(layers.find("4.0 dense") != std::string::npos);
    CHECK(layers.find("whole file") != std::string::npos);
}

TEST_CASE("JSON is read back by a JSON library")
{
    const auto net = small_net();
    std::vector<compress::report> variants{
        compress::measure(net, sample, "quote \" and \\ and \n", 0.9, quick)};
    variants.push_back(variants.front());
    variants.back().bytes /= 2;
    const auto json = nlohmann::json::parse(compress::to_json(variants));
    REQUIRE(json.size() == 2);
    CHECK(json[0]["name"] == "quote \" and \\ and \n");
    CHECK(json[0]["accuracy"] == 0.9);
    CHECK(json[0]["parameters"] == 47);
    CHECK(json[0]["nonzeros"] == variants[0].nonzeros);
    CHECK(json[0]["bytes"] == variants[0].bytes);
    CHECK(json[0]["ratio"] == 1.0);
    CHECK(json[1]["ratio"].get<double>() == doctest::Approx(2).epsilon(0.01));
    CHECK(json[0]["latency_us_batch1"].is_number());
    CHECK(json[0]["latency_us_batch64"].is_number());
    CHECK(json[0]["layers"].size() == 5);
    CHECK(json[0]["layers"][0]["type"] == "conv2d");
}

TEST_CASE("the picture is well-formed and shows every variant")
{
    std::vector<compress::report> variants(3);
    variants[0].name = "dense <a&b>";
    variants[0].bytes = 80000;
    variants[0].accuracy = 0.97;
    variants[1].name = "small";
    variants[1].bytes = 4000;
    variants[1].accuracy = 0.965;
    variants[2].name = "same place";
    variants[2].bytes = 4000;
    variants[2].accuracy = 0.965;
    const std::string svg = compress::to_svg(variants);
    CHECK(svg.rfind("<svg ", 0) == 0);
    CHECK(svg.find("dense &lt;a&amp;b&gt;") != std::string::npos);
    std::size_t circles = 0;
    std::size_t opened = 0;
    std::size_t closed = 0;
    for (std::size_t i = 0; i < svg.size(); ++i)
    {
        circles += svg.compare(i, 7, "<circle") == 0;
        opened += svg[i] == '<' && svg[i + 1] != '/';
        closed += svg.compare(i, 2, "</") == 0 || svg.compare(i, 2, "/>") == 0;
    }
    CHECK(circles == 3);
    CHECK(opened == closed);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(compress::to_svg({}).find("</svg>") != std::string::npos);
}
