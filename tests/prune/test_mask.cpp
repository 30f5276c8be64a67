#include <structopt/core/random.hpp>
#include <structopt/io/safetensors_file.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/mask.hpp>

#include <doctest/doctest.h>

#include "support/golden.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace test_mask
{

using namespace structopt;
using prune::magnitude;
using prune::scope;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

template <class Tensor>
index_t zeros_in(const Tensor& w)
{
    index_t n = 0;
    for (const auto value : w)
    {
        n += value == 0 ? 1 : 0;
    }
    return n;
}

/// Weights go by their position: the first ones of a layer first.
struct first_come
{
    template <class T>
    void score(view<const T, 2>, std::span<T> scores) const
    {
        for (std::size_t i = 0; i < scores.size(); ++i)
        {
            scores[i] = static_cast<T>(i);
        }
    }
};

struct broken
{
    template <class T>
    void score(view<const T, 2>, std::span<T> scores) const
    {
        std::fill(scores.begin(), scores.end(), T(1));
        scores.back() = std::numeric_limits<T>::quiet_NaN();
    }
};

struct no_criterion
{
};

static_assert(prune::weight_criterion<magnitude>);
static_assert(prune::weight_criterion<first_come>);
static_assert(!prune::weight_criterion<no_criterion>);

auto make_network(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 2, .out = 5, .kernel = 3}, rng},
        nn::batch_norm{{.features = 5}}, nn::relu{}, nn::flatten{},
        nn::dense{{.in = 45, .out = 20}, rng}, nn::residual{nn::dense{{.in = 20, .out = 20}, rng}},
        nn::dense{{.in = 20, .out = 3, .bias = false}, rng}};
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("the smallest weights of every layer become zero, exactly as many as asked for")
    {
        random_engine rng(1);
        for (const double share : {0.0, 0.1, 0.25, 1.0 / 3.0, 0.5, 0.77, 0.9, 0.99})
        {
            INFO(share);
            auto net = make_network(rng);
            const auto before = net;
            const auto mask = prune::apply(net, magnitude{}, {.sparsity = share});
            const auto check = [&](const auto& w, const auto& old)
            {
                const double n = static_cast<double>(w.size());
                CHECK(zeros_in(w) == static_cast<index_t>(std::nearbyint(share * n)));
                double largest_gone = 0;
                double smallest_left = 1e9;
                for (std::size_t i = 0; i < w.size(); ++i)
                {
                    const double size = std::abs(static_cast<double>(old.data()[i]));
                    if (w.data()[i] == 0)
                    {
                        largest_gone = std::max(largest_gone, size);
                    }
                    else
                    {
                        smallest_left = std::min(smallest_left, size);
                        CHECK(w.data()[i] == old.data()[i]);
                    }
                }
                CHECK(largest_gone <= smallest_left);
            };
            check(net.layer<0>().weight, before.layer<0>().weight);
            check(net.layer<4>().weight, before.layer<4>().weight);
            check(net.layer<5>().branch.weight, before.layer<5>().branch.weight);
            check(net.layer<6>().weight, before.layer<6>().weight);
            CHECK(net.layer<0>().bias == before.layer<0>().bias);
            CHECK(net.layer<1>().weight == before.layer<1>().weight);
            // Once more with the same mask, and with a new one: nothing changes.
            auto again = net;
            prune::apply(again, mask);
            CHECK(again.layer<4>().weight == net.layer<4>().weight);
            CHECK(prune::make_mask(net, magnitude{}, {.sparsity = share}) == mask);
            if (share > 0)
            {
                CHECK(prune::mask_of_zeros(net) == mask);
            }
        }
    }
}

TEST_CASE("over the whole network the lowest scores go, wherever they are")
{
    random_engine rng(2);
    auto net = make_network(rng);
    // The first layer's weights are all smaller than the others'; one of them has to stay.
    for (float& value : net.layer<0>().weight)
    {
        value = 1e-3f * (value < 0 ? -1.0f : 1.0f);
    }
    const index_t all = 90 + 900 + 400 + 60;
    const index_t gone = 145; // a tenth
    const auto mask =
        prune::apply(net, magnitude{}, {.sparsity = 0.1, .scope = scope::global, .minimum = 1});
    CHECK(zeros_in(net.layer<0>().weight) == 89);
    CHECK(zeros_in(net.layer<0>().weight) + zeros_in(net.layer<4>().weight) +
              zeros_in(net.layer<5>().branch.weight) + zeros_in(net.layer<6>().weight) ==
          gone);
    CHECK(mask.sparsity() == static_cast<double>(gone) / static_cast<double>(all));
}

