// The networks and images of the pruning experiments.
#pragma once

#include "../../examples/data.hpp"

#include <structopt/nn.hpp>
#include <structopt/optim.hpp>
#include <structopt/train.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace prune_results
{

using namespace structopt;

/// The first `n` samples.
inline data::samples first_samples(const data::samples& from, index_t n)
{
    data::samples part;
    part.x = make_tensor<float>(shape<2>{n, shape_of(from.x)[1]});
    std::copy_n(from.x.data(), n * shape_of(from.x)[1], part.x.data());
    part.labels.assign(from.labels.begin(), from.labels.begin() + n);
    return part;
}

/// 784-300-100-10: 266,200 weights and 410 biases.
struct lenet300
{
    static constexpr const char* name = "LeNet-300-100";
    static constexpr std::size_t rank = 2;

    static auto make(random_engine& rng)
    {
        return nn::sequential{nn::dense{{.in = 784, .out = 300}, rng}, nn::relu{},
            nn::dense{{.in = 300, .out = 100}, rng}, nn::relu{},
            nn::dense{{.in = 100, .out = 10}, rng}};
    }

    static auto optimizer(double rate, double weight_decay)
    {
        return optim::momentum{.rate = rate, .beta = 0.9, .weight_decay = weight_decay};
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
    static constexpr std::size_t rank = 4;

    static auto make(random_engine& rng)
    {
        return nn::sequential{nn::conv2d{{.in = 1, .out = 20, .kernel = 5}, rng},
            nn::max_pool2d{{.kernel = 2}}, nn::conv2d{{.in = 20, .out = 50, .kernel = 5}, rng},
            nn::max_pool2d{{.kernel = 2}}, nn::flatten{}, nn::dense{{.in = 800, .out = 500}, rng},
            nn::relu{}, nn::dense{{.in = 500, .out = 10}, rng}};
    }

    static auto optimizer(double rate, double weight_decay)
    {
        return optim::adam{.rate = rate, .weight_decay = weight_decay};
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

/// The first `n` images for training, each time it is read moved by up to `most` pixels in both
/// directions, at random.
template <class Kind>
struct moved_digits
{
    using batch_type = train::batch<float, Kind::rank, std::vector<std::int32_t>>;

    const data::samples* set;
    index_t n;
    index_t most;

    index_t size() const noexcept
    {
        return n;
    }

    void gather(std::span<const index_t> rows, batch_type& into) const
    {
        labelled<Kind>(*set).gather(rows, into);
    }

    void gather(std::span<const index_t> rows, batch_type& into, random_engine& rng) const
    {
        gather(rows, into);
        for (std::size_t i = 0; most > 0 && i < rows.size(); ++i)
        {
            const float* const from = set->x.data() + rows[i] * 784;
            float* const to = into.x.data() + static_cast<index_t>(i) * 784;
            const index_t down = uniform_index(rng, 2 * most + 1) - most;
            const index_t right = uniform_index(rng, 2 * most + 1) - most;
            for (index_t r = 0; r < 28; ++r)
            {
                for (index_t c = 0; c < 28; ++c)
                {
                    const index_t row = r - down;
                    const index_t column = c - right;
                    const bool inside = row >= 0 && row < 28 && column >= 0 && column < 28;
                    to[r * 28 + c] = inside ? from[row * 28 + column] : 0.0f;
                }
            }
        }
    }
};

} // namespace prune_results
