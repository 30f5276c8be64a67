// Published networks give the counts their authors report, to the image.

#include "support/published.hpp"
#include "support/random_tensor.hpp"

#include <structopt/prune/magnitude.hpp>
#include <structopt/prune/units.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace
{

std::string folder(const char* variable, const std::string& needed)
{
    const char* const value = std::getenv(variable);
    const std::string path = value != nullptr ? value : "";
    if (path.empty() || !std::filesystem::exists(path + "/" + needed))
    {
        MESSAGE("skipped: ", variable, " has no ", needed);
        return {};
    }
    return path;
}

void check_errors(
    const std::string& name, const published::outcome& found, structopt::index_t expected)
{
    MESSAGE(name, ": ", found.wrong, " errors, smallest top-2 margin ", found.margin);
    CHECK(found.right + found.wrong == 10000);
    CHECK(found.wrong == expected);
}

} // namespace

TEST_CASE("LeNets of Dynamic Network Surgery make the published errors on MNIST")
{
    const auto data = folder("STRUCTOPT_DATA_DIR", "mnist/t10k-images-idx3-ubyte.gz");
    const auto models = folder("STRUCTOPT_MODELS_DIR", "dns-lenet");
    if (data.empty() || models.empty())
    {
        return;
    }
    const auto set = published::mnist_test(data);
    check_errors("lenet300100_original",
        published::count_right(published::lenet300100(models, "original"), set), 228);
    check_errors("lenet300100_sparse",
        published::count_right(published::lenet300100(models, "sparse"), set), 199);
    check_errors(
        "lenet5_original", published::count_right(published::lenet5(models, "original"), set), 91);
    check_errors(
        "lenet5_sparse", published::count_right(published::lenet5(models, "sparse"), set), 91);
}

TEST_CASE("ResNet-8 of MLPerf Tiny gets 881 of the first 1,000 test images of CIFAR-10")
{
    const auto data = folder("STRUCTOPT_DATA_DIR", "cifar10-subset/test_first1000.bin.gz");
    const auto models = folder("STRUCTOPT_MODELS_DIR", "mlperf-tiny");
    if (data.empty() || models.empty())
    {
        return;
    }
    const auto found =
        published::count_right(published::resnet8(models), published::cifar_test(data));
    MESSAGE("resnet8: ", found.right, " right, smallest top-2 margin ", found.margin);
    CHECK(found.right + found.wrong == 1000);
    CHECK(found.right == 881);
}

TEST_CASE("half the filters of ResNet-8 leave, masked and compacted compute the same")
{
    using namespace structopt;
    const auto models = folder("STRUCTOPT_MODELS_DIR", "mlperf-tiny");
    if (models.empty())
    {
        return;
    }
    const auto net = published::resnet8(models);
    const shape<4> sample{2, 3, 32, 32};
    // The streams of 16, 32 and 64 channels, and one list inside each block.
    CHECK(prune::prunable_units(net, sample) == std::vector<index_t>{16, 16, 32, 32, 64, 64});
    const auto kept = prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5});
    CHECK(kept.names == std::vector<std::string>{"0", "2.branch.0", "4.branch.0", "4.branch.2",
                            "6.branch.0", "6.branch.2"});
    const auto half = prune::compact(net, sample, kept);
    CHECK(shape_of(half.layer<4>().shortcut.weight) == shape<4>{16, 8, 1, 1});
    CHECK(shape_of(half.layer<9>().weight) == shape<2>{10, 32});
    CHECK(nn::parameter_count(half) * 3 < nn::parameter_count(net));
    CHECK(nn::multiply_adds(half, sample) * 3 < nn::multiply_adds(net, sample));
    random_engine rng(1);
    auto masked = net;
    prune::mask_units(masked, sample, kept);
    const auto x = support::random_tensor<float>(sample, rng, 64.0f);
    const auto expected = masked(x);
    float largest = 1;
    for (const float value : expected)
    {
        largest = std::max(largest, std::abs(value));
    }
    CHECK(support::largest_difference(half(x), expected) <= 1e-5 * static_cast<double>(largest));
    CHECK(support::largest_difference(net(x), expected) > 0.1);
}
