#include <structopt/core/random.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/every_weight.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/nn/storage.hpp>

#include <doctest/doctest.h>

#include "support/random_tensor.hpp"

namespace test_storage
{

using namespace structopt;
using support::largest_difference;
using support::random_tensor;

/// The smallest format that a layer multiplies by: one number for the whole matrix.
struct constant_weight
{
    float value = 0;
    index_t rows = 0;
    index_t columns = 0;

    std::size_t size() const
    {
        return static_cast<std::size_t>(rows * columns);
    }
};

/// Near-misses: each lacks one thing.
struct without_product : constant_weight
{
};

struct throwing_product : constant_weight
{
};

struct without_bytes : constant_weight
{
};

template <class S>
struct constant_traits
{
    using value_type = float;

    static constexpr std::string_view name()
    {
        return "constant";
    }
    static index_t rows(const S& s)
    {
        return s.rows;
    }
    static index_t columns(const S& s)
    {
        return s.columns;
    }
    static index_t nonzeros(const S&)
    {
        return 1;
    }
    static std::size_t scratch_bytes(const S&, index_t)
    {
        return 0;
    }
    static tensor<float, 2> unpack(const S& s)
    {
        return structopt::full<float>(shape<2>{s.rows, s.columns}, s.value);
    }
};

template <class S>
void multiply(const S& s, view<const float, 2> x, const float* bias, view<float, 2> y)
{
    for (index_t b = 0; b < x.shape(0); ++b)
    {
        float sum = 0;
        for (index_t c = 0; c < x.shape(1); ++c)
        {
            sum += x(b, c);
        }
        for (index_t r = 0; r < s.rows; ++r)
        {
            y(b, r) = s.value * sum + (bias != nullptr ? bias[r] : 0.0f);
        }
    }
}

} // namespace test_storage

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

template <>
struct storage_traits<test_storage::constant_weight>
    : test_storage::constant_traits<test_storage::constant_weight>
{
    static std::size_t bytes(const test_storage::constant_weight&)
    {
        return 4;
    }
    static void product(const test_storage::constant_weight& s, view<const float, 2> x,
        const float* bias, view<float, 2> y, scratch) noexcept
    {
        multiply(s, x, bias, y);
    }
};

template <>
struct storage_traits<test_storage::without_product>
    : test_storage::constant_traits<test_storage::without_product>
{
    static std::size_t bytes(const test_storage::without_product&)
    {
        return 4;
    }
};

template <>
struct storage_traits<test_storage::throwing_product>
    : test_storage::constant_traits<test_storage::throwing_product>
{
    static std::size_t bytes(const test_storage::throwing_product&)
    {
        return 4;
    }
    static void product(const test_storage::throwing_product& s, view<const float, 2> x,
        const float* bias, view<float, 2> y, scratch)
    {
        multiply(s, x, bias, y);
    }
};

template <>
struct storage_traits<test_storage::without_bytes>
    : test_storage::constant_traits<test_storage::without_bytes>
{
    static void product(const test_storage::without_bytes& s, view<const float, 2> x,
        const float* bias, view<float, 2> y, scratch) noexcept
    {
        multiply(s, x, bias, y);
    }
};

} // namespace nn
STRUCTOPT_END_NAMESPACE

