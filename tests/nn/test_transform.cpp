#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/any_weight.hpp>
#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/concat.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/packed.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/transform.hpp>
#include <structopt/quantize/model.hpp>
#include <structopt/sparse/model.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"
#include "support/threads.hpp"

#include <cstdint>
#include <limits>
#include <type_traits>

namespace test_transform
{

using namespace structopt;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

using packed = nn::packed_matrix<float>;
using csr = sparse::csr<float>;
using csr8 = sparse::csr<float, std::uint8_t>;
using any = nn::any_weight<float, tensor<float, 2>, csr8, csr, quantize::int8_matrix>;

static_assert(nn::packable_storage<packed>);
static_assert(!nn::trainable_storage<packed>);
static_assert(nn::is_exact<packed>::value);
static_assert(nn::weight_storage<any>);
static_assert(!nn::packable_storage<any>);
static_assert(!nn::is_exact<any>::value);
static_assert(nn::is_exact<nn::any_weight<float, tensor<float, 2>, csr>>::value);

namespace
{

/// Layers of all kinds that have a weight, in all kinds of containers.
auto make_network(random_engine& rng)
{
    return nn::sequential{nn::conv2d{{.in = 2, .out = 4, .kernel = 3, .padding = 1}, rng},
        nn::batch_norm{{.features = 4}}, nn::relu{},
        nn::residual{nn::conv2d{{.in = 4, .out = 4, .kernel = 3, .padding = 1}, rng}},
        nn::flatten{}, nn::sequential{nn::dense{{.in = 4 * 5 * 5, .out = 9}, rng}, nn::relu{}},
        nn::concat{nn::dense{{.in = 9, .out = 3}, rng}, nn::dense{{.in = 9, .out = 2}, rng}}};
}

const shape<4> sample{6, 2, 5, 5};

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a packed network computes the same and unpacks to the same bits")
    {
        random_engine rng(1);
        const auto net = make_network(rng);
        const auto fast = nn::pack(net);
        static_assert(std::is_same_v<std::remove_cvref_t<decltype(fast.layer<6>())>,
            nn::concat<nn::dense<packed>, nn::dense<packed>>>);
        static_assert(
            std::is_same_v<std::remove_cvref_t<decltype(fast.layer<0>())>, nn::conv2d<packed>>);
        const auto x = random_tensor<float>(sample, rng);
        CHECK(largest_difference(net(x), fast(x)) <= 1e-4);
        const auto back = nn::unpack(fast);
        static_assert(std::is_same_v<decltype(back), const decltype(net)>);
        CHECK(back.layer<0>().weight == net.layer<0>().weight);
        CHECK(back.layer<6>().first.weight == net.layer<6>().first.weight);
        CHECK(back.layer<5>().layer<0>().weight == net.layer<5>().layer<0>().weight);
        CHECK(back.layer<5>().layer<0>().bias == net.layer<5>().layer<0>().bias);
        CHECK(back(x) == net(x));
    }
}

TEST_CASE_TEMPLATE(
    "packed convolutions: groups, strides, dilation, few positions", T, float, double)
{
    random_engine rng(7);
    struct
    {
        nn::conv2d_options options;
        index_t height;
        index_t width;
    } const cases[] = {
        {{.in = 3, .out = 20, .kernel = 5}, 12, 12},
        {{.in = 4, .out = 33, .kernel = 3, .stride = 2, .padding = 1}, 9, 14},
        {{.in = 4, .out = 9, .kernel = {3, 2}, .stride = {1, 2}, .dilation = {2, 1}}, 11, 10},
        {{.in = 5, .out = 40, .kernel = 1}, 6, 7},
        {{.in = 6, .out = 50, .kernel = 3}, 3, 4}, // products with patches
        {{.in = 6, .out = 8, .kernel = 3, .padding = 1, .groups = 2}, 7, 5},
        {{.in = 37, .out = 37, .kernel = 3, .padding = 1, .groups = 37}, 6, 8},
        {{.in = 3, .out = 6, .kernel = 2, .groups = 3}, 4, 4},
    };
    for (const auto& c : cases)
    {
        const nn::conv2d<T> plain(c.options, rng);
        const auto fast = nn::pack(plain);
        static_assert(
            std::is_same_v<std::remove_cvref_t<decltype(fast.weight)>, nn::packed_matrix<T>>);
        CAPTURE(describe(shape_of(plain.weight)));
        for (const index_t batch : {1, 3})
        {
            const auto x = random_tensor<T>(shape<4>{batch, c.options.in, c.height, c.width}, rng);
            CHECK(largest_difference(nn::forward(plain, x), nn::forward(fast, x)) <=
                  256 * std::numeric_limits<T>::epsilon());
        }
        CHECK(nn::unpack(fast).weight == plain.weight);
    }
}

TEST_CASE_TEMPLATE("packed matrices of all extents, in both stride forms", T, float, double)
{
    random_engine rng(2);
    using traits = nn::storage_traits<nn::packed_matrix<T>>;
    for (const shape<2> extents : {shape<2>{0, 0}, shape<2>{0, 4}, shape<2>{4, 0}, shape<2>{1, 1},
             shape<2>{1, 40}, shape<2>{31, 5}, shape<2>{32, 33}, shape<2>{65, 7}})
    {
        INFO(describe(extents));
        const auto w = random_tensor<T>(extents, rng);
        const nn::packed_matrix<T> s{as_view(w)};
        CHECK(s.to_dense() == w);
        CHECK(s.size() == w.size());
        CHECK(s.bytes() >= w.size() * sizeof(T));
        // A view that is not row-major is packed all the same.
        auto turned = make_tensor<T>(shape<2>{extents[1], extents[0]});
        for (index_t i = 0; i < extents[0]; ++i)
        {
            for (index_t j = 0; j < extents[1]; ++j)
            {
                turned(j, i) = w(i, j);
            }
        }
        CHECK(nn::packed_matrix<T>(view<const T, 2>(turned.data(), extents, {1, extents[0]}))
                  .to_dense() == w);

        const auto bias = random_tensor<T>(shape<1>{extents[0]}, rng);
        for (index_t batch : {0, 1, 2, 7, 50})
        {
            const auto x = random_tensor<T>(shape<2>{batch, extents[1]}, rng);
            buffer<std::byte> bytes(traits::scratch_bytes(s, batch));
            const nn::scratch space(bytes.data(), bytes.size());
            auto rows = structopt::full<T>(shape<2>{batch, extents[0]}, T(5));
            auto features = structopt::full<T>(shape<2>{extents[0], batch}, T(5));
            traits::product(s, as_view(x), bias.data(), as_view(rows), space);
            traits::product(s, as_view(x), bias.data(),
                view<T, 2>(features.data(), {batch, extents[0]}, {1, batch}), space);
            for (index_t b = 0; b < batch; ++b)
            {
                for (index_t r = 0; r < extents[0]; ++r)
                {
                    double sum = static_cast<double>(bias(r));
                    for (index_t c = 0; c < extents[1]; ++c)
                    {
                        sum += static_cast<double>(w(r, c)) * static_cast<double>(x(b, c));
                    }
                    CHECK(std::abs(static_cast<double>(rows(b, r)) - sum) <=
                          400 * static_cast<double>(std::numeric_limits<T>::epsilon()));
                    CHECK(rows(b, r) == features(r, b));
                }
            }
        }
    }
}

TEST_CASE("weights in bfloat16: half the bytes, the bits of rounded float weights")
{
    random_engine rng(4);
    using bf16 = nn::packed_matrix<float, bfloat16>;
    static_assert(nn::packable_storage<bf16> && !nn::trainable_storage<bf16>);
    static_assert(nn::is_exact<packed>::value && !nn::is_exact<bf16>::value);
    const nn::sequential net{
        nn::dense{{.in = 40, .out = 64}, rng}, nn::relu{}, nn::dense{{.in = 64, .out = 10}, rng}};
    const auto small = nn::convert<bf16>(net);
    const auto rounded = nn::unpack(small);
    const auto& w = net.layer<0>().weight;
    for (std::size_t i = 0; i < w.size(); ++i)
    {
        const float found = rounded.layer<0>().weight.data()[i];
        CHECK(found == static_cast<float>(bfloat16(w.data()[i])));
        CHECK(std::abs(found - w.data()[i]) <= std::abs(w.data()[i]) / 256);
    }
    CHECK(2 * nn::storage_traits<bf16>::bytes(small.layer<0>().weight) ==
          nn::storage_traits<packed>::bytes(nn::pack(net).layer<0>().weight));
    for (const index_t batch : {1, 3, 8, 40})
    {
        const auto x = random_tensor<float>(shape<2>{batch, 40}, rng);
        CHECK(small(x) == nn::pack(rounded)(x));
        CHECK(largest_difference(small(x), net(x)) > 0);
        CHECK(largest_difference(small(x), net(x)) < 0.05);
    }
}

TEST_CASE("a network in one format after the other")
{
    random_engine rng(3);
    const auto net = make_network(rng);
    const auto x = random_tensor<float>(sample, rng);
    const auto y = net(x);
    const auto in_csr = nn::convert<csr>(net);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(in_csr.layer<3>())>,
        nn::residual<nn::conv2d<csr>>>);
    CHECK(largest_difference(in_csr(x), y) <= 1e-4);
    CHECK(largest_difference(nn::convert<packed>(in_csr)(x), y) <= 1e-4);
    const auto int8 = nn::convert<quantize::int8_matrix>(in_csr);
    CHECK(largest_difference(int8(x), y) <= 0.5);
    CHECK(largest_difference(int8(x), y) > 1e-5);
    for (int threads : {1, 2, 4})
    {
        support::with_threads with(threads);
        CHECK(in_csr(x) == nn::convert<csr>(net)(x));
        CHECK(int8(x) == nn::convert<quantize::int8_matrix>(net)(x));
        CHECK(nn::pack(net)(x) == nn::pack(net)(x));
    }
}

