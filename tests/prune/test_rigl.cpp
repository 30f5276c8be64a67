#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/rigl.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse_training.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace test_rigl
{

using namespace structopt;
using support::sparse_problem;

namespace
{

prune::mask first_mask(const sparse_problem::network_type& net)
{
    return prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.75});
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("one update drops the smallest weights and grows where the gradient is largest")
    {
        // Of 30 weights 0.4 / 2 (1 + cos(pi 2 / 4)) = 0.2 move at step 2 of 4, of 10 two; as many
        // half the way from 0.3 to 0.1, and anywhere with 0.2 from the first to the last.
        for (const prune::rigl_options& how :
            {prune::rigl_options{.every = 2, .fraction = 0.4, .until = 1.0},
                prune::rigl_options{
                    .every = 2, .fraction = 0.3, .final_fraction = 0.1, .until = 1.0},
                prune::rigl_options{
                    .every = 2, .fraction = 0.2, .final_fraction = 0.2, .until = 1.0}})
        {
            const sparse_problem p;
            auto net = p.network();
            const auto before = first_mask(net);
            prune::rigl moving{before, how};
            sparse_problem::network_type values = net;
            sparse_problem::network_type slopes = net;
            prune::mask expected = before;
            struct look
            {
                prune::mask& expected;

                void on_gradients(train::context<sparse_problem::network_type>& at) const
                {
                    if (at.run.optimizer.step != 2)
                    {
                        return;
                    }
                    const auto w = nn::trainable_parameters<float>(at.network);
                    const auto g = nn::trainable_parameters<float>(at.gradients);
                    for (const std::size_t q : {std::size_t{0}, std::size_t{2}})
                    {
                        auto& keep = expected.keep[q];
                        const std::size_t n = q == 0 ? 6 : 2;
                        for (std::size_t k = 0; k < n; ++k)
                        {
                            std::size_t least = keep.size();
                            for (std::size_t i = 0; i < keep.size(); ++i)
                            {
                                if (keep[i] == 1 &&
                                    (least == keep.size() ||
                                        std::abs(w[q].values[i]) < std::abs(w[q].values[least])))
                                {
                                    least = i;
                                }
                            }
                            keep[least] = 0;
                        }
                        for (std::size_t k = 0; k < n; ++k)
                        {
                            std::size_t most = keep.size();
                            for (std::size_t i = 0; i < keep.size(); ++i)
                            {
                                if (keep[i] == 0 &&
                                    (most == keep.size() ||
                                        std::abs(g[q].values[i]) > std::abs(g[q].values[most])))
                                {
                                    most = i;
                                }
                            }
                            keep[most] = 1;
                        }
                    }
                }
            } reference{expected};
            p.fit(net, 1, reference, moving);
            CHECK(moving.mask() == expected);
            CHECK_FALSE(moving.mask() == before);
            CHECK(support::under_mask(net, moving.mask()));
        }
    }
}

TEST_CASE("the count of every layer stays, masked weights and their momentum are zero")
{
    const sparse_problem p;
    auto net = p.network();
    const auto before = first_mask(net);
    prune::rigl moving{before, {.every = 3, .fraction = 0.5, .until = 0.8}};
    index_t steps = 0;
    index_t moves = 0;
    prune::mask last = before;
    auto look = train::after_step(
        [&](auto& at)
        {
            ++steps;
            CHECK(support::kept(moving.mask()) == std::vector<std::size_t>{30, 0, 10, 0});
            CHECK(support::under_mask(at.network, moving.mask()));
            CHECK(support::under_mask(at.run.optimizer.slots[0], moving.mask()));
            if (!(moving.mask() == last))
            {
                ++moves;
                // Moves are decided in front of step 4, 7, ... and end with 0.8 of 40 steps.
                CHECK((steps - 1) % 3 == 0);
                CHECK(steps - 1 < 32);
            }
            last = moving.mask();
        });
    p.fit(net, 10, moving, look);
    CHECK(steps == 40);
    CHECK(moves > 3);
    CHECK(moving.settled(32));
    CHECK_FALSE(moving.settled(31));
}

TEST_CASE("a grown weight starts at zero without momentum, one grown back goes on")
{
    const sparse_problem p;
    auto net = p.network();
    prune::rigl moving{first_mask(net), {.every = 2, .fraction = 0.6, .until = 1.0}};
    prune::mask before;
    index_t grown = 0;
    struct look
    {
        prune::rigl& moving;
        prune::mask& before;
        index_t& grown;

        void on_gradients(train::context<sparse_problem::network_type>& at) const
        {
            const auto w = nn::trainable_parameters<float>(at.network);
            const auto m = nn::trainable_parameters<float>(at.run.optimizer.slots[0]);
            for (std::size_t q = 0; q < before.keep.size(); ++q)
            {
                for (std::size_t i = 0; i < before.keep[q].size(); ++i)
                {
                    if (moving.mask().keep[q][i] > before.keep[q][i])
                    {
                        ++grown;
                        CHECK(w[q].values[i] == 0.0f);
                        CHECK(m[q].values[i] == 0.0f);
                    }
                }
            }
        }
        void on_step(train::context<sparse_problem::network_type>&) const
        {
            before = moving.mask();
        }
    } after{moving, before, grown};
    p.fit(net, 6, moving, after);
    CHECK(grown > 10);
}

TEST_CASE("a paused training goes on bit for bit")
{
    const sparse_problem p;
    const prune::rigl_options how{.every = 4, .fraction = 0.5};
    auto whole = p.network();
    prune::rigl one{first_mask(whole), how};
    p.fit(whole, 8, one);
    auto net = p.network();
    prune::rigl two{first_mask(net), how};
    p.fit_in_two(net, 8, 10, two,
        [&]
        {
            return prune::rigl{two.mask(), how};
        });
    CHECK(support::equal_networks(net, whole));
}

TEST_CASE("a gradient that is NaN is refused, and the mask stays as it was")
{
    const sparse_problem p;
    auto net = p.network();
    const auto before = first_mask(net);
    prune::rigl moving{before, {.every = 2, .until = 1.0}};
    struct spoil
    {
        void on_gradients(train::context<sparse_problem::network_type>& at) const
        {
            if (at.run.optimizer.step == 2)
            {
                // Of the second layer: the first one has moved by then.
                at.gradients.layer<2>().weight.fill(NAN);
            }
        }
    } bad;
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 p.fit(net, 2, bad, moving);
                             }),
        {"rigl gradients", "NaN"});
    CHECK(moving.mask() == before);
}

TEST_CASE("errors")
{
    const auto message = [](const prune::rigl_options& options)
    {
        return support::message_of<argument_error>(
            [&]
            {
                prune::rigl{{}, options};
            });
    };
    support::check_parts(message({.every = 0}), {"rigl", "every", "0"});
    support::check_parts(message({.fraction = 1.5}), {"fraction", "[0, 1]", "1.5"});
    support::check_parts(message({.until = -0.5}), {"until", "-0.5"});
}

} // namespace test_rigl
