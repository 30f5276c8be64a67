#include <structopt/compress/report.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>

namespace test_report
{

using namespace structopt;
using compress::latency_options;

namespace
{

constexpr latency_options quick{.seconds = 1e-4, .groups = 1};

/// All parameters that are not zero, none of them by chance.
template <class Network>
void fill(Network& net)
{
    nn::visit_parameters(net,
        [&](const nn::parameter_name&, auto& parameter, nn::role)
        {
            parameter.fill(0.5f);
        });
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a small network, counted by hand")
    {
        random_engine rng(1);
        nn::sequential net{nn::dense{{.in = 10, .out = 6}, rng}, nn::relu{},
            nn::dense{{.in = 6, .out = 3, .bias = false}, rng}};
        fill(net);
        net.layer<0>().weight(2, 3) = 0.0f;
        net.layer<0>().weight(2, 4) = -0.0f;
        net.layer<0>().bias(1) = 0.0f;
        const auto r = compress::measure(net, shape<2>{99, 10}, "small", 0.875, quick);
        CHECK(r.name == "small");
        CHECK(r.accuracy == 0.875);
        REQUIRE(r.layers.size() == 3);
        using row = compress::layer_report;
        CHECK(r.layers[0] == row{"0", "dense", "dense", 66, 63, 66 * 4, 60});
        CHECK(r.layers[1] == row{"1", "relu", "", 0, 0, 0, 0});
        CHECK(r.layers[2] == row{"2", "dense", "dense", 18, 18, 18 * 4, 18});
        CHECK(r.parameters == 84);
        CHECK(r.nonzeros == 81);
        CHECK(r.multiply_adds == 78);
        // 10 + 6 for the first layer; ReLU works in place, 6 + 3 for the last.
        CHECK(r.activation_bytes == 16 * 4);
        // The hidden layer's 6 numbers, aligned, and what the packed products ask for.
        const auto packed = nn::pack(net);
        CHECK(r.scratch_bytes == nn::scratch_bytes<float>(packed, shape<2>{1, 10}));
        CHECK(r.scratch_bytes >= 24);
        CHECK(r.latency_us_batch1 > 0);
        CHECK(r.latency_us_batch64 > 0);

        support::scratch_folder folder;
        const auto path = folder.path("net.safetensors");
        io::save_state(net, path);
        CHECK(r.bytes == support::slurp(path).size());
    }
}

TEST_CASE("formats of their own: what is stored counts")
{
    random_engine rng(2);
    nn::sequential net{
        nn::dense{{.in = 10, .out = 6}, rng}, nn::relu{}, nn::dense{{.in = 6, .out = 3}, rng}};
    fill(net);
    for (index_t c = 1; c < 10; ++c)
    {
        net.layer<0>().weight(0, c) = 0;
    }
    const auto sparse = nn::convert<sparse::csr<float, std::uint8_t>>(net);
    auto r = compress::measure(sparse, shape<2>{1, 10}, "sparse", 0, quick);
    using row = compress::layer_report;
    CHECK(r.layers[0] == row{"0", "dense", "csr8", 66, 57, 7 * 4 + 51 * 5 + 6 * 4, 51});
    CHECK(r.layers[2] == row{"2", "dense", "csr8", 21, 21, 4 * 4 + 18 * 5 + 3 * 4, 18});
    CHECK(r.parameters == 87);
    CHECK(r.nonzeros == 78);
    CHECK(r.multiply_adds == 69);
    CHECK(r.bytes == io::state_bytes(sparse));

    const auto int8 = quantize::convert(net);
    r = compress::measure(int8, shape<2>{1, 10}, "int8", 0, quick);
    CHECK(r.layers[0] == row{"0", "dense", "int8", 66, 66, 60 + 6 * 4 + 6 * 4, 60});

    const auto any = nn::convert_smallest<tensor<float, 2>, sparse::csr<float, std::uint8_t>>(net);
    r = compress::measure(any, shape<2>{1, 10}, "any", 0, quick);
    CHECK(r.layers[0].format == "dense");
}

TEST_CASE("statistics are no parameters, but bytes; nested layers have their path")
{
    random_engine rng(3);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 3, .kernel = 3, .padding = 1}, rng},
        nn::sequential{nn::batch_norm{{.features = 3}}, nn::relu{}}, nn::max_pool2d{{.kernel = 2}},
        nn::flatten{}, nn::residual{nn::dense{{.in = 12, .out = 12}, rng}}};
    fill(net);
    const auto r = compress::measure(net, shape<4>{1, 2, 4, 4}, "conv", 0, quick);
    using row = compress::layer_report;
    REQUIRE(r.layers.size() == 6);
    CHECK(r.layers[0] == row{"0", "conv2d", "dense", 57, 57, 57 * 4, 16 * 54});
    CHECK(r.layers[1].name == "1.0");
    CHECK(r.layers[1].parameters == 6);
    CHECK(r.layers[1].nonzeros == 6);
    CHECK(r.layers[1].bytes == 12 * 4);
    CHECK(r.layers[2] == row{"1.1", "relu", "", 0, 0, 0, 0});
    CHECK(r.layers[5] == row{"4.branch", "dense", "dense", 156, 156, 156 * 4, 144});
    CHECK(r.parameters == 57 + 6 + 156);
    CHECK(r.parameters == nn::parameter_count(net));
    // In: 2 x 16, out: 3 x 16 for the convolution; in place until the pool, 48 + 12.
    CHECK(r.activation_bytes == 80 * 4);
}

