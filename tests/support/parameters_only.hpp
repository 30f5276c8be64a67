/// @file
/// The least network that an optimizer can work on: a weight, a bias, a statistic, nothing else.
#pragma once

#include <structopt/nn/parameters.hpp>

namespace support
{

template <class T, std::size_t Rank = 2>
struct parameters_only
{
    using value_type = T;

    structopt::tensor<T, Rank> weight;
    structopt::tensor<T, 1> bias = structopt::zeros<T>(structopt::shape<1>{0});
    structopt::tensor<T, 1> mean = structopt::zeros<T>(structopt::shape<1>{0});

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, structopt::nn::role::weight);
        visit("bias", self.bias, structopt::nn::role::bias);
        visit("mean", self.mean, structopt::nn::role::statistic);
    }
};

} // namespace support