TEST_CASE("any_weight holds one of its formats, and asks it")
{
    random_engine rng(4);
    auto w = random_tensor<float>(shape<2>{6, 11}, rng);
    w(2, 3) = 0;
    const any choices[] = {any(w), any(csr8(as_view(w))), any(csr(as_view(w))),
        any(quantize::int8_matrix(as_view(w)))};
    const char* const names[] = {"dense", "csr8", "csr", "int8"};
    using traits = nn::storage_traits<any>;
    for (int i = 0; i < 4; ++i)
    {
        const any& s = choices[i];
        INFO(names[i]);
        CHECK(s.format() == names[i]);
        CHECK(s.size() == 66);
        CHECK(traits::rows(s) == 6);
        CHECK(traits::columns(s) == 11);
        CHECK(traits::nonzeros(s) == (i == 1 || i == 2 ? 65 : 66));
        CHECK((s.get_if<csr8>() != nullptr) == (i == 1));
        CHECK((s.get_if<tensor<float, 2>>() != nullptr) == (i == 0));
        CHECK(largest_difference(traits::unpack(s), w) <= (i == 3 ? 0.02 : 0.0));
        const nn::dense<any> layer(s, random_tensor<float>(shape<1>{6}, rng));
        const nn::dense<float> plain(w, layer.bias);
        for (index_t batch : {1, 20})
        {
            const auto x = random_tensor<float>(shape<2>{batch, 11}, rng);
            CHECK(largest_difference(nn::forward(layer, x), nn::forward(plain, x)) <=
                  (i == 3 ? 0.3 : 1e-5));
        }
    }
    CHECK(traits::bytes(choices[0]) == 66 * 4);
    CHECK(traits::bytes(choices[1]) == 7 * 4 + 65 * 5);
    CHECK(traits::bytes(choices[2]) == 7 * 4 + 65 * 8);
    CHECK(traits::bytes(choices[3]) == 66 + 6 * 4);
    CHECK(any().format() == "dense");
    CHECK(any().size() == 0);
    // Takes another format later.
    any s = choices[0];
    s = choices[3];
    CHECK(s.format() == "int8");
}

