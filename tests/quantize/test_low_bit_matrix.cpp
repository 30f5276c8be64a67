#include <structopt/core/random.hpp>
#include <structopt/io/state.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/low_bit_model.hpp>

#include <doctest/doctest.h>

#include "support/io_files.hpp"
#include "support/memory_file.hpp"
#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace test_low_bit_matrix
{

using namespace structopt;
using quantize::binary_matrix;
using quantize::int4_matrix;
using quantize::low_bit;
using quantize::low_bit_codes;
using quantize::table4_matrix;
using quantize::ternary_matrix;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

static_assert(nn::packable_storage<int4_matrix<>>);
static_assert(!nn::is_exact<int4_matrix<>>::value);
static_assert(!nn::trainable_storage<int4_matrix<>>);

low_bit_codes quantized(const std::vector<float>& w, low_bit kind, bool half = false)
{
    const auto n = static_cast<index_t>(w.size());
    return quantize::to_low_bit(view<const float, 2>(w.data(), shape<2>{1, n}), kind, 0, half);
}

std::vector<int> codes_of(const low_bit_codes& q)
{
    return std::vector<int>(q.codes.begin(), q.codes.end());
}

/// Whole numbers in [-127, 127], one of them 127 in every row: their codes, at a scale of 1.
template <std::size_t N>
tensor<float, N> on_the_grid(const shape<N>& extents, random_engine& rng)
{
    auto x = make_tensor<float>(extents);
    const index_t row = count(extents) / extents[0];
    for (index_t i = 0; i < size_of(x); ++i)
    {
        x.data()[i] = i % row == 3 ? 127.0f : static_cast<float>(uniform_index(rng, 255)) - 127.0f;
    }
    return x;
}

/// A network with low-bit weights against the float network with what these weights stand for, on
/// activations that are their own codes.
template <class Format, class Network, class X>
void check_network(const Network& net, const X& x)
{
    const auto packed = quantize::convert<Format>(net);
    const auto plain = nn::unpack(packed);
    const auto found = packed(x);
    const auto expected = plain(x);
    double largest = 0;
    double error = 0;
    for (index_t i = 0; i < size_of(found); ++i)
    {
        largest = std::max(largest, std::abs(static_cast<double>(expected.data()[i])));
        error = std::max(error, std::abs(static_cast<double>(expected.data()[i]) -
                                         static_cast<double>(found.data()[i])));
    }
    CHECK(largest > 1.0);
    CHECK(error < 1e-5 * largest);
}

template <class Format>
void check_format(const char* name)
{
    using traits = nn::storage_traits<Format>;
    CHECK(traits::name() == name);
    random_engine rng(1);
    nn::dense<float> layer({.in = 100, .out = 37}, rng);
    layer.bias = random_tensor<float>(shape<1>{37}, rng);
    const nn::sequential net{layer};
    for (const index_t batch : {1, 6})
    {
        check_network<Format>(net, on_the_grid(shape<2>{batch, 100}, rng));
    }
    const auto packed = quantize::convert<Format>(net);
    const support::scratch_folder folder;
    const std::string path = folder.path("packed.safetensors");
    io::save_state(packed, path);
    const auto nothing = structopt::zeros<float>(shape<2>{37, 100});
    auto other = packed;
    other.template layer<0>().weight =
        traits::pack(view<const float, 2>(nothing.data(), shape<2>{37, 100}));
    io::load_state(other, path);
    CHECK(other.template layer<0>().weight.codes() == packed.template layer<0>().weight.codes());
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("networks with weights of a few bits compute what the weights stand for")
    {
        check_format<int4_matrix<32, bfloat16>>("int4_g32_bf16");
        check_format<ternary_matrix<>>("ternary");
    }
}

TEST_CASE("binary weights and weights by table, in layers")
{
    check_format<binary_matrix<64>>("binary_g64");
    check_format<table4_matrix<>>("table4");
}

TEST_CASE("convolutions with weights of a few bits")
{
    random_engine rng(2);
    const nn::sequential net{
        nn::conv2d{{.in = 5, .out = 9, .kernel = 3, .stride = 2, .padding = 1}, rng}};
    check_network<int4_matrix<32, bfloat16>>(net, on_the_grid(shape<4>{2, 5, 9, 8}, rng));
}

TEST_CASE("formulas of the codes, by hand")
{
    const auto int4 = quantized({0.7f, -0.25f, 0.05f, -0.7f}, low_bit::int4);
    CHECK(int4.scales(0, 0) == 0.7f / 7.0f);
    // 2.5 and 0.5, of which neither is exact: -0.25 / 0.1 is 2.5 and goes to the even 2.
    CHECK(codes_of(int4) == std::vector<int>{7, -2, 0, -7});
    // mean 0.4, threshold 0.28: scale (1 + 0.4) / 2
    const auto ternary = quantized({1.0f, -0.4f, 0.2f, 0.0f}, low_bit::int2);
    CHECK(ternary.scales(0, 0) == doctest::Approx(0.7));
    CHECK(codes_of(ternary) == std::vector<int>{1, -1, 0, 0});
    const auto binary = quantized({1.0f, -0.5f, 0.0f}, low_bit::binary);
    CHECK(binary.scales(0, 0) == 0.5f);
    CHECK(codes_of(binary) == std::vector<int>{1, -1, 1});
    // scale 1: 5 is nearer to 4, 6 as near to 4 as to 8, of which 4 is first.
    const auto table = quantized({-64.0f, 5.0f, 6.0f, 6.5f, -0.4f}, low_bit::table4);
    CHECK(codes_of(table) == std::vector<int>{15, 3, 3, 4, 0});
    const auto half = quantized({0.7f, 0.31f}, low_bit::int4, true);
    CHECK(half.scales(0, 0) == static_cast<float>(bfloat16(0.1f)));
    const auto nothing = quantized({0.0f, 0.0f}, low_bit::int4);
    CHECK(nothing.scales(0, 0) == 0.0f);
    CHECK(codes_of(nothing) == std::vector<int>{0, 0});
    const float tiny[2] = {1e-40f, -1e-40f};
    CHECK(quantized({tiny[0], tiny[1]}, low_bit::int4).scales(0, 0) == 0.0f);
}

TEST_CASE("codes, zero points and tables come back; bytes are counted")
{
    random_engine rng(4);
    for (const shape<2> extents : {shape<2>{0, 3}, shape<2>{3, 0}, shape<2>{33, 70}})
    {
        low_bit_codes q;
        q.group = 64;
        const shape<2> groups{extents[0], (extents[1] + 63) / 64};
        q.codes = make_tensor<std::int8_t>(extents);
        q.scales = random_tensor<float>(groups, rng);
        q.zeros = make_tensor<std::int8_t>(groups);
        for (auto& code : q.codes)
        {
            code = static_cast<std::int8_t>(uniform_index(rng, 16) - 8);
        }
        for (index_t i = 0; i < size_of(q.scales); ++i)
        {
            q.scales.data()[i] = std::abs(q.scales.data()[i]);
            q.zeros.data()[i] = static_cast<std::int8_t>(i % 200 - 100);
        }
        const int4_matrix<64> w(q);
        const auto back = w.codes();
        CHECK(back.codes == q.codes);
        CHECK(back.scales == q.scales);
        CHECK(size_of(back.zeros) == size_of(q.zeros));
        CHECK((size_of(q.zeros) == 0 || back.zeros == q.zeros));
        CHECK(w.bytes() == (w.size() + 1) / 2 + 5 * q.scales.size());
        if (w.size() > 0)
        {
            const auto real = back.dequantize();
            CHECK(
                real(2, 69) == static_cast<float>(q.codes(2, 69) - q.zeros(2, 1)) * q.scales(2, 1));
            support::memory_file file{33, 70};
            nn::storage_traits<int4_matrix<64>>::save(w, file);
            CHECK(nn::storage_traits<int4_matrix<64>>::load(file).codes() == q);
        }
    }
}

TEST_CASE("what cannot be packed is refused")
{
    random_engine rng(5);
    auto w = random_tensor<float>(shape<2>{3, 40}, rng);
    const auto good = quantize::to_low_bit(as_view(w), low_bit::int4, 32);
    const auto complaint = [&](const auto& change)
    {
        auto q = good;
        change(q);
        return message_of<format_error>(
            [&]
            {
                int4_matrix<32>{q};
            });
    };
    CHECK(complaint([](auto&) {}) == "");
    check_parts(complaint(
                    [](auto& q)
                    {
                        q.codes(1, 2) = 8;
                    }),
        {"position 42", "[-8, 7]", "8"});
    check_parts(complaint(
                    [](auto& q)
                    {
                        q.scales(2, 1) = -1.0f;
                    }),
        {"scale, position 5", "not negative"});
    check_parts(complaint(
                    [](auto& q)
                    {
                        q.scales = structopt::zeros<float>(shape<2>{3, 1});
                    }),
        {"scales"});
    check_parts(complaint(
                    [](auto& q)
                    {
                        q.zeros = structopt::zeros<std::int8_t>(shape<2>{3, 1});
                    }),
        {"zero points"});
    check_parts(complaint(
                    [](auto& q)
                    {
                        q.group = 0;
                    }),
        {"groups of 32", "groups of 0"});
    check_parts(message_of<format_error>(
                    [&]
                    {
                        int4_matrix<32, bfloat16>{good};
                    }),
        {"bfloat16"});
    auto table = quantize::to_low_bit(as_view(w), low_bit::table4);
    table.table[3] = -128;
    check_parts(message_of<format_error>(
                    [&]
                    {
                        table4_matrix<>{table};
                    }),
        {"entry 3", "-128"});
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        quantize::to_low_bit(as_view(w), low_bit::int4, 48);
                    }),
        {"multiple of 32", "48"});
    w(1, 39) = std::numeric_limits<float>::infinity();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        int4_matrix<32>{as_view(w)};
                    }),
        {"row 1", "finite"});
    support::memory_file file{3, 40};
    nn::storage_traits<int4_matrix<32>>::save(int4_matrix<32>(good), file);
    file.put("codes", std::span<const std::uint8_t>());
    check_parts(message_of<format_error>(
                    [&]
                    {
                        nn::storage_traits<int4_matrix<32>>::load(file);
                    }),
        {"codes", "60", "0"});
}

} // namespace test_low_bit_matrix
