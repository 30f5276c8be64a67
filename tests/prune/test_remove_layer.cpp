#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/prune/remove_layer.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <type_traits>

namespace test_remove_layer
{

using namespace structopt;
using support::random_tensor;

namespace
{

const shape<2> sample{4, 3};

auto make_net(random_engine& rng)
{
    return nn::sequential{nn::dense{{.in = 3, .out = 5}, rng}, nn::tanh{},
        nn::residual{nn::sequential{nn::dense{{.in = 5, .out = 5}, rng}, nn::tanh{}}},
        nn::residual{nn::dense{{.in = 5, .out = 2}, rng}, nn::dense{{.in = 5, .out = 2}, rng}}};
}

} // namespace

TEST_CASE("layers and branches leave, the type says so")
{
    random_engine rng(1);
    const auto net = make_net(rng);
    const auto x = random_tensor<float>(sample, rng);
    const auto& first = net.layer<0>();

    const auto linear = prune::remove_layer<1>(net, sample);
    CHECK(linear(x) ==
          nn::forward(net.layer<3>(), nn::forward(net.layer<2>(), nn::forward(first, x))));

    const auto plain = prune::remove_branch<2>(net, sample);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(plain.layer<2>())>, nn::identity>);
    const auto hidden = nn::forward(nn::tanh{}, nn::forward(first, x));
    CHECK(plain(x) == nn::forward(net.layer<3>(), hidden));

    const auto shortcut = prune::remove_branch<3>(net, sample);
    CHECK(shape_of(shortcut.layer<3>().weight) == shape<2>{2, 5});
    CHECK(shortcut(x) == nn::forward(net.layer<3>().shortcut, nn::forward(net.layer<2>(), hidden)));

    // A path leads into a chain inside.
    const nn::sequential nested{nn::sequential{nn::tanh{}, net.layer<0>()}, nn::relu{}};
    CHECK(prune::remove_layer<0, 0>(nested, sample)(x) ==
          nn::forward(nn::relu{}, nn::forward(first, x)));

    // The output keeps its width.
    CHECK_THROWS_AS(prune::remove_layer<3>(net, sample), shape_error);
    CHECK_THROWS_AS(prune::remove_layer<0>(net, sample), shape_error);
}

TEST_CASE("scores say what to remove")
{
    random_engine rng(2);
    auto net = make_net(rng);
    const auto x = random_tensor<float>(sample, rng);
    const auto measure = [](const auto& y)
    {
        double sum = 0;
        for (const float value : y)
        {
            sum += static_cast<double>(value) * static_cast<double>(value);
        }
        return sum;
    };
    const auto scores = prune::score_removals(net, x, measure);
    REQUIRE(scores.size() == 3);
    CHECK(scores[0].name == "1");
    CHECK(scores[1].name == "2.branch");
    CHECK(scores[2].name == "3.branch");
    const double whole = measure(net(x));
    const auto check = [&](double score, const auto& smaller)
    {
        CHECK(score == doctest::Approx(measure(smaller(x)) - whole));
        CHECK(score != 0);
    };
    check(scores[0].score, prune::remove_layer<1>(net, sample));
    check(scores[1].score, prune::remove_branch<2>(net, sample));
    check(scores[2].score, prune::remove_branch<3>(net, sample));

    // A branch of the same weights as its shortcut is half of it; one of zeros nothing.
    net.layer<3>().branch = net.layer<3>().shortcut;
    nn::set_zero(net.layer<2>().branch);
    const auto shares = prune::branch_shares(net, x);
    REQUIRE(shares.size() == 2);
    CHECK(shares[0] == prune::removal_score{"2.branch", 0.0});
    CHECK(shares[1].name == "3.branch");
    CHECK(shares[1].score == doctest::Approx(0.5));
}

} // namespace test_remove_layer
