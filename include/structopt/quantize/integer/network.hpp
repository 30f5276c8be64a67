/// @file
/// `integer_network`: floats in, floats out, int8 codes and integer arithmetic in between.
#pragma once

#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/integer/border.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A layer of floats whose inside computes on int8 codes: the input is quantized once, by a scale
/// that is fixed, and what comes out is scaled once.
///
/// Everything between is integer arithmetic, so outputs have the same bits on every instruction set
/// and for every batch, but for `float_island`s, which have their layers' own guarantees.
template <class Inner>
class integer_network
{
public:
    using value_type = float;

    static constexpr std::string_view name = "integer_network";
    static constexpr std::size_t input_rank = nn::detail::declared_input_rank<Inner>();
    static constexpr std::size_t output_rank = nn::detail::declared_output_rank<Inner>();

    integer_network(Inner network, const scale_and_zero& input, const scale_and_zero& output)
        : inner(std::move(network))
        , codes(detail::list_codes(input, output))
    {
    }

    scale_and_zero input_code() const noexcept
    {
        return detail::listed_code(codes, 0);
    }

    scale_and_zero output_code() const noexcept
    {
        return detail::listed_code(codes, 1);
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        return nn::layer_traits<Inner>::output_shape(inner, in);
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return nn::scratch_size<std::int8_t>(count(in)) +
               nn::scratch_size<std::int8_t>(count(output_shape(in))) +
               nn::layer_traits<Inner>::template scratch_bytes<std::int8_t>(inner, in);
    }

    template <std::size_t N, std::size_t M>
    void forward(view<const float, N> x, view<float, M> y, nn::scratch space) const noexcept
    {
        auto* const in = space.template take<std::int8_t>(x.size());
        auto* const out = space.template take<std::int8_t>(y.size());
        to_codes(x.data(), x.size(), input_code(), in);
        nn::layer_traits<Inner>::forward(inner, view<const std::int8_t, N>(in, x.shape()),
            view<std::int8_t, M>(out, y.shape()), space);
        from_codes(out, y.size(), output_code(), y.data());
    }

    /// Inference on a whole batch: `auto y = net(x);`
    template <class X>
    auto operator()(const X& x) const
    {
        return nn::forward(*this, x);
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return nn::layer_traits<Inner>::multiply_adds(inner, in);
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("inner", self.inner);
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("codes", self.codes, nn::role::statistic);
    }

    /// Throws `format_error` for codes from a file that cannot be.
    void refresh()
    {
        detail::check_codes("integer_network", codes, 2);
    }

    Inner inner;
    /// Scale and zero point of the input, those of the output.
    tensor<float, 1> codes;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