TEST_CASE("what sums and concatenations keep meanwhile counts as activations")
{
    random_engine rng(5);
    const auto dense = [&](index_t in, index_t out)
    {
        return nn::dense{{.in = in, .out = out}, rng};
    };
    const auto peak = [](const auto& net)
    {
        return compress::measure(net, shape<2>{1, 10}, "net", {}, quick).activation_bytes / 4;
    };
    // x stays while the branch goes from 10 to 4 to 30 (in place) to 10 numbers.
    CHECK(peak(nn::residual{nn::sequential{
              dense(10, 4), dense(4, 30), nn::relu{}, dense(30, 10)}}) == 10 + 30 + 10);
    // The branch's result stays while the shortcut runs: 10 + 12, and 20 + 12.
    CHECK(peak(nn::residual{dense(10, 12), nn::sequential{dense(10, 20), dense(20, 12)}}) ==
          10 + 12 + 20 + 12);
    // The first layer of a branch must not overwrite x.
    CHECK(peak(nn::sequential{dense(10, 2), dense(2, 10),
              nn::residual{nn::sequential{nn::relu{}, nn::relu{}}}}) == 20);
    CHECK(peak(nn::concat{dense(10, 7), dense(10, 5)}) == 10 + 7 + 5);
    const nn::sequential nested{dense(10, 10), nn::concat{dense(10, 1), nn::residual{nn::relu{}}}};
    const auto r = compress::measure(nested, shape<2>{1, 10}, "net", {}, quick);
    CHECK(r.activation_bytes / 4 == 10 + 1 + 10);
    REQUIRE(r.layers.size() == 3);
    CHECK(r.layers[1].name == "1.0");
    CHECK(r.layers[2].name == "1.1.branch");
    CHECK(r.multiply_adds == 100 + 10);
}

TEST_CASE("a first layer in place leaves the caller's input alone")
{
    random_engine rng(4);
    const nn::sequential net{nn::relu{}, nn::dense{{.in = 5, .out = 1}, rng}};
    const auto r = compress::measure(net, shape<2>{1, 5}, "net", 0, quick);
    CHECK(r.activation_bytes == 10 * 4);
}

namespace
{

/// A layer that shows one matrix twice, and works in double.
struct tied
{
    static constexpr std::string_view name = "tied";
    using value_type = double;

    shape<2> output_shape(const shape<2>& in) const
    {
        return in;
    }

    void forward(view<const double, 2> x, view<double, 2> y, nn::scratch) const noexcept
    {
        std::copy_n(x.data(), x.size(), y.data());
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("a", self.weight, nn::role::weight);
        visit("b", self.weight, nn::role::weight);
    }

    tensor<double, 2> weight = structopt::full<double>(shape<2>{3, 3}, 1.0);
};

} // namespace

TEST_CASE("tied parameters count once; doubles count eight bytes")
{
    const tied net;
    const auto r = compress::measure(net, shape<2>{1, 2}, "tied", 0, quick);
    CHECK(r.parameters == 9);
    REQUIRE(r.layers.size() == 1);
    CHECK(r.layers[0].name == "");
    CHECK(r.layers[0].bytes == 72);
    CHECK(r.activation_bytes == 32);
}

TEST_CASE("samples that the network does not take")
{
    random_engine rng(5);
    const nn::sequential net{nn::dense{{.in = 5, .out = 1}, rng}};
    support::check_parts(support::message_of<shape_error>(
                             [&]
                             {
                                 compress::measure(net, shape<2>{1, 6}, "net", 0, quick);
                             }),
        {"dense input", "[any, 5]", "[1, 6]"});
}

TEST_CASE("latency is a positive number")
{
    random_engine rng(6);
    const auto small = nn::pack(nn::sequential{nn::dense{{.in = 8, .out = 8}, rng}});
    const auto large = nn::pack(nn::sequential{nn::dense{{.in = 800, .out = 800}, rng}});
    const latency_options how{.seconds = 0.01, .groups = 3};
    const double a = compress::latency_us<float>(small, shape<2>{1, 8}, how);
    const double b = compress::latency_us<float>(large, shape<2>{1, 800}, how);
    CHECK(a > 0);
    CHECK(b > 0);
    CHECK(compress::latency_us<float>(small, shape<2>{1, 8}, {.seconds = 0, .groups = 0}) > 0);
}

} // namespace test_report
