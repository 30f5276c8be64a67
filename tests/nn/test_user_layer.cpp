// Layers that the library has never heard of.
#include <doctest/doctest.h>

#include <structopt/nn.hpp>

#include "support/gradient_check.hpp"
#include "support/random_tensor.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace test_user_layer
{

using namespace structopt;
using support::random_tensor;

namespace user
{

/// A dense layer whose outputs each have a gate: y = (x W^T + b) * g.
template <class W = float>
class gated_dense
{
public:
    using storage = typename nn::storage_of<W, 2>::type;
    using value_type = typename nn::storage_traits<storage>::value_type;

    static constexpr std::string_view name = "gated_dense";
    static constexpr std::size_t input_rank = 2;
    static constexpr std::size_t output_rank = 2;

    gated_dense(storage w, tensor<value_type, 1> b, tensor<value_type, 1> g)
        : weight(std::move(w))
        , bias(std::move(b))
        , gate(std::move(g))
    {
    }

    index_t inputs() const
    {
        return nn::storage_traits<storage>::columns(weight);
    }

    index_t outputs() const
    {
        return nn::storage_traits<storage>::rows(weight);
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        check_shape("gated_dense input", shape<2>{-1, inputs()}, in);
        return {in[0], outputs()};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const
    {
        return nn::storage_traits<storage>::scratch_bytes(weight, in[0]);
    }

    void forward(
        view<const value_type, 2> x, view<value_type, 2> y, nn::scratch space) const noexcept
    {
        nn::storage_traits<storage>::product(weight, x, bias.data(), y, space);
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] *= gate.data()[i % outputs()];
        }
    }

    template <class T, std::size_t N>
    struct cache
    {
        buffer<std::byte> bytes;
        tensor<T, 2> ungated;
        tensor<T, 2> slope;
    };

    void forward(view<const value_type, 2> x, view<value_type, 2> y,
        cache<value_type, 2>& kept) const requires nn::trainable_storage<storage>
    {
        using traits = nn::storage_traits<storage>;
        kept.bytes.resize(traits::training_scratch_bytes(weight, x.shape(0)));
        resize(kept.ungated, y.shape());
        traits::product(weight, x, bias.data(), as_view(kept.ungated),
            nn::scratch(kept.bytes.data(), kept.bytes.size()));
        for (index_t i = 0; i < y.size(); ++i)
        {
            y.data()[i] = kept.ungated.data()[i] * gate.data()[i % outputs()];
        }
    }

    void backward(view<const value_type, 2> x, view<const value_type, 2>,
        view<const value_type, 2> dy, view<value_type, 2> dx, cache<value_type, 2>& kept,
        gated_dense& gradients) const requires nn::trainable_storage<storage>
    {
        using traits = nn::storage_traits<storage>;
        resize(kept.slope, dy.shape());
        for (index_t i = 0; i < dy.size(); ++i)
        {
            const index_t o = i % outputs();
            kept.slope.data()[i] = dy.data()[i] * gate.data()[o];
            gradients.gate.data()[o] += dy.data()[i] * kept.ungated.data()[i];
            gradients.bias.data()[o] += kept.slope.data()[i];
        }
        const nn::scratch space(kept.bytes.data(), kept.bytes.size());
        const auto slope = as_view(std::as_const(kept.slope));
        traits::accumulate_gradient(gradients.weight, slope, x, space);
        if (dx.data() != nullptr)
        {
            traits::product_transposed(weight, slope, dx, space);
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, nn::role::weight);
        visit("bias", self.bias, nn::role::bias);
        visit("gate", self.gate, nn::role::scale);
    }

    index_t cost(const shape<2>& in) const
    {
        return in[0] * (nn::storage_traits<storage>::nonzeros(weight) + outputs());
    }

    static constexpr nn::coupling unit_coupling()
    {
        return nn::coupling::mixes;
    }

    gated_dense select_outputs(std::span<const index_t> indices) const
    {
        return {nn::take_rows(weight, indices), nn::take_rows(bias, indices),
            nn::take_rows(gate, indices)};
    }

    gated_dense select_inputs(std::span<const index_t> indices) const
    {
        return {nn::take_columns(weight, indices), bias, gate};
    }

    template <nn::weight_storage Storage>
    gated_dense<Storage> with_weight(Storage replacement) const
    {
        return gated_dense<Storage>(std::move(replacement), bias, gate);
    }

    storage weight;
    tensor<value_type, 1> bias;
    tensor<value_type, 1> gate;
};

template <class T>
gated_dense<T> random_gated(index_t in, index_t out, random_engine& rng)
{
    auto weight = random_tensor<T>(shape<2>{out, in}, rng, T(0.5));
    auto bias = random_tensor<T>(shape<1>{out}, rng, T(0.1));
    return gated_dense<T>(std::move(weight), std::move(bias), full<T>(shape<1>{out}, T(1)));
}

/// An activation of the user's own, with a parameter that is no weight.
struct softsign
{
    double steepness = 1;

    template <class T>
    T value(T x) const
    {
        return x / (T(1) + static_cast<T>(steepness) * std::abs(x));
    }

    template <class T>
    T derivative(T x, T) const
    {
        const T d = T(1) + static_cast<T>(steepness) * std::abs(x);
        return T(1) / (d * d);
    }
};

/// Encoder and decoder share one weight: y = tanh(x W^T) W. A composite with one object under two
/// names.
template <class T>
class tied_autoencoder
{
public:
    using value_type = T;

    explicit tied_autoencoder(tensor<T, 2> w)
        : weight(std::move(w))
    {
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        check_shape("tied_autoencoder input", shape<2>{-1, shape_of(weight)[1]}, in);
        return in;
    }

    template <class U>
    std::size_t scratch_bytes(const shape<2>& in) const
    {
        return nn::scratch_size<T>(in[0] * shape_of(weight)[0]);
    }

    void forward(view<const T, 2> x, view<T, 2> y, nn::scratch space) const noexcept
    {
        code(x, space.take<T>(x.shape(0) * shape_of(weight)[0]), y);
    }

    template <class U, std::size_t N>
    struct cache
    {
        tensor<U, 2> hidden;
    };

    void forward(view<const T, 2> x, view<T, 2> y, cache<T, 2>& kept) const
    {
        resize(kept.hidden, shape<2>{x.shape(0), shape_of(weight)[0]});
        code(x, kept.hidden.data(), y);
    }

    void backward(view<const T, 2> x, view<const T, 2>, view<const T, 2> dy, view<T, 2> dx,
        cache<T, 2>& kept, tied_autoencoder& gradients) const
    {
        const auto [hidden, features] = shape_of(weight);
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t j = 0; dx.data() != nullptr && j < features; ++j)
            {
                dx(b, j) = 0;
            }
            for (index_t i = 0; i < hidden; ++i)
            {
                const T h = kept.hidden(b, i);
                T slope = 0;
                for (index_t j = 0; j < features; ++j)
                {
                    slope += dy(b, j) * weight(i, j);
                    gradients.weight(i, j) += dy(b, j) * h;
                }
                slope *= 1 - h * h;
                for (index_t j = 0; j < features; ++j)
                {
                    gradients.weight(i, j) += slope * x(b, j);
                    if (dx.data() != nullptr)
                    {
                        dx(b, j) += slope * weight(i, j);
                    }
                }
            }
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("encoder.weight", self.weight, nn::role::weight);
        visit("decoder.weight", self.weight, nn::role::weight);
    }

    tensor<T, 2> weight;

private:
    void code(view<const T, 2> x, T* hidden, view<T, 2> y) const noexcept
    {
        const index_t n = shape_of(weight)[0];
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t i = 0; i < n; ++i)
            {
                T sum = 0;
                for (index_t j = 0; j < x.shape(1); ++j)
                {
                    sum += weight(i, j) * x(b, j);
                }
                hidden[b * n + i] = std::tanh(sum);
            }
            for (index_t j = 0; j < x.shape(1); ++j)
            {
                y(b, j) = 0;
                for (index_t i = 0; i < n; ++i)
                {
                    y(b, j) += hidden[b * n + i] * weight(i, j);
                }
            }
        }
    }
};

} // namespace user

