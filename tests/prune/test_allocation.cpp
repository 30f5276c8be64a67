#include <structopt/core/random.hpp>
#include <structopt/prune/allocation.hpp>
#include <structopt/prune/erk.hpp>
#include <structopt/prune/grouped.hpp>
#include <structopt/prune/layer_shares.hpp>
#include <structopt/prune/threshold.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace test_allocation
{

using namespace structopt;
using prune::layer_ranking;
using support::check_parts;
using support::message_of;
using counts = std::vector<std::size_t>;

namespace
{

static_assert(prune::allocation<prune::mask_options>);
static_assert(prune::allocation<prune::layer_shares>);
static_assert(prune::allocation<prune::erk>);
static_assert(prune::allocation<prune::grouped>);
static_assert(prune::allocation<prune::threshold>);
static_assert(prune::allocation<prune::layer_thresholds>);
static_assert(!prune::allocation<double>);

/// Layers with these scores.
class layers
{
public:
    explicit layers(std::vector<std::vector<double>> values)
        : m_values(std::move(values))
    {
        for (const auto& list : m_values)
        {
            m_layers.push_back({"layer", {1, static_cast<index_t>(list.size()), 1}, list});
        }
    }

    layers(const layers&) = delete;

    std::span<const layer_ranking> get() const
    {
        return m_layers;
    }

    const std::vector<std::vector<double>>& values() const
    {
        return m_values;
    }

private:
    std::vector<std::vector<double>> m_values;
    std::vector<layer_ranking> m_layers;
};

/// Takes the lowest one after the other, skipping layers that are at their minimum.
counts one_by_one(
    const layers& from, const std::set<std::size_t>& members, double share, std::size_t minimum)
{
    std::vector<std::tuple<double, std::size_t, std::size_t>> all;
    counts left(from.values().size());
    for (const std::size_t l : members)
    {
        left[l] = from.values()[l].size();
        for (std::size_t i = 0; i < left[l]; ++i)
        {
            all.emplace_back(from.values()[l][i], l, i);
        }
    }
    std::sort(all.begin(), all.end());
    auto n = static_cast<std::size_t>(std::nearbyint(share * static_cast<double>(all.size())));
    counts removed(left.size());
    for (const auto& [value, l, i] : all)
    {
        if (n > 0 && left[l] > minimum)
        {
            --n;
            --left[l];
            ++removed[l];
        }
    }
    return removed;
}

std::vector<double> draw(random_engine& rng, std::size_t n, bool ties)
{
    std::vector<double> values(n);
    for (double& value : values)
    {
        value = normal<double>(rng);
        value = ties ? std::round(value * 4) / 4 : value;
    }
    return values;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the bound of the lowest against a sort, with ties, signs and many values")
    {
        random_engine rng(1);
        for (const std::size_t n : {std::size_t{1}, std::size_t{7}, std::size_t{500},
                 std::size_t{16385}, std::size_t{40000}})
        {
            for (const bool ties : {false, true})
            {
                auto values = draw(rng, n, ties);
                values[n / 2] = -0.0;
                std::vector<std::size_t> order(n);
                std::iota(order.begin(), order.end(), std::size_t{0});
                std::stable_sort(order.begin(), order.end(),
                    [&](std::size_t a, std::size_t b)
                    {
                        return values[a] < values[b];
                    });
                for (const std::size_t k : {std::size_t{0}, n / 3, n / 2, n - 1, n, n + 5})
                {
                    counts expected(
                        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(std::min(k, n)));
                    std::sort(expected.begin(), expected.end());
                    CHECK(prune::detail::lowest(std::span<const double>(values), k) == expected);
                }
            }
        }
        CHECK(prune::detail::lowest(std::span<const float>(), 3).empty());
    }
}

TEST_CASE("one ranking against taking the lowest one by one, with and without a minimum")
{
    random_engine rng(2);
    for (const bool ties : {false, true})
    {
        const layers from({draw(rng, 40, ties), draw(rng, 10, ties), draw(rng, 150, ties)});
        for (const double share : {0.0, 0.2, 0.5, 0.9})
        {
            for (const index_t minimum : {0, 1, 3})
            {
                INFO(share << " " << minimum);
                const auto least = static_cast<std::size_t>(minimum);
                const prune::mask_options options{
                    .sparsity = share, .scope = prune::scope::global, .minimum = minimum};
                CHECK(options.removed(from.get()) == one_by_one(from, {0, 1, 2}, share, least));
                const prune::grouped two{
                    .groups = {{{2, 0}, share}, {{1}, 0.25}}, .minimum = minimum};
                counts expected = one_by_one(from, {0, 2}, share, least);
                expected[1] = one_by_one(from, {1}, 0.25, least)[1];
                // Ties of a group go to the layers in the order of its list.
                if (!ties)
                {
                    CHECK(two.removed(from.get()) == expected);
                }
            }
        }
    }
}

TEST_CASE("shares by hand and absolute bounds")
{
    const layers from({{1, 2, 3, 4}, {0.5, 2, 2, 2, 9}, {7}});
    CHECK(prune::layer_shares{.sparsities = {0.5, 0.2, 0}}.removed(from.get()) == counts{2, 1, 0});
    CHECK(prune::layer_shares{.sparsities = {0.9, 0.2, 0.9}, .minimum = 1}.removed(from.get()) ==
          counts{3, 1, 0});
    CHECK(prune::mask_options{.sparsity = 0.5}.removed(from.get()) == counts{2, 2, 0});
    CHECK(prune::threshold{.value = 2}.removed(from.get()) == counts{1, 1, 0});
    CHECK(prune::threshold{.value = 100, .minimum = 2}.removed(from.get()) == counts{2, 3, 0});
    CHECK(prune::layer_thresholds{.values = {3.5, -1, 7}}.removed(from.get()) == counts{3, 0, 0});
}

TEST_CASE("options that are none")
{
    const layers from({{1, 2, 3, 4}, {0.5, 2, 2, 2, 9}});
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto message = [&](const auto& how_many)
    {
        return message_of<argument_error>(
            [&]
            {
                how_many.removed(from.get());
            });
    };
    check_parts(message(prune::mask_options{.sparsity = 1}), {"sparsity", "[0, 1)"});
    check_parts(message(prune::layer_shares{.sparsities = {0.5}}), {"2 sparsities", "1"});
    check_parts(message(prune::layer_shares{.sparsities = {0.5, -1}}), {"layer_shares", "[0, 1)"});
    check_parts(message(prune::erk{.sparsity = nan}), {"erk sparsity", "[0, 1)"});
    check_parts(message(prune::threshold{.value = nan}), {"threshold", "finite"});
    check_parts(message(prune::layer_thresholds{.values = {}}), {"2 values"});
    check_parts(message(prune::layer_thresholds{.values = {1, nan}}), {"finite"});
    check_parts(message(prune::grouped{.groups = {{{0, 2}, 0.5}}}), {"grouped", "layer 2"});
    check_parts(message(prune::grouped{.groups = {{{0}, 0.5}, {{0}, 0.5}}}), {"at most once"});
    check_parts(message(prune::grouped{.groups = {{{0}, 1.5}}}), {"grouped sparsity"});
    check_parts(message(prune::threshold{.minimum = -2}), {"minimum", "-2"});
}

TEST_CASE("ERK: densities of LeNet-300-100 and of convolutions by hand, an exact sum")
{
    // 784-300-100-10: (784 + 300) / (784 * 300) and so on; the last layer would be denser than 1.
    const std::vector<prune::weight_extents> dense{{300, 784, 1}, {100, 300, 1}, {10, 100, 1}};
    const std::vector<prune::weight_extents> convolutions{
        {6, 1, 25, 10}, {16, 6, 25, 10}, {120, 256, 1}};
    for (const auto& extents : {dense, convolutions})
    {
        for (const double sparsity : {0.0, 0.3, 0.8, 0.9, 0.95, 0.98})
        {
            INFO(sparsity);
            std::vector<std::vector<double>> values;
            std::vector<layer_ranking> ranking;
            double all = 0;
            for (const auto& e : extents)
            {
                values.emplace_back(static_cast<std::size_t>(e.size()));
                ranking.push_back({"w", e, {}});
                all += static_cast<double>(e.size());
            }
            for (std::size_t i = 0; i < ranking.size(); ++i)
            {
                ranking[i].scores = values[i];
            }
            // By search: the number of layers that stay whole, the densest first.
            std::vector<double> raw;
            for (const auto& e : extents)
            {
                raw.push_back(static_cast<double>(e.rows + e.inputs + e.window_sum) /
                              static_cast<double>(e.size()));
            }
            std::vector<std::size_t> order{0, 1, 2};
            std::sort(order.begin(), order.end(),
                [&](std::size_t a, std::size_t b)
                {
                    return raw[a] > raw[b];
                });
            std::vector<double> expected(3, 1.0);
            for (std::size_t whole = 0; whole <= 3; ++whole)
            {
                double keep = all * (1 - sparsity);
                double weight = 0;
                for (std::size_t i = 0; i < 3; ++i)
                {
                    const auto n = static_cast<double>(extents[order[i]].size());
                    (i < whole ? keep : weight) += i < whole ? -n : raw[order[i]] * n;
                }
                const double factor = whole < 3 ? keep / weight : 0;
                if (whole == 3 || factor * raw[order[whole]] <= 1)
                {
                    for (std::size_t i = whole; i < 3; ++i)
                    {
                        expected[order[i]] = factor * raw[order[i]];
                    }
                    break;
                }
            }
            const prune::erk how_many{.sparsity = sparsity};
            const auto densities = how_many.densities(ranking);
            const auto removed = how_many.removed(ranking);
            std::size_t sum = 0;
            for (std::size_t i = 0; i < 3; ++i)
            {
                CHECK(densities[i] == doctest::Approx(expected[i]));
                const auto n = static_cast<double>(extents[i].size());
                CHECK(std::abs(static_cast<double>(removed[i]) - (1 - expected[i]) * n) < 1);
                sum += removed[i];
            }
            CHECK(sum == static_cast<std::size_t>(std::nearbyint(sparsity * all)));
        }
    }
}

} // namespace test_allocation
