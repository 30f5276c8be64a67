#include <doctest/doctest.h>

#include <structopt/io/safetensors_file.hpp>
#include <structopt/nn.hpp>

#include "support/golden.hpp"
#include "support/random_tensor.hpp"

#include <set>
#include <string>
#include <vector>

namespace test_layers_golden
{

using namespace structopt;
using support::largest_difference;

namespace
{

/// Compares layers with the cases of layers.safetensors, in double and in float.
class golden
{
public:
    golden()
        : m_file(support::golden_path("layers.safetensors"))
    {
    }

    template <class T, std::size_t N>
    tensor<T, N> read(const std::string& name) const
    {
        const auto wide = m_file.read<double, N>(name);
        auto narrow = make_tensor<T>(shape_of(wide));
        for (std::size_t i = 0; i < wide.size(); ++i)
        {
            narrow.data()[i] = static_cast<T>(wide.data()[i]);
        }
        return narrow;
    }

    /// Fills the parameters of a layer by their names.
    template <class T, class L>
    void fill(const std::string& name, L& layer) const
    {
        nn::visit_parameters(layer,
            [&](const nn::parameter_name& part, auto& parameter, nn::role)
            {
                constexpr std::size_t rank =
                    tensor_traits<std::remove_cvref_t<decltype(parameter)>>::rank;
                auto values = read<T, rank>(name + "/" + part.text());
                REQUIRE(shape_of(values) == shape_of(parameter));
                parameter = std::move(values);
            });
    }

    /// Forward and backward of one layer on an input of rank N, to a tolerance of at least `least`.
    template <std::size_t N, class L>
    void check(const std::string& name, L layer, double least = 0)
    {
        using T = typename std::conditional_t<std::is_void_v<nn::value_type<L>>,
            std::type_identity<double>, std::type_identity<nn::value_type<L>>>::type;
        check_as<T, N>(name, layer, least);
        if constexpr (std::is_void_v<nn::value_type<L>>)
        {
            check_as<float, N>(name, layer, least);
        }
    }

    template <class T, std::size_t N, class L>
    void check_as(const std::string& name, L layer, double least)
    {
        INFO(name << std::string(sizeof(T) == 4 ? " in float" : " in double"));
        m_seen.insert(name);
        fill<T>(name, layer);
        const auto x = read<T, N>(name + "/input");
        constexpr std::size_t rank = nn::output_rank<L, N>;
        const auto y = read<T, rank>(name + "/output");
        const double tolerance = std::max(sizeof(T) == 4 ? 2e-5 : 1e-12, least);
        random_engine rng(1);
        auto kept = nn::make_cache(layer, x, rng);
        REQUIRE(shape_of(nn::forward(layer, x, kept)) == shape_of(y));
        CHECK(largest_difference(kept.y, y) <= tolerance * scale(y));

        auto gradients = nn::zeros_like(layer);
        auto dx = make_tensor<T>(shape_of(x));
        nn::backward(layer, read<T, rank>(name + "/output_grad"), kept, gradients, dx);
        const auto expected = read<T, N>(name + "/input_grad");
        CHECK(largest_difference(dx, expected) <= tolerance * scale(expected));
        nn::visit_parameters(gradients,
            [&](const nn::parameter_name& part, const auto& parameter, nn::role kind)
            {
                if (kind != nn::role::statistic)
                {
                    constexpr std::size_t n =
                        tensor_traits<std::remove_cvref_t<decltype(parameter)>>::rank;
                    const auto slope = read<T, n>(name + "/" + part.text() + "_grad");
                    CHECK(largest_difference(parameter, slope) <= tolerance * scale(slope));
                }
            });

        nn::update_statistics(layer, kept);
        nn::visit_parameters(layer,
            [&](const nn::parameter_name& part, const auto& parameter, nn::role kind)
            {
                if (kind == nn::role::statistic)
                {
                    const auto after = read<T, 1>(name + "/" + part.text() + "_after");
                    CHECK(largest_difference(parameter, after) <= tolerance * scale(after));
                }
            });
    }

