// Training steps (forward, loss, backward, optimizer) of 784-300-100-10 and of LeNet-5 at batch 64,
// beside PyTorch's. Before timing, a few steps must lower the loss.
//
// PyTorch is timed by torch_training.py in a process of its own; its medians appear here as manual
// times, so that one file holds both: compare the column real_time, which is wall time in both.

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace structopt;

namespace
{

auto mlp(random_engine& rng)
{
    return nn::sequential{nn::dense{{.in = 784, .out = 300}, rng}, nn::relu{},
        nn::dense{{.in = 300, .out = 100}, rng}, nn::relu{},
        nn::dense{{.in = 100, .out = 10}, rng}};
}

auto lenet5(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 1, .out = 20, .kernel = 5}, rng},
        nn::max_pool2d{{.kernel = 2}}, nn::conv2d{{.in = 20, .out = 50, .kernel = 5}, rng},
        nn::max_pool2d{{.kernel = 2}}, nn::flatten{}, nn::dense{{.in = 800, .out = 500}, rng},
        nn::relu{}, nn::dense{{.in = 500, .out = 10}, rng}};
}

template <class Network, std::size_t N, class Optimizer>
void train(
    benchmark::State& state, Network net, const shape<N>& extents, const Optimizer& optimizer)
{
    random_engine rng(1);
    auto x = make_tensor<float>(extents);
    for (float& value : x)
    {
        value = normal<float>(rng);
    }
    std::vector<std::int32_t> labels;
    for (std::int32_t i = 0; i < 64; ++i)
    {
        labels.push_back(i % 10);
    }
    auto gradients = nn::zeros_like(net);
    auto kept = optim::make_state(optimizer, net);
    auto cache = nn::make_cache(net, x, rng);
    auto dy = make_tensor<float>(shape<2>{64, 10});
    const nn::cross_entropy loss{};
    const auto step = [&]
    {
        const auto& y = nn::forward(net, x, cache);
        const double value = loss(as_view(y), labels, as_view(dy));
        nn::backward(net, dy, cache, gradients);
        optim::step(optimizer, net, gradients, kept, {.zero_gradients = true});
        return value;
    };
    const double before = step();
    double after = before;
    for (int i = 0; i < 20; ++i)
    {
        after = step();
    }
    if (!(after < before))
    {
        state.SkipWithError("the loss does not fall");
        return;
    }
    for (auto _ : state)
    {
        benchmark::DoNotOptimize(step());
    }
    state.counters["parameters"] = static_cast<double>(nn::parameter_count(net));
}

/// PyTorch's lines: "train_mlp_sgd 812.3", or "absent".
void register_pytorch()
{
    const char* const folder = std::getenv("STRUCTOPT_SOURCE_DIR");
    const std::string script = (folder != nullptr ? std::string(folder) : std::string(".")) +
                               "/benchmarks/torch_training.py";
    // The first Python that has it.
    const std::string command =
        "for python in python3 /usr/bin/python3; do if $python -c 'import torch' 2>/dev/null; then "
        "OMP_NUM_THREADS=1 exec $python '" +
        script + "' 2>/dev/null; fi; done";
    std::FILE* const output = popen(command.c_str(), "r");
    char name[128];
    double microseconds = 0;
    int lines = 0;
    while (output != nullptr && std::fscanf(output, "%127s %lf", name, &microseconds) == 2)
    {
        ++lines;
        benchmark::RegisterBenchmark((std::string(name) + "/pytorch/64x784x10").c_str(),
            [microseconds](benchmark::State& state)
            {
                for (auto _ : state)
                {
                    state.SetIterationTime(microseconds * 1e-6);
                }
            })
            ->UseManualTime()
            ->Iterations(1)
            ->Unit(benchmark::kMicrosecond);
    }
    if (output != nullptr)
    {
        pclose(output);
    }
    if (lines == 0)
    {
        std::fprintf(stderr, "absent: pytorch\n");
    }
}

template <class Optimizer>
void register_steps(const std::string& kind, const Optimizer& optimizer)
{
    benchmark::RegisterBenchmark(("train_mlp_" + kind + "/structopt/64x784x10").c_str(),
        [optimizer](benchmark::State& state)
        {
            random_engine rng(1);
            train(state, mlp(rng), shape<2>{64, 784}, optimizer);
        })
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(("train_lenet5_" + kind + "/structopt/64x784x10").c_str(),
        [optimizer](benchmark::State& state)
        {
            random_engine rng(1);
            train(state, lenet5(rng), shape<4>{64, 1, 28, 28}, optimizer);
        })
        ->Unit(benchmark::kMicrosecond);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    register_steps("sgd", optim::momentum{.rate = 1e-3});
    register_steps("adam", optim::adam{.rate = 1e-4});
    register_pytorch();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
