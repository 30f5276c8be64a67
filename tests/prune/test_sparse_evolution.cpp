#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/sparse_evolution.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/sparse_training.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace test_sparse_evolution
{

using namespace structopt;
using support::sparse_problem;

namespace
{

prune::mask first_mask(const sparse_problem::network_type& net)
{
    return prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.75});
}

using context = train::context<sparse_problem::network_type>;

/// The mask before an epoch and the share of its weights, per sign, that went.
struct watch
{
    prune::sparse_evolution& moving;
    sparse_problem::network_type before = sparse_problem::network();
    prune::mask mask = {};
    index_t updates = 0;

    void on_epoch_end(context& at)
    {
        before = at.network;
        mask = moving.mask();
    }
};

/// After the mask has moved: those nearest to zero of each sign went, unless drawn again.
struct check_move
{
    watch& last;

    void on_epoch_begin(context& at)
    {
        if (at.run.epoch == 0)
        {
            return;
        }
        ++last.updates;
        const auto old = nn::trainable_parameters<float>(last.before);
        const auto now = nn::trainable_parameters<float>(at.network);
        for (const std::size_t q : {std::size_t{0}, std::size_t{2}})
        {
            for (const float sign : {1.0f, -1.0f})
            {
                std::vector<float> sizes;
                for (std::size_t i = 0; i < old[q].values.size(); ++i)
                {
                    const float value = sign * old[q].values[i];
                    if (last.mask.keep[q][i] != 0 && (value > 0 || (value == 0 && sign > 0)))
                    {
                        sizes.push_back(value);
                    }
                }
                std::sort(sizes.begin(), sizes.end());
                const std::size_t n = prune::detail::share_of(0.4, sizes.size());
                for (std::size_t i = 0; i < old[q].values.size(); ++i)
                {
                    const float value = sign * old[q].values[i];
                    if (n < sizes.size() && value >= sizes[n])
                    {
                        CHECK(now[q].values[i] == old[q].values[i]);
                    }
                    else if (value > 0 && last.moving.mask().keep[q][i] == 0)
                    {
                        CHECK(now[q].values[i] == 0.0f);
                    }
                }
            }
        }
    }
};

} // namespace

TEST_CASE("weights nearest to zero of each sign go, as many grow at random places")
{
    const sparse_problem p;
    auto net = p.network();
    const auto first = first_mask(net);
    prune::sparse_evolution moving{first, {.fraction = 0.4}};
    watch before{moving};
    check_move after{before};
    auto look = train::after_step(
        [&](auto& at)
        {
            CHECK(support::kept(moving.mask()) == std::vector<std::size_t>{30, 0, 10, 0});
            CHECK(support::under_mask(at.network, moving.mask()));
            CHECK(support::under_mask(at.run.optimizer.slots[0], moving.mask()));
        });
    p.fit(net, 6, moving, before, after, look);
    CHECK(before.updates == 5);
    CHECK_FALSE(moving.mask() == first);

    // The same seed, the same places; without updates the first mask.
    auto again = p.network();
    prune::sparse_evolution same{first, {.fraction = 0.4}};
    p.fit(again, 6, same);
    CHECK(same.mask() == moving.mask());
    CHECK(support::equal_networks(again, net));
    prune::sparse_evolution still{first, {.fraction = 0.4, .until = 0.0}};
    p.fit(again, 3, still);
    CHECK(still.mask() == first);
}

TEST_CASE("a paused training goes on bit for bit")
{
    const sparse_problem p;
    auto whole = p.network();
    prune::sparse_evolution one{first_mask(whole)};
    p.fit(whole, 6, one);
    auto net = p.network();
    prune::sparse_evolution two{first_mask(net)};
    p.fit_in_two(net, 6, 10, two,
        [&]
        {
            return prune::sparse_evolution{two.mask()};
        });
    CHECK(support::equal_networks(net, whole));
}

TEST_CASE("errors")
{
    support::check_parts(support::message_of<argument_error>(
                             []
                             {
                                 prune::sparse_evolution{{}, {.fraction = -0.1}};
                             }),
        {"sparse_evolution", "fraction", "[0, 1]"});
}

} // namespace test_sparse_evolution
