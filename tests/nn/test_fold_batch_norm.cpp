#include <structopt/nn.hpp>

#include "support/random_tensor.hpp"

#include <doctest/doctest.h>

#include <tuple>
#include <type_traits>

namespace test_fold_batch_norm
{

using namespace structopt;

/// Statistics and parameters as after training.
void shuffle(nn::batch_norm<>& norm, random_engine& rng)
{
    for (auto* numbers : {&norm.weight, &norm.bias, &norm.running_mean})
    {
        for (auto& value : *numbers)
        {
            value = uniform<float>(rng, -1.0f, 1.0f);
        }
    }
    for (auto& value : norm.running_var)
    {
        value = uniform<float>(rng, 0.1f, 1.1f);
    }
}

TEST_CASE("batch norms behind convolutions and dense layers vanish, the others stay")
{
    random_engine rng(3);
    nn::batch_norm one{{.features = 6}};
    nn::batch_norm two{{.features = 6, .affine = false}};
    nn::batch_norm after{{.features = 6}};
    nn::batch_norm last{{.features = 5}};
    for (auto* norm : {&one, &after, &last})
    {
        shuffle(*norm, rng);
    }
    two.running_mean(2) = 0.5f;
    two.running_var(3) = 0.25f;
    const nn::conv2d depthwise{
        {.in = 6, .out = 6, .kernel = 3, .padding = 1, .groups = 6, .bias = false}, rng};
    const nn::sequential net{nn::conv2d{{.in = 2, .out = 6, .kernel = 3, .padding = 1}, rng}, one,
        nn::relu{}, after, nn::residual{nn::sequential{depthwise, two, nn::relu{}}}, nn::flatten{},
        nn::dense{{.in = 6 * 16, .out = 5}, rng}, last};
    const auto folded = nn::fold_batch_norm(net);

    const auto x = support::random_tensor<float>(shape<4>{3, 2, 4, 4}, rng);
    const auto expected = net(x);
    CHECK(support::largest_difference(expected, folded(x)) < 2e-5);
    CHECK(support::largest_difference(expected, structopt::zeros<float>(shape_of(expected))) > 0.1);

    CHECK(std::tuple_size_v<decltype(folded.layers)> == 6);
    CHECK(std::is_same_v<std::remove_cvref_t<decltype(folded.layer<2>())>, nn::batch_norm<float>>);
    const auto& branch = folded.layer<3>().branch;
    CHECK(std::tuple_size_v<std::remove_cvref_t<decltype(branch.layers)>> == 2);
    // The convolution had no bias and has one now.
    CHECK(branch.layer<0>().options().bias);
    CHECK(size_of(branch.layer<0>().bias) == 6);
}

TEST_CASE("the folded numbers are those of the formula")
{
    random_engine rng(1);
    nn::dense layer{{.in = 2, .out = 1}, rng};
    layer.weight(0, 0) = 2;
    layer.weight(0, 1) = -4;
    layer.bias(0) = 3;
    nn::batch_norm norm{{.features = 1, .eps = 0.25}};
    norm.weight(0) = 3;
    norm.bias(0) = 0.5f;
    norm.running_mean(0) = 1;
    norm.running_var(0) = 2;
    const auto folded = nn::fold_batch_norm(nn::sequential{layer, norm});
    const auto& result = folded.layer<0>();
    // a = 3 / sqrt(2 + 0.25) = 2
    CHECK(result.weight(0, 0) == 4);
    CHECK(result.weight(0, 1) == -8);
    CHECK(result.bias(0) == 4.5f);
}

} // namespace test_fold_batch_norm
