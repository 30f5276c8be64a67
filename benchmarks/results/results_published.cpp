// Published networks: errors on MNIST's 10,000 test images, images right of CIFAR-10's first 1,000.

#include "../../tests/support/published.hpp"
#include "result_table.hpp"

int main(int argc, char** argv)
{
    const std::string data = results::environment("STRUCTOPT_DATA_DIR");
    const std::string models = results::environment("STRUCTOPT_MODELS_DIR");
    try
    {
        results::table table("published", {},
            "Networks from their published weights. Expected and found are errors of 10,000 for "
            "the "
            "LeNets (Dynamic Network Surgery, MNIST) and images right of 1,000 for ResNet-8 "
            "(MLPerf "
            "Tiny, CIFAR-10); margin is the smallest distance between the two largest outputs.");
        const auto add = [&](const std::string& name, structopt::index_t expected,
                             structopt::index_t found, float margin)
        {
            table.add(
                {{"model", name}, {"expected", expected}, {"found", found}, {"margin", margin}});
        };
        const auto mnist = published::mnist_test(data);
        for (const auto& [kind, expected] :
            {std::pair<std::string, int>{"original", 228}, {"sparse", 199}})
        {
            const auto o = published::count_right(published::lenet300100(models, kind), mnist);
            add("lenet300100_" + kind, expected, o.wrong, o.margin);
        }
        for (const std::string kind : {"original", "sparse"})
        {
            const auto o = published::count_right(published::lenet5(models, kind), mnist);
            add("lenet5_" + kind, 91, o.wrong, o.margin);
        }
        const auto o =
            published::count_right(published::resnet8(models), published::cifar_test(data));
        add("resnet8", 881, o.right, o.margin);
        table.write(results::output_folder(argc, argv));
        return 0;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "results_published: %s\n", e.what());
        return 1;
    }
}
