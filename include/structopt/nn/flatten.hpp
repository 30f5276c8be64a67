/// @file
/// From [batch, ...] to [batch, features].
#pragma once

#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// Lays the features of each sample in a row, in row-major order (channel, height, width). Costs
/// nothing inside a `sequential`.
struct flatten
{
    static constexpr std::string_view name = "flatten";
    static constexpr bool in_place = true;
    static constexpr std::size_t output_rank = 2;

    template <std::size_t N>
        requires(N >= 2)
    constexpr shape<2> output_shape(const shape<N>& in) const noexcept
    {
        return {in[0], count(tail(in))};
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, 2> y, scratch) const noexcept
    {
        if (y.data() != x.data())
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
    }

    template <class T, std::size_t N>
    void backward(view<const T, N>, view<const T, 2>, view<const T, 2> dy, view<T, N> dx, auto&,
        flatten&) const noexcept
    {
        if (dx.data() != nullptr)
        {
            std::copy_n(dy.data(), dy.size(), dx.data());
        }
    }

    static constexpr coupling unit_coupling() noexcept
    {
        return coupling::passes;
    }

    /// Unit c of the input is a block of height x width features of the output.
    template <std::size_t N>
    std::vector<index_t> map_units(std::span<const index_t> indices, const shape<N>& in) const
    {
        const index_t block = count(tail(tail(in)));
        std::vector<index_t> features;
        for (const index_t unit : indices)
        {
            for (index_t i = 0; i < block; ++i)
            {
                features.push_back(unit * block + i);
            }
        }
        return features;
    }

    friend bool operator==(const flatten&, const flatten&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
