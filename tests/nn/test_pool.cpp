#include <doctest/doctest.h>

#include <structopt/nn/cache.hpp>
#include <structopt/nn/global_avg_pool.hpp>
#include <structopt/nn/pool.hpp>

#include "reference/pool.hpp"
#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace test_pool
{

using namespace structopt;
using namespace structopt::nn;
using support::largest_difference;
using support::random_tensor;

namespace
{

/// Small whole numbers: windows with equal elements are common.
template <class T>
tensor<T, 4> whole_numbers(const shape<4>& extents, index_t below, random_engine& rng)
{
    auto x = make_tensor<T>(extents);
    for (T& value : x)
    {
        value = static_cast<T>(uniform_index(rng, below));
    }
    return x;
}

template <class T>
void max_agrees(const max_pool2d_options& o, const tensor<T, 4>& x, random_engine& rng)
{
    INFO("kernel " << o.kernel.text() << " stride " << o.stride.text() << " padding "
                   << o.padding.text() << " dilation " << o.dilation.text() << " on "
                   << describe(shape_of(x)));
    const auto in = shape_of(x);
    const reference::pool_windows windows(in[2], in[3], o.kernel, o.stride, o.padding, o.dilation);
    const max_pool2d layer{o};
    const auto y = nn::forward(layer, x);
    REQUIRE(shape_of(y) == shape<4>{in[0], in[1], windows.out_h, windows.out_w});

    auto kept = nn::make_cache(layer, x, rng);
    CHECK(largest_difference(nn::forward(layer, x, kept), y) == 0);
    const auto dy = random_tensor<T>(shape_of(y), rng);
    auto dx = make_tensor<T>(in);
    max_pool2d gradients = layer;
    nn::backward(layer, dy, kept, gradients, dx);

    auto expected = structopt::zeros<T>(in);
    const auto planes = in[0] * in[1];
    const auto positions = static_cast<index_t>(windows.positions.size());
    bool equal = true;
    for (index_t p = 0; p < planes; ++p)
    {
        const T* const plane = x.data() + p * in[2] * in[3];
        for (index_t i = 0; i < positions; ++i)
        {
            const auto& window = windows.positions[static_cast<std::size_t>(i)];
            REQUIRE(!window.empty());
            index_t best = window[0];
            for (const index_t at : window)
            {
                best = plane[at] > plane[best] ? at : best;
            }
            equal = equal && y.data()[p * positions + i] == plane[best];
            expected.data()[p * in[2] * in[3] + best] += dy.data()[p * positions + i];
        }
    }
    CHECK(equal);
    CHECK(largest_difference(dx, expected) == 0);
}

template <class T>
void average_agrees(const avg_pool2d_options& o, const tensor<T, 4>& x)
{
    INFO("kernel " << o.kernel.text() << " stride " << o.stride.text() << " padding "
                   << o.padding.text() << " on " << describe(shape_of(x)));
    const auto in = shape_of(x);
    const reference::pool_windows windows(in[2], in[3], o.kernel, o.stride, o.padding, extent2(1));
    const auto y = nn::forward(avg_pool2d{o}, x);
    REQUIRE(shape_of(y) == shape<4>{in[0], in[1], windows.out_h, windows.out_w});
    const auto positions = static_cast<index_t>(windows.positions.size());
    double largest = 0;
    for (index_t p = 0; p < in[0] * in[1]; ++p)
    {
        for (index_t i = 0; i < positions; ++i)
        {
            const auto& window = windows.positions[static_cast<std::size_t>(i)];
            double sum = 0;
            for (const index_t at : window)
            {
                sum += static_cast<double>(x.data()[p * in[2] * in[3] + at]);
            }
            const double counted = o.count_include_pad
                                       ? static_cast<double>(o.kernel.height * o.kernel.width)
                                       : static_cast<double>(window.size());
            largest = std::max(largest,
                std::abs(sum / counted - static_cast<double>(y.data()[p * positions + i])));
        }
    }
    CHECK(largest <= 10 * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

struct random_window
{
    extent2 kernel = 1;
    extent2 stride = 1;
    extent2 padding = 0;
    extent2 dilation = 1;
    shape<4> in{};

    random_window(random_engine& rng, bool dilated)
    {
        const auto axis = [&](index_t& k, index_t& s, index_t& p, index_t& d, index_t& n)
        {
            k = 1 + uniform_index(rng, 4);
            s = 1 + uniform_index(rng, 3);
            p = uniform_index(rng, k / 2 + 1);
            d = dilated ? 1 + uniform_index(rng, 3) : 1;
            n = std::max(d * (k - 1) + 1 - 2 * p, d) + uniform_index(rng, 9);
        };
        axis(kernel.height, stride.height, padding.height, dilation.height, in[2]);
        axis(kernel.width, stride.width, padding.width, dilation.width, in[3]);
        in[0] = 1 + uniform_index(rng, 3);
        in[1] = 1 + uniform_index(rng, 4);
    }
};

} // namespace

TEST_SUITE("smoke pool")
{
    TEST_CASE_TEMPLATE("pooling agrees with the definition", T, float, double)
    {
        random_engine rng(1);
        const auto x = whole_numbers<T>(shape<4>{2, 3, 7, 8}, 4, rng);
        max_agrees<T>({.kernel = 2}, x, rng);
        max_agrees<T>({.kernel = 3, .stride = 2, .padding = 1}, x, rng);
        average_agrees<T>({.kernel = 2}, x);
        average_agrees<T>({.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}, x);
    }
}

TEST_SUITE("pool")
{
    TEST_CASE_TEMPLATE(
        "max_pool2d agrees with the definition on random shapes, ties included", T, float, double)
    {
        random_engine rng(2);
        for (int i = 0; i < 200; ++i)
        {
            const random_window w(rng, i % 2 == 0);
            const auto x = whole_numbers<T>(w.in, 1 + i % 7, rng);
            max_agrees<T>({.kernel = w.kernel,
                              .stride = w.stride,
                              .padding = w.padding,
                              .dilation = w.dilation},
                x, rng);
        }
        for (index_t n = 2; n < 24; ++n)
        {
            max_agrees<T>({.kernel = 2}, whole_numbers<T>(shape<4>{1, 2, n, 25 - n}, 3, rng), rng);
        }
    }

    TEST_CASE_TEMPLATE("avg_pool2d agrees with the definition on random shapes", T, float, double)
    {
        random_engine rng(3);
        for (int i = 0; i < 200; ++i)
        {
            const random_window w(rng, false);
            average_agrees<T>({.kernel = w.kernel,
                                  .stride = w.stride,
                                  .padding = w.padding,
                                  .count_include_pad = i % 2 == 0},
                random_tensor<T>(w.in, rng));
        }
    }

    TEST_CASE("gradients")
    {
        random_engine rng(4);
        const auto x = random_tensor<double>(shape<4>{2, 2, 5, 6}, rng);
        support::check_gradients(max_pool2d{{.kernel = 2}}, x);
        support::check_gradients(max_pool2d{{.kernel = 3, .stride = 1, .padding = 1}}, x);
        support::check_gradients(max_pool2d{{.kernel = 2, .stride = 1, .dilation = {2, 3}}}, x);
        support::check_gradients(avg_pool2d{{.kernel = 2}}, x);
        support::check_gradients(avg_pool2d{{.kernel = {3, 2}, .stride = 1, .padding = 1}}, x);
        support::check_gradients(
            avg_pool2d{{.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}}, x);
        support::check_gradients(global_avg_pool{}, x);
        support::check_gradients(global_avg_pool{}, random_tensor<double>(shape<3>{2, 3, 40}, rng));
    }

    TEST_CASE_TEMPLATE("padding is never chosen, NaN always is", T, float, double)
    {
        random_engine rng(5);
        const auto low = full<T>(shape<4>{1, 1, 4, 4}, T(-100));
        const auto y = nn::forward(max_pool2d{{.kernel = 3, .stride = 1, .padding = 1}}, low);
        CHECK(largest_difference(y, full<T>(shape<4>{1, 1, 4, 4}, T(-100))) == 0);
        const T infinity = std::numeric_limits<T>::infinity();
        const auto lowest = full<T>(shape<4>{1, 1, 4, 4}, -infinity);
        for (const T value : nn::forward(max_pool2d{{.kernel = 2}}, lowest))
        {
            CHECK(value == -infinity);
        }

        for (const auto& options :
            {max_pool2d_options{.kernel = 2}, max_pool2d_options{.kernel = 2, .stride = {2, 1}}})
        {
            const max_pool2d layer{options};
            for (index_t at = 0; at < 4; ++at)
            {
                auto x = random_tensor<T>(shape<4>{1, 1, 2, 6}, rng);
                x(0, 0, at / 2, at % 2) = std::numeric_limits<T>::quiet_NaN();
                x(0, 0, 0, 4) = infinity;
                x(0, 0, 1, 5) = -infinity;
                auto kept = nn::make_cache(layer, x, rng);
                const auto& result = nn::forward(layer, x, kept);
                CHECK(std::isnan(result(0, 0, 0, 0)));
                CHECK(result(0, 0, 0, result.shape()[3] - 1) == infinity);
                const auto dy = full<T>(shape_of(result), T(1));
                auto dx = make_tensor<T>(shape_of(x));
                max_pool2d gradients = layer;
                nn::backward(layer, dy, kept, gradients, dx);
                CHECK(dx(0, 0, at / 2, at % 2) >= 1);
                CHECK(dx(0, 0, 0, 4) >= 1);
            }
        }
    }

    TEST_CASE("global average: extents and values")
    {
        tensor<float, 4> x = make_tensor<float>(shape<4>{2, 2, 1, 3});
        for (std::size_t i = 0; i < x.size(); ++i)
        {
            x.data()[i] = static_cast<float>(i * i);
        }
        const auto y = nn::forward(global_avg_pool{}, x);
        CHECK(shape_of(y) == shape<2>{2, 2});
        CHECK(y(0, 0) == doctest::Approx(5.0 / 3));
        CHECK(y(1, 1) == doctest::Approx((81.0 + 100 + 121) / 3));
        CHECK_THROWS_WITH_AS(
            nn::forward(global_avg_pool{}, structopt::zeros<float>(shape<4>{2, 2, 0, 3})),
            "global_avg_pool input: expected at least one element per channel, got [2, 2, 0, 3]",
            shape_error);
        CHECK(layer_traits<global_avg_pool>::unit_coupling({}) == coupling::passes);
    }

    TEST_CASE("bad options and inputs throw")
    {
        CHECK_THROWS_WITH_AS((max_pool2d{{.kernel = 0}}),
            "max_pool2d: expected kernel of at least 1, got 0x0", argument_error);
        CHECK_THROWS_AS((max_pool2d{{.kernel = 2, .stride = {1, 0}}}), argument_error);
        CHECK_THROWS_AS((max_pool2d{{.kernel = 2, .padding = -1}}), argument_error);
        CHECK_THROWS_WITH_AS((max_pool2d{{.kernel = 3, .padding = {1, 2}}}),
            "max_pool2d: expected padding of at most half the kernel 3x3, got 1x2", argument_error);
        CHECK_THROWS_AS((max_pool2d{{.kernel = 3, .dilation = 0}}), argument_error);
        CHECK_THROWS_AS((avg_pool2d{{.kernel = {2, 0}}}), argument_error);
        CHECK_THROWS_AS((avg_pool2d{{.kernel = 2, .stride = 0}}), argument_error);
        CHECK_THROWS_AS((avg_pool2d{{.kernel = 3, .padding = 2}}), argument_error);

        const auto x = structopt::zeros<float>(shape<4>{1, 1, 2, 5});
        CHECK_THROWS_WITH_AS(nn::forward(max_pool2d{{.kernel = 3}}, x),
            "max_pool2d input: expected height and width of at least 3x3, got [1, 1, 2, 5]",
            shape_error);
        CHECK_THROWS_AS(nn::forward(avg_pool2d{{.kernel = 6, .padding = 1}}, x), shape_error);
        CHECK(shape_of(nn::forward(avg_pool2d{{.kernel = 4, .padding = 1}}, x)) ==
              shape<4>{1, 1, 1, 1});
        // A window that steps over the image, from padding to padding.
        CHECK_THROWS_AS(
            nn::forward(max_pool2d{{.kernel = 2, .padding = 1, .dilation = 3}}, x), shape_error);
        const auto no_rows = structopt::zeros<float>(shape<4>{1, 1, 0, 5});
        for (const bool counted : {true, false})
        {
            CHECK_THROWS_WITH_AS(
                nn::forward(
                    avg_pool2d{{.kernel = 2, .padding = 1, .count_include_pad = counted}}, no_rows),
                "avg_pool2d input: expected height and width of at least 1x1, got [1, 1, 0, 5]",
                shape_error);
        }
        constexpr index_t huge = index_t{1} << 62;
        CHECK_THROWS_WITH_AS((max_pool2d{{.kernel = {2, huge}, .padding = {1, huge / 2}}}),
            "max_pool2d: expected kernel of at most 2147483647, got 2x4611686018427387904",
            argument_error);
        CHECK_THROWS_AS((max_pool2d{{.kernel = 2, .dilation = huge}}), argument_error);
        CHECK_THROWS_WITH_AS(
            nn::output_shape(max_pool2d{{.kernel = 2}}, shape<4>{1, 1, 65536, 65536}),
            "max_pool2d input: expected planes of fewer than 2^31 elements, got "
            "[1, 1, 65536, 65536]",
            shape_error);
    }
}

} // namespace test_pool
