/// @file
/// `int8_dense`: a dense layer from int8 codes to int8 codes.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/quantize/integer/weighted.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes [batch, in] to codes [batch, out], with ReLU or without: see `integer_weight`.
class int8_dense
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "int8_dense";
    static constexpr std::size_t input_rank = 2;
    static constexpr std::size_t output_rank = 2;

    explicit int8_dense(integer_weight w)
        : integer(std::move(w))
    {
    }

    index_t inputs() const noexcept
    {
        return integer.weight.columns();
    }

    index_t outputs() const noexcept
    {
        return integer.weight.rows();
    }

    scale_and_zero output_code() const noexcept
    {
        return integer.output_code();
    }

    shape<2> output_shape(const shape<2>& in) const
    {
        check_shape("int8_dense input", shape<2>{-1, inputs()}, in);
        return {in[0], outputs()};
    }

    template <class T>
    std::size_t scratch_bytes(const shape<2>& in) const noexcept
    {
        return kernel::gemm_s8_scratch_bytes<>(in[0], outputs(), inputs());
    }

    void forward(
        view<const std::int8_t, 2> x, view<std::int8_t, 2> y, nn::scratch space) const noexcept
    {
        kernel::gemm_s8<>(x.shape(0), outputs(), inputs(),
            kernel::code_operand(x.data(), x.stride(0), x.stride(1)), integer.weight.panels(),
            kernel::code_result(y.data(), y.stride(0), y.stride(1)), integer.requantize(),
            space.data());
    }

    index_t cost(const shape<2>& in) const noexcept
    {
        return in[0] * inputs() * outputs();
    }

    void refresh()
    {
        integer.refresh();
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        integer_weight::parameters(self.integer, visit);
    }

    integer_weight integer;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
