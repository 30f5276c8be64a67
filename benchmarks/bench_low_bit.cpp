// Layers Y[B, N] = X[B, K] W[N, K]^T with weights of 4, 2 or 1 bits, float in and out, activations
// quantized to int8 inside the timed region; ours and XNNPACK. Weights are packed once. Results are
// checked against double sums over what the weights stand for before anything is timed.
//
//   structopt_int4_g32, _g128, structopt_int4      a scale per group of 32, of 128, or per row; scales
//                                                  are float, or bfloat16 (.._bf16)
//   structopt_int4_zeros_g32                       with zero points
//   structopt_ternary, .._binary                   2 and 1 bits, a scale per row
//   structopt_table4                               4-bit places in a table (powers of two), scale per row
//   structopt_int8, structopt_f32                  8-bit and float weights: what few bits are to beat
//   xnnpack_qb4w_g32, _g128, xnnpack_qc4w          4 bits, bfloat16 scale per group; float scale per row
//
// onnxruntime's MatMulNBits needs a model file for each layer: absent here.
//
// Counters: integer operations per second, and the bytes of the weights as they are multiplied.

#include <structopt/core.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/quantize/low_bit_model.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>

#ifdef STRUCTOPT_HAVE_XNNPACK
#include <xnnpack.h>
#endif

using namespace structopt;
using quantize::low_bit;

namespace
{

struct extents
{
    index_t batch;
    index_t in;
    index_t out;
};

/// One layer: standard normal activations, weights of variance 1 / in, so that outputs are about 1.
struct layer
{
    explicit layer(const extents& e)
        : size(e)
        , x(static_cast<std::size_t>(e.batch * e.in))
        , y(static_cast<std::size_t>(e.batch * e.out))
        , w(make_tensor<float>(shape<2>{e.out, e.in}))
    {
        random_engine rng(1);
        for (float& value : x)
        {
            value = normal<float>(rng);
        }
        for (float& value : w)
        {
            value = normal<float>(rng, 0, 1 / std::sqrt(static_cast<float>(e.in)));
        }
    }

    /// Whether 64 outputs, spread over the result, agree with sums in double; a zero output fails.
    bool right() const
    {
        double largest = 0;
        for (index_t i = 0; i < 64; ++i)
        {
            const index_t b = i * size.batch / 64;
            const index_t n = i * 37 % size.out;
            double sum = 0;
            for (index_t k = 0; k < size.in; ++k)
            {
                sum += static_cast<double>(x[static_cast<std::size_t>(b * size.in + k)]) *
                       static_cast<double>(w(n, k));
            }
            largest = std::max(largest, std::abs(sum));
            const float found = y[static_cast<std::size_t>(b * size.out + n)];
            if (!(std::abs(static_cast<double>(found) - sum) <= 0.06))
            {
                return false;
            }
        }
        return largest > 1;
    }

