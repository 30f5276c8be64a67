#include <structopt/io/state.hpp>
#include <structopt/nn.hpp>
#include <structopt/quantize/integer.hpp>

#include "support/io_files.hpp"
#include "support/random_tensor.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace test_static_int8
{

using namespace structopt;

/// A network with every kind of layer that has an integer form, and one that has none.
auto network(random_engine& rng)
{
    nn::batch_norm norm{{.features = 6}};
    for (auto& value : norm.running_var)
    {
        value = uniform<float>(rng, 0.2f, 2.0f);
    }
    return nn::sequential{nn::conv2d{{.in = 3, .out = 6, .kernel = 3, .padding = 1}, rng}, norm,
        nn::relu{}, nn::max_pool2d{{.kernel = 3, .stride = 2, .padding = 1}},
        nn::residual{nn::sequential{
            nn::conv2d{{.in = 6, .out = 6, .kernel = 3, .padding = 1, .groups = 6}, rng},
            nn::relu{}, nn::conv2d{{.in = 6, .out = 6, .kernel = 1, .bias = false}, rng}}},
        nn::relu{},
        nn::concat{nn::conv2d{{.in = 6, .out = 2, .kernel = 1}, rng},
            nn::sequential{nn::conv2d{{.in = 6, .out = 3, .kernel = 1}, rng}, nn::tanh{}}},
        nn::dropout{0.5}, nn::avg_pool2d{{.kernel = 3, .stride = 2, .padding = 1}},
        nn::global_avg_pool{}, nn::dense{{.in = 5, .out = 8}, rng}, nn::layer_norm{{.features = 8}},
        nn::dense{{.in = 8, .out = 4}, rng}};
}

template <class A, class B>
double relative_error(const A& a, const B& b)
{
    double error = 0;
    double power = 0;
    for (index_t i = 0; i < size_of(a); ++i)
    {
        error += std::pow(double{a.data()[i]} - b.data()[i], 2);
        power += std::pow(double{a.data()[i]}, 2);
    }
    return std::sqrt(error / power);
}

TEST_CASE("a network of every layer computes in codes what it computes in floats")
{
    random_engine rng(7);
    const auto net = network(rng);
    const auto x = support::random_tensor<float>(shape<4>{24, 3, 10, 9}, rng);
    const auto q = quantize::static_int8(net, x);
    const auto y = net(x);
    const auto codes = q(x);
    CHECK(relative_error(y, codes) < 0.08);

    // Batches do not matter: of the samples of calibration, and at inference.
    quantize::static_calibration calibration(net);
    for (index_t i = 0; i < 24; i += 8)
    {
        auto part = make_tensor<float>(shape<4>{8, 3, 10, 9});
        std::copy_n(x.data() + i * 270, 8 * 270, part.data());
        calibration.add(part);
    }
    CHECK(calibration.network()(x) == codes);
    auto one = make_tensor<float>(shape<4>{1, 3, 10, 9});
    std::copy_n(x.data() + 5 * 270, 270, one.data());
    const auto alone = q(one);
    for (index_t j = 0; j < 4; ++j)
    {
        CHECK(alone(0, j) == codes(5, j));
    }

    // Saved and loaded into a network that saw other samples: the same bits.
    const support::scratch_folder folder;
    const std::string file = folder.path("q.safetensors");
    io::save_state(q, file);
    auto other = quantize::static_int8(
        network(rng), support::random_tensor<float>(shape<4>{2, 3, 10, 9}, rng));
    CHECK(other(x) != codes);
    io::load_state(other, file);
    CHECK(other(x) == codes);
}

TEST_CASE("a dense layer is the stated expression")
{
    random_engine rng(2);
    nn::dense layer{{.in = 37, .out = 19}, rng};
    for (auto& b : layer.bias)
    {
        b = normal<float>(rng);
    }
    const auto x = support::random_tensor<float>(shape<2>{5, 37}, rng);
    for (const bool relu : {false, true})
    {
        const quantize::scale_and_zero in{0.031f, -7};
        const quantize::scale_and_zero out{0.052f, 21};
        const quantize::int8_dense q(
            quantize::integer_weight(as_view(layer.weight), layer.bias, in, out, relu));
        auto codes = make_tensor<std::int8_t>(shape<2>{5, 37});
        quantize::to_codes(x.data(), x.size() == 0 ? 0 : size_of(x), in, codes.data());
        const auto y = nn::forward(q, codes);
        const auto w = quantize::to_int8(as_view(layer.weight));
        index_t wrong = 0;
        for (index_t b = 0; b < 5; ++b)
        {
            for (index_t o = 0; o < 19; ++o)
            {
                const double unit = double{in.scale} * w.scales(o);
                auto sum = static_cast<std::int32_t>(std::nearbyint(layer.bias(o) / unit));
                for (index_t k = 0; k < 37; ++k)
                {
                    sum += (codes(b, k) - in.zero) * w.codes(o, k);
                }
                const volatile float product =
                    static_cast<float>(sum) * static_cast<float>(unit / out.scale);
                auto code = static_cast<int>(std::nearbyint(product)) + out.zero;
                code = std::min(std::max(code, relu ? out.zero : -128), 127);
                wrong += y(b, o) != code;
            }
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("sums of codes are within one step of the sum of what they stand for")
{
    const quantize::scale_and_zero a{0.11f, 3};
    const quantize::scale_and_zero b{0.0007f, -50};
    const quantize::scale_and_zero y{0.13f, -20};
    const quantize::code_sum sum(a, b, y, false);
    const quantize::code_sum relu(a, b, y, true);
    for (int i = -128; i < 128; ++i)
    {
        for (int j = -128; j < 128; j += 5)
        {
            const auto p = static_cast<std::int8_t>(i);
            const auto q = static_cast<std::int8_t>(j);
            const double exact =
                (quantize::from_code(p, a) + double{quantize::from_code(q, b)}) / y.scale + y.zero;
            const double inside = std::min(std::max(exact, -128.0), 127.0);
            CHECK(std::abs(sum(p, q) - inside) <= 0.501);
            CHECK(relu(p, q) == std::max<int>(sum(p, q), y.zero));
        }
    }
}

TEST_CASE("averages round to the nearest, halves up")
{
    for (int sum = -300; sum <= 300; ++sum)
    {
        for (const index_t n : {1, 2, 3, 9})
        {
            const double exact = std::floor(double(sum) / static_cast<double>(n) + 0.5);
            if (std::abs(exact) < 128)
            {
                CHECK(quantize::detail::average_code(sum, n) == exact);
            }
        }
    }
}

TEST_CASE("what cannot be is refused")
{
    random_engine rng(1);
    const nn::sequential net{nn::dense{{.in = 3, .out = 2}, rng}};
    CHECK_THROWS_WITH_AS(quantize::static_calibration(net).network(),
        doctest::Contains("at least one number"), argument_error);
    auto x = structopt::zeros<float>(shape<2>{2, 3});
    x(1, 1) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(quantize::static_int8(net, x), argument_error);

    // Nothing but zeros: every code stands for zero.
    const auto q = quantize::static_int8(net, structopt::zeros<float>(shape<2>{2, 3}));
    CHECK(q(structopt::zeros<float>(shape<2>{1, 3}))(0, 0) == 0.0f);

    const quantize::scale_and_zero good{0.1f, 0};
    const auto& layer = net.layer<0>();
    const auto make = [&](const quantize::scale_and_zero& in, const quantize::scale_and_zero& out)
    {
        return quantize::integer_weight(as_view(layer.weight), layer.bias, in, out, false);
    };
    CHECK_THROWS_AS(make({0.0f, 0}, good), argument_error);
    CHECK_THROWS_AS(make(good, {0.1f, 128}), argument_error);
    auto broken = make(good, good);
    broken.codes(2) = -1;
    CHECK_THROWS_AS(broken.refresh(), format_error);
}

TEST_CASE("a bias that is large beside its weights is kept")
{
    nn::dense layer(structopt::zeros<float>(shape<2>{2, 3}), full<float>(shape<1>{2}, 5.0f));
    layer.weight(1, 0) = 1e-12f;
    const quantize::scale_and_zero in{0.02f, 0};
    const quantize::scale_and_zero out{0.05f, 10};
    const quantize::int8_dense q(
        quantize::integer_weight(as_view(layer.weight), layer.bias, in, out, false));
    const auto y = nn::forward(q, full<std::int8_t>(shape<2>{1, 3}, 100));
    CHECK(y(0, 0) == 110);
    CHECK(y(0, 1) == 110);
}

} // namespace test_static_int8
