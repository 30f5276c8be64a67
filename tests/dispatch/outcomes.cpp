#include "outcomes.hpp"

#include <structopt/core/random.hpp>
#include <structopt/kernel.hpp>
#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/quantize/packed_model.hpp>
#include <structopt/sparse.hpp>
#include <structopt/sparse/model.hpp>
#include <structopt/sparse/packed_model.hpp>

#include "support/random_tensor.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

namespace PART
{

namespace
{

using namespace structopt;
using support::random_tensor;

std::vector<outcome>* list = nullptr;

template <class T>
void note(std::string name, const T* from, index_t n, bool exact = false)
{
    outcome result{std::move(name), {}, 0};
    if constexpr (std::is_floating_point_v<T>)
    {
        result.epsilon = exact ? 0 : static_cast<double>(std::numeric_limits<T>::epsilon());
    }
    for (index_t i = 0; i < n; ++i)
    {
        result.values.push_back(static_cast<double>(from[i]));
    }
    list->push_back(std::move(result));
}

template <class T, std::size_t N>
void note(std::string name, const tensor<T, N>& x, bool exact = false)
{
    note(std::move(name), x.data(), size_of(x), exact);
}

template <class T>
void note(std::string name, const std::vector<T>& x, bool exact = false)
{
    note(std::move(name), x.data(), static_cast<index_t>(x.size()), exact);
}

std::size_t at(index_t i)
{
    return static_cast<std::size_t>(i);
}

template <class T>
std::string of(const char* name)
{
    return std::string(name) + (sizeof(T) == 4 ? " f32" : " f64");
}

template <class T>
std::vector<T> numbers(index_t n, random_engine& rng)
{
    std::vector<T> x(at(n));
    for (T& value : x)
    {
        value = normal<T>(rng);
    }
    return x;
}

std::vector<std::int8_t> codes(index_t n, random_engine& rng)
{
    std::vector<std::int8_t> x(at(n));
    for (std::int8_t& value : x)
    {
        value = static_cast<std::int8_t>(uniform_index(rng, 255) - 127);
    }
    return x;
}

/// W in T or bfloat16.
template <class T, class W>
void products_of_packed()
{
    random_engine rng(2);
    const std::string kind = std::is_same_v<T, W> ? of<T>("") : " bf16";
    constexpr index_t n = 37;
    constexpr index_t k = 70;
    constexpr index_t rank = 9;
    const auto pack = [](index_t rows, index_t columns, const std::vector<T>& w)
    {
        std::vector<W> packed(at(kernel::packed_size<T>(rows, columns)));
        kernel::pack_b<T>(rows, columns, w.data(), columns, packed.data());
        return packed;
    };
    const auto w = numbers<T>(n * k, rng);
    const auto v = numbers<T>(rank * k, rng);
    const auto u = numbers<T>(n * rank, rng);
    const auto bias = numbers<T>(n, rng);
    const auto packed = pack(n, k, w);
    std::vector<T> back(w.size());
    kernel::unpack_b<T>(n, k, packed.data(), back.data(), k);
    note("unpack" + kind, back, true);
    for (index_t m : {1, 5, 40})
    {
        const auto x = numbers<T>(m * k, rng);
        std::vector<T> y(at(m * n));
        std::vector<std::byte> scratch(kernel::gemm_packed_scratch_bytes<T>(m, n, k));
        kernel::epilogue<T> e;
        e.bias = bias.data();
        kernel::gemm_packed<T>(
            m, n, k, {x.data(), k, 1}, packed.data(), y.data(), n, e, scratch.data());
        note("gemm_packed" + kind, y);
        scratch.resize(kernel::low_rank_scratch_bytes<T>(m, n, k, rank));
        const auto pv = pack(rank, k, v);
        const auto pu = pack(n, rank, u);
        kernel::low_rank_packed<T>(
            m, n, k, rank, {x.data(), k, 1}, pv.data(), pu.data(), y.data(), n, e, scratch.data());
        note("low_rank" + kind, y);
    }
}

template <class T>
void products()
{
    random_engine rng(1);
    const index_t extents[][3] = {{1, 37, 70}, {5, 33, 130}, {40, 37, 70}, {3, 3, 0}};
    for (const auto& [m, n, k] : extents)
    {
        const auto a = numbers<T>(m * k, rng);
        const auto b = numbers<T>(n * k, rng);
        std::vector<T> c(at(m * n));
        std::vector<std::byte> scratch(kernel::gemm_scratch_bytes<T>(m, n, k));
        kernel::epilogue<T> e;
        e.act = kernel::activation::relu;
        kernel::gemm<T>(
            m, n, k, {a.data(), k, 1}, {b.data(), 1, k}, c.data(), n, e, scratch.data());
        note(of<T>("gemm of rows"), c);
        kernel::gemm<T>(
            m, n, k, {a.data(), 1, m}, {b.data(), n, 1}, c.data(), n, {}, scratch.data());
        note(of<T>("gemm of columns"), c);
    }
    products_of_packed<T, T>();
}

/// Sparse weights of at most two of every four columns, in runs of 16 rows.
template <class T>
tensor<T, 2> thin_matrix(index_t rows, index_t columns, random_engine& rng)
{
    auto w = random_tensor<T>(shape<2>{rows, columns}, rng);
    for (index_t i = 0; i < rows * columns; ++i)
    {
        const index_t r = i / columns;
        const index_t c = i % columns;
        const bool zero = (c + r / 16) % 4 != 1 || (c / 4 + r / 16) % 3 == 0;
        w.data()[i] = zero ? T(0) : w.data()[i];
    }
    return w;
}

template <class Format>
void product_with(const char* name)
{
    using traits = nn::storage_traits<Format>;
    using T = typename traits::value_type;
    random_engine rng(3);
    constexpr index_t rows = 37;
    constexpr index_t columns = 70;
    const auto w = thin_matrix<T>(rows, columns, rng);
    const Format packed = traits::pack(view<const T, 2>(w.data(), shape<2>{rows, columns}));
    for (index_t batch : {1, 5, 33})
    {
        const auto x = random_tensor<T>(shape<2>{batch, columns}, rng);
        auto y = make_tensor<T>(shape<2>{batch, rows});
        const auto bias = random_tensor<T>(shape<1>{rows}, rng);
        buffer<std::byte> bytes(traits::scratch_bytes(packed, batch));
        traits::product(
            packed, as_view(x), bias.data(), as_view(y), nn::scratch(bytes.data(), bytes.size()));
        // Exact are products of codes: their names begin with "int8".
        note(of<T>(name), y, std::string(name).substr(0, 4) == "int8");
    }
    note(of<T>(name) + " unpacked", traits::unpack(packed), true);
}

template <class T, class Index>
void compressed_rows()
{
    product_with<sparse::csr<T, Index>>("csr");
    random_engine rng(4);
    nn::sequential dense{nn::dense<T>{{.in = 50, .out = 40}, rng}, nn::tanh{},
        nn::dense<T>{{.in = 40, .out = 6}, rng}};
    for (T& value : dense.template layer<0>().weight)
    {
        value = uniform_index(rng, 10) < 3 ? value : 0;
    }
    const auto net = nn::convert<sparse::csr<T, Index>>(dense);
    for (index_t batch : {3, 40})
    {
        const auto x = random_tensor<T>(shape<2>{batch, 50}, rng);
        auto kept = nn::make_cache(net, x, rng);
        const auto y = nn::forward(net, x, kept);
        auto gradients = nn::zeros_like(net);
        auto dx = make_tensor<T>(shape_of(x));
        nn::backward(net, y, kept, gradients, dx);
        note(of<T>("csr forward"), y);
        note(of<T>("csr gradient of the input"), dx);
        const auto& values = gradients.template layer<0>().weight.values();
        note(of<T>("csr gradient of the weights"), values.data(),
            static_cast<index_t>(values.size()));
    }
}

template <class T>
void sparse_products()
{
    compressed_rows<T, std::uint8_t>();
    compressed_rows<T, std::uint16_t>();
    compressed_rows<T, std::uint32_t>();
    product_with<sparse::tiled<T>>("tiled");
    product_with<sparse::sliced<T>>("sliced");
    product_with<sparse::bitmask<T>>("bitmask");
    product_with<sparse::packed_nm<T, 1, 4>>("nm 1:4");
    product_with<sparse::packed_nm<T, 2, 4>>("nm 2:4");
    product_with<sparse::packed_nm<T, 4, 8>>("nm 4:8");
    product_with<sparse::packed_nm<T, 4, 4>>("nm without a row");
    product_with<sparse::bsr<T, 16, 1, std::uint16_t>>("bsr 16x1");
    product_with<sparse::bsr<T, 16, 1, std::uint32_t>>("bsr 16x1");
    product_with<sparse::bsr<T, 16, 1, std::uint8_t>>("bsr without a row");
}

void integers()
{
    random_engine rng(5);
    constexpr index_t n = 37;
    constexpr index_t k = 70;
    const auto w = codes(n * k, rng);
    std::vector<std::byte> packed(kernel::packed_bytes_s8<>(n, k));
    kernel::pack_s8<>(n, k, w.data(), k, packed.data());
    std::vector<std::int8_t> back(w.size());
    kernel::unpack_s8<>(n, k, packed.data(), back.data(), k);
    note("unpack int8", back);
    const auto scale = numbers<float>(n, rng);
    const auto bias = numbers<float>(n, rng);
    for (index_t m : {1, 5, 40})
    {
        const auto x = codes(m * k, rng);
        const auto real = numbers<float>(m * k, rng);
        const auto x_scale = numbers<float>(m, rng);
        std::vector<std::byte> scratch(kernel::gemm_s8_scratch_bytes<>(m, n, k));
        std::vector<std::int32_t> sums(at(m * n));
        kernel::gemm_s8_s32<>(m, n, k, {x.data(), k, 1}, packed.data(), {sums.data(), n, 1},
            scratch.data(), kernel::integer_start{.x_zero = 3});
        note("gemm_s8_s32", sums);
        std::vector<float> y(at(m * n));
        const kernel::dequantize e{
            .x_scale = x_scale.data(), .w_scale = scale.data(), .bias = bias.data()};
        kernel::gemm_s8<>(m, n, k, {x.data(), k, 1}, packed.data(),
            kernel::matrix_result<float>{y.data(), n, 1}, e, scratch.data());
        note("gemm_s8", y, true);
        kernel::gemm_s8_dynamic<>(
            m, n, k, real.data(), k, packed.data(), {y.data(), n, 1}, e, scratch.data());
        note("gemm_s8_dynamic", y, true);
        std::vector<float> multiplier(at(n), 0.001f);
        std::vector<std::uint8_t> out(at(m * n));
        kernel::gemm_s8<>(m, n, k, {x.data(), k, 1}, packed.data(),
            kernel::code_result(out.data(), n, 1),
            kernel::requantize{.multiplier = multiplier.data(), .y_zero = 7}, scratch.data());
        note("gemm_s8 to codes", out);
    }
    for (const auto kind : {kernel::low_bit::int4, kernel::low_bit::int2, kernel::low_bit::binary,
             kernel::low_bit::table4})
    {
        const kernel::low_bit_shape shape{.rows = n,
            .columns = k,
            .codes = kind,
            .group = kind == kernel::low_bit::int2 ? 0 : 32,
            .bfloat16_scales = kind == kernel::low_bit::binary,
            .zeros = kind == kernel::low_bit::int4};
        std::vector<std::int8_t> few(w.size());
        for (std::size_t i = 0; i < w.size(); ++i)
        {
            const int code = w[i] & ((1 << shape.bits()) - 1);
            few[i] = static_cast<std::int8_t>(kind == kernel::low_bit::binary ? 2 * code - 1
                                              : kind == kernel::low_bit::table4
                                                  ? code
                                                  : code - (1 << (shape.bits() - 1)));
        }
        const auto scales = numbers<float>(n * shape.groups(), rng);
        const auto zeros = codes(n * shape.groups(), rng);
        std::vector<std::byte> panels(kernel::low_bit_bytes<>(shape));
        kernel::pack_low_bit<>(
            shape, few.data(), scales.data(), zeros.data(), w.data(), panels.data());
        std::vector<float> same(scales.size());
        std::vector<std::int8_t> zeros_back(zeros.size());
        std::vector<std::int8_t> table(16);
        kernel::unpack_low_bit<>(
            shape, panels.data(), back.data(), same.data(), zeros_back.data(), table.data());
        note("unpack low bit", back);
        note("scales of low bit", same, true);
        for (index_t m : {1, 5, 12})
        {
            const auto x = codes(m * k, rng);
            const auto real = numbers<float>(m * k, rng);
            const auto x_scale = numbers<float>(m, rng);
            std::vector<std::byte> scratch(kernel::gemm_low_bit_scratch_bytes<>(m, shape));
            std::vector<float> y(at(m * n));
            const kernel::dequantize e{.x_scale = x_scale.data(), .bias = bias.data()};
            kernel::gemm_low_bit<>(
                m, shape, x.data(), k, panels.data(), {y.data(), n, 1}, e, scratch.data());
            note("gemm_low_bit", y, true);
            kernel::gemm_low_bit_dynamic<>(
                m, shape, real.data(), k, panels.data(), {y.data(), n, 1}, e, scratch.data());
            note("gemm_low_bit_dynamic", y, true);
        }
    }
    product_with<quantize::int8_matrix>("int8");
    product_with<quantize::sparse_int8<std::uint8_t>>("int8 csr");
    product_with<quantize::sparse_int8<std::uint16_t>>("int8 csr");
    product_with<quantize::sparse_int8<std::uint32_t>>("int8 csr");
    product_with<quantize::int8_vectors<std::uint8_t>>("int8 vectors");
    product_with<quantize::int8_vectors<std::uint16_t>>("int8 vectors");
    product_with<quantize::int8_vectors<std::uint32_t>>("int8 vectors");
    product_with<quantize::int8_nm>("int8 2:4");
}

template <class Layer, class T>
void forward_backward(const char* name, const Layer& layer, const tensor<T, 4>& x, bool exact)
{
    random_engine rng(6);
    auto kept = nn::make_cache(layer, x, rng);
    const auto y = nn::forward(layer, x, kept);
    note(of<T>(name), y, exact);
    note(of<T>(name) + " inference", nn::forward(layer, x), exact);
    auto gradients = nn::zeros_like(layer);
    auto dx = make_tensor<T>(shape_of(x));
    nn::backward(layer, y, kept, gradients, dx);
    note(of<T>(name) + " gradient of the input", dx, exact);
    if constexpr (requires { gradients.weight; })
    {
        note(of<T>(name) + " gradient of the weights", gradients.weight);
    }
}

template <class T>
void images()
{
    random_engine rng(7);
    const auto x = random_tensor<T>(shape<4>{2, 4, 11, 13}, rng);
    forward_backward("convolution",
        nn::conv2d<T>({.in = 4, .out = 9, .kernel = 3, .padding = 1}, rng), x, false);
    forward_backward(
        "depthwise", nn::conv2d<T>({.in = 4, .out = 8, .kernel = 3, .groups = 4}, rng), x, false);
    forward_backward("largest of windows", nn::max_pool2d({.kernel = 2}), x, true);
    forward_backward("mean of windows", nn::avg_pool2d({.kernel = {3, 2}}), x, false);

    const kernel::window w{.channels = 4,
        .height = 11,
        .width = 13,
        .kernel_h = 3,
        .kernel_w = 2,
        .stride_h = 2,
        .pad_top = 1,
        .out_h = 6,
        .out_w = 12};
    std::vector<T> columns(at(w.rows() * w.columns()));
    kernel::im2col<T>(w, x.data(), columns.data());
    note(of<T>("im2col"), columns, true);
    std::vector<T> image(at(4 * 11 * 13));
    kernel::col2im<T>(w, columns.data(), image.data());
    note(of<T>("col2im"), image, true);
    std::vector<T> framed(at(kernel::framed_size<T>(w)));
    kernel::frame<T>(w, x.data(), framed.data());
    note(of<T>("framed image"), framed, true);
    std::vector<T> patches(at(w.rows() * 3 * w.out_w + kernel::register_room<T>));
    kernel::gather_patches<T>(w, framed.data(), 2, 3, patches.data());
    patches.resize(at(w.rows() * 3 * w.out_w));
    note(of<T>("patches"), patches, true);
}

template <class Storage>
void converted_convolution(const char* name, bool exact)
{
    using T = typename nn::storage_traits<Storage>::value_type;
    random_engine rng(8);
    const auto x = random_tensor<T>(shape<4>{2, 4, 11, 13}, rng);
    nn::conv2d<T> layer({.in = 4, .out = 16, .kernel = 3, .padding = 1}, rng);
    for (index_t i = 0; i < size_of(layer.weight); ++i)
    {
        layer.weight.data()[i] *= i % 4 < 2 ? T(0) : T(1);
    }
    const auto other = layer.with_weight(
        nn::storage_traits<Storage>::pack(nn::storage_traits<tensor<T, 4>>::matrix(layer.weight)));
    note(name, nn::forward(other, x), exact);
}

/// From codes to codes, with a zero point on both sides.
void code_convolution()
{
    random_engine rng(12);
    kernel::window w;
    w.channels = 5;
    w.height = w.width = 11;
    w.kernel_h = w.kernel_w = 3;
    w.pad_top = w.pad_left = 1;
    w.out_h = w.out_w = 11;
    constexpr index_t out = 7;
    const auto weights = codes(out * w.rows(), rng);
    const auto x = codes(2 * w.channels * w.height * w.width, rng);
    const std::vector<float> multiplier(out, 0.0004f);
    const std::vector<std::int32_t> bias(out, 1234);
    kernel::requantize e{.multiplier = multiplier.data(), .y_zero = -9};
    e.start = {.x_zero = 17, .bias = bias.data()};
    std::vector<std::byte> packed(kernel::packed_bytes_s8<>(out, w.rows()));
    kernel::pack_s8<>(out, w.rows(), weights.data(), w.rows(), packed.data());
    std::vector<std::byte> scratch(kernel::convolution_s8_bytes<>(w, 1, out));
    std::vector<std::int8_t> y(at(2 * out * w.columns()));
    kernel::convolution_s8<>(2, w, 1, out, x.data(), packed.data(), e, y.data(), scratch.data());
    note("convolution of codes", y);
}

template <class T, class Optimizer>
void update_with(const Optimizer& optimizer, const char* name)
{
    random_engine rng(9);
    for (bool zero : {false, true})
    {
        constexpr index_t n = 37;
        auto values = numbers<T>(n, rng);
        auto gradients = numbers<T>(n, rng);
        std::vector<std::vector<T>> slots(optim::detail::slot_count(optimizer));
        std::vector<std::span<T>> spans;
        for (auto& slot : slots)
        {
            for (const T value : numbers<T>(n, rng))
            {
                slot.push_back(value * value); // averages of squares
            }
            spans.emplace_back(slot);
        }
        optim::update_step step;
        step.count = 2;
        step.rate = 0.01;
        step.zero_gradients = zero;
        if constexpr (requires { optimizer.begin(step); })
        {
            optimizer.begin(step);
        }
        optimizer.update(std::span<T>(values), std::span<T>(gradients),
            std::span<const std::span<T>>(spans), step);
        note(of<T>(name), values);
        note(of<T>(name) + " gradients", gradients, zero);
        for (const auto& slot : slots)
        {
            note(of<T>(name) + " slot", slot);
        }
    }
}

template <class T>
void optimizers()
{
    update_with<T>(optim::sgd{.weight_decay = 0.1}, "sgd");
    update_with<T>(optim::sgd{.momentum = 0.9}, "momentum");
    update_with<T>(optim::nesterov{}, "nesterov");
    update_with<T>(optim::adagrad{}, "adagrad");
    update_with<T>(optim::adadelta{}, "adadelta");
    update_with<T>(optim::adam{}, "adam");
    update_with<T>(optim::adamw{.weight_decay = 0.1}, "adamw");
    update_with<T>(optim::amsgrad{}, "amsgrad");
    update_with<T>(optim::nadam{}, "nadam");
    update_with<T>(optim::rmsprop{}, "rmsprop");
    update_with<T>(optim::rmsprop{.momentum = 0.9}, "rmsprop with momentum");
    update_with<T>(optim::rmsprop{.centered = true}, "centred rmsprop");
    update_with<T>(
        optim::rmsprop{.centered = true, .momentum = 0.9}, "centred rmsprop with momentum");
}

/// A few steps of a network of all kinds of layers, then what becomes of it packed and quantized.
void training()
{
    random_engine rng(10);
    nn::sequential net{nn::conv2d<float>({.in = 1, .out = 6, .kernel = 3, .padding = 1}, rng),
        nn::relu{}, nn::max_pool2d({.kernel = 2}),
        nn::conv2d<float>({.in = 6, .out = 12, .kernel = 3}, rng), nn::relu{},
        nn::avg_pool2d({.kernel = 2}), nn::flatten{}, nn::dense<float>{{.in = 48, .out = 20}, rng},
        nn::relu{}, nn::dense<float>{{.in = 20, .out = 10}, rng}};
    auto state = optim::make_state(optim::adam{}, net);
    for (int step = 0; step < 3; ++step)
    {
        const auto x = random_tensor<float>(shape<4>{8, 1, 12, 12}, rng);
        const auto target = random_tensor<float>(shape<2>{8, 10}, rng);
        random_engine same(11);
        auto kept = nn::make_cache(net, x, same);
        auto dy = nn::forward(net, x, kept);
        for (index_t i = 0; i < size_of(dy); ++i)
        {
            dy.data()[i] -= target.data()[i];
        }
        auto gradients = nn::zeros_like(net);
        nn::backward(net, dy, kept, gradients);
        optim::step(optim::adam{}, net, gradients, state, 0.001);
    }
    const auto x = random_tensor<float>(shape<4>{3, 1, 12, 12}, rng);
    note("trained network", nn::forward(net, x));
    note("trained network, packed", nn::forward(nn::pack(net), x));
    note("trained network, in bfloat16",
        nn::forward(nn::convert<nn::packed_matrix<float, bfloat16>>(net), x));
}

} // namespace

std::vector<outcome> outcomes()
{
    std::vector<outcome> found;
    list = &found;
    products<float>();
    products<double>();
    products_of_packed<float, bfloat16>();
    sparse_products<float>();
    sparse_products<double>();
    product_with<sparse::bsr<float, 8, 1, std::uint16_t>>("bsr 8x1");
    product_with<sparse::bsr<float, 8, 1, std::uint32_t>>("bsr 8x1");
    product_with<sparse::bsr<float, 4, 1, std::uint16_t>>("bsr 4x1");
    product_with<sparse::bsr<float, 4, 1, std::uint32_t>>("bsr 4x1");
    product_with<sparse::bsr<float, 4, 4, std::uint16_t>>("bsr 4x4");
    product_with<sparse::bsr<float, 4, 4, std::uint32_t>>("bsr 4x4");
    product_with<sparse::bsr<float, 8, 8, std::uint16_t>>("bsr 8x8");
    product_with<sparse::bsr<float, 8, 8, std::uint32_t>>("bsr 8x8");
    integers();
    images<float>();
    images<double>();
    converted_convolution<quantize::int8_matrix>("int8 convolution", true);
    converted_convolution<quantize::sparse_int8<std::uint8_t>>("int8 csr convolution", true);
    converted_convolution<nn::packed_matrix<float>>("packed convolution", false);
    converted_convolution<nn::packed_matrix<double>>("packed convolution", false);
    converted_convolution<sparse::csr<float, std::uint16_t>>("csr convolution", false);
    code_convolution();
    optimizers<float>();
    optimizers<double>();
    training();
    list = nullptr;
    return found;
}

} // namespace PART
