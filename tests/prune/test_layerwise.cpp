#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/layerwise.hpp>
#include <structopt/prune/sparse_gpt.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <limits>
#include <optional>
#include <vector>

namespace test_layerwise
{

using namespace structopt;
using prune::sparse_gpt;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

auto make_network(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 2, .out = 4, .kernel = 3, .padding = 1}, rng},
        nn::relu{}, nn::conv2d{{.in = 4, .out = 6, .kernel = 2, .groups = 2}, rng}, nn::flatten{},
        nn::residual{nn::dense{{.in = 54, .out = 54}, rng}}, nn::dense{{.in = 54, .out = 3}, rng}};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("every layer is pruned from what it sees behind pruned layers")
    {
        random_engine rng(1);
        auto net = make_network(rng);
        const auto before = net;
        const auto x = random_tensor<float>(shape<4>{24, 2, 4, 4}, rng);
        const sparse_gpt method{.sparsity = 0.5, .block = 8};
        const auto done = prune::layerwise(net, x, method, {.batch = 7});

        // By hand, with the layers before taken from the result: groups are matrices of their own.
        auto partly = before;
        partly.layer<0>() = net.layer<0>();
        calibrate::grams<float> seen;
        seen.add(partly, x);
        REQUIRE(seen.layers().size() == 4);
        for (index_t g = 0; g < 2; ++g)
        {
            const auto part = nn::storage_traits<tensor<float, 4>>::matrix(before.layer<2>().weight)
                                  .slice(3 * g, 3 * g + 3);
            const auto gram = seen.layers()[1].groups[static_cast<std::size_t>(g)].matrix();
            const auto expected = method.prune(part, as_view(gram));
            for (index_t i = 0; i < part.size(); ++i)
            {
                CHECK(net.layer<2>().weight.data()[g * part.size() + i] ==
                      doctest::Approx(expected.weight.data()[i]).epsilon(1e-3));
            }
        }

        REQUIRE(done.layers.size() == 4);
        CHECK(done.layers[2].name == "4.branch");
        CHECK(done.layers[1].parameter == 2);
        for (const auto& layer : done.layers)
        {
            CHECK(layer.sparsity == 0.5);
            CHECK(layer.change > 0);
            CHECK(layer.change < 0.5 * layer.output);
        }
        // The mask is that of the zeros, in the form that `hold` and `apply` take.
        CHECK(done.mask == prune::mask_of_zeros(net));
        CHECK(done.mask.sparsity() == 0.5);
        auto again = net;
        prune::apply(again, done.mask);
        CHECK(again.layer<5>().weight == net.layer<5>().weight);
        CHECK(net.layer<5>().bias == before.layer<5>().bias);
    }
}

TEST_CASE("datasets, the first samples, and layers that are left out")
{
    random_engine rng(2);
    auto by_data = make_network(rng);
    auto by_tensor = by_data;
    const auto before = by_data;
    const auto x = random_tensor<float>(shape<4>{20, 2, 4, 4}, rng);
    const std::vector<std::int32_t> labels(20, 0);
    const auto choose = [](const calibrate::layer_place& place)
    {
        return place.name == "5"
                   ? std::nullopt
                   : std::optional(sparse_gpt{.sparsity = place.parameter == 0 ? 0.25 : 0.75});
    };
    const auto a =
        prune::layerwise(by_data, train::labelled(x, labels), choose, {.samples = 16, .batch = 16});
    const auto b = prune::layerwise(by_tensor, as_view(x).slice(0, 16), choose, {.batch = 16});
    CHECK(by_data.layer<2>().weight == by_tensor.layer<2>().weight);
    CHECK(a.mask == b.mask);
    CHECK(a.layers.size() == 3);
    CHECK(a.layers[0].sparsity == 0.25);
    CHECK(a.mask.keep.back().empty());
    CHECK(a.mask.keep[6].empty());
    CHECK(by_data.layer<5>().weight == before.layer<5>().weight);
    CHECK(!(by_data.layer<2>().weight == before.layer<2>().weight));
}

TEST_CASE("bad input is refused and the network stays as it was")
{
    random_engine rng(3);
    auto net = make_network(rng);
    const auto before = net;
    auto x = random_tensor<float>(shape<4>{6, 2, 4, 4}, rng);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::layerwise(net, as_view(x).slice(0, 0), sparse_gpt{});
                    }),
        {"layer 0", "at least one sample"});
    CHECK_THROWS_AS(prune::layerwise(net, x, sparse_gpt{.sparsity = 1}), argument_error);
    CHECK_THROWS_AS(prune::layerwise(net, x, sparse_gpt{}, {.batch = 0}), argument_error);
    CHECK_THROWS_AS(
        prune::layerwise(net, random_tensor<float>(shape<4>{2, 3, 4, 4}, rng), sparse_gpt{}),
        shape_error);
    // Two layers are pruned before the third method refuses.
    CHECK_THROWS_AS(prune::layerwise(net, x,
                        [](const calibrate::layer_place& place)
                        {
                            return std::optional(
                                sparse_gpt{.sparsity = place.parameter == 4 ? 2.0 : 0.5});
                        }),
        argument_error);
    x(5, 1, 3, 3) = std::numeric_limits<float>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::layerwise(net, x, sparse_gpt{});
                    }),
        {"layer 0", "finite"});
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
    CHECK(net.layer<2>().weight == before.layer<2>().weight);
    CHECK(net.layer<5>().weight == before.layer<5>().weight);
}

} // namespace test_layerwise
