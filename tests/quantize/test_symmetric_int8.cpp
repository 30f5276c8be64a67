#include <structopt/core/random.hpp>
#include <structopt/quantize/symmetric_int8.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace test_symmetric_int8
{

using namespace structopt;
using support::check_parts;
using support::message_of;
using support::random_tensor;

TEST_SUITE("smoke")
{
    TEST_CASE("a row by hand")
    {
        // The largest magnitude, 2.54, is 127 steps of 0.02; halves go to the even code.
        tensor<float, 2> w = {{2.54f, -2.54f, 0.02f, 0.0f}, {0.0f, 127.0f, 0.5f, 1.5f}};
        const auto q = quantize::to_int8(as_view(w));
        CHECK(q.scales(0) == 2.54f / 127.0f);
        CHECK(q.scales(1) == 1.0f);
        const int expected[2][4] = {{127, -127, 1, 0}, {0, 127, 0, 2}};
        for (index_t r = 0; r < 2; ++r)
        {
            for (index_t c = 0; c < 4; ++c)
            {
                CHECK(q.codes(r, c) == expected[r][c]);
            }
        }
        const auto back = q.dequantize();
        CHECK(back(0, 0) == 127 * q.scales(0));
        CHECK(back(1, 3) == 2.0f);
    }
}

TEST_CASE("an error of at most half a step, and codes that use the whole range")
{
    random_engine rng(1);
    for (index_t columns : {1, 2, 7, 16, 33, 500})
    {
        auto w = random_tensor<float>(shape<2>{40, columns}, rng);
        for (index_t r = 0; r < 40; ++r)
        {
            // Rows of very different size, from 2^-100 to 2^100.
            for (index_t c = 0; c < columns; ++c)
            {
                w(r, c) = std::ldexp(w(r, c), static_cast<int>(5 * (r - 20)));
            }
        }
        const auto q = quantize::to_int8(as_view(w));
        const auto back = q.dequantize();
        for (index_t r = 0; r < 40; ++r)
        {
            int most = 0;
            for (index_t c = 0; c < columns; ++c)
            {
                const double step = static_cast<double>(q.scales(r));
                const double error =
                    std::abs(static_cast<double>(w(r, c)) - static_cast<double>(back(r, c)));
                // Half a step, and the roundings of 127 / max and of the products: 127 steps at most,
                // a few units in the last place each.
                CHECK(error <= step * (0.5 + 127 * 4 * 0x1p-24));
                most = std::max(most, std::abs(static_cast<int>(q.codes(r, c))));
            }
            CHECK(most == 127);
        }
    }
}

TEST_CASE("codes are symmetric: -w has those of w with the other sign")
{
    random_engine rng(2);
    const auto w = random_tensor<float>(shape<2>{9, 31}, rng);
    auto negative = w;
    for (float& value : negative)
    {
        value = -value;
    }
    const auto q = quantize::to_int8(as_view(w));
    const auto n = quantize::to_int8(as_view(negative));
    CHECK(q.scales == n.scales);
    for (index_t i = 0; i < size_of(w); ++i)
    {
        CHECK(q.codes.data()[i] == -n.codes.data()[i]);
        CHECK(q.codes.data()[i] != -128);
    }
}

TEST_CASE("quantizing what was quantized changes no code, and no scale by more than a rounding")
{
    random_engine rng(3);
    const auto w = random_tensor<float>(shape<2>{300, 64}, rng);
    const auto once = quantize::to_int8(as_view(w));
    const auto rounded = once.dequantize();
    const auto twice = quantize::to_int8(as_view(rounded));
    CHECK(once.codes == twice.codes);
    for (index_t r = 0; r < 300; ++r)
    {
        CHECK(std::abs(once.scales(r) - twice.scales(r)) <= 0x1p-23f * once.scales(r));
    }
}

TEST_CASE("rows of zeros, and of next to nothing, have scale 0")
{
    tensor<float, 2> w = {{0.0f, -0.0f, 0.0f}, {1e-38f, 0.0f, -1e-40f}, {1e-30f, 0.0f, 0.0f}};
    const auto q = quantize::to_int8(as_view(w));
    CHECK(q.scales(0) == 0.0f);
    CHECK(q.scales(1) == 0.0f);
    CHECK(q.scales(2) > 0.0f);
    CHECK(q.codes(1, 0) == 0);
    CHECK(q.codes(2, 0) == 127);
    CHECK(q.dequantize()(0, 1) == 0.0f);
}

TEST_CASE("a matrix without rows or columns")
{
    for (const shape<2> extents : {shape<2>{0, 0}, shape<2>{0, 5}, shape<2>{5, 0}})
    {
        const auto w = structopt::zeros<float>(extents);
        const auto q = quantize::to_int8(as_view(w));
        CHECK(shape_of(q.codes) == extents);
        CHECK(size_of(q.scales) == extents[0]);
        CHECK(shape_of(q.dequantize()) == extents);
    }
}

TEST_CASE("a view of any strides")
{
    random_engine rng(4);
    const auto w = random_tensor<float>(shape<2>{5, 7}, rng);
    const auto turned = quantize::to_int8(view<const float, 2>(w.data(), {7, 5}, {1, 7}));
    auto copy = make_tensor<float>(shape<2>{7, 5});
    for (index_t i = 0; i < 7; ++i)
    {
        for (index_t j = 0; j < 5; ++j)
        {
            copy(i, j) = w(j, i);
        }
    }
    CHECK(turned == quantize::to_int8(as_view(copy)));
}

TEST_CASE("what is not finite is refused, by row")
{
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
             std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
    {
        auto w = structopt::full<float>(shape<2>{20, 33}, 1.0f);
        w(13, 32) = bad;
        w(17, 0) = bad;
        check_parts(message_of<argument_error>(
                        [&]
                        {
                            quantize::to_int8(as_view(w));
                        }),
            {"quantize::to_int8, row 13", "finite weights"});
    }
}

} // namespace test_symmetric_int8
