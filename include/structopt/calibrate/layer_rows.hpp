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
/// user's with a member `visit_rows(x, f)` that calls `f(group, rows)` as `visit_rows` does.
template <class L, class T, std::size_t N>
concept layer_with_rows = nn::weighted<L> &&
    (detail::shows_rows<L, T, N> || N == 2 || (N == 4 && detail::windowed<L>));

/// Groups of a layer: parts of its outputs that see parts of its inputs.
template <class L>
index_t groups_of(const L& layer) noexcept
{
    if constexpr (requires { layer.options().groups; })
    {
        return layer.options().groups;
    }
    else
    {
        return 1;
    }
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
        const auto out = nn::layer_traits<L>::output_shape(layer, x.shape());
        kernel::window w;
        w.channels = x.shape(1) / options.groups;
        w.height = x.shape(2);
        w.width = x.shape(3);
        w.kernel_h = options.kernel.height;
        w.kernel_w = options.kernel.width;
        w.stride_h = options.stride.height;
        w.stride_w = options.stride.width;
        w.pad_top = options.padding.height;
        w.pad_left = options.padding.width;
        w.dilation_h = options.dilation.height;
        w.dilation_w = options.dilation.width;
        w.out_h = out[2];
        w.out_w = out[3];
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
