#include <structopt/core/random.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/erk.hpp>
#include <structopt/prune/grouped.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/threshold.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace test_ranked_layers
{

using namespace structopt;

namespace
{

/// Magnitude as a criterion that stores its scores.
struct stored
{
    template <class T>
    void score(view<const T, 2> w, std::span<T> scores) const
    {
        const auto values = w.flat();
        for (std::size_t i = 0; i < values.size(); ++i)
        {
            scores[i] = std::abs(values[i]);
        }
    }
};

static_assert(prune::size_criterion<prune::magnitude>);
static_assert(!prune::size_criterion<stored>);
static_assert(!prune::size_ranking_criterion<prune::magnitude>);

} // namespace

TEST_CASE("sizes read off the weights, stored floats and scores in double choose the same weights")
{
    random_engine rng(1);
    nn::sequential net{
        nn::dense{{.in = 190, .out = 200}, rng}, nn::dense{{.in = 200, .out = 40}, rng}};
    // Ties, and zeros of both signs.
    for (float& w : net.layer<0>().weight)
    {
        w = std::round(w * 400) / 400;
    }
    const auto found = prune::score(net, prune::magnitude{});
    const auto check = [&](const auto& how_many)
    {
        const auto mask = prune::make_mask(net, prune::magnitude{}, how_many);
        CHECK(prune::make_mask(net, stored{}, how_many) == mask);
        CHECK(prune::make_mask(net, found, how_many) == mask);
        CHECK(mask.sparsity() > 0.1);
    };
    using prune::scope;
    for (const double share : {0.3, 0.9})
    {
        check(prune::mask_options{.sparsity = share});
        check(prune::mask_options{.sparsity = share, .scope = scope::global});
        check(prune::mask_options{.sparsity = share, .scope = scope::global, .minimum = 1});
        check(prune::mask_options{.sparsity = share, .scope = scope::global, .minimum = 2000});
        check(prune::erk{.sparsity = share});
        check(prune::grouped{.groups = {{{1}, share}, {{0}, 0.5}}});
    }
    check(prune::threshold{.value = 0.03});
}

TEST_CASE("in large layers, too, a weight that is not finite is named and nothing is chosen")
{
    random_engine rng(2);
    nn::sequential net{
        nn::dense{{.in = 4, .out = 8}, rng}, nn::dense{{.in = 1024, .out = 520}, rng}};
    const prune::mask_options half{.sparsity = 0.5, .scope = prune::scope::global};
    CHECK(prune::make_mask(net, prune::magnitude{}, half).sparsity() == 0.5);
    CHECK(prune::make_mask(net, stored{}, half) == prune::make_mask(net, prune::magnitude{}, half));
    for (const float bad :
        {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
    {
        net.layer<1>().weight(519, 1021) = bad;
        const auto message = [&](const auto& criterion)
        {
            return support::message_of<argument_error>(
                [&]
                {
                    prune::make_mask(net, criterion, half);
                });
        };
        support::check_parts(
            message(prune::magnitude{}), {"1.weight", "finite scores", "position 532477"});
        support::check_parts(message(stored{}), {"1.weight", "finite scores", "position 532477"});
    }
}

} // namespace test_ranked_layers
