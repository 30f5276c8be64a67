/// @file
/// A small problem for callbacks that prune while training.
#pragma once

#include <structopt/core/random.hpp>
#include <structopt/nn/activation.hpp>
#include <structopt/nn/dense.hpp>
#include <structopt/nn/loss.hpp>
#include <structopt/nn/sequential.hpp>
#include <structopt/optim/momentum.hpp>
#include <structopt/prune/mask.hpp>
#include <structopt/train.hpp>

#include "support/random_tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace support
{

/// 6-20-2: 120 and 40 weights.
inline auto sparse_network()
{
    structopt::random_engine rng(1);
    return structopt::nn::sequential{structopt::nn::dense{{.in = 6, .out = 20}, rng},
        structopt::nn::relu{}, structopt::nn::dense{{.in = 20, .out = 2}, rng}};
}

/// 64 samples of 6 numbers, two classes.
struct sparse_problem
{
    structopt::tensor<float, 2> x;
    std::vector<std::int32_t> labels;

    sparse_problem()
    {
        structopt::random_engine rng(11);
        x = random_tensor<float>(structopt::shape<2>{64, 6}, rng);
        for (structopt::index_t i = 0; i < 64; ++i)
        {
            labels.push_back(x(i, 0) * x(i, 1) > x(i, 2) ? 1 : 0);
        }
    }

    auto data() const
    {
        return structopt::train::labelled(x, labels);
    }

    using network_type = decltype(sparse_network());

    static network_type network()
    {
        return sparse_network();
    }

    /// Momentum and weight decay, against which a mask has to be kept.
    static constexpr structopt::optim::momentum heavy{
        .rate = 0.05, .beta = 0.9, .weight_decay = 0.01};

    /// Epochs of four steps, with callbacks.
    template <class... Extras>
    auto fit(network_type& net, structopt::index_t epochs, Extras&... extras) const
    {
        structopt::random_engine rng(5);
        return structopt::train::fit(net, data(), structopt::nn::cross_entropy{}, heavy,
            {.epochs = epochs, .batch = 16}, rng, extras...);
    }

    /// The same, paused after a step and gone on with by other callbacks.
    template <class Before, class After>
    void fit_in_two(network_type& net, structopt::index_t epochs, structopt::index_t pause,
        Before& before, const After& make_after) const
    {
        structopt::random_engine rng(5);
        const structopt::train::options how{.epochs = epochs, .batch = 16};
        auto run = structopt::train::start(net, heavy, rng);
        structopt::train::resume(net, run, data(), structopt::nn::cross_entropy{}, heavy, how,
            before,
            structopt::train::after_step(
                [pause](auto& at)
                {
                    return at.run.optimizer.step == pause ? structopt::train::control::pause
                                                          : structopt::train::control::go_on;
                }));
        auto after = make_after();
        structopt::train::resume(
            net, run, data(), structopt::nn::cross_entropy{}, heavy, how, after);
    }
};

inline bool equal_networks(
    const sparse_problem::network_type& a, const sparse_problem::network_type& b)
{
    return a.layer<0>().weight == b.layer<0>().weight && a.layer<0>().bias == b.layer<0>().bias &&
           a.layer<2>().weight == b.layer<2>().weight && a.layer<2>().bias == b.layer<2>().bias;
}

/// How many weights of each parameter a mask keeps.
inline std::vector<std::size_t> kept(const structopt::prune::mask& m)
{
    std::vector<std::size_t> counts;
    for (const auto& list : m.keep)
    {
        counts.push_back(0);
        for (const std::uint8_t stays : list)
        {
            counts.back() += stays;
        }
    }
    return counts;
}

/// Whether all masked weights of a network are zero.
template <class Network>
bool under_mask(Network& network, const structopt::prune::mask& m)
{
    const auto parameters = structopt::nn::trainable_parameters<float>(network);
    for (std::size_t p = 0; p < parameters.size(); ++p)
    {
        for (std::size_t i = 0; i < m.keep[p].size(); ++i)
        {
            if (m.keep[p][i] == 0 && parameters[p].values[i] != 0.0f)
            {
                return false;
            }
        }
    }
    return true;
}

} // namespace support
