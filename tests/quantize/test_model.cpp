#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/model.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"
#include "support/threads.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace test_model
{

using namespace structopt;
using quantize::int8_matrix;
using quantize::sparse_int8;
using support::check_parts;
using support::message_of;
using support::random_tensor;

static_assert(nn::weight_storage<int8_matrix>);
static_assert(nn::packable_storage<int8_matrix>);
static_assert(!nn::trainable_storage<int8_matrix>);
static_assert(nn::packable_storage<sparse_int8<std::uint8_t>>);
static_assert(!nn::trainable_storage<sparse_int8<>>);
static_assert(!nn::is_exact<int8_matrix>::value);
static_assert(!nn::is_exact<sparse_int8<std::uint16_t>>::value);

namespace
{

/// Sparse weights, a batch and a bias.
struct problem
{
    tensor<float, 2> w;
    tensor<float, 2> x;
    tensor<float, 1> bias;

    problem(index_t batch, index_t rows, index_t columns, random_engine& rng)
        : w(random_tensor<float>(shape<2>{rows, columns}, rng))
        , x(random_tensor<float>(shape<2>{batch, columns}, rng))
        , bias(random_tensor<float>(shape<1>{rows}, rng))
    {
        for (float& value : w)
        {
            value = uniform<double>(rng) < 0.6 ? 0.0f : value;
        }
    }
};

template <class Storage>
tensor<float, 2> product(const Storage& s, view<const float, 2> x, const float* bias, bool turned)
{
    using traits = nn::storage_traits<Storage>;
    const index_t batch = x.shape(0);
    buffer<std::byte> bytes(traits::scratch_bytes(s, batch));
    const nn::scratch space(bytes.data(), bytes.size());
    auto y = structopt::full<float>(shape<2>{batch, traits::rows(s)}, 77.0f);
    if (!turned)
    {
        traits::product(s, x, bias, as_view(y), space);
        return y;
    }
    auto z = structopt::full<float>(shape<2>{traits::rows(s), batch}, 77.0f);
    traits::product(
        s, x, bias, view<float, 2>(z.data(), {batch, traits::rows(s)}, {1, batch}), space);
    for (index_t b = 0; b < batch; ++b)
    {
        for (index_t r = 0; r < traits::rows(s); ++r)
        {
            y(b, r) = z(r, b);
        }
    }
    return y;
}

tensor<float, 2> transposed(const tensor<float, 2>& x)
{
    auto t = make_tensor<float>(shape<2>{shape_of(x)[1], shape_of(x)[0]});
    for (index_t i = 0; i < shape_of(x)[0]; ++i)
    {
        for (index_t j = 0; j < shape_of(x)[1]; ++j)
        {
            t(j, i) = x(i, j);
        }
    }
    return t;
}

bool same_bits(const tensor<float, 2>& a, const tensor<float, 2>& b)
{
    return shape_of(a) == shape_of(b) &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// The expression that the codes define: integers, then two roundings and a sum.
tensor<float, 2> expected(const problem& p, bool with_bias)
{
    const auto w = quantize::to_int8(as_view(p.w));
    const auto x = quantize::to_int8(as_view(p.x));
    const auto columns = shape_of(p.x)[1];
    auto y = make_tensor<float>(shape<2>{shape_of(p.x)[0], shape_of(p.w)[0]});
    for (index_t b = 0; b < shape_of(y)[0]; ++b)
    {
        for (index_t r = 0; r < shape_of(y)[1]; ++r)
        {
            std::int64_t sum = 0;
            for (index_t c = 0; c < columns; ++c)
            {
                sum += std::int64_t{w.codes(r, c)} * std::int64_t{x.codes(b, c)};
            }
            volatile float scale = x.scales(b) * w.scales(r);
            volatile float value = static_cast<float>(sum) * scale;
            y(b, r) = with_bias ? value + p.bias(r) : value;
        }
    }
    return y;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a quantized product is the integer product of the codes, to the bit")
    {
        random_engine rng(1);
        for (index_t batch : {1, 3, 16, 37})
        {
            const problem p(batch, 33, 50, rng);
            const int8_matrix dense{as_view(p.w)};
            const sparse_int8<std::uint8_t> sparse{as_view(p.w)};
            for (bool with_bias : {false, true})
            {
                const float* const bias = with_bias ? p.bias.data() : nullptr;
                const auto right = expected(p, with_bias);
                const auto features = transposed(p.x);
                const view<const float, 2> turned(features.data(), shape_of(p.x), {1, batch});
                for (bool out : {false, true})
                {
                    CHECK(same_bits(product(dense, as_view(p.x), bias, out), right));
                    CHECK(same_bits(product(dense, turned, bias, out), right));
                    CHECK(same_bits(product(sparse, as_view(p.x), bias, out), right));
                    CHECK(same_bits(product(sparse, turned, bias, out), right));
                }
            }
        }
    }
}

TEST_CASE("a quantized product stays near the float product")
{
    random_engine rng(2);
    const problem p(20, 40, 300, rng);
    const auto y = product(int8_matrix{as_view(p.w)}, as_view(p.x), nullptr, false);
    double worst = 0;
    double mean = 0;
    for (index_t b = 0; b < 20; ++b)
    {
        for (index_t r = 0; r < 40; ++r)
        {
            double sum = 0;
            for (index_t c = 0; c < 300; ++c)
            {
                sum += static_cast<double>(p.x(b, c)) * static_cast<double>(p.w(r, c));
            }
            worst = std::max(worst, std::abs(sum - static_cast<double>(y(b, r))));
            mean += std::abs(sum) / 800;
        }
    }
    // Steps of about 3 / 127 on either side, 120 terms that err independently.
    CHECK(worst < 0.7);
    CHECK(mean > 5);
}

TEST_CASE("a sample's result does not depend on the batch it came in, nor on threads")
{
    random_engine rng(3);
    const problem p(70, 90, 120, rng);
    const int8_matrix dense{as_view(p.w)};
    const sparse_int8<> sparse{as_view(p.w)};
    const auto whole = product(dense, as_view(p.x), p.bias.data(), false);
    for (index_t first : {0, 1, 69})
    {
        for (index_t n : {1, 2, 20})
        {
            const index_t last = std::min<index_t>(first + n, 70);
            const auto part = as_view(p.x).slice(first, last);
            const auto some = structopt::copy(as_view(whole).slice(first, last));
            CHECK(same_bits(product(dense, part, p.bias.data(), false), some));
            CHECK(same_bits(product(sparse, part, p.bias.data(), false), some));
        }
    }
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(same_bits(product(dense, as_view(p.x), p.bias.data(), false), whole));
        CHECK(same_bits(product(sparse, as_view(p.x), p.bias.data(), false), whole));
    }
}

TEST_CASE("a sample that is not finite gives NaN, and nothing else does")
{
    random_engine rng(4);
    problem p(6, 10, 20, rng);
    p.x(2, 7) = std::numeric_limits<float>::infinity();
    p.x(4, 0) = std::numeric_limits<float>::quiet_NaN();
    const auto a = product(int8_matrix{as_view(p.w)}, as_view(p.x), p.bias.data(), false);
    const auto b = product(sparse_int8<>{as_view(p.w)}, as_view(p.x), p.bias.data(), false);
    for (index_t i = 0; i < 6; ++i)
    {
        for (index_t r = 0; r < 10; ++r)
        {
            CHECK(std::isnan(a(i, r)) == (i == 2 || i == 4));
            CHECK(std::isnan(b(i, r)) == (i == 2 || i == 4));
        }
    }
}

TEST_CASE("a network is converted: every weight int8, biases float")
{
    random_engine rng(5);
    const nn::sequential net{nn::dense{{.in = 20, .out = 30}, rng}, nn::relu{},
        nn::sequential{nn::dense{{.in = 30, .out = 5, .bias = false}, rng}}};
    const auto small = quantize::convert(net);
    static_assert(
        std::is_same_v<decltype(small), const nn::sequential<nn::dense<int8_matrix>, nn::relu,
                                            nn::sequential<nn::dense<int8_matrix>>>>);
    CHECK(small.layer<0>().weight.codes() == quantize::to_int8(as_view(net.layer<0>().weight)));
    CHECK(small.layer<0>().bias == net.layer<0>().bias);

    const auto sparse = quantize::convert<sparse_int8<std::uint8_t>>(net);
    const auto x = random_tensor<float>(shape<2>{7, 20}, rng);
    const auto y = small(x);
    CHECK(same_bits(sparse(x), y));
    CHECK(support::largest_difference(net(x), y) < 0.1);
    CHECK(support::largest_difference(net(x), y) > 1e-6);

    // Unpacked, the network has the rounded weights and can be converted again.
    const auto rounded = nn::unpack(small);
    static_assert(std::is_same_v<decltype(rounded), decltype(net)>);
    CHECK(rounded.layer<0>().weight == small.layer<0>().weight.codes().dequantize());
    CHECK(quantize::convert(rounded).layer<0>().weight.codes().codes ==
          small.layer<0>().weight.codes().codes);
}

TEST_CASE("a convolution in int8: one scale per image, dense and sparse weights agree")
{
    random_engine rng(6);
    const nn::conv2d_options cases[] = {{.in = 3, .out = 8, .kernel = 1},
        {.in = 3, .out = 8, .kernel = 3, .padding = 1},
        {.in = 4, .out = 6, .kernel = {2, 3}, .stride = 2, .padding = 2, .dilation = {1, 2}},
        {.in = 4, .out = 4, .kernel = 3, .groups = 2},
        {.in = 6, .out = 6, .kernel = 3, .stride = {1, 2}, .padding = 1, .groups = 6}};
    for (const auto& options : cases)
    {
        nn::sequential net{nn::conv2d{options, rng}, nn::relu{}};
        for (float& value : net.layer<0>().bias)
        {
            value = normal<float>(rng);
        }
        const auto dense = quantize::convert(net);
        const auto sparse = quantize::convert<sparse_int8<>>(net);
        const auto any = nn::convert_smallest<sparse_int8<std::uint8_t>, int8_matrix>(net);
        const auto x = random_tensor<float>(shape<4>{3, options.in, 6, 5}, rng);
        const auto y = dense(x);
        CHECK(y == sparse(x));
        CHECK(y == any(x));
        const double error = support::largest_difference(net(x), y);
        CHECK(error < 0.15);
        CHECK(error > 1e-6);
        const auto back = nn::unpack(dense);
        static_assert(std::is_same_v<std::remove_const_t<decltype(back)>, decltype(net)>);
        CHECK(shape_of(back.layer<0>().weight) == shape_of(net.layer<0>().weight));

        // An image's result does not depend on its batch.
        const auto first =
            structopt::copy(view<const float, 4>(x.data() + size_of(x) / 3, {1, options.in, 6, 5}));
        const auto alone = dense(first);
        CHECK(std::equal(alone.begin(), alone.end(), y.data() + size_of(y) / 3));
    }
}

TEST_CASE("threads change nothing in an int8 convolution")
{
    random_engine rng(8);
    const nn::sequential net{nn::conv2d{{.in = 16, .out = 32, .kernel = 3, .padding = 1}, rng}};
    const auto dense = quantize::convert(net);
    const auto x = random_tensor<float>(shape<4>{9, 16, 12, 12}, rng);
    const auto y = dense(x);
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(dense(x) == y);
    }
}

} // namespace test_model
