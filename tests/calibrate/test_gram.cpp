#include <structopt/calibrate/gram.hpp>
#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/flatten.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>

#include <doctest/doctest.h>

#include "support/message.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace test_gram
{

using namespace structopt;
using calibrate::gram;
using support::check_parts;
using support::largest_difference;
using support::message_of;
using support::random_tensor;

namespace
{

/// A dense layer of the user's own in two groups, each of half of the features: it tells its rows, or
/// (`Wrong`) others.
template <bool Wrong>
struct two_groups
{
    using value_type = float;

    tensor<float, 2> weight;

    static constexpr index_t unit_groups() noexcept
    {
        return 2;
    }

    shape<2> output_shape(const shape<2>& in) const noexcept
    {
        return {in[0], 2};
    }

    void forward(view<const float, 2> x, view<float, 2> y, nn::scratch) const noexcept
    {
        const index_t half = x.shape(1) / 2;
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] = 0;
            for (index_t c = 0; c < shape_of(weight)[1]; ++c)
            {
                y.data()[i] += weight(i % 2, c) * x(i / 2, i % 2 * half + c);
            }
        }
    }

    template <class Function>
    void visit_rows(view<const float, 2> x, Function&& f) const
    {
        const index_t half = x.shape(1) / 2;
        for (index_t g = 0; g < (Wrong ? 3 : 2); ++g)
        {
            f(g, view<const float, 2>(
                     x.data() + g % 2 * half, shape<2>{x.shape(0), half}, shape<2>{x.shape(1), 1}));
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, nn::role::weight);
    }

    template <class Storage>
    auto with_weight(Storage) const
    {
        return *this;
    }
};

/// Mean of x^T x, in double, one number at a time.
template <class T>
tensor<double, 2> reference(const tensor<T, 2>& x)
{
    const auto n = shape_of(x)[1];
    const auto rows = shape_of(x)[0];
    auto result = zeros<double>(shape<2>{n, n});
    for (index_t i = 0; i < n; ++i)
    {
        for (index_t j = 0; j < n; ++j)
        {
            for (index_t r = 0; r < rows; ++r)
            {
                result(i, j) += static_cast<double>(x(r, i)) * static_cast<double>(x(r, j));
            }
            result(i, j) /= static_cast<double>(rows);
        }
    }
    return result;
}

/// The patches of a convolution by its definition, of the channels of one group.
tensor<double, 2> patches(
    const tensor<float, 4>& x, const nn::conv2d_options& o, index_t group, const shape<4>& out)
{
    const index_t channels = o.in / o.groups;
    const index_t window = o.kernel.height * o.kernel.width;
    auto rows = zeros<double>(shape<2>{out[0] * out[2] * out[3], channels * window});
    index_t r = 0;
    for (index_t b = 0; b < out[0]; ++b)
    {
        for (index_t i = 0; i < out[2]; ++i)
        {
            for (index_t j = 0; j < out[3]; ++j, ++r)
            {
                for (index_t c = 0; c < channels * window; ++c)
                {
                    const index_t h = i * o.stride.height - o.padding.height +
                                      c % window / o.kernel.width * o.dilation.height;
                    const index_t w = j * o.stride.width - o.padding.width +
                                      c % o.kernel.width * o.dilation.width;
                    if (h >= 0 && w >= 0 && h < shape_of(x)[2] && w < shape_of(x)[3])
                    {
                        rows(r, c) = static_cast<double>(x(b, group * channels + c / window, h, w));
                    }
                }
            }
        }
    }
    return rows;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("X^T X over any batches, also beyond one block of rows and one tile")
    {
        random_engine rng(1);
        for (const shape<2> extents : {shape<2>{3, 1}, shape<2>{700, 5}, shape<2>{300, 260}})
        {
            INFO(describe(extents));
            const auto x = random_tensor<float>(extents, rng);
            gram<float> whole(extents[1]);
            whole.add(x);
            const auto all = whole.matrix();
            const double largest = extents[1] > 100 ? 0.0 : largest_difference(all, reference(x));
            CHECK(largest < 1e-5);
            // By a few numbers, for time's sake.
            for (index_t i = 0; i < extents[1]; i += 37)
            {
                double sum = 0;
                for (index_t r = 0; r < extents[0]; ++r)
                {
                    sum += static_cast<double>(x(r, i)) * static_cast<double>(x(r, 0));
                }
                CHECK(all(i, 0) ==
                      doctest::Approx(sum / static_cast<double>(extents[0])).epsilon(1e-4));
                CHECK(all(0, i) == all(i, 0));
            }
            for (const index_t batch : {index_t{1}, index_t{255}, index_t{256}, index_t{299}})
            {
                gram<float> parts(extents[1]);
                for (index_t i = 0; i < extents[0]; i += batch)
                {
                    parts.add(as_view(x).slice(i, std::min(i + batch, extents[0])));
                }
                CHECK(parts.rows() == extents[0]);
                CHECK(parts.matrix() == all); // the same bits
            }
        }
        // Doubles keep their digits.
        const auto x = random_tensor<double>(shape<2>{520, 7}, rng);
        gram<double> seen(7);
        seen.add(x);
        CHECK(largest_difference(seen.matrix(), reference(x)) < 1e-13);
    }
}

