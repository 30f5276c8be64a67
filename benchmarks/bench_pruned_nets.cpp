// Whole networks, dense beside pruned: LeNet-300-100, LeNet-5 and ResNet-8, with random weights.
//
// | workload/contender | |
// |---|---|
// | `<net>/structopt_dense` | the whole network, packed |
// | `<net>/structopt_compact50` | half the units of every layer removed, packed |
// | `<net>/structopt_planned90` | 90 % of the weights zero by magnitude, in the formats that `nn::plan` chooses |
// | `compaction/read_weights` | one reading of 10 million weights in four dense layers |
// | `compaction/structopt_choose_compact50` | half of their units chosen by magnitude and removed |
// | `masks/structopt_choose90_<how>` | a mask of the same weights: by magnitude per layer, in one ranking, by ERK; by LAMP |
// | `masks/structopt_apply90` | a mask set to zero in the weights |
// | `masks/structopt_csr90` | the masked weights stored as compressed rows |
//
// Names of networks end in the batch: 1 or 64. A pruned network must compute what its masked original
// does before it is timed. Counters: bytes of the parameters as they are stored; of masks and compaction
// `reads`, the time as a multiple of one reading of the weights, the fastest of many just before. The column to compare is
// cpu_time, the processor time of the process, which other work on the core does not change.

#include <structopt/nn.hpp>
#include <structopt/nn/plan.hpp>
#include <structopt/prune.hpp>
#include <structopt/sparse.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace structopt;

namespace
{

auto lenet300(random_engine& rng)
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

auto resnet8(random_engine& rng)
{
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
    return nn::sequential{conv3(3, 16), nn::relu{},
        nn::residual{nn::sequential{conv3(16, 16), nn::relu{}, conv3(16, 16)}}, nn::relu{},
        nn::residual{nn::sequential{down3(16, 32), nn::relu{}, conv3(32, 32)}, down1(16, 32)},
        nn::relu{},
        nn::residual{nn::sequential{down3(32, 64), nn::relu{}, conv3(64, 64)}, down1(32, 64)},
        nn::relu{}, nn::global_avg_pool{}, nn::dense{{.in = 64, .out = 10}, rng}};
}

/// 10.5 million weights.
auto large(random_engine& rng)
{
    return nn::sequential{nn::dense{{.in = 784, .out = 2048}, rng}, nn::relu{},
        nn::dense{{.in = 2048, .out = 2048}, rng}, nn::relu{},
        nn::dense{{.in = 2048, .out = 2240}, rng}, nn::relu{},
        nn::dense{{.in = 2240, .out = 10}, rng}};
}

template <std::size_t N>
tensor<float, N> noise(const shape<N>& extents)
{
    random_engine rng(2);
    auto x = make_tensor<float>(extents);
    for (float& value : x)
    {
        value = normal<float>(rng);
    }
    return x;
}

/// Largest distance as a share of the largest value.
template <std::size_t N>
double distance(const tensor<float, N>& a, const tensor<float, N>& b)
{
    double most = 0;
    double top = 1e-30;
    for (index_t i = 0; i < count(shape_of(b)); ++i)
    {
        most = std::max(most, std::abs(static_cast<double>(a.data()[i] - b.data()[i])));
        top = std::max(top, std::abs(static_cast<double>(b.data()[i])));
    }
    return most / top;
}

template <class Network>
double stored_bytes(const Network& network)
{
    double bytes = 0;
    nn::visit_parameters(network,
        [&](const nn::parameter_name&, const auto& parameter, nn::role)
        {
            using P = std::remove_cvref_t<decltype(parameter)>;
            if constexpr (requires { nn::storage_traits<P>::bytes(parameter); })
            {
                bytes += static_cast<double>(nn::storage_traits<P>::bytes(parameter));
            }
            else
            {
                bytes += static_cast<double>(parameter.size() * sizeof(typename P::value_type));
            }
        });
    return bytes;
}

/// Times a network whose output is that of `masked`.
template <class Network, class Masked, std::size_t N>
void time_network(benchmark::State& state, const Network& network, const Masked& masked,
    const tensor<float, N>& x)
{
    if (!(distance(nn::forward(network, x), nn::forward(masked, x)) < 1e-4))
    {
        state.SkipWithError("not what the masked network computes");
        return;
    }
    auto y = make_tensor<float>(nn::output_shape(network, shape_of(x)));
    buffer<std::byte> scratch(nn::scratch_bytes<float>(network, shape_of(x)));
    for (auto _ : state)
    {
        nn::forward(network, as_view(x), as_view(y), nn::scratch(scratch.data(), scratch.size()));
        benchmark::DoNotOptimize(y.data());
        benchmark::ClobberMemory();
    }
    state.counters["bytes"] = stored_bytes(network);
}

void add(const std::string& name, std::function<void(benchmark::State&)> run)
{
    benchmark::RegisterBenchmark(name.c_str(),
        [run = std::move(run)](benchmark::State& state)
        {
            run(state);
        })
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMicrosecond);
}

