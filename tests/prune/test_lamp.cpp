#include <structopt/core/random.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/lamp.hpp>
#include <structopt/prune/mask.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace test_lamp
{

using namespace structopt;

static_assert(prune::weight_criterion<prune::lamp>);
static_assert(prune::size_ranking_criterion<prune::lamp>);

TEST_CASE_TEMPLATE("scores against the sum written out, with ties and zeros", T, float, double)
{
    random_engine rng(1);
    auto w = structopt::zeros<T>(shape<2>{9, 8});
    for (T& value : w)
    {
        value = std::round(normal<T>(rng) * 8) / 8;
    }
    w(2, 3) = w(7, 7) = T(0);
    std::vector<T> scores(72);
    prune::lamp{}.score(as_view(std::as_const(w)), std::span<T>(scores));
    double highest = 0;
    for (std::size_t i = 0; i < 72; ++i)
    {
        const double own = std::pow(static_cast<double>(w.data()[i]), 2);
        double sum = 0;
        for (std::size_t j = 0; j < 72; ++j)
        {
            const double other = std::pow(static_cast<double>(w.data()[j]), 2);
            sum += other > own || (other == own && j >= i) ? other : 0;
        }
        CHECK(static_cast<double>(scores[i]) == doctest::Approx(own / sum).epsilon(1e-6));
        highest = std::max(highest, static_cast<double>(scores[i]));
    }
    CHECK(highest == 1);
    CHECK(scores[19] == T(0));

    // Squares that are no longer numbers of the type.
    for (const T scale : {std::numeric_limits<T>::max() / 8, std::numeric_limits<T>::min() * 1024})
    {
        const tensor<T, 2> far = {{1 * scale, 2 * scale, -4 * scale}};
        prune::lamp{}.score(as_view(far), std::span<T>(scores.data(), 3));
        CHECK(static_cast<double>(scores[0]) == doctest::Approx(1.0 / 21));
        CHECK(static_cast<double>(scores[1]) == doctest::Approx(4.0 / 20));
        CHECK(scores[2] == T(1));
    }
}

TEST_CASE_TEMPLATE("scores are the same numbers as after a comparison sort", T, float, double)
{
    random_engine rng(3);
    auto w = structopt::zeros<T>(shape<2>{50, 41});
    double largest = 0;
    for (T& value : w)
    {
        value = std::round(normal<T>(rng) * 300) / 300;
        largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    std::vector<T> scores(w.size());
    prune::lamp{}.score(as_view(std::as_const(w)), std::span<T>(scores));
    std::vector<std::size_t> order(w.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
        [&](std::size_t a, std::size_t b)
        {
            return std::abs(w.data()[a]) < std::abs(w.data()[b]);
        });
    double sum = 0;
    for (std::size_t k = order.size(); k-- > 0;)
    {
        const double relative = static_cast<double>(w.data()[order[k]]) / largest;
        const double square = relative * relative;
        sum += square;
        CHECK(scores[order[k]] == static_cast<T>(square / sum));
    }
}

TEST_CASE_TEMPLATE("one ranking of the weights is that of their scores", T, float, double)
{
    random_engine rng(4);
    nn::sequential net{nn::dense<T>{{.in = 150, .out = 130}, rng},
        nn::dense<T>{{.in = 130, .out = 70}, rng}, nn::dense<T>{{.in = 70, .out = 3}, rng}};
    const auto check = [&]
    {
        const auto found = prune::score(net, prune::lamp{});
        for (const double share : {0.001, 0.5, 0.9, 0.99})
        {
            for (const index_t minimum : {index_t{0}, index_t{1}, index_t{90}})
            {
                INFO(share << ", at least " << minimum);
                const prune::mask_options options{
                    .sparsity = share, .scope = prune::scope::global, .minimum = minimum};
                CHECK(prune::make_mask(net, prune::lamp{}, options) ==
                      prune::make_mask(net, found, options));
            }
        }
        const prune::mask_options half{.sparsity = 0.5};
        CHECK(prune::make_mask(net, prune::lamp{}, half) == prune::make_mask(net, found, half));
    };
    check();
    // Scales of many orders, zeros, equal sizes of both signs.
    for (T& value : net.template layer<0>().weight)
    {
        value *= std::exp(4 * normal<T>(rng));
    }
    for (T& value : net.template layer<1>().weight)
    {
        value = uniform<T>(rng) < T(0.6) ? T(-0.0) : value;
    }
    check();
    for (T& value : net.template layer<0>().weight)
    {
        value = value < 0 ? T(-0.25) : T(0.25);
    }
    check();
    net.template layer<1>().weight.fill(T(0));
    CHECK(prune::make_mask(net, prune::lamp{}, {.sparsity = 0.3, .scope = prune::scope::global}) ==
          prune::make_mask(net, prune::score(net, prune::lamp{}),
              prune::mask_options{.sparsity = 0.3, .scope = prune::scope::global}));
}

TEST_CASE("one ranking does not depend on the size of a layer's weights, and empties no layer")
{
    random_engine rng(2);
    nn::sequential net{nn::dense{{.in = 30, .out = 20}, rng}, nn::dense{{.in = 20, .out = 4}, rng}};
    const prune::mask_options options{.sparsity = 0.98, .scope = prune::scope::global};
    const auto mask = prune::make_mask(net, prune::lamp{}, options);
    CHECK(mask.sparsity() == doctest::Approx(0.98).epsilon(1e-3));
    auto scaled = net;
    for (float& value : scaled.layer<0>().weight)
    {
        value *= 1.0f / 1024;
    }
    CHECK(prune::make_mask(scaled, prune::lamp{}, options) == mask);
    prune::apply(net, mask);
    CHECK(prune::make_mask(net, prune::lamp{}, options) == mask);

    net.layer<1>().weight(1, 2) = std::numeric_limits<float>::infinity();
    support::check_parts(support::message_of<argument_error>(
                             [&]
                             {
                                 prune::make_mask(net, prune::lamp{}, options);
                             }),
        {"1.weight", "position 22"});
}

} // namespace test_lamp
