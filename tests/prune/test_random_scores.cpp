#include <structopt/core/random.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/prune/random_scores.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace test_random_scores
{

using namespace structopt;
using prune::random_scores;

static_assert(prune::weight_criterion<random_scores>);
static_assert(prune::unit_criterion<random_scores>);

TEST_CASE("scores are drawn from the engine, one per weight; zeros get 0")
{
    auto w = structopt::full<float>(shape<2>{40, 50}, 1.0f);
    w(3, 4) = -0.0f;
    std::vector<float> scores(2000);
    random_engine rng(1);
    random_engine same(1);
    random_scores(rng).score(as_view(std::as_const(w)), std::span<float>(scores));
    double sum = 0;
    for (std::size_t i = 0; i < scores.size(); ++i)
    {
        const float drawn = 1.0f - uniform<float>(same);
        CHECK(scores[i] == (i == 154 ? 0.0f : drawn));
        sum += static_cast<double>(scores[i]);
    }
    CHECK(std::abs(sum / 2000 - 0.5) < 0.03); // 4.6 standard deviations
    CHECK(rng == same);

    for (index_t c = 0; c < 50; ++c)
    {
        w(7, c) = 0;
    }
    std::vector<float> units(40);
    random_scores(rng).score_units(as_view(std::as_const(w)), std::span<float>(units));
    for (std::size_t r = 0; r < 40; ++r)
    {
        CHECK((units[r] > 0) == (r != 7));
    }
}

TEST_CASE("an exact share goes, the same for the same seed; what is pruned stays so")
{
    random_engine init(2);
    nn::sequential net{
        nn::dense{{.in = 30, .out = 20}, init}, nn::dense{{.in = 20, .out = 7}, init}};
    random_engine rng(3);
    random_engine same(3);
    random_engine other(4);
    const prune::mask_options options{.sparsity = 0.6, .scope = prune::scope::global};
    const auto mask = prune::make_mask(net, random_scores(rng), options);
    CHECK(mask.sparsity() == doctest::Approx(0.6).epsilon(1e-3));
    CHECK(prune::make_mask(net, random_scores(same), options) == mask);
    CHECK(!(prune::make_mask(net, random_scores(other), options) == mask));
    prune::apply(net, mask);
    CHECK(prune::make_mask(net, random_scores(rng), options) == mask);
}

} // namespace test_random_scores
