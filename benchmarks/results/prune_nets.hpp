// The networks and images of the pruning experiments.
#pragma once

#include "../../examples/data.hpp"

#include <structopt/nn.hpp>
#include <structopt/train.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace prune_results
{

using namespace structopt;

/// 784-300-100-10: 266,200 weights and 410 biases.
struct lenet300
{
    static constexpr const char* name = "LeNet-300-100";

    static auto make(random_engine& rng)
    {
        return nn::sequential{nn::dense{{.in = 784, .out = 300}, rng}, nn::relu{},
            nn::dense{{.in = 300, .out = 100}, rng}, nn::relu{},
            nn::dense{{.in = 100, .out = 10}, rng}};
    }

    static view<const float, 2> images(const data::samples& set)
    {
        return as_view(set.x);
    }
};

/// Caffe's LeNet-5: 430,500 weights and 580 biases, no activation behind the convolutions.
struct lenet5
{
    static constexpr const char* name = "LeNet-5";

    static auto make(random_engine& rng)
    {
        return nn::sequential{nn::conv2d{{.in = 1, .out = 20, .kernel = 5}, rng},
            nn::max_pool2d{{.kernel = 2}}, nn::conv2d{{.in = 20, .out = 50, .kernel = 5}, rng},
            nn::max_pool2d{{.kernel = 2}}, nn::flatten{}, nn::dense{{.in = 800, .out = 500}, rng},
            nn::relu{}, nn::dense{{.in = 500, .out = 10}, rng}};
    }

    static view<const float, 4> images(const data::samples& set)
    {
        return view<const float, 4>(set.x.data(), shape<4>{shape_of(set.x)[0], 1, 28, 28});
    }
};

template <class Kind>
auto labelled(const data::samples& set)
{
    return train::labelled(Kind::images(set), std::span<const std::int32_t>(set.labels));
}

} // namespace prune_results
