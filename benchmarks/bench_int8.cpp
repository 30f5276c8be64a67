// Integer layers Y[B, N] = X[B, K] W[N, K]^T, weights int8 with one scale per output, packed once; ours
// and peers on the same data. Results are checked against double sums before anything is timed.
//
//   structopt           int8 in, int32 out
//   structopt_requant   int8 in, int8 out, requantized per output
//   structopt_dynamic   float in and out, activations quantized inside the timed region
//   structopt_f32       float weights, packed: what int8 is to be faster than
//   onednn_...          s8 or u8 in, s32 or f32 out: nothing is quantized inside the timed region
//   xnnpack_qd8         float in and out, quantized inside the timed region
//   xnnpack_qs8         int8 in, int8 out
//
// spmm_s8/<contender>/<extents>/<density>: weights with zeros, float in and out, quantized inside the
// timed region but for oneDNN; the dense ones work on the same matrix. Vectors of 16 rows at a density
// of 1/4, and 2:4:
//
//   structopt_vector16  columns of 16 outputs that are not all zero
//   structopt_nm2x4     two of every four columns
//   structopt_dynamic, onednn_s8s8_f32, xnnpack_qd8   dense
//
// conv_int8/<contender>/<images>x<in>x<size>x<size>/<out>x<kernel>x<kernel>[/g<groups>]: convolutions with
// stride 1 and padding kernel / 2, float in and out:
//
//   structopt_dynamic   int8 weights, every image quantized inside the timed region
//   structopt_f32       float weights
//
// Counters: integer operations per second, and the bytes of the weights as they are multiplied.

#include <structopt/core.hpp>
#include <structopt/kernel/convolution.hpp>
#include <structopt/kernel/convolution_s8.hpp>
#include <structopt/kernel/depthwise.hpp>
#include <structopt/kernel/gemm.hpp>
#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/quantize/packed_model.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#ifdef STRUCTOPT_HAVE_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
#include <xnnpack.h>
#endif

using namespace structopt;

namespace
{

/// Which weights are there.
enum class pattern
{
    dense,
    vectors,
    two_of_four
};

struct extents
{
    index_t batch;
    index_t in;
    index_t out;
    pattern zeros = pattern::dense;
    double density = 1;
};

/// Makes zeros of the weights that a pattern does not have.
void prune(const extents& e, buffer<float>& w, random_engine& rng)
{
    const index_t run = e.zeros == pattern::vectors ? 16 : 1;
    for (index_t r = 0; r < e.out && e.zeros != pattern::dense; r += run)
    {
        index_t left = 2;
        for (index_t c = 0; c < e.in; ++c)
        {
            left = c % 4 == 0 ? 2 : left;
            const double chance = e.zeros == pattern::two_of_four
                                      ? static_cast<double>(left) / static_cast<double>(4 - c % 4)
                                      : e.density;
            const bool kept = uniform<double>(rng) < chance;
            left -= kept ? 1 : 0;
            for (index_t i = r; !kept && i < r + run && i < e.out; ++i)
            {
                w[static_cast<std::size_t>(i * e.in + c)] = 0.0f;
            }
        }
    }
}

/// One scale for static activations and for static results: four deviations reach 127.
constexpr float static_scale = 4.0f / 127.0f;

/// One layer: standard normal activations, weights of variance 1 / in, so that outputs are about 1.
struct layer
{
    explicit layer(const extents& e)
        : size(e)
        , x(static_cast<std::size_t>(e.batch * e.in))
        , w(static_cast<std::size_t>(e.out * e.in))
        , x_codes(x.size() + 64)
        , w_codes(w.size())
        , w_scale(static_cast<std::size_t>(e.out))
    {
        random_engine rng(1);
        const float deviation =
            1 / std::sqrt(static_cast<float>(e.in) * static_cast<float>(e.density));
        for (float& value : x)
        {
            value = normal<float>(rng);
        }
        for (float& value : w)
        {
            value = normal<float>(rng, 0, deviation);
        }
        prune(e, w, rng);
        for (std::size_t i = 0; i < x.size(); ++i)
        {
            const float code = std::clamp(std::nearbyint(x[i] / static_scale), -127.0f, 127.0f);
            x_codes[i] = static_cast<std::int8_t>(code);
        }
        kernel::quantize_rows<>(e.out, e.in, w.data(), e.in, w_codes.data(), e.in, w_scale.data());
    }

