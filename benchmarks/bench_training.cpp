// Training steps (forward, loss, backward, optimizer) of 784-300-100-10 and of LeNet-5 at batch 64, and
// forward passes of one sample, beside PyTorch's. Before timing, a few steps must lower the loss.
//
// PyTorch is timed by torch_training.py and libtorch by libtorch_training, each in a process of its own;
// their medians appear here as manual times, so that one file holds all. The column to compare is
// real_time: for all it is the processor time of the process, which other work on the core does not change.

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
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

/// Processor time of this process.
double process_seconds()
{
    std::timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
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
        const double start = process_seconds();
        benchmark::DoNotOptimize(step());
        state.SetIterationTime(process_seconds() - start);
    }
    state.counters["parameters"] = static_cast<double>(nn::parameter_count(net));
}

/// The inference form of one sample, many times, with scratch of one's own.
template <class Network, std::size_t N>
void infer(benchmark::State& state, const Network& net, const shape<N>& extents)
{
    random_engine rng(1);
    auto x = make_tensor<float>(extents);
    for (float& value : x)
    {
        value = normal<float>(rng);
    }
    auto y = nn::forward(net, x);
    buffer<std::byte> bytes(nn::scratch_bytes<float>(net, extents));
    constexpr int passes = 100;
    for (auto _ : state)
    {
        const double start = process_seconds();
        for (int i = 0; i < passes; ++i)
        {
            nn::forward(net, as_view(std::as_const(x)), as_view(y),
                nn::scratch(bytes.data(), bytes.size()));
            benchmark::ClobberMemory();
        }
        state.SetIterationTime((process_seconds() - start) / passes);
    }
}

/// Registers what a peer's program prints: lines such as "train_mlp_sgd pytorch 64x784x10 812.3".
void register_lines(const char* peer, const std::string& command)
{
    std::FILE* const output = popen(command.c_str(), "r");
    char workload[64];
    char contender[64];
    char extents[64];
    double microseconds = 0;
    int lines = 0;
    while (output != nullptr && std::fscanf(output, "%63s %63s %63s %lf", workload, contender,
                                    extents, &microseconds) == 4)
    {
        ++lines;
        const std::string name = std::string(workload) + "/" + contender + "/" + extents;
        benchmark::RegisterBenchmark(name.c_str(),
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
        std::fprintf(stderr, "absent: %s\n", peer);
    }
}

void register_pytorch()
{
    const char* const folder = std::getenv("STRUCTOPT_SOURCE_DIR");
    const std::string script = (folder != nullptr ? std::string(folder) : std::string(".")) +
                               "/benchmarks/torch_training.py";
    // The first Python that has it.
    register_lines("pytorch",
        "for python in python3 /usr/bin/python3; do if $python -c 'import torch' 2>/dev/null; then "
        "OMP_NUM_THREADS=1 exec $python '" +
            script + "' 2>/dev/null; fi; done");
#ifdef STRUCTOPT_LIBTORCH_TRAINING
    register_lines("libtorch", "OMP_NUM_THREADS=1 '" STRUCTOPT_LIBTORCH_TRAINING "' 2>/dev/null");
#else
    std::fprintf(stderr, "absent: libtorch\n");
#endif
}

/// `seconds` is the least manual time, of which an iteration that makes many passes has little.
void add(const std::string& name, double seconds, const std::function<void(benchmark::State&)>& run)
{
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->UseManualTime()
        ->MinTime(seconds)
        ->Unit(benchmark::kMicrosecond);
}

void register_forward()
{
    random_engine rng(1);
    const auto small = mlp(rng);
    const auto images = lenet5(rng);
    add("forward_mlp/structopt_packed/1x784x10", 0.005,
        [net = nn::pack(small)](benchmark::State& state)
        {
            infer(state, net, shape<2>{1, 784});
        });
    add("forward_mlp/structopt_bf16_weights/1x784x10", 0.005,
        [net = nn::convert<nn::packed_matrix<float, structopt::bfloat16>>(small)](
            benchmark::State& state)
        {
            infer(state, net, shape<2>{1, 784});
        });
    add("forward_lenet5/structopt_packed/1x784x10", 0.005,
        [net = nn::pack(images)](benchmark::State& state)
        {
            infer(state, net, shape<4>{1, 1, 28, 28});
        });
}

template <class Optimizer>
void register_steps(const std::string& kind, const Optimizer& optimizer)
{
    add("train_mlp_" + kind + "/structopt/64x784x10", 0.5,
        [optimizer](benchmark::State& state)
        {
            random_engine rng(1);
            train(state, mlp(rng), shape<2>{64, 784}, optimizer);
        });
    add("train_lenet5_" + kind + "/structopt/64x784x10", 0.5,
        [optimizer](benchmark::State& state)
        {
            random_engine rng(1);
            train(state, lenet5(rng), shape<4>{64, 1, 28, 28}, optimizer);
        });
}

/// A reporter without what the library appends to names: how time was taken is said above.
template <class Reporter>
class plain_names : public Reporter
{
public:
    using Reporter::Reporter;
    using runs = std::vector<benchmark::BenchmarkReporter::Run>;

    void ReportRuns(const runs& reports) override
    {
        runs plain = reports;
        for (auto& run : plain)
        {
            run.run_name.min_time.clear();
            run.run_name.iterations.clear();
            run.run_name.time_type.clear();
        }
        Reporter::ReportRuns(plain);
    }
};

} // namespace

int main(int argc, char** argv)
{
    register_steps("sgd", optim::momentum{.rate = 1e-3});
    register_steps("adam", optim::adam{.rate = 1e-4});
    register_forward();
    register_pytorch();
    plain_names<benchmark::ConsoleReporter> console(benchmark::ConsoleReporter::OO_Tabular);
    plain_names<benchmark::JSONReporter> file;
    const bool to_file = std::any_of(argv, argv + argc,
        [](const char* argument)
        {
            return std::string_view(argument).starts_with("--benchmark_out=");
        });
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks(&console, to_file ? &file : nullptr);
    benchmark::Shutdown();
}