TEST_CASE("of equal scores the earlier go first, layer by layer and in all")
{
    random_engine rng(3);
    auto net = make_network(rng);
    const auto keep =
        prune::make_mask(net, first_come{}, {.sparsity = 0.5, .scope = scope::global, .minimum = 1})
            .keep;
    // Scores 0 .. n-1 in each layer: those below the common bound go. 90, 900, 400 and 60 weights
    // have 30 + ... of them: 725 in all.
    std::size_t gone = 0;
    for (const auto& list : keep)
    {
        bool kept = false;
        for (const auto stays : list)
        {
            CHECK(!(kept && stays == 0));
            kept = kept || stays != 0;
            gone += stays == 0 ? 1 : 0;
        }
    }
    CHECK(gone == 725);

    nn::sequential equal{nn::dense{{.in = 4, .out = 3}, rng}, nn::dense{{.in = 3, .out = 4}, rng}};
    equal.layer<0>().weight.fill(1.0f);
    equal.layer<1>().weight.fill(-1.0f);
    const auto mask = prune::make_mask(
        equal, magnitude{}, {.sparsity = 0.75, .scope = scope::global, .minimum = 1});
    std::size_t seen = 0;
    for (const auto& list : mask.keep)
    {
        for (const auto stays : list)
        {
            // 18 go; the last weight of the first layer has to stay.
            CHECK(stays == (seen == 11 || seen >= 19 ? 1 : 0));
            ++seen;
        }
    }
    CHECK(seen == 24);
}

TEST_CASE("lists follow the trainable parameters: biases, scales and statistics are not masked")
{
    random_engine rng(4);
    const auto net = make_network(rng);
    const auto mask = prune::make_mask(net, magnitude{}, {.sparsity = 0.5});
    std::vector<std::size_t> sizes;
    for (const auto& list : mask.keep)
    {
        sizes.push_back(list.size());
    }
    CHECK(sizes == std::vector<std::size_t>{90, 0, 0, 0, 900, 0, 400, 0, 60});
    auto copy = net;
    CHECK(nn::trainable_parameters<float>(copy).size() == mask.keep.size());
}

TEST_CASE("sparsities and scores that are none are refused, and nothing is changed")
{
    random_engine rng(5);
    auto net = make_network(rng);
    const auto before = net;
    for (const double bad : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            prune::apply(net, magnitude{}, {.sparsity = bad});
                        }),
            {"sparsity", "[0, 1)"});
    }
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::apply(net, broken{}, {.sparsity = 0.5});
                    }),
        {"0.weight", "finite scores", "position 89"});
    net.layer<4>().weight(3, 4) = std::numeric_limits<float>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::apply(net, magnitude{}, {.sparsity = 0.5});
                    }),
        {"4.weight", "position 139"});
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
}

TEST_CASE("another network's mask is refused, and nothing is changed")
{
    random_engine rng(6);
    auto net = make_network(rng);
    const auto before = net;
    const auto mask = prune::make_mask(net, magnitude{}, {.sparsity = 0.5});
    nn::sequential other{nn::dense{{.in = 9, .out = 10}, rng}};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        prune::apply(other, mask);
                    }),
        {"mask", "2 lists", "got 9"});
    auto wrong = mask;
    wrong.keep[6].pop_back();
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        prune::apply(net, wrong);
                    }),
        {"mask of parameter 6", "400 numbers", "399"});
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
    CHECK(net.layer<4>().weight == before.layer<4>().weight);
}

TEST_CASE("a network without weights, and the empty mask")
{
    nn::sequential<nn::relu> none{nn::relu{}};
    const auto mask = prune::make_mask(none, magnitude{}, {.sparsity = 0.5});
    CHECK(mask.keep.empty());
    CHECK(mask.sparsity() == 0.0);
}

namespace
{

/// A network of one dense layer in double with this weight.
nn::dense<double> layer_of(const io::safetensors_file& file, const std::string& name)
{
    const auto extents = file.at(name).shape;
    index_t columns = 1;
    for (std::size_t i = 1; i < extents.size(); ++i)
    {
        columns *= extents[i];
    }
    auto w = make_tensor<double>(shape<2>{extents[0], columns});
    file.read_into(name, std::span<double>(w.data(), w.size()));
    return nn::dense<double>(std::move(w));
}

std::vector<double> golden_mask(const io::safetensors_file& file, const std::string& name)
{
    std::vector<double> values(static_cast<std::size_t>(file.at(name).count));
    file.read_into(name, std::span<double>(values));
    return values;
}

bool equal(const std::vector<std::uint8_t>& found, const std::vector<double>& expected)
{
    return std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
        [](std::uint8_t a, double b)
        {
            return static_cast<double>(a) == b;
        });
}

} // namespace

TEST_CASE("masks agree with PyTorch's l1_unstructured and global_unstructured")
{
    const io::safetensors_file file(support::golden_path("prune.safetensors"));
    int cases = 0;
    for (const auto& entry : file.entries())
    {
        const std::string& name = entry.name;
        if (name.rfind("l1_unstructured/", 0) != 0 || name.find("/mask") == std::string::npos)
        {
            continue;
        }
        INFO(name);
        const std::string start = name.substr(0, name.rfind('/'));
        const std::string option = file.metadata().find(start)->second;
        double amount = std::strtod(option.c_str() + option.find('=') + 1, nullptr);
        const auto layer = layer_of(file, start + "/weight");
        amount = amount > 1 ? amount / static_cast<double>(layer.weight.size()) : amount;
        const auto mask = prune::make_mask(layer, magnitude{}, {.sparsity = amount});
        CHECK(equal(mask.keep[0], golden_mask(file, name)));
        ++cases;
    }
    CHECK(cases == 6);

    const std::string start = "global_l1/amount0.4/";
    const nn::sequential both{layer_of(file, start + "first"), layer_of(file, start + "second")};
    const auto mask =
        prune::make_mask(both, magnitude{}, {.sparsity = 0.4, .scope = scope::global});
    CHECK(equal(mask.keep[0], golden_mask(file, start + "first_mask")));
    CHECK(equal(mask.keep[1], golden_mask(file, start + "second_mask")));
}

