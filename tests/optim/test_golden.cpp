#include <doctest/doctest.h>

#include <structopt/io/safetensors_file.hpp>
#include <structopt/optim.hpp>

#include "support/golden.hpp"
#include "support/parameters_only.hpp"
#include "support/random_tensor.hpp"

#include <set>
#include <string>

namespace test_golden
{

namespace
{

namespace io = structopt::io;
namespace nn = structopt::nn;
namespace optim = structopt::optim;
using structopt::index_t;
using structopt::shape;

template <class T>
using network = support::parameters_only<T>;

/// Row `t` of the saved tensors [rows, ...] as parameters.
template <class T>
network<T> row(
    const structopt::tensor<double, 3>& weight, const structopt::tensor<double, 2>& bias, index_t t)
{
    network<T> net{
        structopt::make_tensor<T>(shape<2>{2, 4}), structopt::make_tensor<T>(shape<1>{4})};
    for (index_t i = 0; i < 8; ++i)
    {
        net.weight.data()[i] = static_cast<T>(weight.data()[t * 8 + i]);
    }
    for (index_t i = 0; i < 4; ++i)
    {
        net.bias.data()[i] = static_cast<T>(bias.data()[t * 4 + i]);
    }
    return net;
}

/// Five updates of every case against PyTorch's.
class golden
{
public:
    golden()
        : m_file(support::golden_path("optimizers.safetensors"))
    {
    }

    const io::safetensors_file& file() const
    {
        return m_file;
    }

    const std::set<std::string>& cases() const
    {
        return m_cases;
    }

    template <optim::optimizer O>
    void check(const std::string& name, const O& o)
    {
        m_cases.insert(name);
        run<double>(name, o, 1e-13);
        run<float>(name, o, 2e-6);
    }

private:
    template <class T, class O>
    void run(const std::string& name, const O& o, double tolerance)
    {
        INFO(name << (sizeof(T) == 4 ? " float" : " double"));
        const auto weight = m_file.read<double, 3>(name + "/weight");
        const auto bias = m_file.read<double, 2>(name + "/bias");
        const auto weight_gradient = m_file.read<double, 3>("gradients/weight");
        const auto bias_gradient = m_file.read<double, 2>("gradients/bias");
        auto net = row<T>(weight, bias, 0);
        auto state = optim::make_state(o, net);
        for (index_t t = 0; t < 5; ++t)
        {
            auto gradients = row<T>(weight_gradient, bias_gradient, t);
            optim::step(o, net, gradients, state);
            INFO("after update " << t + 1);
            const auto expected = row<double>(weight, bias, t + 1);
            REQUIRE(support::largest_difference(net.weight, expected.weight) < tolerance);
            REQUIRE(support::largest_difference(net.bias, expected.bias) < tolerance);
        }
        CHECK(state.step == 5);
    }

