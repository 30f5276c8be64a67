// Layers over compressed sparse rows that train: against differences, and against a dense layer
// whose mask is put back after every step.

#include <structopt/io/checkpoint.hpp>
#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/prune.hpp>
#include <structopt/sparse/model.hpp>
#include <structopt/train.hpp>

#include <doctest/doctest.h>

#include "support/gradient_check.hpp"
#include "support/io_files.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace test_training
{

using namespace structopt;
using support::largest_difference;
using support::random_tensor;

namespace
{

template <class T, std::uint8_t Keep = 3>
void thin_out(T& w, random_engine& rng)
{
    for (auto& value : w)
    {
        value = uniform_index(rng, 10) < Keep ? value : 0;
    }
}

/// 12 -> 9 -> 4 with about a third of the weights.
template <class T>
auto thin_network(random_engine& rng)
{
    nn::sequential net{nn::dense<T>{{.in = 12, .out = 9}, rng}, nn::tanh{},
        nn::dense<T>{{.in = 9, .out = 4}, rng}};
    thin_out(net.template layer<0>().weight, rng);
    thin_out(net.template layer<2>().weight, rng);
    return net;
}

template <class Dense, class Sparse, class Optimizer>
void train_both(Dense& dense, Sparse& sparse, const Optimizer& optimizer, int steps)
{
    random_engine rng(5);
    const auto kept_zeros = prune::mask_of_zeros(dense);
    auto dense_state = optim::make_state(optimizer, dense);
    auto sparse_state = optim::make_state(optimizer, sparse);
    for (int step = 0; step < steps; ++step)
    {
        const auto x = random_tensor<double>(shape<2>{21, 12}, rng);
        const auto target = random_tensor<double>(shape<2>{21, 4}, rng);
        const auto run = [&](auto& net, auto& state)
        {
            random_engine same(9);
            auto kept = nn::make_cache(net, x, same);
            auto dy = nn::forward(net, x, kept);
            for (index_t i = 0; i < size_of(dy); ++i)
            {
                dy.data()[i] -= target.data()[i];
            }
            auto gradients = nn::zeros_like(net);
            nn::backward(net, dy, kept, gradients);
            optim::step(optimizer, net, gradients, state, 0.01);
        };
        run(dense, dense_state);
        prune::apply(dense, kept_zeros);
        run(sparse, sparse_state);
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("gradients of layers over csr are those of differences")
    {
        random_engine rng(1);
        const auto dense =
            nn::convert<sparse::csr<double, std::uint8_t>>(thin_network<double>(rng));
        support::check_gradients(dense, random_tensor<double>(shape<2>{5, 12}, rng));
    }

    TEST_CASE("sparse training is dense training with the zeros put back")
    {
        const auto check = [](const auto& optimizer)
        {
            random_engine rng(2);
            auto dense = thin_network<double>(rng);
            const auto start = dense;
            auto sparse = nn::convert<sparse::csr<double>>(dense);
            const auto positions = sparse.template layer<0>().weight.indices();
            train_both(dense, sparse, optimizer, 12);
            CHECK(sparse.template layer<0>().weight.indices() == positions);
            const auto back = nn::unpack(sparse);
            CHECK(largest_difference(
                      back.template layer<0>().weight, dense.template layer<0>().weight) <= 1e-12);
            CHECK(largest_difference(
                      back.template layer<2>().weight, dense.template layer<2>().weight) <= 1e-12);
            CHECK(largest_difference(
                      back.template layer<0>().bias, dense.template layer<0>().bias) <= 1e-12);
            CHECK(largest_difference(
                      back.template layer<0>().weight, start.template layer<0>().weight) > 0.01);
        };
        check(optim::sgd{});
        check(optim::momentum{});
        check(optim::adam{});
        check(optim::adamw{.weight_decay = 0.1});
    }
}

TEST_CASE("gradients of convolutions over csr are those of differences")
{
    random_engine rng(3);
    const nn::conv2d_options cases[] = {{.in = 2, .out = 3, .kernel = 3, .padding = 1},
        {.in = 3, .out = 2, .kernel = {2, 3}, .stride = 2}, {.in = 3, .out = 4, .kernel = 1}};
    for (const auto& options : cases)
    {
        nn::conv2d<double> layer(options, rng);
        thin_out<decltype(layer.weight), 5>(layer.weight, rng);
        const nn::sequential net{
            nn::convert<sparse::csr<double, std::uint16_t>>(layer), nn::tanh{}};
        support::check_gradients(net, random_tensor<double>(shape<4>{2, options.in, 5, 6}, rng));
    }
}

TEST_CASE("gradients and optimizer slots have the weight's own positions, and no dense matrix")
{
    random_engine rng(4);
    tensor<float, 2> w = structopt::zeros<float>(shape<2>{600, 800});
    for (index_t i = 0; i < size_of(w); i += 101)
    {
        w.data()[i] = 1;
    }
    const sparse::csr<float> weight{as_view(w)};
    const nn::sequential net{nn::dense{weight}};
    const auto zero = nn::zeros_like(net);
    const auto& g = zero.layer<0>().weight;
    CHECK(g.indices() == weight.indices());
    CHECK(g.offsets() == weight.offsets());
    CHECK(g.nonzeros() == weight.nonzeros());
    CHECK(g.bytes() * 20 < w.size() * sizeof(float));
    for (const float value : g.values())
    {
        CHECK(value == 0);
    }
    using traits = nn::storage_traits<sparse::csr<float>>;
    CHECK(traits::training_scratch_bytes(weight, 16) < w.size());
    const auto state = optim::make_state(optim::adam{}, net);
    CHECK(state.slots.size() == 2);
    CHECK(state.slots[1].layer<0>().weight.indices() == weight.indices());
}

TEST_CASE("stored numbers are pruned like others")
{
    random_engine rng(6);
    auto net = nn::convert<sparse::csr<double>>(thin_network<double>(rng));
    const index_t stored = net.layer<0>().weight.nonzeros();
    const auto mask = prune::apply(net, prune::magnitude{}, {.sparsity = 0.5});
    REQUIRE(mask.keep.size() == 4);
    CHECK(mask.keep[0].size() == static_cast<std::size_t>(stored));
    CHECK(mask.keep[1].empty());
    const auto& w = std::as_const(net).layer<0>().weight;
    CHECK(w.nonzeros() == stored);
    index_t zeros = 0;
    double largest_gone = 0;
    double smallest_kept = 1e9;
    random_engine again(6);
    const auto before = nn::convert<sparse::csr<double>>(thin_network<double>(again));
    const auto& old = std::as_const(before).layer<0>().weight;
    for (std::size_t i = 0; i < w.values().size(); ++i)
    {
        const double size = std::abs(old.values()[i]);
        zeros += w.values()[i] == 0 ? 1 : 0;
        (w.values()[i] == 0 ? largest_gone : smallest_kept) =
            w.values()[i] == 0 ? std::max(largest_gone, size) : std::min(smallest_kept, size);
    }
    CHECK(zeros == static_cast<index_t>(std::nearbyint(0.5 * static_cast<double>(stored))));
    CHECK(largest_gone <= smallest_kept);
    CHECK(prune::mask_of_zeros(net) == mask);
    // Converting anew drops what became zero.
    CHECK(nn::convert<sparse::csr<double>>(nn::unpack(net)).layer<0>().weight.nonzeros() ==
          stored - zeros);
}

TEST_CASE("fit: a sparse network learns, and its zeros stay")
{
    random_engine rng(7);
    nn::sequential start{
        nn::dense{{.in = 10, .out = 32}, rng}, nn::relu{}, nn::dense{{.in = 32, .out = 3}, rng}};
    thin_out(start.layer<0>().weight, rng);
    thin_out(start.layer<2>().weight, rng);
    auto net = nn::convert<sparse::csr<float, std::uint8_t>>(start);
    const auto before = net;
    auto x = random_tensor<float>(shape<2>{300, 10}, rng);
    std::vector<std::int32_t> labels;
    for (index_t i = 0; i < 300; ++i)
    {
        labels.push_back(x(i, 0) + x(i, 1) > 0.5f ? 2 : x(i, 2) > 0 ? 1 : 0);
    }
    const auto data = train::labelled(x, labels);
    train::accuracy metric;
    const double untrained = train::evaluate(net, data, metric)[0];
    train::fit(net, data, nn::cross_entropy{}, optim::adam{.rate = 0.01},
        {.epochs = 30, .batch = 32}, rng);
    const double trained = train::evaluate(net, data, metric)[0];
    CHECK(trained > 0.9);
    CHECK(trained > untrained + 0.2);
    CHECK(std::as_const(net).layer<0>().weight.indices() == before.layer<0>().weight.indices());
    CHECK(!(std::as_const(net).layer<0>().weight == before.layer<0>().weight));
}

TEST_CASE("an interrupted sparse training goes on bit for bit, in a network of other positions")
{
    const auto network = [](std::uint64_t seed)
    {
        random_engine rng(seed);
        nn::sequential net{
            nn::dense{{.in = 6, .out = 20}, rng}, nn::relu{}, nn::dense{{.in = 20, .out = 3}, rng}};
        thin_out(net.layer<0>().weight, rng);
        thin_out(net.layer<2>().weight, rng);
        return nn::convert<sparse::csr<float, std::uint8_t>>(net);
    };
    random_engine rng(1);
    const auto x = random_tensor<float>(shape<2>{64, 6}, rng);
    const std::vector<std::int32_t> labels = [&]
    {
        std::vector<std::int32_t> list;
        for (index_t i = 0; i < 64; ++i)
        {
            list.push_back(x(i, 0) > 0 ? 2 : x(i, 1) > 0 ? 1 : 0);
        }
        return list;
    }();
    const auto go = [&](auto& net, auto& run, index_t pause)
    {
        train::resume(net, run, train::labelled(x, labels), nn::cross_entropy{}, optim::adam{},
            {.epochs = 4, .batch = 16},
            train::after_step(
                [&](auto& at)
                {
                    return at.run.optimizer.step == pause ? train::control::pause
                                                          : train::control::go_on;
                }));
    };
    const auto optimizer = optim::adam{};
    random_engine one(5);
    auto whole = network(2);
    auto whole_run = train::start(whole, optimizer, one);
    go(whole, whole_run, 1000);

    random_engine two(5);
    auto first = network(2);
    auto first_run = train::start(first, optimizer, two);
    go(first, first_run, 7);
    const support::scratch_folder folder;
    io::save_checkpoint(folder.path("sparse.safetensors"), first, first_run);

    random_engine three(6);
    auto second = network(3);
    CHECK(!(std::as_const(second).layer<0>().weight.indices() ==
            std::as_const(first).layer<0>().weight.indices()));
    auto second_run = train::start(second, optimizer, three);
    io::load_checkpoint(folder.path("sparse.safetensors"), second, second_run);
    CHECK(second.layer<0>().weight == first.layer<0>().weight);
    go(second, second_run, 1000);
    CHECK(second.layer<0>().weight == whole.layer<0>().weight);
    CHECK(second.layer<2>().weight == whole.layer<2>().weight);
    CHECK(!(first.layer<2>().weight == whole.layer<2>().weight));
}

} // namespace test_training