    extents size;
    buffer<float> x;
    buffer<float> y;
    /// What the weights stand for.
    tensor<float, 2> w;
};

/// Times `run` after its result was found right.
void time_layer(benchmark::State& state, const layer& l, std::size_t weight_bytes,
    const std::function<void()>& run)
{
    run();
    if (!l.right())
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

/// Any storage through the interface that layers use.
template <class Format>
void time_stored(benchmark::State& state, layer& l, const Format& w)
{
    using traits = nn::storage_traits<Format>;
    l.w = traits::unpack(w);
    buffer<std::byte> scratch(traits::scratch_bytes(w, l.size.batch) + 64);
    time_layer(state, l, traits::bytes(w),
        [&]
        {
            traits::product(w, {l.x.data(), shape<2>{l.size.batch, l.size.in}}, nullptr,
                {l.y.data(), shape<2>{l.size.batch, l.size.out}},
                nn::scratch(scratch.data(), scratch.size()));
        });
}

template <class Format>
void stored(benchmark::State& state, const extents& e)
{
    layer l(e);
    const Format w = nn::storage_traits<Format>::pack(as_view(l.w));
    time_stored(state, l, w);
}

/// With zero points that are not zero.
void with_zeros(benchmark::State& state, const extents& e)
{
    layer l(e);
    auto q = quantize::to_low_bit(as_view(l.w), low_bit::int4, 32, true);
    q.zeros = zeros<std::int8_t>(shape_of(q.scales));
    for (index_t i = 0; i < size_of(q.zeros); ++i)
    {
        q.zeros.data()[i] = static_cast<std::int8_t>(i % 3 - 1);
    }
    time_stored(state, l, quantize::int4_matrix<32, bfloat16>(q));
}

#ifdef STRUCTOPT_HAVE_XNNPACK
std::size_t count_of(index_t n)
{
    return static_cast<std::size_t>(n);
}

/// An operator that is deleted with its scope.
struct xnn_owner
{
    ~xnn_owner()
    {
        if (handle != nullptr)
        {
            xnn_delete_operator(handle);
        }
    }

    xnn_operator_t handle = nullptr;
};

/// 4-bit weights with a scale per group, or per row where `Group` is 0.
template <index_t Group>
void xnnpack(benchmark::State& state, const extents& e)
{
    layer l(e);
    const auto q = quantize::to_low_bit(as_view(l.w), low_bit::int4, Group, Group != 0);
    l.w = q.dequantize();
    buffer<std::uint8_t> nibbles(q.codes.size() / 2);
    for (std::size_t i = 0; i < q.codes.size(); ++i)
    {
        const int field = q.codes.data()[i] + 8;
        nibbles[i / 2] =
            static_cast<std::uint8_t>(i % 2 == 0 ? field : nibbles[i / 2] | field << 4);
    }
    buffer<std::uint16_t> halves(q.scales.size());
    for (std::size_t i = 0; i < halves.size(); ++i)
    {
        halves[i] = bfloat16(q.scales.data()[i]).bits();
    }
    buffer<std::int8_t> codes(l.x.size() + XNN_EXTRA_BYTES);
    buffer<xnn_quantization_params> parameters(count_of(e.batch) + XNN_EXTRA_QUANTIZATION_PARAMS);
    const float infinity = std::numeric_limits<float>::infinity();
    const std::size_t in = count_of(e.in);
    const std::size_t out = count_of(e.out);
    xnn_owner convert;
    xnn_owner product;
    const xnn_status done = xnn_status_success;
    bool ready = xnn_initialize(nullptr) == done &&
                 xnn_create_convert_nc_f32_qd8(0, &convert.handle) == done &&
                 xnn_reshape_convert_nc_f32_qd8(
                     convert.handle, count_of(e.batch), in, in, in, nullptr) == done &&
                 xnn_setup_convert_nc_f32_qd8(
                     convert.handle, l.x.data(), codes.data(), parameters.data()) == done;
    if constexpr (Group != 0)
    {
        ready = ready &&
                xnn_create_fully_connected_nc_qd8_f32_qb4w(in, out, in, out, count_of(Group), 8,
                    halves.data(), nibbles.data(), nullptr, -infinity, infinity, 0, nullptr,
                    nullptr, &product.handle) == done &&
                xnn_reshape_fully_connected_nc_qd8_f32_qb4w(
                    product.handle, count_of(e.batch), nullptr) == done &&
                xnn_setup_fully_connected_nc_qd8_f32_qb4w(
                    product.handle, codes.data(), l.y.data(), parameters.data()) == done;
    }
    else
    {
        ready = ready &&
                xnn_create_fully_connected_nc_qd8_f32_qc4w(in, out, in, out, 8, q.scales.data(),
                    nibbles.data(), nullptr, -infinity, infinity, 0, nullptr, nullptr,
                    &product.handle) == done &&
                xnn_reshape_fully_connected_nc_qd8_f32_qc4w(
                    product.handle, count_of(e.batch), nullptr) == done &&
                xnn_setup_fully_connected_nc_qd8_f32_qc4w(
                    product.handle, codes.data(), l.y.data(), parameters.data()) == done;
    }
    if (!ready)
    {
        state.SkipWithError("refused by XNNPACK");
        return;
    }
    time_layer(state, l, nibbles.size() + q.scales.size() * (Group != 0 ? 2 : 4),
        [&]
        {
            xnn_run_operator(convert.handle, nullptr);
            xnn_run_operator(product.handle, nullptr);
        });
}
#endif

void add(const char* contender, const extents& e, void (*run)(benchmark::State&, const extents&))
{
    const std::string name = std::string("low_bit/") + contender + "/" + std::to_string(e.batch) +
                             "x" + std::to_string(e.in) + "x" + std::to_string(e.out);
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
    for (const extents& e :
        {extents{1, 1024, 1024}, extents{8, 1024, 1024}, extents{64, 1024, 1024},
            extents{1, 4096, 4096}, extents{8, 4096, 4096}, extents{64, 4096, 4096}})
    {
        add("structopt_int4_g32_bf16", e, stored<quantize::int4_matrix<32, bfloat16>>);
        add("structopt_int4_g32", e, stored<quantize::int4_matrix<32>>);
        add("structopt_int4_zeros_g32_bf16", e, with_zeros);
        add("structopt_int4_g128_bf16", e, stored<quantize::int4_matrix<128, bfloat16>>);
        add("structopt_int4", e, stored<quantize::int4_matrix<0>>);
        add("structopt_ternary", e, stored<quantize::ternary_matrix<>>);
        add("structopt_binary", e, stored<quantize::binary_matrix<>>);
        add("structopt_table4", e, stored<quantize::table4_matrix<>>);
        add("structopt_int8", e, stored<quantize::int8_matrix>);
        add("structopt_f32", e, stored<nn::packed_matrix<float>>);
#ifdef STRUCTOPT_HAVE_XNNPACK
        add("xnnpack_qb4w_g32", e, xnnpack<32>);
        add("xnnpack_qb4w_g128", e, xnnpack<128>);
        add("xnnpack_qc4w", e, xnnpack<0>);
#endif
    }
#ifndef STRUCTOPT_HAVE_XNNPACK
    std::fprintf(stderr, "absent: xnnpack\n");
#endif
    std::fprintf(stderr, "absent: onnxruntime\n");
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