    io::safetensors_file m_file;
    std::set<std::string> m_cases;
};

} // namespace

TEST_CASE("optimizers agree with PyTorch over five updates")
{
    golden g;
    const double rate = 0.1;
    g.check("sgd/plain", optim::sgd{.rate = rate});
    g.check("sgd/weight_decay", optim::sgd{.rate = rate, .weight_decay = 0.05});
    g.check("momentum/plain", optim::momentum{.rate = rate});
    g.check("momentum/dampening", optim::sgd{.rate = rate, .momentum = 0.9, .dampening = 0.3});
    g.check("momentum/weight_decay", optim::momentum{.rate = rate, .weight_decay = 0.05});
    g.check("momentum/dampening_weight_decay",
        optim::sgd{.rate = rate, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.05});
    g.check("nesterov/plain", optim::nesterov{.rate = rate});
    g.check("nesterov/weight_decay", optim::nesterov{.rate = rate, .weight_decay = 0.05});

    g.check("adagrad/plain", optim::adagrad{.rate = rate});
    g.check("adagrad/weight_decay", optim::adagrad{.rate = rate, .weight_decay = 0.05});
    g.check("adagrad/lr_decay", optim::adagrad{.rate = rate, .rate_decay = 0.1});
    g.check("adagrad/initial_eps",
        optim::adagrad{.rate = rate, .initial_accumulator = 0.5, .eps = 0.01});
    g.check("adadelta/plain", optim::adadelta{});
    g.check("adadelta/weight_decay", optim::adadelta{.weight_decay = 0.05});
    g.check("adadelta/rho0.5_eps0.01", optim::adadelta{.rate = 0.5, .rho = 0.5, .eps = 0.01});

    g.check("adam/plain", optim::adam{.rate = 0.05});
    g.check("adam/weight_decay", optim::adam{.rate = 0.05, .weight_decay = 0.05});
    g.check("adam/betas_eps", optim::adam{.rate = 0.05, .beta1 = 0.7, .beta2 = 0.8, .eps = 0.01});
    g.check("amsgrad/plain", optim::amsgrad{.rate = 0.05, .beta2 = 0.8});
    g.check("amsgrad/weight_decay",
        optim::adam{.rate = 0.05, .beta2 = 0.8, .amsgrad = true, .weight_decay = 0.05});
    g.check("adamw/plain", optim::adamw{.rate = 0.05});
    g.check("adamw/no_weight_decay", optim::adamw{.rate = 0.05, .weight_decay = 0});
    g.check("adamw/weight_decay", optim::adamw{.rate = 0.05, .weight_decay = 0.2});
    g.check("adamw/amsgrad",
        optim::adamw{.rate = 0.05, .beta2 = 0.8, .amsgrad = true, .weight_decay = 0.2});

    g.check("rmsprop/plain", optim::rmsprop{.rate = 0.02});
    g.check("rmsprop/weight_decay", optim::rmsprop{.rate = 0.02, .weight_decay = 0.05});
    g.check("rmsprop/momentum", optim::rmsprop{.rate = 0.02, .alpha = 0.9, .momentum = 0.9});
    g.check("rmsprop/centered", optim::rmsprop{.rate = 0.02, .alpha = 0.9, .centered = true});
    g.check("rmsprop/centered_momentum_weight_decay", optim::rmsprop{.rate = 0.02,
                                                          .alpha = 0.9,
                                                          .eps = 1e-3,
                                                          .centered = true,
                                                          .momentum = 0.9,
                                                          .weight_decay = 0.05});
    g.check("nadam/plain", optim::nadam{.rate = 0.05});
    g.check("nadam/weight_decay", optim::nadam{.rate = 0.05, .weight_decay = 0.05});
    g.check("nadam/momentum_decay",
        optim::nadam{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.9, .momentum_decay = 0.1});

    for (const auto& entry : g.file().metadata())
    {
        const std::string& name = entry.first;
        if (name != "made_with")
        {
            INFO(name << " is in the file, but not compared");
            CHECK(g.cases().count(name) == 1);
        }
    }
}

TEST_CASE("clipping agrees with PyTorch")
{
    const io::safetensors_file file(support::golden_path("clipping.safetensors"));
    const auto check = [&](const std::string& name, const auto& clip)
    {
        INFO(name);
        network<double> gradients{
            file.read<double, 2>("gradients/weight"), file.read<double, 1>("gradients/bias")};
        const double norm = clip(gradients);
        if (file.contains(name + "/total_norm"))
        {
            CHECK(norm ==
                  doctest::Approx(file.read<double, 1>(name + "/total_norm")(0)).epsilon(1e-14));
        }
        CHECK(support::largest_difference(
                  gradients.weight, file.read<double, 2>(name + "/weight")) < 1e-15);
        CHECK(support::largest_difference(gradients.bias, file.read<double, 1>(name + "/bias")) <
              1e-15);
    };
    check("norm/max1", optim::clip_norm{});
    check("norm/max100", optim::clip_norm{.max_norm = 100});
    check("norm/max1_norm1", optim::clip_norm{.norm = 1});
    check("norm/max1_inf", optim::clip_norm{.norm = std::numeric_limits<double>::infinity()});
    check("value/max0.5", optim::clip_value{.max_value = 0.5});
}

} // namespace test_golden
