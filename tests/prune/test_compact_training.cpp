#include <structopt/io/checkpoint.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune/compact_training.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/train.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace test_compact_training
{

using namespace structopt;
using support::largest_difference;
using support::random_tensor;

namespace
{

auto make_net(random_engine& rng)
{
    // A bias in front of batch norm has no gradient but rounding, of which Adam makes whole steps.
    return nn::sequential{nn::dense{{.in = 4, .out = 10, .bias = false}, rng},
        nn::batch_norm{{.features = 10}}, nn::relu{},
        nn::residual{nn::dense{{.in = 10, .out = 10}, rng}}, nn::layer_norm{{.features = 10}},
        nn::dense{{.in = 10, .out = 2}, rng}};
}

/// One step of training.
template <class Net, class Optimizer>
void step(Net& net, optim::state<Net>& state, const Optimizer& optimizer, const tensor<float, 2>& x)
{
    random_engine rng(7);
    auto kept = nn::make_cache(net, x, rng);
    auto gradients = nn::zeros_like(net);
    const auto y = nn::forward(net, x, kept);
    nn::backward(net, y, kept, gradients);
    optim::step(optimizer, net, gradients, state, 0.01);
}

} // namespace

TEST_CASE("a masked and a compacted training go on alike")
{
    random_engine rng(1);
    auto net = make_net(rng);
    const optim::adam adam{};
    auto state = optim::make_state(adam, net);
    const shape<2> sample{16, 4};
    const auto x = random_tensor<float>(sample, rng);
    for (int i = 0; i < 3; ++i)
    {
        step(net, state, adam, x);
    }
    const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.4});
    REQUIRE(kept.size() == 1);
    REQUIRE(kept[0].size() == 6);
    auto masked = net;
    auto masked_state = state;
    prune::mask_units(masked, sample, kept);
    for (auto& slot : masked_state.slots)
    {
        prune::mask_units(slot, sample, kept);
    }
    prune::compact(net, state, sample, kept);
    CHECK(net.layer<3>().branch.outputs() == 6);
    REQUIRE(state.slots.size() == 2);
    for (std::size_t slot = 0; slot < 2; ++slot)
    {
        // What Adam knows of the kept numbers, exactly.
        const auto& before = masked_state.slots[slot].layer<0>().weight;
        const auto& after = state.slots[slot].layer<0>().weight;
        REQUIRE(shape_of(after) == shape<2>{6, 4});
        for (index_t r = 0; r < 6; ++r)
        {
            for (index_t c = 0; c < 4; ++c)
            {
                CHECK(after(r, c) == before(kept[0][static_cast<std::size_t>(r)], c));
            }
        }
    }
    CHECK(largest_difference(net(x), masked(x)) <= 1e-5);
    for (int i = 0; i < 3; ++i)
    {
        step(net, state, adam, x);
        step(masked, masked_state, adam, x);
        prune::mask_units(masked, sample, kept);
    }
    CHECK(largest_difference(net(x), masked(x)) <= 1e-4);
}

TEST_CASE("the state of a training shrinks, is saved and goes on")
{
    random_engine rng(2);
    auto net = make_net(rng);
    const shape<2> sample{16, 4};
    const auto x = random_tensor<float>(sample, rng);
    train::run_state<decltype(net)> run;
    const optim::momentum momentum{};
    run.optimizer = optim::make_state(momentum, net);
    for (int i = 0; i < 2; ++i)
    {
        step(net, run.optimizer, momentum, x);
    }
    run.stopping.network = net;
    run.stopping.best_epoch = 1;
    const auto whole = net;
    const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5});
    prune::compact(net, run, sample, kept);
    CHECK(nn::parameter_count(net) < nn::parameter_count(whole));
    CHECK(nn::parameter_count(run.optimizer.slots[0]) == nn::parameter_count(net));
    REQUIRE(run.stopping.network);
    CHECK((*run.stopping.network)(x) == net(x));

    // Into a network of the old extents; layer norm knows how many features it counts.
    const auto file =
        (std::filesystem::temp_directory_path() / "structopt_compact_training.safetensors")
            .string();
    io::save_checkpoint(file, net, run);
    auto loaded = whole;
    train::run_state<decltype(net)> again;
    io::load_checkpoint(file, loaded, again);
    CHECK(loaded.layer<4>().options().normalized_over == 10);
    CHECK(loaded(x) == net(x));
    step(net, run.optimizer, momentum, x);
    step(loaded, again.optimizer, momentum, x);
    CHECK(loaded(x) == net(x));
    io::save_state(net, file);
    auto other = make_net(rng);
    io::load_state(other, file, {.resize = true});
    CHECK(other(x) == net(x));
    std::filesystem::remove(file);

    // Errors come before any change.
    auto bad = kept;
    bad[0].clear();
    const auto before = net;
    CHECK_THROWS_AS(prune::compact(net, run, sample, bad), argument_error);
    CHECK(net(x) == before(x));
    CHECK(nn::parameter_count(run.optimizer.slots[0]) == nn::parameter_count(net));
}

} // namespace test_compact_training