    /// Inference alone.
    template <class T, std::size_t N, class L>
    void check_inference(const std::string& name, L layer)
    {
        INFO(name);
        m_seen.insert(name);
        fill<T>(name, layer);
        const auto y = read<T, N>(name + "/output");
        CHECK(largest_difference(nn::forward(layer, read<T, N>(name + "/input")), y) <=
              (sizeof(T) == 4 ? 2e-5 : 1e-12) * scale(y));
    }

    /// Cases of the file that nothing has been compared with.
    std::vector<std::string> left_out() const
    {
        std::vector<std::string> left;
        const std::string input = "/input";
        for (const std::string& tensor : m_file.names())
        {
            if (tensor.size() > input.size() &&
                tensor.compare(tensor.size() - input.size(), input.size(), input) == 0)
            {
                const std::string name = tensor.substr(0, tensor.size() - input.size());
                if (m_seen.count(name) == 0)
                {
                    left.push_back(name);
                }
            }
        }
        return left;
    }

private:
    template <class X>
    static double scale(const X& x)
    {
        double largest = 0;
        for (const auto v : x)
        {
            largest = std::max(largest, std::abs(static_cast<double>(v)));
        }
        REQUIRE(largest > 0);
        return std::max(largest, 1.0);
    }

    io::safetensors_file m_file;
    std::set<std::string> m_seen;
};

template <class T>
void convolutions(golden& g)
{
    random_engine rng(1);
    const auto conv = [&](const std::string& name, const nn::conv2d_options& options)
    {
        g.check<4>("conv2d/" + name, nn::conv2d<T>(options, rng));
    };
    conv("kernel3", {.in = 3, .out = 4, .kernel = 3});
    conv("kernel1", {.in = 3, .out = 4, .kernel = 1});
    conv("no_bias", {.in = 2, .out = 3, .kernel = 3, .bias = false});
    conv("stride2", {.in = 2, .out = 3, .kernel = 3, .stride = 2});
    conv("pad1", {.in = 2, .out = 3, .kernel = 3, .padding = 1});
    conv("stride2_pad1", {.in = 2, .out = 3, .kernel = 3, .stride = 2, .padding = 1});
    conv("kernel5_pad2", {.in = 1, .out = 2, .kernel = 5, .padding = 2});
    conv("dilation2_pad2", {.in = 2, .out = 2, .kernel = 3, .padding = 2, .dilation = 2});
    conv("groups2", {.in = 4, .out = 6, .kernel = 3, .groups = 2});
    conv("stride2_pad1_groups2",
        {.in = 4, .out = 4, .kernel = 3, .stride = 2, .padding = 1, .groups = 2});
    conv("depthwise_pad1", {.in = 4, .out = 4, .kernel = 3, .padding = 1, .groups = 4});
    conv("depthwise_stride2_pad1_multiplier2",
        {.in = 3, .out = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 3});
    conv("stride2_pad2_dilation2_groups2",
        {.in = 4, .out = 2, .kernel = 3, .stride = 2, .padding = 2, .dilation = 2, .groups = 2});
    conv("rectangle", {.in = 2,
                          .out = 3,
                          .kernel = {3, 2},
                          .stride = {2, 1},
                          .padding = {1, 0},
                          .dilation = {1, 2}});
}

void pools(golden& g)
{
    struct one
    {
        std::string name;
        nn::extent2 kernel;
        nn::extent2 stride;
        nn::extent2 padding;
    };
    const std::vector<one> cases{{"kernel2", 2, 2, 0}, {"kernel2_stride1", 2, 1, 0},
        {"kernel3_stride2", 3, 2, 0}, {"kernel3_stride2_pad1", 3, 2, 1},
        {"rectangle", {3, 2}, {2, 1}, {1, 0}}};
    for (const one& c : cases)
    {
        for (const std::string extents : {"_6x6", "_7x5"})
        {
            const auto at = c.name + extents;
            g.check<4>("max_pool2d/" + at,
                nn::max_pool2d{{.kernel = c.kernel, .stride = c.stride, .padding = c.padding}});
            g.check<4>("avg_pool2d/" + at,
                nn::avg_pool2d{{.kernel = c.kernel, .stride = c.stride, .padding = c.padding}});
            if (c.padding != nn::extent2(0))
            {
                g.check<4>("avg_pool2d/" + at + "_exclude_pad", nn::avg_pool2d{{.kernel = c.kernel,
                                                                    .stride = c.stride,
                                                                    .padding = c.padding,
                                                                    .count_include_pad = false}});
            }
        }
    }
    g.check<4>("max_pool2d/kernel2_dilation2_7x5",
        nn::max_pool2d{{.kernel = 2, .stride = 2, .dilation = 2}});
    g.check<4>("global_avg_pool2d/basic", nn::global_avg_pool{});
}

template <class T>
void normalizations(golden& g)
{
    using norm = nn::batch_norm<T>;
    const nn::batch_norm_options other{.features = 3, .eps = 0.01, .momentum = 0.3};
    g.check<2>("batch_norm1d/train", norm{{.features = 3}});
    g.check<2>("batch_norm1d/train_momentum0.3_eps0.01", norm{other});
    g.check<4>("batch_norm2d/train", norm{{.features = 3}});
    g.check<4>("batch_norm2d/train_momentum0.3_eps0.01", norm{other});
    g.check_inference<T, 2>("batch_norm1d/eval", norm{{.features = 3}});
    g.check_inference<T, 4>("batch_norm2d/eval", norm{{.features = 3}});
    g.check<2>("layer_norm/last1", nn::layer_norm<T>{{.features = 6}});
    g.check<4>("layer_norm/last3", nn::layer_norm<T, 3>{{.features = {2, 3, 4}}});
    g.check<2>("layer_norm/eps0.1", nn::layer_norm<T>{{.features = 6, .eps = 0.1}});
}

void activations(golden& g)
{
    const std::string a = "activation/";
    g.check<2>(a + "relu", nn::relu{});
    g.check<2>(a + "leaky_relu", nn::leaky_relu{});
    g.check<2>(a + "leaky_relu_slope0.2", nn::leaky_relu{.slope = 0.2});
    g.check<2>(a + "elu", nn::elu{});
    g.check<2>(a + "elu_alpha0.7", nn::elu{.alpha = 0.7});
    g.check<2>(a + "gelu", nn::gelu{});
    g.check<2>(a + "gelu_tanh", nn::gelu_tanh{});
    g.check<2>(a + "silu", nn::silu{});
    g.check<2>(a + "sigmoid", nn::sigmoid{});
    g.check<2>(a + "tanh", nn::tanh{});
    // PyTorch's derivative in double is the float nearest to 1 / 6.
    g.check<2>(a + "hard_sigmoid", nn::hard_sigmoid{}, 2e-8);
    g.check<2>(a + "hard_swish", nn::hard_swish{});
    g.check<2>(a + "softmax", nn::softmax{});
    g.check<2>(a + "log_softmax", nn::log_softmax{});
    g.check<2>(a + "softmax_large", nn::softmax{});
    g.check<2>(a + "log_softmax_large", nn::log_softmax{});
}

} // namespace

TEST_CASE("layers agree with PyTorch, forward and backward, all cases of the file")
{
    golden g;
    random_engine rng(1);
    g.check<2>("dense/basic", nn::dense<float>({.in = 5, .out = 3}, rng));
    g.check<2>("dense/basic", nn::dense<double>({.in = 5, .out = 3}, rng));
    g.check<2>("dense/no_bias", nn::dense<double>({.in = 5, .out = 3, .bias = false}, rng));
    convolutions<float>(g);
    convolutions<double>(g);
    pools(g);
    normalizations<float>(g);
    normalizations<double>(g);
    activations(g);
    CHECK(g.left_out() == std::vector<std::string>{});
}

} // namespace test_layers_golden