namespace
{

/// Mean squared error after some steps of plain gradient descent; the targets are `wanted(x)`.
template <class L, class T>
std::pair<double, double> descend(
    L& network, const tensor<T, 2>& x, const tensor<T, 2>& wanted, int steps, T rate)
{
    random_engine rng(1);
    auto kept = nn::make_cache(network, x, rng);
    auto gradients = nn::zeros_like(network);
    std::pair<double, double> losses;
    for (int step = 0; step < steps; ++step)
    {
        const auto& y = nn::forward(network, x, kept);
        auto dy = y;
        double loss = 0;
        for (std::size_t i = 0; i < y.size(); ++i)
        {
            const T difference = y.data()[i] - wanted.data()[i];
            loss += static_cast<double>(difference * difference) / static_cast<double>(y.size());
            dy.data()[i] = 2 * difference / static_cast<T>(y.size());
        }
        (step == 0 ? losses.first : losses.second) = loss;
        nn::set_zero(gradients);
        nn::backward(network, dy, kept, gradients);
        const auto values = nn::trainable_parameters<T>(network);
        const auto slopes = nn::trainable_parameters<T>(gradients);
        for (std::size_t p = 0; p < values.size(); ++p)
        {
            for (std::size_t i = 0; i < values[p].values.size(); ++i)
            {
                values[p].values[i] -= rate * slopes[p].values[i];
            }
        }
    }
    return losses;
}

} // namespace