TEST_CASE("of a network's layers: dense, convolutions with groups, stride, padding, dilation")
{
    random_engine rng(2);
    const nn::conv2d_options first{
        .in = 2, .out = 4, .kernel = {3, 2}, .stride = {2, 1}, .padding = 1, .dilation = {1, 2}};
    const nn::conv2d_options second{.in = 4, .out = 6, .kernel = 2, .groups = 2};
    const nn::sequential net{nn::conv2d{first, rng}, nn::tanh{}, nn::conv2d{second, rng},
        nn::flatten{}, nn::residual{nn::dense{{.in = 48, .out = 48}, rng}},
        nn::dense{{.in = 48, .out = 2}, rng}};
    const auto x = random_tensor<float>(shape<4>{9, 2, 5, 5}, rng);
    calibrate::grams<float> seen;
    seen.add(net, as_view(x).slice(0, 4));
    seen.add(net, as_view(x).slice(4, 9));
    const auto& layers = seen.layers();
    REQUIRE(layers.size() == 4);
    CHECK(layers[0].place.name == "0");
    CHECK(layers[1].layer == 2);
    CHECK(layers[1].place.parameter == 2);
    CHECK(layers[2].place.name == "4.branch");
    REQUIRE(layers[1].groups.size() == 2);

    const auto y = nn::tanh{};
    auto middle = nn::forward(net.layer<0>(), x);
    CHECK(largest_difference(layers[0].groups[0].matrix(),
              reference(patches(x, first, 0, shape_of(middle)))) < 1e-5);
    for (float& value : middle)
    {
        value = y.value(value);
    }
    const auto after = nn::forward(net.layer<2>(), middle);
    for (index_t g = 0; g < 2; ++g)
    {
        CHECK(largest_difference(layers[1].groups[static_cast<std::size_t>(g)].matrix(),
                  reference(patches(middle, second, g, shape_of(after)))) < 1e-5);
    }
    CHECK(layers[2].groups[0].rows() == 9);

    // One layer alone: the same bits, and layers behind it do not run.
    calibrate::grams<float> one(2);
    one.add(net, as_view(x).slice(0, 4));
    one.add(net, as_view(x).slice(4, 9));
    REQUIRE(one.layers().size() == 1);
    CHECK(one.layers()[0].groups[1].matrix() == layers[1].groups[1].matrix());
}

TEST_CASE("a layer of the user's own in groups, and one whose rows are not those of its weight")
{
    random_engine rng(4);
    const auto x = random_tensor<float>(shape<2>{5, 6}, rng);
    const auto w = random_tensor<float>(shape<2>{2, 3}, rng);
    calibrate::grams<float> seen;
    seen.add(two_groups<false>{w}, x);
    REQUIRE(seen.layers().size() == 1);
    REQUIRE(seen.layers()[0].groups.size() == 2);
    for (index_t g = 0; g < 2; ++g)
    {
        const std::vector<index_t> half{3 * g, 3 * g + 1, 3 * g + 2};
        CHECK(largest_difference(seen.layers()[0].groups[static_cast<std::size_t>(g)].matrix(),
                  reference(nn::take_columns(x, std::span<const index_t>(half)))) < 1e-6);
    }
    calibrate::grams<float> other;
    CHECK_THROWS_AS(other.add(two_groups<true>{w}, x), shape_error);
    // A weight of other columns than the input has.
    calibrate::grams<float> narrow;
    const auto few = random_tensor<float>(shape<2>{2, 2}, rng);
    CHECK_THROWS_AS(narrow.add(two_groups<false>{few}, x), shape_error);
}

TEST_CASE("what does not fit is refused, nothing is added")
{
    gram<float> seen(3);
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        seen.matrix();
                    }),
        {"at least one sample"});
    CHECK_THROWS_AS(gram<float>(0), argument_error);
    CHECK_THROWS_AS(seen.add(full<float>(shape<2>{2, 4}, 1.0f)), shape_error);
    auto x = full<float>(shape<2>{2, 3}, 1.0f);
    x(1, 0) = std::numeric_limits<float>::quiet_NaN();
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        seen.add(x);
                    }),
        {"row 1", "column 0"});
    CHECK(seen.rows() == 0);

    random_engine rng(3);
    const nn::sequential net{nn::dense{{.in = 3, .out = 3}, rng}};
    calibrate::grams<float> layers;
    check_parts(message_of<argument_error>(
                    [&]
                    {
                        layers.add(net, x);
                    }),
        {"layer 0", "finite numbers", "position 3"});
}

} // namespace test_gram
