#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cstdint>
#include <cstring>

namespace test_model
{

using namespace structopt;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

template <class T>
using csr8 = sparse::csr<T, std::uint8_t>;

static_assert(nn::packable_storage<sparse::csr<float>>);
static_assert(nn::packable_storage<csr8<double>>);
static_assert(nn::trainable_storage<sparse::csr<float>>);
static_assert(nn::trainable_parameter<csr8<double>> && nn::trainable_parameter<const csr8<double>>);
static_assert(nn::is_exact<sparse::csr<float>>::value);
static_assert(!nn::weight_storage<sparse::csr<std::int8_t>>);

namespace
{

template <class T>
void thin_out(tensor<T, 2>& w, random_engine& rng)
{
    for (T& value : w)
    {
        value = uniform<double>(rng) < 0.7 ? T(0) : value;
    }
}

template <class T>
void thin_out(tensor<T, 4>& w, random_engine& rng)
{
    for (T& value : w)
    {
        value = uniform<double>(rng) < 0.7 ? T(0) : value;
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE_TEMPLATE("a dense layer over csr computes the same", T, float, double)
    {
        random_engine rng(1);
        for (bool bias : {false, true})
        {
            nn::dense<T> layer({.in = 40, .out = 21, .bias = bias}, rng);
            thin_out(layer.weight, rng);
            layer.bias = random_tensor<T>(shape<1>{bias ? 21 : 0}, rng);
            const nn::sequential dense{layer};
            const auto sparse = nn::convert<csr8<T>>(dense);
            CHECK(sparse.template layer<0>().weight.nonzeros() < 400);
            for (index_t batch : {0, 1, 2, 5, 33, 64})
            {
                const auto x = random_tensor<T>(shape<2>{batch, 40}, rng);
                const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
                CHECK(
                    largest_difference(dense(x), sparse(x)) <= 40 * epsilon * (batch > 0 ? 1 : 0));
            }
        }
    }
}

TEST_CASE_TEMPLATE("a convolution over csr computes the same", T, float, double)
{
    random_engine rng(2);
    const nn::conv2d_options cases[] = {{.in = 3, .out = 5, .kernel = 3, .padding = 1},
        {.in = 2, .out = 7, .kernel = {2, 3}, .stride = 2, .dilation = {2, 1}, .bias = false},
        {.in = 6, .out = 4, .kernel = 1}, {.in = 1, .out = 1, .kernel = 5, .padding = {0, 2}}};
    for (const auto& options : cases)
    {
        nn::conv2d<T> layer(options, rng);
        thin_out(layer.weight, rng);
        const auto sparse = nn::convert<sparse::csr<T>>(layer);
        static_assert(std::is_same_v<decltype(sparse), const nn::conv2d<sparse::csr<T>>>);
        CHECK(nn::multiply_adds(sparse, shape<4>{1, options.in, 9, 8}) <
              nn::multiply_adds(layer, shape<4>{1, options.in, 9, 8}));
        for (index_t batch : {1, 3})
        {
            const auto x = random_tensor<T>(shape<4>{batch, options.in, 9, 8}, rng);
            const auto y = nn::forward(layer, x);
            const double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
            CHECK(largest_difference(y, nn::forward(sparse, x)) <= 60 * epsilon);
            CHECK(largest_difference(y, structopt::zeros<T>(shape_of(y))) > 0.1);
        }
        const auto back = nn::unpack(sparse);
        static_assert(std::is_same_v<decltype(back), const nn::conv2d<T>>);
        CHECK(back.weight == layer.weight);
    }
}

TEST_CASE("a network goes into csr and comes back bit for bit")
{
    random_engine rng(3);
    nn::sequential net{nn::conv2d{{.in = 2, .out = 3, .kernel = 2}, rng}, nn::relu{}, nn::flatten{},
        nn::dense{{.in = 27, .out = 4}, rng}};
    thin_out(net.layer<0>().weight, rng);
    thin_out(net.layer<3>().weight, rng);
    const auto sparse = nn::convert<sparse::csr<float, std::uint16_t>>(net);
    const auto back = nn::unpack(sparse);
    static_assert(std::is_same_v<decltype(back), const decltype(net)>);
    CHECK(back.layer<0>().weight == net.layer<0>().weight);
    CHECK(back.layer<3>().weight == net.layer<3>().weight);
    CHECK(back.layer<3>().bias == net.layer<3>().bias);
    // And from one format into the next.
    const auto narrow = nn::convert<csr8<float>>(sparse);
    CHECK(narrow.layer<3>().weight.to_dense() == net.layer<3>().weight);
}

TEST_CASE("a matrix that the format cannot hold")
{
    random_engine rng(4);
    const nn::sequential net{nn::dense{{.in = 300, .out = 2}, rng}};
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        nn::convert<csr8<float>>(net);
                    }),
        {"csr", "at most 256 columns", "300"});
}

TEST_CASE("names tell the width of the indices")
{
    CHECK(nn::storage_traits<csr8<float>>::name() == "csr8");
    CHECK(nn::storage_traits<sparse::csr<float, std::uint16_t>>::name() == "csr16");
    CHECK(nn::storage_traits<sparse::csr<float>>::name() == "csr");
}

} // namespace test_model
