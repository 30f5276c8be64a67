// The data sets of the examples and experiments: handwritten digits, one image per row.
#pragma once

#include <structopt/core.hpp>
#include <structopt/io/csv.hpp>
#include <structopt/io/idx.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace data
{

using namespace structopt;

/// Images [n, pixels] with ink from 0 to 1, and labels 0 .. 9.
struct samples
{
    tensor<float, 2> x;
    std::vector<std::int32_t> labels;
};

/// The 1,797 digits of 8x8 pixels that come with the library, in the folder `data`.
inline samples digits(const std::string& folder)
{
    const auto table = io::read_csv<float>(folder + "/digits8x8.csv.gz");
    const index_t n = shape_of(table)[0];
    samples all;
    all.x = make_tensor<float>(shape<2>{n, 64});
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j < 64; ++j)
        {
            all.x(i, j) = table(i, j) / 16;
        }
        all.labels.push_back(static_cast<std::int32_t>(table(i, 64)));
    }
    return all;
}

/// MNIST's "train" or "t10k" files in a folder, 28x28 pixels.
inline samples mnist(const std::string& folder, const std::string& part)
{
    const auto images =
        io::read_idx<std::uint8_t, 3>(folder + "/" + part + "-images-idx3-ubyte.gz");
    const auto labels =
        io::read_idx<std::uint8_t, 1>(folder + "/" + part + "-labels-idx1-ubyte.gz");
    samples all;
    all.x = make_tensor<float>(shape<2>{shape_of(images)[0], 784});
    std::transform(images.begin(), images.end(), all.x.data(),
        [](std::uint8_t pixel)
        {
            return static_cast<float>(pixel) / 255;
        });
    all.labels.assign(labels.begin(), labels.end());
    return all;
}

} // namespace data
