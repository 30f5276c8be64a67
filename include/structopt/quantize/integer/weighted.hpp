/// @file
/// What dense layers and convolutions from int8 codes to int8 codes have in common.
#pragma once

#include <structopt/core/error.hpp>
#include <structopt/core/finite.hpp>
#include <structopt/nn/parameters.hpp>
#include <structopt/quantize/affine.hpp>
#include <structopt/quantize/int8_matrix.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/model.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

namespace detail
{

/// Most inputs of an output: k * 255 * 127 <= 2^30, which leaves as much for the bias.
inline constexpr index_t most_integer_inputs = 33'154;

/// The largest bias in units of x_scale * w_scale.
inline constexpr double most_integer_bias = 1 << 30;

/// `to_int8`, with a larger scale for rows whose bias would be too large in units of x_scale * scale.
inline int8_codes integer_codes(view<const float, 2> w, const tensor<float, 1>& bias, float x_scale)
{
    detail::check_activation_code<argument_error>("integer layer, input", x_scale, 0);
    int8_codes q = to_int8(w);
    for (index_t r = 0; r < size_of(bias); ++r)
    {
        const double least = std::abs(double{bias.data()[r]}) / (x_scale * most_integer_bias);
        if (double{q.scales.data()[r]} >= least)
        {
            continue;
        }
        const auto scale = static_cast<float>(least * (1 + 1e-6));
        q.scales.data()[r] = scale;
        for (index_t c = 0; c < w.shape(1); ++c)
        {
            q.codes(r, c) = static_cast<std::int8_t>(std::nearbyint(w(r, c) / scale));
        }
    }
    return q;
}

} // namespace detail

/// Weights in int8, a bias, and the codes of input and output of a layer that computes in integers:
/// y = round(float(sum (x - x_zero) w + bias / (x_scale w_scale)) * x_scale w_scale / y_scale) + y_zero,
/// saturated to [-128, 127], and not below y_zero with ReLU.
///
/// Sums are exact in int32, the bias is rounded to a whole number of x_scale w_scale, and the product
/// with the multiplier is one rounding of float: equal bits on every instruction set.
class integer_weight
{
public:
    /// Throws `argument_error` for weights or a bias that are not finite, for scales that are not
    /// above 0, zero points outside [-128, 127], or more than 33,154 inputs of an output.
    integer_weight(const int8_codes& quantized, tensor<float, 1> b, const scale_and_zero& input,
        const scale_and_zero& output, bool relu)
        : weight(quantized)
        , bias(std::move(b))
        , codes(make_tensor<float>(shape<1>{5}))
    {
        const float numbers[5] = {input.scale, static_cast<float>(input.zero), output.scale,
            static_cast<float>(output.zero), relu ? 1.0f : 0.0f};
        std::copy_n(numbers, 5, codes.data());
        derive<argument_error>();
    }

    /// Quantizes the rows of w, each by its own scale.
    integer_weight(view<const float, 2> w, const tensor<float, 1>& b, const scale_and_zero& input,
        const scale_and_zero& output, bool relu)
        : integer_weight(detail::integer_codes(w, b, input.scale), b, input, output, relu)
    {
    }

    scale_and_zero input_code() const noexcept
    {
        return {codes.data()[0], static_cast<std::int32_t>(codes.data()[1])};
    }

    scale_and_zero output_code() const noexcept
    {
        return {codes.data()[2], static_cast<std::int32_t>(codes.data()[3])};
    }

    bool relu() const noexcept
    {
        return codes.data()[4] != 0;
    }

    /// What the kernels take; points into this object.
    kernel::requantize requantize() const noexcept
    {
        kernel::requantize e;
        e.multiplier = m_multiplier.data();
        e.y_zero = output_code().zero;
        e.act = relu() ? kernel::activation::relu : kernel::activation::none;
        e.start = {.x_zero = input_code().zero, .bias = m_bias.data()};
        return e;
    }

    /// Numbers of the kernels from those of a file. Throws `format_error` if they do not fit.
    void refresh()
    {
        derive<format_error>();
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("weight", self.weight, nn::role::weight);
        visit("bias", self.bias, nn::role::bias);
        visit("codes", self.codes, nn::role::statistic);
    }

    int8_matrix weight;
    /// One number per output, or none.
    tensor<float, 1> bias;
    /// Scale and zero point of the input, those of the output, 1 for ReLU.
    tensor<float, 1> codes;

private:
    template <class Error>
    void derive()
    {
        using structopt::detail::is_finite;
        const index_t rows = weight.rows();
        if (size_of(codes) != 5 || (bias.size() != 0 && size_of(bias) != rows))
        {
            structopt::detail::raise<Error>("integer layer",
                "5 codes and a bias of " + std::to_string(rows) + " numbers or none",
                std::to_string(size_of(codes)) + " and " + std::to_string(size_of(bias)));
        }
        const float* const c = codes.data();
        detail::check_activation_code<Error>("integer layer, input", c[0], c[1]);
        detail::check_activation_code<Error>("integer layer, output", c[2], c[3]);
        if (weight.columns() > detail::most_integer_inputs)
        {
            structopt::detail::raise<Error>("integer layer",
                "at most " + std::to_string(detail::most_integer_inputs) + " inputs of an output",
                std::to_string(weight.columns()));
        }
        m_multiplier = make_tensor<float>(shape<1>{rows});
        m_bias = make_tensor<std::int32_t>(shape<1>{rows});
        for (index_t r = 0; r < rows; ++r)
        {
            const double unit = double{c[0]} * weight.scales().data()[r];
            const double given = bias.size() == 0 ? 0.0 : double{bias.data()[r]};
            const double in_units = given == 0 ? 0.0 : std::nearbyint(given / unit);
            const auto multiplier = static_cast<float>(unit / c[2]);
            if (!is_finite(given) || !(std::abs(in_units) <= detail::most_integer_bias) ||
                !is_finite(multiplier))
            {
                structopt::detail::raise<Error>("integer layer, output " + std::to_string(r),
                    "a bias of at most 2^30 times the scales of input and weight, and a finite "
                    "multiplier",
                    "bias " + std::to_string(given) + ", scales " + std::to_string(unit) + " and " +
                        std::to_string(c[2]));
            }
            m_multiplier.data()[r] = multiplier;
            m_bias.data()[r] = static_cast<std::int32_t>(in_units);
        }
    }

    tensor<float, 1> m_multiplier;
    tensor<std::int32_t, 1> m_bias;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
