/// @file
/// `int8_conv2d`: a convolution from int8 codes to int8 codes.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/kernel/convolution_s8.hpp>
#include <structopt/nn/conv2d.hpp>
#include <structopt/quantize/integer/weighted.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes [batch, in, height, width] to codes [batch, out, height', width'], with ReLU or without: see
/// `integer_weight`, of which one row is the window of an output. Padding is the zero point.
class int8_conv2d
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "int8_conv2d";
    static constexpr std::size_t input_rank = 4;
    static constexpr std::size_t output_rank = 4;

    /// Throws `shape_error` where the weight does not fit the options.
    int8_conv2d(const nn::conv2d_options& options, integer_weight w)
        : integer(std::move(w))
        , m_options(options)
    {
        check_shape("int8_conv2d weight", shape<2>{options.out, depth()},
            shape<2>{integer.weight.rows(), integer.weight.columns()});
    }

    const nn::conv2d_options& options() const noexcept
    {
        return m_options;
    }

    index_t inputs() const noexcept
    {
        return m_options.in;
    }

    index_t outputs() const noexcept
    {
        return m_options.out;
    }

    scale_and_zero output_code() const noexcept
    {
        return integer.output_code();
    }

    shape<4> output_shape(const shape<4>& in) const
    {
        check_shape("int8_conv2d input", shape<4>{-1, inputs(), -1, -1}, in);
        const auto out = nn::detail::window_output("int8_conv2d input", in, m_options.kernel,
            m_options.stride, m_options.padding, m_options.padding_end, m_options.dilation);
        return {in[0], outputs(), out.height, out.width};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<4>& in) const
    {
        const plan p(*this, in);
        return static_cast<std::size_t>(p.chunks) * p.bytes;
    }

    void forward(
        view<const std::int8_t, 4> x, view<std::int8_t, 4> y, nn::scratch space) const noexcept
    {
        const plan p(*this, x.shape());
        const kernel::requantize e = integer.requantize();
        parallel_for(x.shape(0), p.grain,
            [&](index_t first, index_t last)
            {
                kernel::convolution_s8<>(last - first, p.window, m_options.groups,
                    outputs() / m_options.groups, x.data() + first * p.image,
                    integer.weight.panels(), e, y.data() + first * p.result,
                    space.data() + static_cast<std::size_t>(first / p.grain) * p.bytes);
            });
    }

    index_t cost(const shape<4>& in) const
    {
        const shape<4> out = output_shape(in);
        return in[0] * out[2] * out[3] * outputs() * depth();
    }

    /// Throws `format_error` where a weight from a file has other extents than the layer's.
    void refresh()
    {
        const shape<2> expected{m_options.out, depth()};
        const shape<2> found{integer.weight.rows(), integer.weight.columns()};
        if (found != expected)
        {
            structopt::detail::raise<format_error>(
                "int8_conv2d weight", describe(expected), describe(found));
        }
        integer.refresh();
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        integer_weight::parameters(self.integer, visit);
    }

    integer_weight integer;

private:
    /// Images of one thread at a time; chunks depend on the extents alone.
    struct plan
    {
        kernel::window window;
        index_t image;
        index_t result;
        index_t grain;
        index_t chunks;
        std::size_t bytes; ///< of scratch of a chunk

        plan(const int8_conv2d& layer, const shape<4>& in)
            : window(nn::detail::window_of(layer.m_options, in, layer.output_shape(in)))
            , image(in[1] * in[2] * in[3])
            , result(layer.outputs() * window.columns())
            , bytes((kernel::convolution_s8_bytes<>(
                         window, layer.m_options.groups, layer.outputs() / layer.m_options.groups) +
                        63) /
                    64 * 64)
        {
            // A thread is worth waking for about 2^21 multiply-adds.
            const index_t work =
                std::max<index_t>(layer.outputs() * layer.depth() * window.columns(), 1);
            const index_t parts =
                std::clamp<index_t>(in[0] / ((index_t{1} << 21) / work + 1), 1, 16);
            grain = std::max<index_t>((in[0] + parts - 1) / parts, 1);
            chunks = std::max<index_t>((in[0] + grain - 1) / grain, 1);
        }
    };

    index_t depth() const noexcept
    {
        return m_options.in / m_options.groups * m_options.kernel.height * m_options.kernel.width;
    }

    nn::conv2d_options m_options;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
