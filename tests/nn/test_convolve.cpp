// Convolutions by weights of every format, with exactly the scratch they ask for: the last block of
// patches may be smaller than the others, and a smaller product may need more.

#include <structopt/core/random.hpp>
#include <structopt/nn.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/sparse.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

#include <cmath>

namespace test_convolve
{

using namespace structopt;
using support::largest_difference;
using support::random_tensor;

namespace
{

struct layer_case
{
    index_t in;
    index_t out;
    index_t side;
    index_t kernel;
};

/// Blocks of patches that do not divide the image; found by looking for products that need more
/// scratch than larger ones do.
const layer_case cases[] = {
    {32, 32, 14, 3}, {10, 8, 32, 3}, {6, 32, 32, 3}, {3, 5, 40, 5}, {1, 7, 9, 1}};

/// The output with scratch of exactly the size asked for, so that a sanitizer sees what goes past it.
template <class Layer>
tensor<float, 4> exact(const Layer& layer, const tensor<float, 4>& x)
{
    auto y = make_tensor<float>(nn::output_shape(layer, shape_of(x)));
    buffer<std::byte> bytes(nn::scratch_bytes<float>(layer, shape_of(x)));
    nn::forward(layer, as_view(x), as_view(y), nn::scratch(bytes.data(), bytes.size()));
    return y;
}

template <class Format>
void check_format(double tolerance)
{
    random_engine rng(1);
    for (const layer_case& c : cases)
    {
        INFO(c.in << " to " << c.out << ", " << c.side << "x" << c.side << " by " << c.kernel);
        nn::conv2d<float> layer(
            {.in = c.in, .out = c.out, .kernel = c.kernel, .padding = c.kernel / 2}, rng);
        // Every third weight is zero, and of four neighbours two.
        for (index_t i = 0; i < size_of(layer.weight); ++i)
        {
            layer.weight.data()[i] *= i % 3 == 0 || i % 4 < 2 ? 0.0f : 1.0f;
        }
        layer.bias = random_tensor<float>(shape<1>{c.out}, rng);
        const auto x = random_tensor<float>(shape<4>{2, c.in, c.side, c.side}, rng);
        const auto other = layer.with_weight(nn::storage_traits<Format>::pack(
            nn::storage_traits<tensor<float, 4>>::matrix(layer.weight)));
        const auto expected = exact(layer, x);
        CHECK(largest_difference(exact(other, x), expected) <= tolerance);
        CHECK(largest_difference(expected, structopt::zeros<float>(shape_of(expected))) > 0.5);
    }
}

} // namespace

TEST_CASE("convolutions by weights of every format, in exactly the scratch they ask for")
{
    check_format<nn::packed_matrix<float>>(1e-4);
    check_format<nn::packed_matrix<float, bfloat16>>(0.1);
    check_format<sparse::csr<float, std::uint16_t>>(1e-4);
    check_format<quantize::int8_matrix>(0.2);
    check_format<sparse::tiled<float>>(1e-4);
    check_format<sparse::sliced<float>>(1e-4);
    check_format<sparse::bitmask<float>>(1e-4);
    check_format<sparse::bsr<float, 4, 1, std::uint16_t>>(1e-4);
}

TEST_CASE_TEMPLATE("training convolutions whose last block is smaller", T, float, double)
{
    random_engine rng(2);
    for (const layer_case& c : cases)
    {
        INFO(c.in << " to " << c.out << ", " << c.side << "x" << c.side << " by " << c.kernel);
        const nn::conv2d<T> layer(
            {.in = c.in, .out = c.out, .kernel = c.kernel, .padding = c.kernel / 2}, rng);
        const auto x = random_tensor<T>(shape<4>{3, c.in, c.side, c.side}, rng);
        auto kept = nn::make_cache(layer, x, rng);
        const auto y = nn::forward(layer, x, kept);
        const auto dy = random_tensor<T>(shape_of(y), rng);
        auto gradients = nn::zeros_like(layer);
        auto dx = make_tensor<T>(shape_of(x));
        nn::backward(layer, dy, kept, gradients, dx);
        // <dy, y> = <dw, w> + <db, b>, and without the bias <dy, y> = <dx, x>: the layer is linear.
        const auto product = [](const auto& a, const auto& b)
        {
            double sum = 0;
            for (std::size_t i = 0; i < a.size(); ++i)
            {
                sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
            }
            return sum;
        };
        const double size = std::sqrt(product(y, y) * product(dy, dy));
        const double tolerance = sizeof(T) == 4 ? 1e-4 : 1e-12;
        CHECK(
            std::abs(product(dy, y) - product(gradients.weight, layer.weight)) <= tolerance * size);
        CHECK(std::abs(product(dy, y) - product(dx, x)) <= tolerance * size);
    }
}

} // namespace test_convolve
