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

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

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

/// The numbers of a layer: standard normal activations, weights of variance 1 / in, so that outputs are
/// about 1. Made once for each size.
struct numbers
{
    buffer<float> x;
    tensor<float, 2> w;

    static const numbers& of(const extents& e)
    {
        static std::map<std::tuple<index_t, index_t, index_t>, numbers> all;
        numbers& n = all[{e.batch, e.in, e.out}];
        if (n.x.empty())
        {
            random_engine rng(1);
            n.x.resize(static_cast<std::size_t>(e.batch * e.in));
            n.w = make_tensor<float>(shape<2>{e.out, e.in});
            for (float& value : n.x)
            {
                value = normal<float>(rng);
            }
            for (float& value : n.w)
            {
                value = normal<float>(rng, 0, 1 / std::sqrt(static_cast<float>(e.in)));
            }
        }
        return n;
    }
};

/// A contender with its weights, ready to run; an error if it is refused or wrong.
struct prepared
{
    std::function<void()> run;
    std::size_t weight_bytes = 0;
    std::string error;
};

/// Runs once. The outputs must agree with sums in double over `w`, what the weights stand for, at 64
/// places; zeros fail.
void check(prepared& p, const extents& e, const buffer<float>& y, const tensor<float, 2>& w)
{
    p.run();
    const buffer<float>& x = numbers::of(e).x;
    double largest = 0;
    for (index_t i = 0; i < 64; ++i)
    {
        const index_t b = i * e.batch / 64;
        const index_t n = i * 37 % e.out;
        double sum = 0;
        for (index_t k = 0; k < e.in; ++k)
        {
            sum += static_cast<double>(x[static_cast<std::size_t>(b * e.in + k)]) *
                   static_cast<double>(w(n, k));
        }
        largest = std::max(largest, std::abs(sum));
        const float found = y[static_cast<std::size_t>(b * e.out + n)];
        if (!(std::abs(static_cast<double>(found) - sum) <= 0.06))
        {
            p.error = "wrong result";
        }
    }
    if (!(largest > 1))
    {
        p.error = "outputs are too small to tell";
    }
}

/// Any storage through the interface that layers use.
template <class Format>
prepared with(const extents& e, Format weight)
{
    using traits = nn::storage_traits<Format>;
    const auto w = std::make_shared<const Format>(std::move(weight));
    const auto y = std::make_shared<buffer<float>>(static_cast<std::size_t>(e.batch * e.out));
    const auto scratch =
        std::make_shared<buffer<std::byte>>(traits::scratch_bytes(*w, e.batch) + 64);
    const float* const x = numbers::of(e).x.data();
    prepared p;
    p.weight_bytes = traits::bytes(*w);
    p.run = [=]
    {
        traits::product(*w, {x, shape<2>{e.batch, e.in}}, nullptr,
            {y->data(), shape<2>{e.batch, e.out}}, nn::scratch(scratch->data(), scratch->size()));
    };
    check(p, e, *y, traits::unpack(*w));
    return p;
}

template <class Format>
prepared stored(const extents& e)
{
    return with(e, nn::storage_traits<Format>::pack(as_view(numbers::of(e).w)));
}

/// With zero points that are not zero.
prepared with_zeros(const extents& e)
{
    auto q = quantize::to_low_bit(as_view(numbers::of(e).w), low_bit::int4, 32, true);
    q.zeros = zeros<std::int8_t>(shape_of(q.scales));
    for (index_t i = 0; i < size_of(q.zeros); ++i)
    {
        q.zeros.data()[i] = static_cast<std::int8_t>(i % 3 - 1);
    }
    return with(e, quantize::int4_matrix<32, bfloat16>(q));
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

struct xnn_layer
{
    buffer<std::int8_t> codes;
    std::vector<xnn_quantization_params> parameters;
    buffer<float> y;
    xnn_owner convert;
    xnn_owner product;
};

/// 4-bit weights with a scale per group, or per row where `Group` is 0.
template <index_t Group>
prepared xnnpack(const extents& e)
{
    const numbers& l = numbers::of(e);
    const auto q = quantize::to_low_bit(as_view(l.w), low_bit::int4, Group, Group != 0);
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
    const auto data = std::make_shared<xnn_layer>();
    data->codes.resize(l.x.size() + XNN_EXTRA_BYTES);
    data->parameters.resize(count_of(e.batch) + XNN_EXTRA_QUANTIZATION_PARAMS);
    data->y.resize(count_of(e.batch * e.out));
    auto& [codes, parameters, y, convert, product] = *data;
    const float infinity = std::numeric_limits<float>::infinity();
    const std::size_t in = count_of(e.in);
    const std::size_t out = count_of(e.out);
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
                    product.handle, codes.data(), y.data(), parameters.data()) == done;
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
                    product.handle, codes.data(), y.data(), parameters.data()) == done;
    }
    prepared p;
    p.weight_bytes = nibbles.size() + q.scales.size() * (Group != 0 ? 2 : 4);
    p.run = [data]
    {
        xnn_run_operator(data->convert.handle, nullptr);
        xnn_run_operator(data->product.handle, nullptr);
    };
    if (!ready)
    {
        p.error = "refused by XNNPACK";
        return p;
    }
    check(p, e, y, q.dequantize());
    return p;
}
#endif

void add(const char* contender, const extents& e, prepared (*make)(const extents&))
{
    const std::string name = std::string("low_bit/") + contender + "/" + std::to_string(e.batch) +
                             "x" + std::to_string(e.in) + "x" + std::to_string(e.out);
    // Made when it is run first: a program runs each many times.
    const auto kept = std::make_shared<std::optional<prepared>>();
    benchmark::RegisterBenchmark(name.c_str(),
        [kept, make, e](benchmark::State& state)
        {
            if (!*kept)
            {
                *kept = make(e);
            }
            const prepared& p = **kept;
            if (!p.error.empty())
            {
                state.SkipWithError(p.error.c_str());
                return;
            }
            for (auto _ : state)
            {
                p.run();
                benchmark::ClobberMemory();
            }
            const double operations = 2.0 * static_cast<double>(e.batch) *
                                      static_cast<double>(e.in) * static_cast<double>(e.out);
            state.counters["GOP/s"] = benchmark::Counter(
                1e-9 * operations, benchmark::Counter::kIsIterationInvariantRate);
            state.counters["weight_bytes"] = static_cast<double>(p.weight_bytes);
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