namespace test_storage
{

static_assert(nn::weight_storage<constant_weight>);
static_assert(!nn::packable_storage<constant_weight>);
static_assert(!nn::trainable_storage<constant_weight>);
static_assert(!nn::weight_storage<without_product>);
static_assert(!nn::weight_storage<throwing_product>);
static_assert(!nn::weight_storage<without_bytes>);
static_assert(!nn::weight_storage<float>);
static_assert(!nn::weight_storage<tensor<float, 1>>);
static_assert(!nn::weight_storage<tensor<int, 2>>);
static_assert(nn::packable_storage<tensor<float, 2>>);
static_assert(nn::trainable_storage<tensor<float, 2>>);
static_assert(nn::trainable_storage<tensor<double, 4>>);
static_assert(nn::is_exact<constant_weight>::value);

// Questions to a whole network.
using trained = nn::sequential<nn::dense<float>, nn::residual<nn::dense<float>>>;
using constant_inside =
    nn::sequential<nn::dense<float>, nn::residual<nn::sequential<nn::dense<constant_weight>>>>;
static_assert(nn::every_weight<trained, nn::is_trainable>);
static_assert(nn::every_weight<const trained, nn::is_trainable>);
static_assert(!nn::every_weight<constant_inside, nn::is_trainable>);
static_assert(nn::every_weight<constant_inside, nn::is_exact>);
static_assert(!nn::every_weight<nn::dense<constant_weight>, nn::is_trainable>);
static_assert(nn::every_weight<nn::sequential<>, nn::is_trainable>);

// Layers over dense weights are named by their element.
static_assert(std::is_same_v<nn::weight_argument<tensor<float, 2>, 2>::type, float>);
static_assert(std::is_same_v<nn::weight_argument<tensor<float, 2>, 4>::type, tensor<float, 2>>);
static_assert(std::is_same_v<nn::weight_argument<constant_weight, 2>::type, constant_weight>);
static_assert(
    std::is_same_v<decltype(nn::dense(std::declval<tensor<float, 2>>())), nn::dense<float>>);
static_assert(std::is_same_v<decltype(std::declval<nn::dense<constant_weight>>().with_weight(
                                 std::declval<tensor<float, 2>>())),
    nn::dense<float>>);

TEST_SUITE("smoke")
{
    TEST_CASE("a format of one's own in a layer")
    {
        random_engine rng(1);
        const nn::dense<constant_weight> layer(
            constant_weight{0.5f, 3, 4}, random_tensor<float>(shape<1>{3}, rng));
        const auto x = random_tensor<float>(shape<2>{2, 4}, rng);
        const auto y = nn::forward(layer, x);
        for (index_t b = 0; b < 2; ++b)
        {
            const float sum = x(b, 0) + x(b, 1) + x(b, 2) + x(b, 3);
            CHECK(y(b, 2) == doctest::Approx(0.5f * sum + layer.bias(2)));
        }
        CHECK(nn::multiply_adds(layer, shape<2>{2, 4}) == 2);
    }
}

namespace
{

template <class T>
double reference(const tensor<T, 2>& w, const tensor<T, 2>& x, index_t b, index_t r)
{
    double sum = 0;
    for (index_t c = 0; c < shape_of(w)[1]; ++c)
    {
        sum += static_cast<double>(w(r, c)) * static_cast<double>(x(b, c));
    }
    return sum;
}

} // namespace

TEST_CASE_TEMPLATE("dense weights multiply in every combination of strides", T, float, double)
{
    random_engine rng(2);
    using traits = nn::storage_traits<tensor<T, 2>>;
    for (const shape<3> extents : {shape<3>{1, 1, 1}, shape<3>{1, 7, 5}, shape<3>{4, 1, 9},
             shape<3>{9, 8, 1}, shape<3>{33, 17, 20}})
    {
        const auto [batch, rows, columns] = extents;
        const auto w = random_tensor<T>(shape<2>{rows, columns}, rng);
        const auto x = random_tensor<T>(shape<2>{batch, columns}, rng);
        const auto bias = random_tensor<T>(shape<1>{rows}, rng);
        auto turned = make_tensor<T>(shape<2>{columns, batch});
        for (index_t b = 0; b < batch; ++b)
        {
            for (index_t c = 0; c < columns; ++c)
            {
                turned(c, b) = x(b, c);
            }
        }
        buffer<std::byte> bytes(traits::scratch_bytes(w, batch));
        for (bool in : {false, true})
        {
            for (bool out : {false, true})
            {
                const view<const T, 2> from =
                    in ? view<const T, 2>(turned.data(), {batch, columns}, {1, batch}) : as_view(x);
                auto y = structopt::full<T>(shape<2>{batch, rows}, T(99));
                const view<T, 2> to =
                    out ? view<T, 2>(y.data(), {batch, rows}, {1, batch}) : as_view(y);
                traits::product(w, from, bias.data(), to, nn::scratch(bytes.data(), bytes.size()));
                for (index_t b = 0; b < batch; ++b)
                {
                    for (index_t r = 0; r < rows; ++r)
                    {
                        const double expected =
                            reference(w, x, b, r) + static_cast<double>(bias(r));
                        CHECK(std::abs(static_cast<double>(to(b, r)) - expected) <=
                              64 * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                                  static_cast<double>(columns));
                    }
                }
            }
        }
    }
}

TEST_CASE("rows and columns are taken in the order asked for")
{
    auto w = make_tensor<float>(shape<4>{3, 2, 1, 2});
    for (index_t i = 0; i < size_of(w); ++i)
    {
        w.data()[i] = static_cast<float>(i);
    }
    const std::vector<index_t> order = {2, 0};
    const auto rows = nn::take_rows(w, order);
    CHECK(shape_of(rows) == shape<4>{2, 2, 1, 2});
    CHECK(rows(0, 0, 0, 0) == 8);
    CHECK(rows(1, 1, 0, 1) == 3);
    const std::vector<index_t> one = {1};
    const auto columns = nn::take_columns(w, one);
    CHECK(shape_of(columns) == shape<4>{3, 1, 1, 2});
    CHECK(columns(0, 0, 0, 0) == 2);
    CHECK(columns(2, 0, 0, 1) == 11);
    const std::vector<index_t> none;
    CHECK(shape_of(nn::take_rows(w, none)) == shape<4>{0, 2, 1, 2});
    CHECK(shape_of(nn::take_columns(w, none)) == shape<4>{3, 0, 1, 2});
}

} // namespace test_storage
