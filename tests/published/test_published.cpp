// Published networks give the counts their authors report, to the image.

#include "support/published.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

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