    index_t outputs() const
    {
        return size.batch * size.out;
    }

    /// Whether 64 outputs, spread over the result, agree with sums in double over the floats; a zero
    /// output fails. `found(b, n)` is an output.
    template <class Found>
    bool right(double tolerance, const Found& found) const
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
            if (!(std::abs(static_cast<double>(found(b, n)) - sum) <= tolerance))
            {
                return false;
            }
        }
        return true;
    }

    /// The scale of int32 sums of static codes.
    float sum_scale(index_t n) const
    {
        return static_scale * w_scale[static_cast<std::size_t>(n)];
    }

    extents size;
    buffer<float> x;
    buffer<float> w;
    buffer<std::int8_t> x_codes;
    buffer<std::int8_t> w_codes;
    buffer<float> w_scale;
};

/// Our packed weights and scratch.
struct packed_layer : layer
{
    explicit packed_layer(const extents& e)
        : layer(e)
        , panels(kernel::packed_bytes_s8<>(e.out, e.in))
        , scratch(kernel::gemm_s8_scratch_bytes<>(e.batch, e.out, e.in))
    {
        kernel::pack_s8<>(e.out, e.in, w_codes.data(), e.in, panels.data());
    }

    buffer<std::byte> panels;
    buffer<std::byte> scratch;
};

