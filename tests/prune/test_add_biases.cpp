#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/add_biases.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/units.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>

namespace test_add_biases
{

using namespace structopt;

TEST_CASE("with a bias in front of them all units of a sigmoid can go, and nothing else changes")
{
    random_engine rng(1);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 6, .kernel = 3}, rng}, nn::sigmoid{},
        nn::residual{
            nn::sequential{nn::conv2d{{.in = 6, .out = 5, .kernel = 1, .bias = false}, rng},
                nn::sigmoid{}, nn::conv2d{{.in = 5, .out = 6, .kernel = 1, .bias = false}, rng}}},
        nn::global_avg_pool{}, nn::dense{{.in = 6, .out = 3, .bias = false}, rng}};
    const shape<4> sample{2, 2, 5, 5};
    const auto x = support::random_tensor<float>(sample, rng);
    const auto before = net(x);
    // Units of the first convolution end in a dense layer without bias, the branch's in a convolution.
    const auto whole = prune::all_units(net, sample);
    CHECK(prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5}) == whole);

    auto momentum = nn::zeros_like(net);
    CHECK(prune::add_biases(net) == 3);
    CHECK(prune::add_biases(net) == 0);
    CHECK(net(x) == before);
    CHECK(net.layer<2>().branch.layer<0>().options().bias);
    CHECK(size_of(net.layer<4>().bias) == 3);
    CHECK(prune::add_biases(momentum) == 3);
    CHECK(nn::trainable_parameters<float>(momentum).size() ==
          nn::trainable_parameters<float>(net).size());

    const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5});
    REQUIRE(kept.size() == 2);
    CHECK(kept[0].size() == 3);
    CHECK(kept[1].size() < 5);
    auto masked = net;
    prune::mask_units(masked, sample, kept);
    const auto expected = masked(x);
    const auto found = prune::compact(net, sample, kept)(x);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
    {
        CHECK(std::abs(found.data()[i] - expected.data()[i]) < 1e-5f);
    }
}

} // namespace test_add_biases