namespace
{

bool has(const std::string& text, const char* part)
{
    return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE("rows and input channels agree with PyTorch's ln_structured over both dimensions")
{
    const io::safetensors_file file(support::golden_path("prune.safetensors"));
    int cases = 0;
    for (const auto& entry : file.entries())
    {
        const std::string& name = entry.name;
        if (name.rfind("ln_structured/", 0) != 0 || !has(name, "/mask"))
        {
            continue;
        }
        INFO(name);
        const std::string start = name.substr(0, name.rfind('/'));
        const auto extents = file.at(start + "/weight").shape;
        const double norm = has(name, "n1")   ? 1.0
                            : has(name, "n2") ? 2.0
                                              : std::numeric_limits<double>::infinity();
        const auto masked = [&](const auto& layer)
        {
            const prune::mask_options half{.sparsity = 0.5};
            return has(name, "dim0")
                       ? prune::make_mask(layer, magnitude{}, half, prune::rows{.norm = norm})
                       : prune::make_mask(
                             layer, magnitude{}, half, prune::input_channels{.norm = norm});
        };
        prune::mask found;
        if (extents.size() == 4)
        {
            auto w = make_tensor<double>(shape<4>{extents[0], extents[1], extents[2], extents[3]});
            file.read_into(start + "/weight", std::span<double>(w.data(), w.size()));
            found = masked(nn::conv2d<double>(
                {.in = extents[1], .out = extents[0], .kernel = {extents[2], extents[3]}},
                std::move(w)));
        }
        else
        {
            found = masked(layer_of(file, start + "/weight"));
        }
        CHECK(equal(found.keep[0], golden_mask(file, name)));
        ++cases;
    }
    CHECK(cases == 6);
}

TEST_CASE("a layer that would lose its last weight is refused, or keeps its minimum")
{
    random_engine rng(7);
    auto net = make_network(rng);
    for (float& value : net.layer<0>().weight)
    {
        value *= 1e-4f;
    }
    const auto before = net;
    for (const auto& options : {prune::mask_options{.sparsity = 0.1, .scope = scope::global},
             prune::mask_options{.sparsity = 0.999}})
    {
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            prune::apply(net, magnitude{}, options);
                        }),
            {"0.weight", "minimum", "90 of 90"});
    }
    CHECK(net.layer<0>().weight == before.layer<0>().weight);
    // The others make up for it: a tenth of 1450 goes all the same.
    const auto mask =
        prune::apply(net, magnitude{}, {.sparsity = 0.1, .scope = scope::global, .minimum = 10});
    CHECK(zeros_in(net.layer<0>().weight) == 80);
    CHECK(mask.sparsity() == 0.1);
    CHECK(prune::make_mask(
              net, magnitude{}, {.sparsity = 0.1, .scope = scope::global, .minimum = 10}) == mask);
    const auto few = prune::make_mask(before, magnitude{}, {.sparsity = 0.999, .minimum = 3});
    CHECK(std::accumulate(few.keep[0].begin(), few.keep[0].end(), 0) == 3);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::make_mask(before, magnitude{},
                            {.sparsity = 0.9, .scope = scope::global, .minimum = 100});
                    }),
        {"sparsity", "every layer keeps 100", "1305"});
    CHECK_THROWS_AS(
        prune::make_mask(before, magnitude{}, {.sparsity = 0.5, .minimum = -1}), argument_error);
}

TEST_CASE("masks from scores, and scores of another network")
{
    random_engine rng(8);
    const auto net = make_network(rng);
    auto found = prune::score(net, magnitude{});
    const prune::mask_options options{.sparsity = 0.3, .scope = scope::global};
    CHECK(prune::make_mask(net, found, options) == prune::make_mask(net, magnitude{}, options));
    auto shifted = found;
    shifted.layers[1].parameter = 5;
    auto missing = found;
    missing.layers.pop_back();
    auto extra = found;
    extra.layers.push_back(found.layers[0]);
    for (const auto& wrong : {shifted, missing, extra})
    {
        check_parts(message_of<shape_error>(
                        [&]
                        {
                            prune::make_mask(net, wrong, options);
                        }),
            {"scores", "entr"});
    }
    found.layers[2].values[3] = std::numeric_limits<double>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        prune::make_mask(net, found, options);
                    }),
        {"5.branch.weight", "position 3"});
}

} // namespace test_mask
