/// @file
/// The layer that changes nothing.
#pragma once

#include <structopt/nn/layer.hpp>

#include <algorithm>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace nn
{

/// y = x: the shortcut of a residual block, or the place of a layer that was removed.
struct identity
{
    static constexpr std::string_view name = "identity";
    static constexpr bool in_place = true;

    template <std::size_t N>
    constexpr shape<N> output_shape(const shape<N>& in) const noexcept
    {
        return in;
    }

    template <class T, std::size_t N>
    void forward(view<const T, N> x, view<T, N> y, scratch) const noexcept
    {
        if (y.data() != x.data())
        {
            std::copy_n(x.data(), x.size(), y.data());
        }
    }

    template <class T, std::size_t N>
    void backward(view<const T, N>, view<const T, N>, view<const T, N> dy, view<T, N> dx, auto&,
        identity&) const noexcept
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

    friend bool operator==(const identity&, const identity&) = default;
};

} // namespace nn
STRUCTOPT_END_NAMESPACE
