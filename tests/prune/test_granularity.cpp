#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/granularity.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/sparse/bsr.hpp>
#include <structopt/sparse/nm.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace test_granularity
{

using namespace structopt;
using prune::magnitude;
using prune::weight_extents;
using support::check_parts;
using support::message_of;

namespace
{

static_assert(prune::granularity<prune::single>);
static_assert(prune::granularity<prune::blocks<4, 2>>);
static_assert(prune::granularity<prune::rows>);
static_assert(prune::granularity<prune::kernels>);
static_assert(!prune::granularity<prune::nm<2, 4>>);

/// A convolution of 7 filters over 3 channels with windows of 3 x 2, and a dense layer 10 x 28: no
/// block fits evenly.
auto make_network()
{
    random_engine rng(1);
    return nn::sequential{nn::conv2d{{.in = 3, .out = 7, .kernel = {3, 2}}, rng}, nn::relu{},
        nn::flatten{}, nn::dense{{.in = 28, .out = 10}, rng}};
}

const std::vector<weight_extents> extents_of_network{{7, 3, 6, 5}, {10, 28, 1, 0}};

/// A user's granularity: two halves of every row.
struct halves
{
    index_t groups(const weight_extents& extents) const
    {
        return 2 * extents.rows;
    }

    index_t group_of(const weight_extents& extents, index_t row, index_t column) const
    {
        return 2 * row + (2 * column < extents.columns() ? 0 : 1);
    }
};

/// Groups stay or go as one; the exact number of them goes, those with the lowest scores, whose names
/// `key(row, input, position in the window)` gives.
template <class Granularity, class Key>
void check_groups(const Granularity& groups, double norm, const Key& key)
{
    const auto net = make_network();
    const auto scores = prune::score(net, magnitude{});
    const auto m = prune::make_mask(net, magnitude{}, prune::mask_options{.sparsity = 0.4}, groups);
    for (std::size_t l = 0; l < 2; ++l)
    {
        const weight_extents& e = extents_of_network[l];
        REQUIRE(scores.layers[l].extents() == e);
        const auto& keep = m.keep[static_cast<std::size_t>(scores.layers[l].parameter)];
        std::map<std::pair<index_t, index_t>, std::vector<std::size_t>> members;
        std::size_t position = 0;
        for (index_t r = 0; r < e.rows; ++r)
        {
            for (index_t i = 0; i < e.inputs; ++i)
            {
                for (index_t k = 0; k < e.window; ++k)
                {
                    members[key(e, r, i, k)].push_back(position++);
                }
            }
        }
        CHECK(static_cast<index_t>(members.size()) == groups.groups(e));
        double lowest_left = 1e9;
        double highest_gone = 0;
        std::size_t gone = 0;
        for (const auto& [name, positions] : members)
        {
            double sum = 0;
            int stay = 0;
            for (const std::size_t i : positions)
            {
                const double value = scores.layers[l].values[i];
                sum += norm > 1 ? value * value : value;
                stay += keep[i];
            }
            CHECK((stay == 0 || stay == static_cast<int>(positions.size())));
            const double mean = sum / static_cast<double>(positions.size());
            gone += stay == 0 ? 1 : 0;
            (stay == 0 ? highest_gone : lowest_left) =
                stay == 0 ? std::max(highest_gone, mean) : std::min(lowest_left, mean);
        }
        CHECK(gone ==
              static_cast<std::size_t>(std::nearbyint(0.4 * static_cast<double>(members.size()))));
        CHECK(highest_gone <= lowest_left);
    }
    // Again, with the groups zero: nothing else goes.
    auto pruned = net;
    prune::apply(pruned, m);
    CHECK(prune::make_mask(pruned, magnitude{}, prune::mask_options{.sparsity = 0.4}, groups) == m);
}

using pair = std::pair<index_t, index_t>;

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("groups stay or go as one, by the mean of their scores, with remainders too")
    {
        const auto block = [](index_t height, index_t width)
        {
            return [=](const weight_extents& e, index_t r, index_t i, index_t k)
            {
                return pair(r / height, (i * e.window + k) / width);
            };
        };
        check_groups(prune::blocks<4, 3>{}, 1, block(4, 3));
        check_groups(prune::vectors<4>{}, 1, block(4, 1));
        check_groups(prune::rows{}, 1, block(1, 1000));
        check_groups(prune::columns{.norm = 2}, 2, block(1000, 1));
        check_groups(prune::input_channels{}, 1,
            [](const weight_extents&, index_t, index_t i, index_t)
            {
                return pair(i, 0);
            });
        check_groups(prune::kernels{.norm = 2}, 2,
            [](const weight_extents&, index_t r, index_t i, index_t)
            {
                return pair(r, i);
            });
        check_groups(halves{}, 1,
            [](const weight_extents& e, index_t r, index_t i, index_t k)
            {
                return pair(r, 2 * (i * e.window + k) < e.columns() ? 0 : 1);
            });
    }
}

TEST_CASE("masks fit the storages that they are made for")
{
    auto net = make_network();
    auto vectors = net;
    prune::apply(vectors, magnitude{}, prune::mask_options{.sparsity = 0.5}, prune::vectors<16>{});
    // 10 rows are one vector of 16 x 1, cut short: 28 vectors, of which half stay.
    const sparse::bsr<float, 16, 1> stored(as_view(vectors.layer<3>().weight));
    CHECK(stored.values().size() == 14 * 16);

    const auto check = [&]<index_t N, index_t M>(const prune::nm<N, M>& pattern)
    {
        auto pruned = net;
        const auto m = prune::apply(pruned, magnitude{}, pattern);
        const auto& dense = pruned.layer<3>().weight;
        CHECK(sparse::nm<float, N, M>::fits(as_view(std::as_const(dense))));
        const auto convolution =
            nn::storage_traits<tensor<float, 4>>::matrix(pruned.layer<0>().weight);
        CHECK(sparse::nm<float, N, M>::fits(convolution));
        // Row by row: N of M stay, the largest; of a shorter last group as many as there are.
        const auto& old = net.layer<3>().weight;
        for (index_t r = 0; r < 10; ++r)
        {
            for (index_t c = 0; c < 28; c += M)
            {
                const index_t width = std::min<index_t>(M, 28 - c);
                std::vector<float> sizes;
                index_t stay = 0;
                float smallest = 1e9f;
                for (index_t i = c; i < c + width; ++i)
                {
                    sizes.push_back(std::abs(old(r, i)));
                    stay += dense(r, i) != 0 ? 1 : 0;
                    smallest = dense(r, i) != 0 ? std::min(smallest, sizes.back()) : smallest;
                }
                std::sort(sizes.rbegin(), sizes.rend());
                CHECK(stay == std::min<index_t>(N, width));
                CHECK(smallest == sizes[static_cast<std::size_t>(stay - 1)]);
            }
        }
        CHECK(prune::make_mask(pruned, magnitude{}, pattern) == m);
        CHECK(prune::make_mask(net, prune::score(net, magnitude{}), pattern) == m);
    };
    check(prune::nm<2, 4>{});
    check(prune::nm<1, 4>{});
    check(prune::nm<4, 8>{});
    check(prune::nm<3, 5>{}); // 28 = 5 * 5 + 3

    for (float& value : net.layer<3>().weight)
    {
        value = 1;
    }
    CHECK(prune::make_mask(net, magnitude{}, prune::nm<1, 4>{}).keep[2][3] == 1);
    CHECK(prune::make_mask(net, magnitude{}, prune::nm<1, 4>{}).keep[2][0] == 0);
}

TEST_CASE("a p that is none, a layer of one group, NaN")
{
    auto net = make_network();
    const auto message = [&](const auto&... how)
    {
        return message_of<argument_error>(
            [&]
            {
                prune::apply(net, magnitude{}, how...);
            });
    };
    const prune::mask_options options{.sparsity = 0.9};
    check_parts(message(options, prune::rows{.norm = 0}), {"granularity norm", "above 0"});
    check_parts(message(options, prune::blocks<16, 64>{}), {"0.weight", "1 of 1"});
    net.layer<3>().weight(2, 3) = std::numeric_limits<float>::quiet_NaN();
    check_parts(message(options, prune::rows{}), {"3.weight", "position 59"});
    check_parts(message(prune::nm<2, 4>{}), {"3.weight", "position 59"});
}

} // namespace test_granularity
