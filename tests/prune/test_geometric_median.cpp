#include <structopt/core/random.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/prune/geometric_median.hpp>
#include <structopt/prune/mask.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace test_geometric_median
{

using namespace structopt;
using prune::geometric_median;

static_assert(prune::unit_criterion<geometric_median>);
static_assert(!prune::weight_criterion<geometric_median>);

TEST_CASE_TEMPLATE(
    "distances to the others, written out; removed rows do not count", T, float, double)
{
    random_engine rng(1);
    auto w = structopt::zeros<T>(shape<2>{6, 11});
    for (T& value : w)
    {
        value = normal<T>(rng);
    }
    for (index_t c = 0; c < 11; ++c)
    {
        w(4, c) = 0;
    }
    std::vector<T> scores(6);
    geometric_median{}.score_units(as_view(std::as_const(w)), std::span<T>(scores));
    for (index_t i = 0; i < 6; ++i)
    {
        double sum = 0;
        for (index_t j = 0; j < 6; ++j)
        {
            double square = 0;
            for (index_t c = 0; c < 11; ++c)
            {
                square += std::pow(static_cast<double>(w(i, c)) - static_cast<double>(w(j, c)), 2);
            }
            sum += i == 4 || j == 4 ? 0 : std::sqrt(square);
        }
        CHECK(static_cast<double>(scores[static_cast<std::size_t>(i)]) ==
              doctest::Approx(sum / 4).epsilon(1e-6));
    }
    const tensor<T, 2> only = {{T(3), T(4)}, {T(0), T(0)}};
    geometric_median{}.score_units(as_view(only), std::span<T>(scores.data(), 2));
    CHECK(scores[0] == T(5));
    CHECK(scores[1] == T(0));
}

TEST_CASE("the filter between the others goes, whatever its norm, and stays gone")
{
    random_engine rng(2);
    nn::conv2d net{{.in = 1, .out = 4, .kernel = {1, 2}}, rng};
    // Three corners of a triangle far from zero, and a point within it.
    const float points[4][2] = {{100, 0}, {103, 1}, {106, 0}, {103, 4}};
    for (index_t i = 0; i < 8; ++i)
    {
        net.weight.data()[i] = points[i / 2][i % 2];
    }
    const auto mask = prune::apply(
        net, geometric_median{}, prune::mask_options{.sparsity = 0.25}, prune::filters{});
    CHECK(mask.keep[0] == std::vector<std::uint8_t>{1, 1, 0, 0, 1, 1, 1, 1});
    CHECK(prune::make_mask(net, geometric_median{}, prune::mask_options{.sparsity = 0.25},
              prune::filters{}) == mask);
    net.weight.data()[5] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(prune::score(net, geometric_median{}), argument_error);
}

} // namespace test_geometric_median
