// Published data and models, where $STRUCTOPT_DATA_DIR and $STRUCTOPT_MODELS_DIR hold them.

#include "support/io_files.hpp"

#include <doctest/doctest.h>
#include <structopt/io.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace test_real_data
{

using namespace structopt;

namespace
{

std::array<int, 10> histogram(const tensor<std::uint8_t, 1>& labels)
{
    std::array<int, 10> counts{};
    for (const std::uint8_t label : labels)
    {
        ++counts.at(label);
    }
    return counts;
}

double mean(const tensor<std::uint8_t, 3>& images)
{
    std::uint64_t sum = 0;
    for (const std::uint8_t pixel : images)
    {
        sum += pixel;
    }
    return static_cast<double>(sum) / static_cast<double>(images.size());
}

index_t nonzeros(const io::safetensors_file& file)
{
    index_t n = 0;
    for (const auto& entry : file.entries())
    {
        std::vector<float> x(static_cast<std::size_t>(entry.count));
        file.read_into(entry.name, std::span<float>(x));
        for (const float value : x)
        {
            n += value != 0 ? 1 : 0;
        }
    }
    return n;
}

} // namespace

#ifdef STRUCTOPT_HAS_ZLIB

TEST_CASE("real data: MNIST")
{
    const auto train = support::real_file("STRUCTOPT_DATA_DIR", "mnist/train-labels-idx1-ubyte.gz");
    const auto test = support::real_file("STRUCTOPT_DATA_DIR", "mnist/t10k-labels-idx1-ubyte.gz");
    const auto train_images =
        support::real_file("STRUCTOPT_DATA_DIR", "mnist/train-images-idx3-ubyte.gz");
    const auto test_images =
        support::real_file("STRUCTOPT_DATA_DIR", "mnist/t10k-images-idx3-ubyte.gz");
    if (train.empty() || test.empty() || train_images.empty() || test_images.empty())
    {
        return;
    }
    CHECK(histogram(io::read_idx<std::uint8_t, 1>(train)) ==
          std::array<int, 10>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
    CHECK(histogram(io::read_idx<std::uint8_t, 1>(test)) ==
          std::array<int, 10>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009});
    const auto x = io::read_idx<std::uint8_t, 3>(train_images);
    CHECK(shape_of(x) == shape<3>{60000, 28, 28});
    CHECK(mean(x) == doctest::Approx(33.3184).epsilon(2e-6));
    const auto y = io::read_idx<std::uint8_t, 3>(test_images);
    CHECK(shape_of(y) == shape<3>{10000, 28, 28});
    CHECK(mean(y) == doctest::Approx(33.7912).epsilon(2e-6));
}

TEST_CASE("real data: CIFAR-10")
{
    const auto path =
        support::real_file("STRUCTOPT_DATA_DIR", "cifar10-subset/test_first1000.bin.gz");
    if (path.empty())
    {
        return;
    }
    const auto data = io::read_cifar10(path);
    CHECK(shape_of(data.images) == shape<4>{1000, 3, 32, 32});
    CHECK(histogram(data.labels) ==
          std::array<int, 10>{103, 89, 100, 103, 90, 86, 112, 102, 106, 109});
}

TEST_CASE("real data: digits")
{
    const std::string here = __FILE__;
    const char* const root = std::getenv("STRUCTOPT_SOURCE_DIR");
    const std::string path =
        (root != nullptr && *root != '\0' ? std::string(root) + "/"
                                          : here.substr(0, here.rfind("tests/io/"))) +
        "data/digits8x8.csv.gz";
    const auto table = io::read_csv<float>(path);
    REQUIRE(shape_of(table) == shape<2>{1797, 65});
    std::array<int, 10> counts{};
    double sum = 0;
    int outside = 0;
    for (index_t i = 0; i < 1797; ++i)
    {
        ++counts[static_cast<std::size_t>(table(i, 64))];
        for (index_t j = 0; j < 64; ++j)
        {
            const float pixel = table(i, j);
            outside += pixel >= 0 && pixel <= 16 ? 0 : 1;
            sum += static_cast<double>(pixel);
        }
    }
    CHECK(counts == std::array<int, 10>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});
    CHECK(outside == 0);
    CHECK(sum == 561718);
    CHECK(io::read_csv<std::uint8_t>(path, {.columns = {64}})(1, 0) == 1);
}

#endif

TEST_CASE("real data: time series and ratings")
{
    const auto path =
        support::real_file("STRUCTOPT_DATA_DIR", "timeseries/daily-min-temperatures.csv");
    if (path.empty())
    {
        return;
    }
    const auto x = io::read_csv<double>(path, {.header_rows = 1, .columns = {1}});
    CHECK(shape_of(x) == shape<2>{3650, 1});
    CHECK(x(0, 0) == 20.7);
}

TEST_CASE("real data: published models")
{
    const auto dense =
        support::real_file("STRUCTOPT_MODELS_DIR", "dns-lenet/lenet5_original.safetensors");
    const auto sparse =
        support::real_file("STRUCTOPT_MODELS_DIR", "dns-lenet/lenet5_sparse.safetensors");
    const auto int8 =
        support::real_file("STRUCTOPT_MODELS_DIR", "mlperf-tiny/resnet8_cifar10_int8.safetensors");
    const auto resnet =
        support::real_file("STRUCTOPT_MODELS_DIR", "mlperf-tiny/resnet8_cifar10_f32.safetensors");
    if (dense.empty() || sparse.empty() || int8.empty() || resnet.empty())
    {
        return;
    }
    CHECK(nonzeros(io::safetensors_file(dense)) == 431080);
    const io::safetensors_file pruned(sparse);
    CHECK(nonzeros(pruned) == 3993);
    CHECK(shape_of(pruned.read<float, 4>("conv2.weight")) == shape<4>{50, 20, 5, 5});
    index_t count = 0;
    const io::safetensors_file float_net(resnet);
    for (const auto& entry : float_net.entries())
    {
        count += entry.count;
    }
    CHECK(count == 77706);
    const io::safetensors_file quantized(int8);
    CHECK(quantized.read<std::int8_t, 4>("conv0.weight").shape()[0] == 16);
}

} // namespace test_real_data
