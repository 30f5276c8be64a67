#include <structopt/io/quantized.hpp>
#include <structopt/quantize/codebook.hpp>
#include <structopt/quantize/encode.hpp>
#include <structopt/quantize/error.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <algorithm>
#include <cmath>

namespace test_codebook
{

using namespace structopt;
using linalg::k_means_start;
using quantize::codebook;
using quantize::per_channel;

static_assert(codebook<2>::bits == 1);
static_assert(codebook<3>::bits == 2);
static_assert(codebook<16>::bits == 4);
static_assert(codebook<256>::bits == 8);
static_assert(quantize::data_scheme<codebook<16>>);

TEST_SUITE("smoke")
{
    TEST_CASE("a codebook by hand")
    {
        const tensor<float, 2> w = {{1, 9, 2, 10, 3}, {5, 5, 5, 5, 5}};
        const auto q = quantize::encode(w, codebook<2>{}, per_channel<0>{});
        CHECK(q.parameters()[0].values == std::array<float, 2>{2, 9.5f});
        CHECK(q.code(0, 0) == 0);
        CHECK(q.code(0, 1) == 1);
        CHECK(q.value(0, 4) == 2);
        CHECK(q.value(1, 2) == 5);
        CHECK(q.bytes() == 2 + 2 * 8);
        // Training: the sums of the gradients are 1 + 3 + 5 and 2 + 4.
        const tensor<float, 2> gradient = {{1, 2, 3, 4, 5}, {0, 0, 0, 0, 0}};
        const auto trained = quantize::train_values(q, gradient, 0.5f);
        CHECK(trained.parameters()[0].values == std::array<float, 2>{2 - 4.5f, 9.5f - 3});
        CHECK(trained.codes() == q.codes());
        // A step so large that the two change places.
        const tensor<float, 2> far = {{-10, 5, 0, 5, 0}, {0, 0, 0, 0, 0}};
        const auto turned = quantize::train_values(q, far, 1);
        CHECK(turned.parameters()[0].values == std::array<float, 2>{-0.5f, 12});
        CHECK(turned.code(0, 0) == 1);
        CHECK(turned.value(0, 0) == 12);
        CHECK(turned.value(0, 1) == -0.5f);
    }
}

TEST_CASE("codebooks: nearest values, better than equal steps, saved and loaded")
{
    random_engine rng(5);
    const auto x = support::random_tensor<float>(shape<2>{20, 50}, rng);
    for (const auto start : {k_means_start::linear, k_means_start::density, k_means_start::random})
    {
        const codebook<11> scheme{.start = start};
        const auto q = quantize::encode(x, scheme);
        const auto& values = q.parameters()[0].values;
        CHECK(std::is_sorted(values.begin(), values.end()));
        for (index_t r = 0; r < 20; ++r)
        {
            for (index_t c = 0; c < 50; ++c)
            {
                float nearest = 1e9f;
                for (const float v : values)
                {
                    nearest = std::min(nearest, std::abs(v - x(r, c)));
                }
                CHECK(std::abs(q.value(r, c) - x(r, c)) <= nearest);
            }
        }
        // Lloyd and Max: normal numbers in 8 levels have a distortion of 0.0345, 16 levels 0.0095.
        const double mse = quantize::measure_error(x, q).mse;
        CHECK(mse > 0.009);
        CHECK(mse < 0.0345);
        io::safetensors_writer writer;
        io::add_quantized(writer, "w", q);
        const auto bytes = writer.to_bytes();
        const io::safetensors_file file(bytes, "memory");
        using type = quantize::quantized_tensor<codebook<11>>;
        CHECK(io::read_quantized<type>(file, "w", scheme) == q);
        CHECK(file.read<float, 2>("w.values")(0, 3) == values[3]);
        using other = quantize::quantized_tensor<codebook<12>>;
        CHECK_THROWS_AS(io::read_quantized<other>(file, "w"), format_error);
    }
    CHECK_THROWS_AS(quantize::encode(x, codebook<4>{.iterations = 0}), argument_error);
}

TEST_CASE("codebooks: importance, few values, none")
{
    const tensor<float, 1> x = {0, 1, 2, 3};
    const tensor<float, 1> importance = {1, 1e6f, 1e6f, 1};
    const auto q = quantize::encode(x, codebook<2>{}, quantize::per_tensor{},
        quantize::no_clipping{}, quantize::nearest_even{}, importance);
    CHECK(std::abs(q.value(1) - 1) < 1e-5f);
    CHECK(std::abs(q.value(2) - 2) < 1e-5f);
    const tensor<float, 1> few = {3, -1, 3, 7, 3};
    CHECK(quantize::encode(few, codebook<256>{}).dequantize() == few);
    CHECK(quantize::encode(zeros<float>(shape<1>{0}), codebook<4>{}).parameters()[0].valid());
    CHECK(quantize::encode(zeros<float>(shape<1>{3}), codebook<4>{}).dequantize() ==
          zeros<float>(shape<1>{3}));
    // Code 3 of three entries is none.
    using type = quantize::quantized_tensor<codebook<3>, quantize::per_tensor, 1>;
    CHECK_THROWS_AS(type({1}, {{{0, 1, 2}}}, buffer<std::uint8_t>{3}), format_error);
    CHECK_THROWS_AS(type({1}, {{{0, 2, 1}}}, buffer<std::uint8_t>{1}), format_error);
}

} // namespace test_codebook
