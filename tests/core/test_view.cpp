#include <structopt/core/tensor.hpp>
#include <structopt/core/view.hpp>

#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xview.hpp>
#endif

#include <doctest/doctest.h>

#include <type_traits>
#include <utility>
#include <vector>

namespace test_view
{

using namespace structopt;

namespace
{

using matrix = xt::xtensor<float, 2>;
using fixed_matrix = xt::xtensor_fixed<float, xt::xshape<2, 3>>;
using row_of_matrix = decltype(xt::view(std::declval<matrix&>(), 1));
using columns_of_matrix = decltype(xt::view(std::declval<matrix&>(), xt::all(), xt::range(0, 2)));
using every_second_row = decltype(xt::view(std::declval<matrix&>(), xt::range(0, 4, 2)));
using column_major = xt::xtensor<float, 2, xt::layout_type::column_major>;
using fixed_column_major =
    xt::xtensor_fixed<float, xt::xshape<2, 3>, xt::layout_type::column_major>;
using dynamic_layout = xt::xtensor<float, 2, xt::layout_type::dynamic>;

// What is taken.
static_assert(std::is_constructible_v<view<float, 2>, matrix&>);
static_assert(std::is_constructible_v<view<const float, 2>, matrix&>);
static_assert(std::is_constructible_v<view<const float, 2>, const matrix&>);
static_assert(std::is_constructible_v<view<const float, 2>, matrix>);
static_assert(std::is_constructible_v<view<float, 2>, fixed_matrix&>);
static_assert(std::is_constructible_v<view<const float, 2>, const fixed_matrix&>);
static_assert(std::is_constructible_v<view<float, 2>, tensor<float, 2>&>);
static_assert(std::is_constructible_v<view<float, 1>, row_of_matrix&>);
static_assert(std::is_convertible_v<const matrix&, view<const float, 2>>);
static_assert(std::is_convertible_v<view<float, 2>, view<const float, 2>>);

// Constness is kept; nothing is written into a container that is about to die.
static_assert(!std::is_constructible_v<view<float, 2>, const matrix&>);
static_assert(!std::is_constructible_v<view<float, 2>, view<const float, 2>>);
static_assert(!std::is_constructible_v<view<float, 2>, matrix>);
static_assert(!std::is_constructible_v<view<float, 2>, const fixed_matrix&>);

// Other ranks, element types, layouts and containers of dynamic rank.
static_assert(!std::is_constructible_v<view<float, 1>, matrix&>);
static_assert(!std::is_constructible_v<view<float, 3>, matrix&>);
static_assert(!std::is_constructible_v<view<double, 2>, matrix&>);
static_assert(!std::is_constructible_v<view<const int, 2>, const matrix&>);
static_assert(!std::is_constructible_v<view<const double, 2>, view<const float, 2>>);
static_assert(!std::is_constructible_v<view<const float, 3>, view<const float, 2>>);
static_assert(!std::is_constructible_v<view<float, 2>, column_major&>);
static_assert(!std::is_constructible_v<view<float, 2>, fixed_column_major&>);
static_assert(!std::is_constructible_v<view<float, 2>, dynamic_layout&>);
static_assert(!std::is_constructible_v<view<float, 2>, xt::xarray<float>&>);
static_assert(!std::is_constructible_v<view<const float, 2>, const xt::xarray<float>&>);
static_assert(!std::is_constructible_v<view<float, 2>, columns_of_matrix&>);
static_assert(!std::is_constructible_v<view<float, 2>, every_second_row&>);
static_assert(!std::is_constructible_v<view<float, 1>, std::vector<float>&>);

static_assert(std::is_trivially_copyable_v<view<float, 3>>);
static_assert(noexcept(view<const float, 2>(std::declval<const matrix&>())));

float total_of(view<const float, 2> x)
{
    float total = 0;
    for (index_t i = 0; i < x.shape(0); ++i)
    {
        for (index_t j = 0; j < x.shape(1); ++j)
        {
            total += x(i, j);
        }
    }
    return total;
}

} // namespace

TEST_SUITE("smoke")
{
    TEST_CASE("functions that take a view take xtensor's containers")
    {
        const matrix x{{1, 2, 3}, {4, 5, 6}};
        const fixed_matrix y{{1, 2, 3}, {4, 5, 7}};
        tensor<float, 2> z = full<float>(shape<2>{2, 3}, 2.0F);
        CHECK(total_of(x) == 21);
        CHECK(total_of(y) == 22);
        CHECK(total_of(z) == 12);
        CHECK(total_of(matrix{{1, 2}, {3, 4}}) == 10);

        std::vector<float> elements{1, 2, 3, 4};
        CHECK(total_of(xt::adapt(elements, std::array<std::size_t, 2>{2, 2})) == 10);
    }

    TEST_CASE("xtensor's contiguous views begin where they say")
    {
        matrix x{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
        auto row = xt::view(x, 1);
        view<float, 1> v(row);
        CHECK(v.data() == x.data() + 3);
        CHECK(v.shape() == shape<1>{3});
        v(2) = 60;
        CHECK(x(1, 2) == 60);

        auto rows = xt::view(x, xt::range(1, 3), xt::all());
        CHECK(total_of(rows) == 4 + 5 + 60 + 7 + 8 + 9);
        auto nested = xt::view(rows, 1);
        CHECK(view<const float, 1>(nested).data() == x.data() + 6);
    }
}

TEST_CASE("a view of a container has its extents and row-major strides")
{
    auto x = zeros<double>(shape<3>{2, 3, 4});
    const view<double, 3> v = x;
    CHECK(v.data() == x.data());
    CHECK(v.shape() == shape<3>{2, 3, 4});
    CHECK(v.strides() == shape<3>{12, 4, 1});
    CHECK(v.shape(1) == 3);
    CHECK(v.stride(1) == 4);
    CHECK(v.size() == 24);
    CHECK(v.contiguous());
    CHECK_FALSE(v.empty());
    v(1, 2, 3) = 7;
    CHECK(x(1, 2, 3) == 7);

    // xtensor gives extents of one a stride of zero; ours stay row-major.
    auto single = zeros<float>(shape<3>{1, 3, 1});
    CHECK(view<float, 3>(single).strides() == shape<3>{3, 1, 1});
    CHECK(view<float, 3>(single).contiguous());
}

TEST_CASE("an empty view has no elements, whatever its rank")
{
    constexpr view<const float, 0> scalar;
    constexpr view<const float, 2> nothing;
    CHECK(scalar.size() == 0);
    CHECK(nothing.size() == 0);
    CHECK(nothing.empty());
    CHECK(nothing.flat().empty());

    const auto x = zeros<float>(shape<2>{0, 5});
    CHECK(view<const float, 2>(x).empty());
    CHECK(view<const float, 2>(x).shape(1) == 5);
}

TEST_CASE("a view of rank 0 is one element")
{
    float value = 3;
    const view<float, 0> v(&value, shape<0>{});
    CHECK(v.size() == 1);
    v() = 4;
    CHECK(value == 4);
    const view<float, 1> row(&value, shape<1>{1});
    CHECK(row[0]() == 4);
}

TEST_CASE("sub-views and slices share the elements")
{
    auto x = make_tensor<int>(shape<3>{3, 2, 2});
    for (int i = 0; i < 12; ++i)
    {
        x.data()[i] = i;
    }
    const auto v = as_view(x);
    CHECK(v[1].shape() == shape<2>{2, 2});
    CHECK(v[1](1, 0) == 6);
    CHECK(v[2][1](1) == 11);
    const auto rest = v.slice(1, 3);
    CHECK(rest.shape() == shape<3>{2, 2, 2});
    CHECK(rest(0, 0, 0) == 4);
    CHECK(rest.contiguous());
    CHECK(v.slice(2, 2).empty());
    v[0](0, 0) = 100;
    CHECK(x(0, 0, 0) == 100);
}

TEST_CASE("strides of one's own: transposed and with gaps")
{
    int data[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const view<int, 2> transposed(data, shape<2>{3, 2}, shape<2>{1, 3});
    CHECK(transposed(2, 1) == 5);
    CHECK_FALSE(transposed.contiguous());
    const view<int, 2> gaps(data, shape<2>{2, 2}, shape<2>{4, 1});
    CHECK(gaps(1, 1) == 5);
    CHECK_FALSE(gaps.contiguous());
    CHECK(gaps.slice(0, 1).contiguous());
    CHECK(gaps[1].contiguous());
    const auto packed = copy(view<const int, 2>(transposed));
    CHECK(packed(0, 0) == 0);
    CHECK(packed(0, 1) == 3);
    CHECK(packed(2, 0) == 2);
    CHECK(packed(2, 1) == 5);
}

TEST_CASE("flat and reshaped keep order and count")
{
    auto x = make_tensor<int>(shape<2>{2, 6});
    for (int i = 0; i < 12; ++i)
    {
        x.data()[i] = i;
    }
    const auto v = as_view(std::as_const(x));
    CHECK(v.flat().size() == 12);
    CHECK(v.flat()[7] == 7);
    const auto r = v.reshaped(shape<3>{3, 2, 2});
    CHECK(r(2, 1, 1) == 11);
    CHECK(r(1, 0, 1) == 5);
    CHECK(r.reshaped(shape<1>{12})(9) == 9);
}

} // namespace test_view
