/// @file
/// The rows that a layer multiplies its weight by: samples of a dense layer, patches of a convolution.
#pragma once

#include <structopt/calibrate/check.hpp>
#include <structopt/kernel/im2col.hpp>
#include <structopt/nn/convolve.hpp>
#include <structopt/nn/layer.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace calibrate
{

namespace detail
{

struct any_rows
{
    template <class... Arguments>
    void operator()(Arguments&&...) const noexcept
    {
    }
};

/// A convolution by the options of `nn::conv2d`.
template <class L>
concept windowed = requires(const L& layer)
{
    layer.options().kernel.height;
    layer.options().stride.height;
    layer.options().padding.height;
    layer.options().dilation.height;
    layer.options().groups;
};

/// A layer that says by itself what it multiplies.
template <class L, class T, std::size_t N>
concept shows_rows = requires(const L& layer, view<const T, N> x)
{
    layer.visit_rows(x, any_rows{});
};

} // namespace detail

/// A layer whose rows are known for inputs of rank N: a dense layer, a convolution, or a layer of the
/// user's with a member `visit_rows(x, f)` that calls `f(group, rows)` as `visit_rows` does, with as many
/// groups as its `unit_groups()` says.
template <class L, class T, std::size_t N>
concept layer_with_rows = nn::weighted<L> &&
    (detail::shows_rows<L, T, N> || N == 2 || (N == 4 && detail::windowed<L>));

/// Groups of a layer (the contract's `unit_groups`): parts of its outputs that see parts of its inputs.
template <class L>
index_t groups_of(const L& layer) noexcept
{
    return nn::layer_traits<L>::unit_groups(layer);
}

/// Calls `f(group, rows)` with views [n, columns] of what a layer multiplies the rows of its weight by,
/// group by group: outputs of group g are rows W_g^T + bias.
///
/// The rows come in the order of samples and positions, in blocks; a view may be strided and lives as
/// long as the call. `f` must not throw. Allocates the patches of one block of positions.
template <class L, class T, std::size_t N, class Function>
    requires(layer_with_rows<L, T, N>)
void visit_rows(const L& layer, view<const T, N> x, Function&& f)
{
    if constexpr (detail::shows_rows<L, T, N>)
    {
        layer.visit_rows(x, f);
    }
    else if constexpr (N == 2)
    {
        f(index_t{0}, x);
    }
    else
    {
        const auto& options = layer.options();
        const kernel::window w = nn::detail::window_of(
            options, x.shape(), nn::layer_traits<L>::output_shape(layer, x.shape()));
        const index_t image = w.channels * w.height * w.width;
        buffer<std::byte> bytes(nn::detail::patch_bytes<T>(w));
        for (index_t b = 0; b < x.shape(0); ++b)
        {
            for (index_t g = 0; g < options.groups; ++g)
            {
                nn::detail::for_each_block(w, x.data() + (b * options.groups + g) * image,
                    nn::scratch(bytes.data(), bytes.size()),
                    [&](const kernel::window&, view<const T, 2> patches, index_t, nn::scratch)
                    {
                        f(g, patches);
                    });
            }
        }
    }
}

} // namespace calibrate
STRUCTOPT_END_NAMESPACE
