// The training steps and forward passes of torch_training.py on libtorch, PyTorch's C++ library: no
// interpreter between the products. Prints the same lines; bench_training runs it in a process of its own.

#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <vector>

namespace
{

double process_seconds()
{
    std::timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Median of at least 20 runs and a second.
void report(const char* workload, const char* extents, const std::function<void()>& run)
{
    for (int i = 0; i < 10; ++i)
    {
        run();
    }
    std::vector<double> times;
    const double begin = process_seconds();
    while (process_seconds() - begin < 1.0 || times.size() < 20)
    {
        const double start = process_seconds();
        run();
        times.push_back(process_seconds() - start);
    }
    std::nth_element(
        times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    std::printf("%s libtorch %s %.3f\n", workload, extents, 1e6 * times[times.size() / 2]);
    std::fflush(stdout);
}

torch::nn::Sequential mlp()
{
    return torch::nn::Sequential(torch::nn::Linear(784, 300), torch::nn::ReLU(),
        torch::nn::Linear(300, 100), torch::nn::ReLU(), torch::nn::Linear(100, 10));
}

torch::nn::Sequential lenet5()
{
    return torch::nn::Sequential(torch::nn::Conv2d(1, 20, 5), torch::nn::MaxPool2d(2),
        torch::nn::Conv2d(20, 50, 5), torch::nn::MaxPool2d(2), torch::nn::Flatten(),
        torch::nn::Linear(800, 500), torch::nn::ReLU(), torch::nn::Linear(500, 10));
}

template <class Optimizer>
void report_step(
    const char* workload, torch::nn::Sequential net, const torch::Tensor& x, Optimizer optimizer)
{
    const torch::Tensor labels = torch::arange(64) % 10;
    report(workload, "64x784x10",
        [&]
        {
            optimizer.zero_grad();
            torch::nn::functional::cross_entropy(net->forward(x), labels).backward();
            optimizer.step();
        });
}

void report_network(const char* sgd, const char* adam, const char* forward,
    torch::nn::Sequential (*make)(), std::vector<std::int64_t> extents)
{
    extents[0] = 64;
    const torch::Tensor batch = torch::randn(extents);
    torch::nn::Sequential first = make();
    report_step(sgd, first, batch,
        torch::optim::SGD(first->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9)));
    torch::nn::Sequential second = make();
    report_step(adam, second, batch,
        torch::optim::Adam(second->parameters(), torch::optim::AdamOptions(1e-4)));
    extents[0] = 1;
    const torch::Tensor sample = torch::randn(extents);
    torch::nn::Sequential net = make();
    net->eval();
    report(forward, "1x784x10",
        [&]
        {
            const torch::InferenceMode guard;
            net->forward(sample);
        });
}

} // namespace

int main()
{
    torch::set_num_threads(1);
    torch::manual_seed(1);
    report_network("train_mlp_sgd", "train_mlp_adam", "forward_mlp", mlp, {64, 784});
    report_network(
        "train_lenet5_sgd", "train_lenet5_adam", "forward_lenet5", lenet5, {64, 1, 28, 28});
}