template <class Make, std::size_t N>
void add_network(const std::string& name, const Make& make, const shape<N>& one)
{
    for (const index_t batch : {index_t{1}, index_t{64}})
    {
        auto in = one;
        in[0] = batch;
        const std::string end = "/" + std::to_string(batch);
        add(name + "/structopt_dense" + end,
            [=](benchmark::State& state)
            {
                random_engine rng(1);
                const auto net = make(rng);
                time_network(state, nn::pack(net), net, noise(in));
            });
        add(name + "/structopt_compact50" + end,
            [=](benchmark::State& state)
            {
                random_engine rng(1);
                auto net = make(rng);
                const auto kept =
                    prune::choose_units(net, in, prune::magnitude{}, {.sparsity = 0.5});
                const auto small = prune::compact(net, in, kept);
                prune::mask_units(net, in, kept);
                time_network(state, nn::pack(small), net, noise(in));
            });
        add(name + "/structopt_planned90" + end,
            [=](benchmark::State& state)
            {
                random_engine rng(1);
                auto net = make(rng);
                prune::apply(net, prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.9}));
                const auto planned = nn::plan(net, in);
                time_network(state, planned.network, net, noise(in));
            });
    }
}

/// Reads all weights, as fast as memory gives them.
template <class Network>
float read_weights(const Network& net)
{
    float total = 0;
    nn::visit_parameters(net,
        [&](const nn::parameter_name&, const auto& parameter, nn::role)
        {
            const float* const p = parameter.data();
            const auto n = static_cast<index_t>(parameter.size());
            float sums[64] = {}; // many at once
            for (index_t i = 0; i + 64 <= n; i += 64)
            {
                for (index_t j = 0; j < 64; ++j)
                {
                    sums[j] += p[i + j];
                }
            }
            for (const float sum : sums)
            {
                total += sum;
            }
        });
    return total;
}

double seconds(const std::function<void()>& work)
{
    const auto from = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

/// Times `work`, and says how many readings of the weights it takes.
template <class Network>
void time_in_reads(benchmark::State& state, const Network& net, const std::function<void()>& work)
{
    double read = 1e9;
    for (int i = 0; i < 20; ++i)
    {
        read = std::min(read, seconds(
                                  [&]
                                  {
                                      benchmark::DoNotOptimize(read_weights(net));
                                  }));
    }
    double total = 0;
    double times = 0;
    for (auto _ : state)
    {
        total += seconds(work);
        times += 1;
    }
    state.counters["reads"] = total / times / read;
}

template <class Criterion, class Allocation>
void add_mask(const std::string& name, const Criterion& criterion, const Allocation& how_many)
{
    add("masks/structopt_choose90_" + name,
        [=](benchmark::State& state)
        {
            random_engine rng(1);
            const auto net = large(rng);
            prune::mask m;
            time_in_reads(state, net,
                [&]
                {
                    m = prune::make_mask(net, criterion, how_many);
                });
            if (!(std::abs(m.sparsity() - 0.9) < 1e-6))
            {
                state.SkipWithError("not nine tenths of the weights");
            }
        });
}

void add_masks()
{
    const prune::mask_options global{.sparsity = 0.9, .scope = prune::scope::global, .minimum = 1};
    add_mask("layer", prune::magnitude{}, prune::mask_options{.sparsity = 0.9});
    add_mask("global", prune::magnitude{}, global);
    add_mask("erk", prune::magnitude{}, prune::erk{.sparsity = 0.9});
    add_mask("lamp", prune::lamp{}, global);
    add("masks/structopt_apply90",
        [](benchmark::State& state)
        {
            random_engine rng(1);
            auto net = large(rng);
            const auto m = prune::make_mask(net, prune::magnitude{}, {.sparsity = 0.9});
            time_in_reads(state, net,
                [&]
                {
                    prune::apply(net, m);
                    benchmark::ClobberMemory();
                });
        });
    add("masks/structopt_csr90",
        [](benchmark::State& state)
        {
            random_engine rng(1);
            auto net = large(rng);
            prune::apply(net, prune::magnitude{}, {.sparsity = 0.9});
            auto sparse = nn::convert<sparse::csr<float>>(net);
            time_in_reads(state, net,
                [&]
                {
                    sparse = nn::convert<sparse::csr<float>>(net);
                });
            state.counters["bytes"] = stored_bytes(sparse);
        });
}

void add_compaction()
{
    add("compaction/read_weights",
        [](benchmark::State& state)
        {
            random_engine rng(1);
            const auto net = large(rng);
            for (auto _ : state)
            {
                benchmark::DoNotOptimize(read_weights(net));
            }
            state.counters["bytes"] = stored_bytes(net);
        });
    add("compaction/structopt_choose_compact50",
        [](benchmark::State& state)
        {
            random_engine rng(1);
            const auto net = large(rng);
            const shape<2> sample{1, 784};
            auto small = net;
            time_in_reads(state, net,
                [&]
                {
                    small = prune::compact(net, sample,
                        prune::choose_units(net, sample, prune::magnitude{}, {.sparsity = 0.5}));
                });
            if (small.template layer<2>().outputs() != 1024)
            {
                state.SkipWithError("not half the units");
            }
            state.counters["bytes"] = stored_bytes(small);
        });
}

} // namespace

int main(int argc, char** argv)
{
    try
    {
        benchmark::Initialize(&argc, argv);
        add_network(
            "lenet300",
            [](random_engine& rng)
            {
                return lenet300(rng);
            },
            shape<2>{1, 784});
        add_network(
            "lenet5",
            [](random_engine& rng)
            {
                return lenet5(rng);
            },
            shape<4>{1, 1, 28, 28});
        add_network(
            "resnet8",
            [](random_engine& rng)
            {
                return resnet8(rng);
            },
            shape<4>{1, 3, 32, 32});
        add_compaction();
        add_masks();
        benchmark::RunSpecifiedBenchmarks();
        benchmark::Shutdown();
        return 0;
    }
    catch (const std::exception& e)
    {
        std::fprintf(stderr, "bench_pruned_nets: %s\n", e.what());
        return 1;
    }
}
