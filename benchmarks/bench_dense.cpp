// Dense layers Y[B, N] = X[B, K] W[N, K]^T: ours with weights packed once, ours with plain weights,
// and peers, on the same data. Results are checked against double sums before anything is timed.
//
// Counters: GFLOP/s and the bytes of the weights as they are multiplied.

#include <structopt/core.hpp>
#include <structopt/kernel/gemm.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>

#ifdef STRUCTOPT_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef STRUCTOPT_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
#include <xnnpack.h>
#endif

using namespace structopt;

namespace
{

struct extents
{
    index_t batch;
    index_t in;
    index_t out;
};

/// One layer with random activations and weights.
struct layer
{
    explicit layer(const extents& e)
        : size(e)
        , x(static_cast<std::size_t>(e.batch * e.in))
        , w(static_cast<std::size_t>(e.out * e.in))
        , y(static_cast<std::size_t>(e.batch * e.out))
    {
        random_engine rng(1);
        const float deviation = 1 / std::sqrt(static_cast<float>(e.in));
        for (float& value : x)
        {
            value = normal<float>(rng);
        }
        for (float& value : w)
        {
            value = normal<float>(rng, 0, deviation);
        }
    }

    /// Whether 64 outputs, spread over y, agree with sums in double. Weights are scaled so that an
    /// output is about 1; a zero output fails.
    bool right(double tolerance) const
    {
        for (index_t i = 0; i < 64; ++i)
        {
            const index_t b = i * size.batch / 64;
            const index_t n = i * 37 % size.out;
            double sum = 0;
            for (index_t k = 0; k < size.in; ++k)
            {
                sum += static_cast<double>(x[static_cast<std::size_t>(b * size.in + k)]) *
                       static_cast<double>(w[static_cast<std::size_t>(n * size.in + k)]);
            }
            const double found = y[static_cast<std::size_t>(b * size.out + n)];
            if (!(std::abs(found - sum) <= tolerance))
            {
                return false;
            }
        }
        return true;
    }

    extents size;
    buffer<float> x;
    buffer<float> w;
    buffer<float> y;
};

void time_layer(benchmark::State& state, layer& l, double tolerance, std::size_t weight_bytes,
    const std::function<void()>& run)
{
    run();
    if (!l.right(tolerance))
    {
        state.SkipWithError("wrong result");
        return;
    }
    for (auto _ : state)
    {
        run();
        benchmark::ClobberMemory();
    }
    const double operations = 2.0 * static_cast<double>(l.size.batch) *
                              static_cast<double>(l.size.in) * static_cast<double>(l.size.out);
    state.counters["GOP/s"] =
        benchmark::Counter(1e-9 * operations, benchmark::Counter::kIsIterationInvariantRate);
    state.counters["weight_bytes"] = static_cast<double>(weight_bytes);
}

void plain(benchmark::State& state, const extents& e)
{
    layer l(e);
    buffer<std::byte> scratch(kernel::gemm_scratch_bytes<float>(e.batch, e.out, e.in));
    time_layer(state, l, 1e-4, l.w.size() * sizeof(float),
        [&]
        {
            kernel::gemm<float>(e.batch, e.out, e.in, {l.x.data(), e.in, 1}, {l.w.data(), 1, e.in},
                l.y.data(), e.out, {}, scratch.data());
        });
}

/// Weights packed once, as they are or rounded to bfloat16.
template <class W>
void packed(benchmark::State& state, const extents& e)
{
    layer l(e);
    buffer<W> panels(static_cast<std::size_t>(kernel::packed_size<float>(e.out, e.in)));
    kernel::pack_b<float>(e.out, e.in, l.w.data(), e.in, panels.data());
    buffer<std::byte> scratch(kernel::gemm_packed_scratch_bytes<float>(e.batch, e.out, e.in));
    time_layer(state, l, sizeof(W) == 4 ? 1e-4 : 2e-2, panels.size() * sizeof(W),
        [&]
        {
            kernel::gemm_packed<float>(e.batch, e.out, e.in, {l.x.data(), e.in, 1}, panels.data(),
                l.y.data(), e.out, {}, scratch.data());
        });
}

#ifdef STRUCTOPT_HAVE_OPENBLAS
void openblas(benchmark::State& state, const extents& e)
{
    layer l(e);
    const auto narrow = [](index_t n)
    {
        return static_cast<blasint>(n);
    };
    time_layer(state, l, 1e-4, l.w.size() * sizeof(float),
        [&]
        {
            if (e.batch == 1)
            {
                cblas_sgemv(CblasRowMajor, CblasNoTrans, narrow(e.out), narrow(e.in), 1.0f,
                    l.w.data(), narrow(e.in), l.x.data(), 1, 0.0f, l.y.data(), 1);
            }
            else
            {
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, narrow(e.batch), narrow(e.out),
                    narrow(e.in), 1.0f, l.x.data(), narrow(e.in), l.w.data(), narrow(e.in), 0.0f,
                    l.y.data(), narrow(e.out));
            }
        });
}
#endif

