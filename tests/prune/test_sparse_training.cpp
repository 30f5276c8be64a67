// The experiment of docs/results/prune.md in small: the 8x8 digits, 64-40-10, 95 % zeros.

#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim/momentum.hpp>
#include <structopt/prune/gradual.hpp>
#include <structopt/prune/iterative.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/rigl.hpp>
#include <structopt/prune/splicing.hpp>
#include <structopt/schedule/cosine_decay.hpp>
#include <structopt/schedule/cubic_sparsity.hpp>
#include <structopt/train.hpp>

#include <doctest/doctest.h>

#include "support/digits.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace test_sparse_training
{

using namespace structopt;

namespace
{

auto make_network(std::uint64_t seed)
{
    random_engine rng(seed);
    return nn::sequential{
        nn::dense{{.in = 64, .out = 40}, rng}, nn::relu{}, nn::dense{{.in = 40, .out = 10}, rng}};
}

using network_type = decltype(make_network(0));

std::ptrdiff_t kept(const prune::mask& m)
{
    std::ptrdiff_t n = 0;
    for (const auto& list : m.keep)
    {
        n += std::count(list.begin(), list.end(), std::uint8_t{1});
    }
    return n;
}

struct experiment
{
    support::samples<float> training = support::digits<float>(0, 1348);
    support::samples<float> test = support::digits<float>(1348, 1797);

    template <class... Callbacks>
    void fit(network_type& net, index_t epochs, double first, Callbacks&&... callbacks) const
    {
        random_engine rng(3);
        const schedule::cosine_decay rate{
            .rate = first, .final_rate = first / 20, .steps = epochs * ((1348 + 31) / 32)};
        train::fit(net, train::labelled(training.x, training.labels), nn::cross_entropy{},
            optim::momentum{.rate = first, .beta = 0.9, .weight_decay = 2e-4},
            {.epochs = epochs, .batch = 32}, rng, train::per_batch(rate), callbacks...);
    }

    double right(const network_type& net) const
    {
        train::accuracy metric;
        return train::evaluate(net, train::labelled(test.x, test.labels), metric)[0];
    }
};

} // namespace

TEST_CASE("sparse training on digits")
{
    if (!support::digits_readable)
    {
        MESSAGE("skipped: built without zlib");
        return;
    }
    const experiment on;
    auto dense = make_network(1);
    on.fit(dense, 8, 0.1);
    const double whole = on.right(dense);
    CHECK(whole > 0.9);

    // 148 of 2,960 weights left: all at once, without training, next to nothing is right.
    auto cut = dense;
    prune::apply(cut, prune::magnitude{}, {.sparsity = 0.95, .scope = prune::scope::global});
    CHECK(on.right(cut) < 0.5);

    auto net = dense;
    const auto mask = prune::iterative(net, prune::magnitude{},
        {.sparsities = prune::exponential_levels(0.95, 4), .scope = prune::scope::global},
        [&](auto& network, const prune::mask& m, index_t)
        {
            on.fit(network, 6, 0.1, prune::hold(m));
        });
    CHECK(mask == prune::mask_of_zeros(net));
    CHECK(kept(mask) == 148);
    CHECK(on.right(net) > whole - 0.06);

    // Masked weights grow with the rate: a low one.
    auto spliced = dense;
    prune::splicing splice{prune::share_threshold{schedule::cubic_sparsity{
                               .target = 0.9, .end = 500, .frequency = 10}},
        prune::splicing_options{.every = 10}};
    on.fit(spliced, 24, 0.02, splice);
    CHECK(kept(splice.mask()) == 296);
    CHECK(on.right(spliced) > whole - 0.1);

    // From the start sparse: a mask that moves does better than the one it began with.
    const auto begin = prune::make_mask(make_network(1), prune::magnitude{}, {.sparsity = 0.95});
    auto still = make_network(1);
    on.fit(still, 16, 0.1, prune::hold(begin));
    auto moving = make_network(1);
    prune::rigl callback{begin, {.every = 20}};
    on.fit(moving, 16, 0.1, callback);
    CHECK(callback.mask().sparsity() == begin.sparsity());
    CHECK(on.right(moving) > on.right(still));
}

TEST_CASE("masks that move do not depend on the number of threads")
{
    if (!support::digits_readable)
    {
        MESSAGE("skipped: built without zlib");
        return;
    }
    const experiment on;
    const auto run = [&](int threads)
    {
        const support::with_threads scope(threads);
        auto net = make_network(2);
        prune::rigl moving{
            prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.8}), {.every = 5}};
        on.fit(net, 2, 0.1, moving);
        return net;
    };
    const auto one = run(1);
    const auto three = run(3);
    CHECK(one.layer<0>().weight == three.layer<0>().weight);
    CHECK(one.layer<2>().weight == three.layer<2>().weight);
}

} // namespace test_sparse_training