TEST_SUITE("smoke user layer")
{
    TEST_CASE("a layer from outside the library satisfies every concept and trains")
    {
        using layer = user::gated_dense<float>;
        static_assert(nn::layer_on<layer, 2>);
        static_assert(nn::has_parameters<layer>);
        static_assert(nn::weighted<layer>);
        static_assert(nn::selectable<layer>);
        static_assert(nn::pointwise<user::softsign>);
        static_assert(!nn::has_parameters<user::softsign>);

        random_engine rng(1);
        const auto x = random_tensor<float>(shape<2>{64, 6}, rng);
        const nn::sequential teacher{
            user::random_gated<float>(6, 8, rng), nn::tanh{}, user::random_gated<float>(8, 2, rng)};
        nn::sequential network{user::random_gated<float>(6, 16, rng), user::softsign{},
            nn::residual{user::random_gated<float>(16, 16, rng)},
            user::random_gated<float>(16, 2, rng)};
        const auto gate = network.layer<0>().gate(3);
        const auto [first, last] = descend(network, x, teacher(x), 200, 0.05f);
        CHECK(first > 0.5);
        CHECK(last < 0.1 * first);
        CHECK(network.layer<0>().gate(3) != gate);
    }
}

TEST_SUITE("user layer")
{
    TEST_CASE("gradients")
    {
        random_engine rng(2);
        const auto x = random_tensor<double>(shape<2>{5, 4}, rng);
        support::check_gradients(user::random_gated<double>(4, 3, rng), x);
        support::check_gradients(user::softsign{.steepness = 0.5}, x);
        support::check_gradients(
            nn::sequential{user::random_gated<double>(4, 6, rng), user::softsign{},
                nn::concat{user::random_gated<double>(6, 2, rng), nn::identity{}}},
            x);
        support::check_gradients(
            user::tied_autoencoder<double>(random_tensor<double>(shape<2>{3, 4}, rng)), x);
    }

    TEST_CASE("names, roles, costs, units and storage")
    {
        random_engine rng(3);
        const nn::sequential network{
            user::random_gated<float>(4, 3, rng), nn::relu{}, user::random_gated<float>(3, 2, rng)};
        std::vector<std::string> names;
        nn::visit_parameters(network,
            [&](const nn::parameter_name& name, const auto&, nn::role)
            {
                names.push_back(name.text());
            });
        CHECK(names == std::vector<std::string>{
                           "0.weight", "0.bias", "0.gate", "2.weight", "2.bias", "2.gate"});
        CHECK(nn::multiply_adds(network, shape<2>{10, 4}) == 10 * (12 + 3 + 6 + 2));

        const auto x = random_tensor<float>(shape<2>{7, 4}, rng);
        const auto& layer = network.layer<0>();
        const std::vector<index_t> kept{2, 0};
        const auto y = nn::forward(layer, x);
        const auto fewer = nn::forward(layer.select_outputs(kept), x);
        CHECK(fewer(5, 0) == y(5, 2));
        CHECK(fewer(6, 1) == y(6, 0));

        const auto packed = nn::pack(network);
        CHECK(support::largest_difference(packed(x), network(x)) <= 1e-5);
        static_assert(!std::is_same_v<decltype(packed), decltype(network)>);
    }

    TEST_CASE("tied weights are counted once and trained once")
    {
        random_engine rng(4);
        user::tied_autoencoder<double> network(random_tensor<double>(shape<2>{3, 5}, rng, 0.3));
        CHECK(nn::parameter_count(network) == 15);
        CHECK(nn::trainable_parameters<double>(network).size() == 1);
        std::vector<std::string> names;
        nn::visit_parameters(network,
            [&](const nn::parameter_name& name, const auto&, nn::role)
            {
                names.push_back(name.text());
            });
        CHECK(names == std::vector<std::string>{"encoder.weight"});

        // One step moves the weight by the rate times the one gradient.
        const auto x = random_tensor<double>(shape<2>{20, 5}, rng, 0.5);
        auto moved = network;
        const auto losses = descend(moved, x, x, 1, 0.1);
        auto kept = nn::make_cache(network, x, rng);
        auto dy = nn::forward(network, x, kept);
        for (std::size_t i = 0; i < dy.size(); ++i)
        {
            dy.data()[i] = 2 * (dy.data()[i] - x.data()[i]) / 100;
        }
        auto gradients = nn::zeros_like(network);
        nn::backward(network, dy, kept, gradients);
        CHECK(std::abs(moved.weight(1, 2) -
                       (network.weight(1, 2) - 0.1 * gradients.weight(1, 2))) <= 1e-15);
        CHECK(gradients.weight(1, 2) != 0);

        const auto [first, last] = descend(network, x, x, 500, 1.0);
        CHECK(first == losses.first);
        CHECK(last < 0.7 * first);
    }
}

} // namespace test_user_layer
