/// @file
/// Published networks, rebuilt from their weights, and how many test images they get right.
#pragma once

#include <structopt/io.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace published
{

using namespace structopt;

/// Images, scaled as the network wants them, and labels.
template <std::size_t N>
struct samples
{
    tensor<float, N> x;
    std::vector<std::int32_t> labels;
};

/// MNIST's test set as the Caffe networks take it: pixel / 256, [n, 1, 28, 28].
inline samples<4> mnist_test(const std::string& data)
{
    const auto images = io::read_idx<std::uint8_t, 3>(data + "/mnist/t10k-images-idx3-ubyte.gz");
    const auto labels = io::read_idx<std::uint8_t, 1>(data + "/mnist/t10k-labels-idx1-ubyte.gz");
    samples<4> set;
    set.x = make_tensor<float>(shape<4>{shape_of(images)[0], 1, 28, 28});
    std::transform(images.begin(), images.end(), set.x.data(),
        [](std::uint8_t pixel)
        {
            return static_cast<float>(pixel) / 256;
        });
    set.labels.assign(labels.begin(), labels.end());
    return set;
}

/// The first 1,000 test images of CIFAR-10, pixels 0 .. 255, [n, 3, 32, 32].
inline samples<4> cifar_test(const std::string& data)
{
    const auto records = io::read_cifar10(data + "/cifar10-subset/test_first1000.bin.gz");
    samples<4> set;
    set.x = make_tensor<float>(shape_of(records.images));
    std::copy(records.images.begin(), records.images.end(), set.x.data());
    set.labels.assign(records.labels.begin(), records.labels.end());
    return set;
}

/// Names of the file for the names of a `sequential`: "1.weight" is "ip1.weight".
inline io::load_options named(std::vector<std::pair<std::string, std::string>> layers)
{
    io::load_options options;
    options.name_map = [layers = std::move(layers)](const std::string& ours)
    {
        for (const auto& layer : layers)
        {
            if (ours.rfind(layer.first + ".", 0) == 0)
            {
                return layer.second + ours.substr(layer.first.size());
            }
        }
        return ours;
    };
    return options;
}

/// LeNet-300-100 of Dynamic Network Surgery (Guo et al., 2016): `kind` is "original" or "sparse".
inline auto lenet300100(const std::string& models, const std::string& kind)
{
    random_engine rng(0);
    nn::sequential net{nn::flatten{}, nn::dense{{.in = 784, .out = 300}, rng}, nn::relu{},
        nn::dense{{.in = 300, .out = 100}, rng}, nn::relu{},
        nn::dense{{.in = 100, .out = 10}, rng}};
    io::load_state(net, models + "/dns-lenet/lenet300100_" + kind + ".safetensors",
        named({{"1", "ip1"}, {"3", "ip2"}, {"5", "ip3"}}));
    return net;
}

/// Caffe's LeNet-5 of the same paper: no activation behind the convolutions.
inline auto lenet5(const std::string& models, const std::string& kind)
{
    random_engine rng(0);
    nn::sequential net{nn::conv2d{{.in = 1, .out = 20, .kernel = 5}, rng},
        nn::max_pool2d{{.kernel = 2}}, nn::conv2d{{.in = 20, .out = 50, .kernel = 5}, rng},
        nn::max_pool2d{{.kernel = 2}}, nn::flatten{}, nn::dense{{.in = 800, .out = 500}, rng},
        nn::relu{}, nn::dense{{.in = 500, .out = 10}, rng}};
    io::load_state(net, models + "/dns-lenet/lenet5_" + kind + ".safetensors",
        named({{"0", "conv1"}, {"2", "conv2"}, {"5", "ip1"}, {"7", "ip2"}}));
    return net;
}

/// ResNet-8 of MLPerf Tiny, float; batch norm is folded in. TensorFlow's SAME padding at stride 2
/// is 0 before and 1 after.
inline auto resnet8(const std::string& models)
{
    random_engine rng(0);
    const auto conv3 = [&rng](index_t in, index_t out)
    {
        return nn::conv2d({.in = in, .out = out, .kernel = 3, .padding = 1}, rng);
    };
    const auto down3 = [&rng](index_t in, index_t out)
    {
        return nn::conv2d(
            {.in = in, .out = out, .kernel = 3, .stride = 2, .padding = 0, .padding_end = 1}, rng);
    };
    const auto down1 = [&rng](index_t in, index_t out)
    {
        return nn::conv2d({.in = in, .out = out, .kernel = 1, .stride = 2}, rng);
    };
    nn::sequential net{conv3(3, 16), nn::relu{},
        nn::residual{nn::sequential{conv3(16, 16), nn::relu{}, conv3(16, 16)}}, nn::relu{},
        nn::residual{nn::sequential{down3(16, 32), nn::relu{}, conv3(32, 32)}, down1(16, 32)},
        nn::relu{},
        nn::residual{nn::sequential{down3(32, 64), nn::relu{}, conv3(64, 64)}, down1(32, 64)},
        nn::relu{}, nn::global_avg_pool{}, nn::dense{{.in = 64, .out = 10}, rng}};
    io::load_state(net, models + "/mlperf-tiny/resnet8_cifar10_f32.safetensors",
        named({{"0", "conv0"}, {"2.branch.0", "conv1"}, {"2.branch.2", "conv2"},
            {"4.branch.0", "conv3"}, {"4.branch.2", "conv4"}, {"4.shortcut", "conv5"},
            {"6.branch.0", "conv6"}, {"6.branch.2", "conv7"}, {"6.shortcut", "conv8"},
            {"9", "dense0"}}));
    return net;
}

/// How a network did on a test set.
struct outcome
{
    index_t right = 0;
    index_t wrong = 0;
    /// The smallest distance between the largest and the second largest output.
    float margin = std::numeric_limits<float>::infinity();
};

template <class Network, std::size_t N>
outcome count_right(const Network& network, const samples<N>& set)
{
    outcome result;
    const index_t n = shape_of(set.x)[0];
    for (index_t first = 0; first < n; first += 250)
    {
        const index_t last = std::min(n, first + 250);
        const auto y = nn::forward(network, as_view(set.x).slice(first, last));
        for (index_t i = 0; i < last - first; ++i)
        {
            const float* const row = y.data() + i * shape_of(y)[1];
            index_t best = 0;
            float second = -std::numeric_limits<float>::infinity();
            for (index_t c = 1; c < shape_of(y)[1]; ++c)
            {
                if (row[c] > row[best])
                {
                    second = row[best];
                    best = c;
                }
                else
                {
                    second = std::max(second, row[c]);
                }
            }
            result.margin = std::min(result.margin, row[best] - second);
            const bool right = best == set.labels[static_cast<std::size_t>(first + i)];
            (right ? result.right : result.wrong) += 1;
        }
    }
    return result;
}

} // namespace published