#ifdef STRUCTOPT_HAVE_ONEDNN
void onednn(benchmark::State& state, const extents& e)
{
    using namespace dnnl;
    layer l(e);
    engine cpu(engine::kind::cpu, 0);
    stream queue(cpu);
    const auto f32 = memory::data_type::f32;
    const memory::desc x_desc({e.batch, e.in}, f32, memory::format_tag::ab);
    const memory::desc w_plain({e.in, e.out}, f32, memory::format_tag::ba);
    const memory::desc w_any({e.in, e.out}, f32, memory::format_tag::any);
    const memory::desc y_desc({e.batch, e.out}, f32, memory::format_tag::ab);
    const matmul::primitive_desc chosen(cpu, x_desc, w_any, y_desc);
    memory x(x_desc, cpu, l.x.data());
    memory y(y_desc, cpu, l.y.data());
    memory plain_w(w_plain, cpu, l.w.data());
    memory w(chosen.weights_desc(), cpu);
    reorder(plain_w, w).execute(queue, plain_w, w);
    queue.wait();
    const matmul product(chosen);
    time_layer(state, l, 1e-4, chosen.weights_desc().get_size(),
        [&]
        {
            product.execute(queue, {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}});
            queue.wait();
        });
}
#endif

#ifdef STRUCTOPT_HAVE_XNNPACK
void xnnpack(benchmark::State& state, const extents& e)
{
    layer l(e);
    const auto count = [](index_t n)
    {
        return static_cast<std::size_t>(n);
    };
    const float infinity = std::numeric_limits<float>::infinity();
    xnn_operator_t product = nullptr;
    const bool ready =
        xnn_initialize(nullptr) == xnn_status_success &&
        xnn_create_fully_connected_nc_f32(count(e.in), count(e.out), count(e.in), count(e.out),
            l.w.data(), nullptr, -infinity, infinity, 0, nullptr, nullptr,
            &product) == xnn_status_success &&
        xnn_reshape_fully_connected_nc_f32(product, count(e.batch), nullptr) ==
            xnn_status_success &&
        xnn_setup_fully_connected_nc_f32(product, l.x.data(), l.y.data()) == xnn_status_success;
    if (!ready)
    {
        state.SkipWithError("refused by XNNPACK");
        return;
    }
    time_layer(state, l, 1e-4, l.w.size() * sizeof(float),
        [&]
        {
            xnn_run_operator(product, nullptr);
        });
    xnn_delete_operator(product);
}
#endif

void add(const std::string& workload, const std::string& contender, const extents& e,
    void (*run)(benchmark::State&, const extents&))
{
    const std::string name = workload + "/" + contender + "/" + std::to_string(e.batch) + "x" +
                             std::to_string(e.in) + "x" + std::to_string(e.out);
    benchmark::RegisterBenchmark(name.c_str(),
        [run, e](benchmark::State& state)
        {
            run(state, e);
        })
        ->Unit(benchmark::kMicrosecond);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    for (const extents& e : {extents{1, 1024, 1024}, extents{8, 1024, 1024},
             extents{64, 1024, 1024}, extents{256, 1024, 1024}, extents{64, 784, 300},
             extents{64, 4096, 4096}, extents{1, 4096, 4096}})
    {
        add("gemm_f32", "structopt_packed", e, packed<float>);
        add("gemm_f32", "structopt_bf16_weights", e, packed<structopt::bfloat16>);
        add("gemm_f32", "structopt", e, plain);
#ifdef STRUCTOPT_HAVE_OPENBLAS
        add("gemm_f32", "openblas", e, openblas);
#endif
#ifdef STRUCTOPT_HAVE_ONEDNN
        add("gemm_f32", "onednn", e, onednn);
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
        add("gemm_f32", "xnnpack", e, xnnpack);
#endif
    }
#ifndef STRUCTOPT_HAVE_OPENBLAS
    std::fprintf(stderr, "absent: openblas\n");
#endif
#ifndef STRUCTOPT_HAVE_ONEDNN
    std::fprintf(stderr, "absent: onednn\n");
#endif
#ifndef STRUCTOPT_HAVE_XNNPACK
    std::fprintf(stderr, "absent: xnnpack\n");
#endif
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
