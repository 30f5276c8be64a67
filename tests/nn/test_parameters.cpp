#include <doctest/doctest.h>

#include <structopt/nn/batch_norm.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/nn/sequential.hpp>

#include <string>
#include <vector>

namespace test_parameters
{

using namespace structopt;
using namespace structopt::nn;

namespace
{

/// Codes instead of numbers: no optimizer can change them.
struct codes
{
    std::vector<unsigned char> bytes;

    std::size_t size() const
    {
        return bytes.size();
    }
};

/// A format of the user's own whose numbers can be trained.
struct diagonal
{
    using value_type = float;

    std::vector<float> numbers;

    std::size_t size() const
    {
        return numbers.size();
    }

    std::span<float> values()
    {
        return numbers;
    }

    std::span<const float> values() const
    {
        return numbers;
    }
};

struct mixture
{
    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("table", self.table, role::weight);
        visit("scale", self.scale, role::scale);
        visit("none", self.none, role::bias);
    }

    codes table;
    diagonal scale;
    tensor<float, 1> none = structopt::zeros<float>(shape<1>{0});
};

/// One layer under two names.
struct twins
{
    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("left", self.shared);
        visit("right", self.shared);
    }

    dense<float> shared;
};

template <class L>
std::vector<std::string> names_of(const L& network)
{
    std::vector<std::string> names;
    nn::visit_parameters(network,
        [&](const parameter_name& name, const auto&, role)
        {
            names.push_back(name.text());
        });
    return names;
}

} // namespace

TEST_SUITE("smoke parameters")
{
    TEST_CASE("names, roles and counts of a network")
    {
        random_engine rng(1);
        const sequential net{dense{{.in = 3, .out = 2}, rng}, batch_norm{{.features = 2}},
            sequential{dense{{.in = 2, .out = 1, .bias = false}, rng}}};
        CHECK(names_of(net) == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias",
                                   "1.running_mean", "1.running_var", "2.0.weight"});
        CHECK(nn::parameter_count(net) == 6 + 2 + 4 + 2);
        const auto list = nn::trainable_parameters<const float>(net);
        REQUIRE(list.size() == 5);
        CHECK(list[0].role == role::weight);
        CHECK(list[1].role == role::bias);
        CHECK(list[2].role == role::scale);
        CHECK(list[4].values.size() == 2);
        CHECK(list[4].values.data() == net.layer<2>().layer<0>().weight.data());
    }
}

TEST_SUITE("parameters")
{
    TEST_CASE("zeros_like leaves the network alone and has its shape")
    {
        random_engine rng(2);
        const sequential net{dense{{.in = 3, .out = 2}, rng}};
        auto zero = nn::zeros_like(net);
        CHECK(shape_of(zero.layer<0>().weight) == shape<2>{2, 3});
        CHECK(zero.layer<0>().weight(1, 2) == 0.0f);
        CHECK(net.layer<0>().weight(1, 2) != 0.0f);
        zero.layer<0>().weight(1, 2) = 5.0f;
        nn::set_zero(zero);
        CHECK(zero.layer<0>().weight(1, 2) == 0.0f);
    }

    TEST_CASE("codes are visited but not trained, formats with values() are, empty tensors neither")
    {
        mixture layer{{{1, 2, 3}}, {{4.0f, 5.0f}}};
        CHECK(names_of(layer) == std::vector<std::string>{"table", "scale"});
        CHECK(nn::parameter_count(layer) == 5);
        const auto list = nn::trainable_parameters<float>(layer);
        REQUIRE(list.size() == 1);
        list[0].values[1] = 9.0f;
        CHECK(layer.scale.numbers[1] == 9.0f);
        nn::set_zero(layer);
        CHECK(layer.scale.numbers[0] == 0.0f);
        CHECK(layer.table.bytes[2] == 3);
        static_assert(!trainable_parameter<codes>);
        static_assert(trainable_parameter<diagonal>);
    }

    TEST_CASE("one layer under two names is visited once")
    {
        random_engine rng(3);
        const twins both{dense{{.in = 2, .out = 2}, rng}};
        CHECK(names_of(both) == std::vector<std::string>{"left.weight", "left.bias"});
        CHECK(nn::parameter_count(both) == 6);
        CHECK(names_of(sequential{both, both}).size() == 4);
    }
}

} // namespace test_parameters
