#include <structopt/quantize.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace test_encode
{

using namespace structopt;
using quantize::affine;
using quantize::per_channel;
using quantize::per_group;
using quantize::per_tensor;
using quantize::symmetric;
using support::check_parts;
using support::message_of;
using support::random_tensor;

namespace
{

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Each element's parameters come from the elements of its slice, found one by one.
template <class G, std::size_t N, class SliceOf>
void check_slices(const shape<N>& extents, const G& granularity, const SliceOf& slice_of)
{
    CAPTURE(describe(extents));
    random_engine rng(7);
    const auto x = random_tensor<float>(extents, rng);
    const auto q = quantize::encode(x, symmetric<6>{}, granularity);
    std::vector<float> largest(q.parameters().size(), 0.0f);
    for (index_t i = 0; i < size_of(x); ++i)
    {
        const auto s = static_cast<std::size_t>(slice_of(i));
        REQUIRE(s < largest.size());
        CHECK(q.slices().slice_of(i) == slice_of(i));
        largest[s] = std::max(largest[s], std::abs(x.data()[i]));
    }
    for (std::size_t s = 0; s < largest.size(); ++s)
    {
        CHECK(q.parameters()[s].scale == (largest[s] == 0.0f ? 1.0f : largest[s] / 31.0f));
    }
    const auto back = q.dequantize();
    const auto codes = q.codes();
    for (index_t i = 0; i < size_of(x); ++i)
    {
        const float scale = q.parameters()[static_cast<std::size_t>(slice_of(i))].scale;
        CHECK(codes.data()[i] == static_cast<int>(std::nearbyint(x.data()[i] / scale)));
        CHECK(back.data()[i] == scale * static_cast<float>(codes.data()[i]));
    }
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("a matrix in four bits by hand")
    {
        const tensor<float, 2> w = {{7, -7, 3.4f, 0}, {0.5f, 0.25f, 3.5f, -1}};
        const auto q = quantize::encode(w, symmetric<4>{}, per_channel<0>{});
        CHECK(q.parameters()[0].scale == 1);
        CHECK(q.parameters()[1].scale == 0.5f);
        const int expected[2][4] = {{7, -7, 3, 0}, {1, 0, 7, -2}};
        for (index_t r = 0; r < 2; ++r)
        {
            for (index_t c = 0; c < 4; ++c)
            {
                CHECK(q.code(r, c) == expected[r][c]);
                CHECK(q.codes()(r, c) == expected[r][c]);
                CHECK(q.value(r, c) == q.dequantize()(r, c));
            }
        }
        CHECK(q.packed()[0] == 0x97);
        CHECK(q.bytes() == 4 + 2 * 4);
        const auto m = quantize::measure_error(w, q);
        // 3.4 is 3 and 0.25 is 0.
        CHECK(m.largest == doctest::Approx(0.4));
        CHECK(m.mse == doctest::Approx((0.16 + 0.0625) / 8));
        CHECK(m.sqnr_db ==
              doctest::Approx(10 * std::log10((49 + 49 + 11.56 + 0.25 + 0.0625 + 12.25 + 1) /
                                              (0.16 + 0.0625))));
        CHECK(std::isinf(quantize::measure_error(w, w).sqnr_db));
        CHECK(quantize::measure_error(q.dequantize(), q).mse == 0);
    }
}

TEST_CASE("slices: tensor, channels of any axis, groups")
{
    check_slices(shape<1>{5}, per_tensor{},
        [](index_t)
        {
            return 0;
        });
    check_slices(shape<3>{3, 4, 5}, per_tensor{},
        [](index_t)
        {
            return 0;
        });
    check_slices(shape<3>{3, 4, 5}, per_channel<0>{},
        [](index_t i)
        {
            return i / 20;
        });
    check_slices(shape<3>{3, 4, 5}, per_channel<1>{},
        [](index_t i)
        {
            return i / 5 % 4;
        });
    check_slices(shape<3>{3, 4, 5}, per_channel<2>{},
        [](index_t i)
        {
            return i % 5;
        });
    check_slices(shape<2>{3, 8}, per_group<4>{},
        [](index_t i)
        {
            return i / 4;
        });
    check_slices(shape<3>{2, 3, 7}, per_group<3>{.partial = true},
        [](index_t i)
        {
            return i / 7 * 3 + i % 7 / 3;
        });
    check_slices(shape<2>{2, 3}, per_group<32>{.partial = true},
        [](index_t i)
        {
            return i / 3;
        });
}

TEST_CASE("a group size that does not divide")
{
    const auto w = zeros<float>(shape<2>{2, 70});
    const std::string text = message_of<argument_error>(
        [&]
        {
            quantize::encode(w, symmetric<4>{}, per_group<32>{});
        });
    check_parts(text, {"per_group", "multiple of 32", "70"});
    CHECK(quantize::encode(w, symmetric<4>{}, per_group<32>{.partial = true}).parameters().size() ==
          6);
}

TEST_CASE("numbers that are none are named by their position")
{
    auto w = full<float>(shape<2>{3, 4}, 1.0f);
    w(1, 2) = nan;
    const auto encode = [&]
    {
        quantize::encode(w, symmetric<8>{});
    };
    check_parts(message_of<argument_error>(encode), {"encode, position [1, 2]", "finite", "NaN"});
    w(0, 3) = -infinity;
    check_parts(message_of<argument_error>(encode), {"position [0, 3]", "infinity"});
    CHECK_THROWS_AS(quantize::encode_with(w, {{1.0f}}, symmetric<8>{}), argument_error);
    w = full<float>(shape<2>{3, 4}, 1.0f);
    auto importance = full<float>(shape<2>{3, 4}, 1.0f);
    importance(2, 1) = -1;
    CHECK_THROWS_AS(quantize::encode(w, symmetric<8>{}, per_tensor{}, quantize::no_clipping{},
                        quantize::nearest_even{}, importance),
        argument_error);
    CHECK_THROWS_AS(quantize::encode(w, symmetric<8>{}, per_tensor{}, quantize::no_clipping{},
                        quantize::nearest_even{}, zeros<float>(shape<2>{4, 3})),
        shape_error);
    CHECK_THROWS_AS(quantize::encode_with(w, {{1.0f}, {1.0f}}, symmetric<8>{}), argument_error);
}

TEST_CASE("zeros, constants, one value, nothing")
{
    const auto zero = zeros<float>(shape<2>{2, 3});
    CHECK(quantize::encode(zero, symmetric<8>{}).dequantize() == zero);
    CHECK(quantize::encode(zero, affine<8>{}).dequantize() == zero);
    CHECK(quantize::encode(zero, symmetric<8>{}).parameters()[0].scale == 1);
    const auto constant = full<float>(shape<2>{2, 3}, -4.0f);
    CHECK(quantize::measure_error(constant, quantize::encode(constant, symmetric<8>{})).largest <
          1e-6);
    CHECK(
        quantize::measure_error(constant, quantize::encode(constant, affine<8>{})).largest < 1e-6);
    const auto one = full<float>(shape<1>{1}, 0.3f);
    CHECK(quantize::measure_error(one, quantize::encode(one, symmetric<2>{})).largest < 1e-7);
    for (const shape<2>& extents : {shape<2>{0, 4}, shape<2>{4, 0}, shape<2>{0, 0}})
    {
        const auto none = zeros<float>(extents);
        const auto q = quantize::encode(none, affine<4>{}, per_channel<1>{});
        CHECK(q.packed().empty());
        CHECK(q.parameters().size() == static_cast<std::size_t>(extents[1]));
        CHECK(shape_of(q.dequantize()) == extents);
        CHECK(quantize::encode(none, affine<4>{}, per_group<4>{}).parameters().empty());
        CHECK(quantize::encode(none, affine<4>{}).parameters().size() == 1);
        CHECK(quantize::measure_error(none, q).mse == 0);
    }
    CHECK(quantize::quantized_tensor<symmetric<4>>{}.bytes() == 0);
}

TEST_CASE("views with strides, other containers, rounding at random")
{
    random_engine rng(11);
    const auto x = random_tensor<float>(shape<2>{6, 9}, rng);
    auto turned = make_tensor<float>(shape<2>{9, 6});
    for (index_t r = 0; r < 9; ++r)
    {
        for (index_t c = 0; c < 6; ++c)
        {
            turned(r, c) = x(c, r);
        }
    }
    const view<const float, 2> columns(x.data(), {9, 6}, {1, 9});
    CHECK(quantize::encode(columns, symmetric<5>{}, per_channel<0>{}) ==
          quantize::encode(turned, symmetric<5>{}, per_channel<0>{}));
    CHECK(quantize::measure_error(columns, turned).largest == 0);

    random_engine a(5);
    random_engine b(5);
    const auto encode = [&](random_engine& engine)
    {
        return quantize::encode(x, symmetric<3>{}, per_channel<1>{}, quantize::no_clipping{},
            quantize::stochastic{engine});
    };
    const auto first = encode(a);
    CHECK(first == encode(b));
    CHECK(first != encode(b));
    CHECK(quantize::measure_error(x, first).largest <= 1.01 * 3.5 / 3);
}

TEST_CASE("parts that do not fit together")
{
    using matrix = quantize::quantized_tensor<symmetric<4>, per_channel<0>>;
    const auto make = [](std::vector<quantize::scale_only> p, std::vector<std::uint8_t> bytes)
    {
        return matrix({1, 3}, std::move(p), buffer<std::uint8_t>(bytes.begin(), bytes.end()));
    };
    CHECK(make({{2.0f}}, {0x21, 0x0f}).value(0, 2) == -2.0f);
    CHECK_THROWS_AS(make({{1.0f}}, {0x21}), format_error);
    CHECK_THROWS_AS(make({}, {0x21, 0x03}), format_error);
    CHECK_THROWS_AS(make({{0.0f}}, {0x21, 0x03}), format_error);
    CHECK_THROWS_AS(make({{nan}}, {0x21, 0x03}), format_error);
    CHECK_THROWS_AS(make({{1.0f}}, {0x21, 0x13}), format_error);
    // The code -8 is none of the restricted range.
    check_parts(message_of<format_error>(
                    [&]
                    {
                        make({{1.0f}}, {0x81, 0x03});
                    }),
        {"position [0, 1]", "[-7, 7]", "-8"});
}

} // namespace test_encode