/// Times `run` after its result was found right; `found(b, n)` is an output as a number.
template <class Found>
void time_layer(benchmark::State& state, const layer& l, double tolerance, std::size_t weight_bytes,
    const std::function<void()>& run, const Found& found)
{
    run();
    if (!l.right(tolerance, found))
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

template <class T>
auto element(const buffer<T>& y, const extents& e)
{
    return [&y, e](index_t b, index_t n)
    {
        return static_cast<float>(y[static_cast<std::size_t>(b * e.out + n)]);
    };
}

void sums(benchmark::State& state, const extents& e)
{
    packed_layer l(e);
    buffer<std::int32_t> y(static_cast<std::size_t>(l.outputs()));
    time_layer(
        state, l, 0.1, l.panels.size(),
        [&]
        {
            kernel::gemm_s8_s32<>(e.batch, e.out, e.in, {l.x_codes.data(), e.in, 1},
                l.panels.data(), {y.data(), e.out, 1}, l.scratch.data());
        },
        [&](index_t b, index_t n)
        {
            return element(y, e)(b, n) * l.sum_scale(n);
        });
}

void requant(benchmark::State& state, const extents& e)
{
    packed_layer l(e);
    buffer<std::int8_t> y(static_cast<std::size_t>(l.outputs()));
    buffer<float> multiplier(l.w_scale);
    // static_scale * w_scale / static_scale: the multipliers are the weights' scales.
    time_layer(
        state, l, 0.1, l.panels.size(),
        [&]
        {
            kernel::gemm_s8<>(e.batch, e.out, e.in, {l.x_codes.data(), e.in, 1}, l.panels.data(),
                {y.data(), e.out, 1}, kernel::requantize{.multiplier = multiplier.data()},
                l.scratch.data());
        },
        [&](index_t b, index_t n)
        {
            return element(y, e)(b, n) * static_scale;
        });
}

void dynamic(benchmark::State& state, const extents& e)
{
    packed_layer l(e);
    buffer<float> y(static_cast<std::size_t>(l.outputs()));
    time_layer(
        state, l, 0.1, l.panels.size(),
        [&]
        {
            kernel::gemm_s8_dynamic<>(e.batch, e.out, e.in, l.x.data(), e.in, l.panels.data(),
                {y.data(), e.out, 1}, {.w_scale = l.w_scale.data()}, l.scratch.data());
        },
        element(y, e));
}

/// Any storage through the interface that layers use.
template <class Format>
void stored(benchmark::State& state, const extents& e)
{
    using traits = nn::storage_traits<Format>;
    layer l(e);
    buffer<float> y(static_cast<std::size_t>(l.outputs()));
    const Format w = traits::pack({l.w.data(), shape<2>{e.out, e.in}});
    buffer<std::byte> scratch(traits::scratch_bytes(w, e.batch) + 64);
    time_layer(
        state, l, 0.1, w.bytes(),
        [&]
        {
            traits::product(w, {l.x.data(), shape<2>{e.batch, e.in}}, nullptr,
                {y.data(), shape<2>{e.batch, e.out}}, nn::scratch(scratch.data(), scratch.size()));
        },
        element(y, e));
}

void floats(benchmark::State& state, const extents& e)
{
    layer l(e);
    buffer<float> y(static_cast<std::size_t>(l.outputs()));
    buffer<float> panels(static_cast<std::size_t>(kernel::packed_size<float>(e.out, e.in)));
    kernel::pack_b<float>(e.out, e.in, l.w.data(), e.in, panels.data());
    buffer<std::byte> scratch(kernel::gemm_packed_scratch_bytes<float>(e.batch, e.out, e.in));
    time_layer(
        state, l, 1e-4, panels.size() * sizeof(float),
        [&]
        {
            kernel::gemm_packed<float>(e.batch, e.out, e.in, {l.x.data(), e.in, 1}, panels.data(),
                y.data(), e.out, {}, scratch.data());
        },
        element(y, e));
}

#ifdef STRUCTOPT_HAVE_ONEDNN
template <class X, class Y>
void onednn(benchmark::State& state, const extents& e)
{
    using namespace dnnl;
    layer l(e);
    constexpr bool float_out = std::is_same_v<Y, float>;
    // The same codes; unsigned ones are those of max(x, 0), and so are the sums to compare with.
    buffer<X> codes(l.x_codes.size());
    for (std::size_t i = 0; i < l.x.size(); ++i)
    {
        const int code = l.x_codes[i];
        codes[i] = static_cast<X>(std::is_unsigned_v<X> ? std::max(code, 0) : code);
        l.x[i] = std::is_unsigned_v<X> ? std::max(l.x[i], 0.0f) : l.x[i];
    }
    buffer<Y> result(static_cast<std::size_t>(l.outputs()));
    engine cpu(engine::kind::cpu, 0);
    stream queue(cpu);
    const auto s8 = memory::data_type::s8;
    const memory::desc x_desc({e.batch, e.in}, std::is_unsigned_v<X> ? memory::data_type::u8 : s8,
        memory::format_tag::ab);
    const memory::desc w_plain({e.in, e.out}, s8, memory::format_tag::ba);
    const memory::desc w_any({e.in, e.out}, s8, memory::format_tag::any);
    const memory::desc y_desc({e.batch, e.out},
        float_out ? memory::data_type::f32 : memory::data_type::s32, memory::format_tag::ab);
    primitive_attr attributes;
    if (float_out)
    {
        attributes.set_scales_mask(DNNL_ARG_WEIGHTS, 1 << 1);
    }
    const matmul::primitive_desc chosen(cpu, x_desc, w_any, y_desc, attributes);
    memory x(x_desc, cpu, codes.data());
    memory y(y_desc, cpu, result.data());
    memory plain_w(w_plain, cpu, l.w_codes.data());
    memory w(chosen.weights_desc(), cpu);
    reorder(plain_w, w).execute(queue, plain_w, w);
    queue.wait();
    const matmul product(chosen);
    std::unordered_map<int, memory> arguments{
        {DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}};
    if (float_out)
    {
        arguments.insert({DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
            memory(
                {{e.out}, memory::data_type::f32, memory::format_tag::a}, cpu, l.w_scale.data())});
    }
    time_layer(
        state, l, 0.1, chosen.weights_desc().get_size(),
        [&]
        {
            product.execute(queue, arguments);
            queue.wait();
        },
        [&](index_t b, index_t n)
        {
            return element(result, e)(b, n) * (float_out ? static_scale : l.sum_scale(n));
        });
}
#endif

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

void xnnpack_qd8(benchmark::State& state, const extents& e)
{
    layer l(e);
    buffer<float> y(static_cast<std::size_t>(l.outputs()));
    buffer<std::int8_t> codes(l.x.size() + XNN_EXTRA_BYTES);
    buffer<xnn_quantization_params> parameters(count_of(e.batch) + XNN_EXTRA_QUANTIZATION_PARAMS);
    const float infinity = std::numeric_limits<float>::infinity();
    xnn_owner convert;
    xnn_owner product;
    const xnn_status done = xnn_status_success;
    const bool ready =
        xnn_initialize(nullptr) == done &&
        xnn_create_convert_nc_f32_qd8(0, &convert.handle) == done &&
        xnn_reshape_convert_nc_f32_qd8(convert.handle, count_of(e.batch), count_of(e.in),
            count_of(e.in), count_of(e.in), nullptr) == done &&
        xnn_setup_convert_nc_f32_qd8(convert.handle, l.x.data(), codes.data(), parameters.data()) ==
            done &&
        xnn_create_fully_connected_nc_qd8_f32_qc8w(count_of(e.in), count_of(e.out), count_of(e.in),
            count_of(e.out), l.w_scale.data(), l.w_codes.data(), nullptr, -infinity, infinity, 0,
            nullptr, nullptr, &product.handle) == done &&
        xnn_reshape_fully_connected_nc_qd8_f32_qc8w(product.handle, count_of(e.batch), nullptr) ==
            done &&
        xnn_setup_fully_connected_nc_qd8_f32_qc8w(
            product.handle, codes.data(), y.data(), parameters.data()) == done;
    if (!ready)
    {
        state.SkipWithError("refused by XNNPACK");
        return;
    }
    time_layer(
        state, l, 0.1, l.w_codes.size(),
        [&]
        {
            xnn_run_operator(convert.handle, nullptr);
            xnn_run_operator(product.handle, nullptr);
        },
        element(y, e));
}

void xnnpack_qs8(benchmark::State& state, const extents& e)
{
    layer l(e);
    buffer<std::int8_t> y(static_cast<std::size_t>(l.outputs()));
    xnn_owner product;
    const xnn_status done = xnn_status_success;
    const bool ready =
        xnn_initialize(nullptr) == done &&
        xnn_create_fully_connected_nc_qs8_qc8w(count_of(e.in), count_of(e.out), count_of(e.in),
            count_of(e.out), 0, static_scale, l.w_scale.data(), l.w_codes.data(), nullptr, 0,
            static_scale, -128, 127, 0, nullptr, nullptr, &product.handle) == done &&
        xnn_reshape_fully_connected_nc_qs8_qc8w(product.handle, count_of(e.batch), nullptr) ==
            done &&
        xnn_setup_fully_connected_nc_qs8_qc8w(product.handle, l.x_codes.data(), y.data()) == done;
    if (!ready)
    {
        state.SkipWithError("refused by XNNPACK");
        return;
    }
    time_layer(
        state, l, 0.1, l.w_codes.size(),
        [&]
        {
            xnn_run_operator(product.handle, nullptr);
        },
        [&](index_t b, index_t n)
        {
            return element(y, e)(b, n) * static_scale;
        });
}
#endif

/// A convolution of a batch of square images.
struct filter
{
    index_t images;
    index_t in;
    index_t size;
    index_t out;
    index_t extent;
    index_t groups = 1;

    /// The window of one group.
    kernel::window window() const
    {
        kernel::window w;
        w.channels = in / groups;
        w.height = w.width = w.out_h = w.out_w = size;
        w.kernel_h = w.kernel_w = extent;
        w.pad_top = w.pad_left = extent / 2;
        return w;
    }

    std::string name() const
    {
        const auto text = [](index_t n)
        {
            return std::to_string(n);
        };
        return text(images) + "x" + text(in) + "x" + text(size) + "x" + text(size) + "/" +
               text(out) + "x" + text(extent) + "x" + text(extent) +
               (groups == 1 ? "" : "/g" + text(groups));
    }
};

/// Both contenders are run, and their results compared, before one is timed.
void convolve(benchmark::State& state, const filter& f, bool integers)
{
    const kernel::window w = f.window();
    const index_t depth = w.rows();
    const index_t per_group = f.out / f.groups;
    const index_t pixels = f.in * f.size * f.size;
    const index_t results = f.out * w.columns();
    buffer<float> x(static_cast<std::size_t>(f.images * pixels));
    buffer<float> weights(static_cast<std::size_t>(f.out * depth));
    random_engine rng(1);
    for (float& value : x)
    {
        value = normal<float>(rng);
    }
    for (float& value : weights)
    {
        value = normal<float>(rng, 0, 1 / std::sqrt(static_cast<float>(depth)));
    }
    buffer<std::int8_t> codes(weights.size());
    buffer<float> w_scale(static_cast<std::size_t>(f.out));
    kernel::quantize_rows<>(
        f.out, depth, weights.data(), depth, codes.data(), depth, w_scale.data());
    buffer<std::byte> panels(kernel::packed_bytes_s8<>(f.out, depth));
    kernel::pack_s8<>(f.out, depth, codes.data(), depth, panels.data());
    buffer<float> exact(static_cast<std::size_t>(f.images * results));
    buffer<float> y(exact.size());
    buffer<std::byte> scratch(std::max(kernel::convolution_s8_bytes<>(w, f.groups, per_group),
        kernel::convolution_forward_bytes<float>(w, per_group)));
    const auto run_floats = [&]
    {
        for (index_t part = 0; part < f.images * f.groups; ++part)
        {
            const float* const image = x.data() + part * w.channels * f.size * f.size;
            const float* const own = weights.data() + part % f.groups * per_group * depth;
            float* const to = exact.data() + part * per_group * w.columns();
            if (w.channels == 1 && per_group == 1)
            {
                kernel::depthwise_forward<float>(w, image, own, 0.0f, to);
            }
            else
            {
                kernel::convolution_forward<float>(
                    w, per_group, image, own, nullptr, to, scratch.data());
            }
        }
    };
    const auto run_integers = [&]
    {
        kernel::convolution_s8<>(f.images, w, f.groups, per_group, x.data(), panels.data(),
            w_scale.data(), nullptr, y.data(), scratch.data());
    };
    run_floats();
    run_integers();
    for (std::size_t i = 0; i < y.size(); ++i)
    {
        // Outputs are about 1: zeros fail.
        if (!(std::abs(y[i] - exact[i]) <= 0.15f))
        {
            state.SkipWithError("wrong result");
            return;
        }
    }
    for (auto _ : state)
    {
        integers ? run_integers() : run_floats();
        benchmark::ClobberMemory();
    }
    const double operations =
        2.0 * static_cast<double>(f.images * results) * static_cast<double>(depth);
    state.counters["GOP/s"] =
        benchmark::Counter(1e-9 * operations, benchmark::Counter::kIsIterationInvariantRate);
    state.counters["weight_bytes"] =
        static_cast<double>(integers ? panels.size() : weights.size() * sizeof(float));
}

void add(const filter& f, bool integers)
{
    const std::string name =
        std::string("conv_int8/") + (integers ? "structopt_dynamic/" : "structopt_f32/") + f.name();
    benchmark::RegisterBenchmark(name.c_str(),
        [f, integers](benchmark::State& state)
        {
            convolve(state, f, integers);
        })
        ->Unit(benchmark::kMicrosecond);
}

void add(const char* contender, const extents& e, void (*run)(benchmark::State&, const extents&))
{
    const bool sparse = e.zeros != pattern::dense;
    std::string name = std::string(sparse ? "spmm_s8/" : "gemm_int8/") + contender + "/" +
                       std::to_string(e.batch) + "x" + std::to_string(e.in) + "x" +
                       std::to_string(e.out);
    if (sparse)
    {
        name += e.zeros == pattern::two_of_four ? "/2x4" : e.density == 0.25 ? "/0.25" : "/0.1";
    }
    benchmark::RegisterBenchmark(name.c_str(),
        [run, e](benchmark::State& state)
        {
            run(state, e);
        })
        ->Unit(benchmark::kMicrosecond);
}

/// Dense products of floats on the same matrix.
void add_dense(const extents& e)
{
    add("structopt_dynamic", e, dynamic);
#ifdef STRUCTOPT_HAVE_ONEDNN
    add("onednn_s8s8_f32", e, onednn<std::int8_t, float>);
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
    add("xnnpack_qd8", e, xnnpack_qd8);
#endif
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    for (const extents& e : {extents{1, 1024, 1024}, extents{8, 1024, 1024},
             extents{64, 1024, 1024}, extents{256, 1024, 1024}, extents{64, 784, 300},
             extents{64, 4096, 4096}, extents{1, 4096, 4096}})
    {
        add("structopt", e, sums);
        add("structopt_requant", e, requant);
        add("structopt_dynamic", e, dynamic);
        add("structopt_f32", e, floats);
#ifdef STRUCTOPT_HAVE_ONEDNN
        add("onednn_s8s8_s32", e, onednn<std::int8_t, std::int32_t>);
        add("onednn_u8s8_s32", e, onednn<std::uint8_t, std::int32_t>);
        add("onednn_s8s8_f32", e, onednn<std::int8_t, float>);
#endif
#ifdef STRUCTOPT_HAVE_XNNPACK
        add("xnnpack_qd8", e, xnnpack_qd8);
        add("xnnpack_qs8", e, xnnpack_qs8);
#endif
    }
    for (const extents& size :
        {extents{1, 1024, 1024}, extents{8, 1024, 1024}, extents{64, 1024, 1024},
            extents{256, 1024, 1024}, extents{1, 4096, 4096}, extents{64, 4096, 4096}})
    {
        for (const double density : {0.25, 0.1})
        {
            extents e = size;
            e.zeros = pattern::vectors;
            e.density = density;
            add("structopt_vector16", e, stored<quantize::int8_vectors<>>);
            add_dense(e);
        }
        extents e = size;
        e.zeros = pattern::two_of_four;
        e.density = 0.5;
        add("structopt_nm2x4", e, stored<quantize::int8_nm>);
        add_dense(e);
    }
    for (const filter& f : {filter{16, 1, 28, 8, 5}, filter{4, 3, 32, 32, 3},
             filter{1, 32, 32, 64, 3}, filter{1, 64, 28, 64, 1}, filter{1, 256, 8, 256, 3},
             filter{1, 64, 28, 64, 3, 4}, filter{1, 64, 28, 64, 3, 64}})
    {
        add(f, true);
        add(f, false);
    }
#ifndef STRUCTOPT_HAVE_ONEDNN
    std::fprintf(stderr, "absent: onednn\n");
#endif
#ifndef STRUCTOPT_HAVE_XNNPACK
    std::fprintf(stderr, "absent: xnnpack\n");
#endif
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