TEST_CASE("the smallest format is found layer by layer")
{
    random_engine rng(5);
    nn::sequential net{nn::dense{{.in = 300, .out = 40}, rng}, nn::relu{},
        nn::dense{{.in = 40, .out = 30}, rng}, nn::relu{}, nn::dense{{.in = 30, .out = 2}, rng}};
    for (float& value : net.layer<0>().weight)
    {
        value = uniform<double>(rng) < 0.9 ? 0.0f : value;
    }
    for (float& value : net.layer<2>().weight)
    {
        value = uniform<double>(rng) < 0.9 ? 0.0f : value;
    }
    const auto small =
        nn::convert_smallest<tensor<float, 2>, csr8, sparse::csr<float, std::uint16_t>>(net);
    // 300 columns do not fit in a byte: csr8 is passed over.
    CHECK(small.layer<0>().weight.format() == "csr16");
    CHECK(small.layer<2>().weight.format() == "csr8");
    CHECK(small.layer<4>().weight.format() == "dense");
    const auto x = random_tensor<float>(shape<2>{3, 300}, rng);
    CHECK(largest_difference(small(x), net(x)) <= 1e-4);
    const auto back = nn::unpack(small);
    static_assert(std::is_same_v<decltype(back), const decltype(net)>);
    CHECK(back.layer<0>().weight == net.layer<0>().weight);
    // Equal bytes: the first one named.
    const auto first = nn::convert_smallest<tensor<float, 2>, packed>(
        nn::sequential{nn::dense{{.in = 3, .out = 64}, rng}});
    CHECK(first.layer<0>().weight.format() == "dense");
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        nn::convert_smallest<csr8>(net);
                    }),
        {"convert_smallest", "a format that holds the weight", "[40, 300]"});
}

TEST_CASE("convolutions in any_weight")
{
    random_engine rng(6);
    const nn::sequential net{
        nn::conv2d{{.in = 3, .out = 5, .kernel = 3, .stride = 2}, rng}, nn::relu{}};
    const auto small = nn::convert_smallest<csr8, tensor<float, 2>>(net);
    CHECK(small.layer<0>().weight.format() == "dense");
    const auto x = random_tensor<float>(shape<4>{2, 3, 7, 9}, rng);
    CHECK(largest_difference(small(x), net(x)) <= 1e-5);
}

TEST_CASE("a weight of other extents is refused")
{
    random_engine rng(7);
    const nn::dense layer{{.in = 4, .out = 3}, rng};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        layer.with_weight(structopt::zeros<float>(shape<2>{3, 5}));
                    }),
        {"dense weight", "[3, 4]", "[3, 5]"});
    const nn::conv2d filter{{.in = 2, .out = 3, .kernel = 2}, rng};
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        filter.with_weight(structopt::zeros<float>(shape<2>{3, 9}));
                    }),
        {"conv2d weight", "[3, 8]", "[3, 9]"});
    const auto zero = structopt::zeros<float>(shape<2>{2, 8});
    check_parts(message_of<shape_error>(
                    [&]
                    {
                        filter.with_weight(csr(as_view(zero)));
                    }),
        {"conv2d weight", "[3, 8]", "[2, 8]"});
}

} // namespace test_transform
