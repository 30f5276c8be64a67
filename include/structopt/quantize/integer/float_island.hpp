/// @file
/// `float_island`: a layer without an integer form between int8 codes.
#pragma once

#include <structopt/nn/sequential.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/integer/border.hpp>

#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes become floats, `layer` computes, and its output becomes codes again. Softmax, layer norm and
/// layers of users run so.
template <class L>
class float_island
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "float_island";
    static constexpr std::size_t input_rank = nn::detail::declared_input_rank<L>();
    static constexpr std::size_t output_rank = nn::detail::declared_output_rank<L>();

    float_island(L inner, const scale_and_zero& input, const scale_and_zero& output)
        : layer(std::move(inner))
        , codes(detail::list_codes(input, output))
    {
    }

    scale_and_zero output_code() const noexcept
    {
        return detail::listed_code(codes, 1);
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        return nn::layer_traits<L>::output_shape(layer, in);
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return nn::scratch_size<float>(count(in)) +
               nn::scratch_size<float>(count(output_shape(in))) +
               nn::layer_traits<L>::template scratch_bytes<float>(layer, in);
    }

    template <std::size_t N, std::size_t M>
    void forward(
        view<const std::int8_t, N> x, view<std::int8_t, M> y, nn::scratch space) const noexcept
    {
        auto* const in = space.template take<float>(x.size());
        auto* const out = space.template take<float>(y.size());
        from_codes(x.data(), x.size(), detail::listed_code(codes, 0), in);
        nn::layer_traits<L>::forward(
            layer, view<const float, N>(in, x.shape()), view<float, M>(out, y.shape()), space);
        to_codes(out, y.size(), detail::listed_code(codes, 1), y.data());
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("layer", self.layer);
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("codes", self.codes, nn::role::statistic);
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return nn::layer_traits<L>::multiply_adds(layer, in);
    }

    /// Throws `format_error` for codes from a file that cannot be.
    void refresh()
    {
        detail::check_codes("float_island", codes, 2);
    }

    L layer;
    /// Scale and zero point of the input, those of the output.
    tensor<float, 1> codes;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
