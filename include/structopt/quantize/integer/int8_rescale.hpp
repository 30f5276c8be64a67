/// @file
/// `int8_rescale`: codes of one scale as codes of another, such as in front of a concatenation.
#pragma once

#include <structopt/nn/layer.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/integer/rescale.hpp>

#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes of one scale as codes of another: see `code_sum`.
class int8_rescale
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "int8_rescale";
    static constexpr bool in_place = true;

    int8_rescale(const scale_and_zero& input, const scale_and_zero& output)
        : codes(detail::list_codes(input, output))
    {
        refresh();
    }

    scale_and_zero output_code() const noexcept
    {
        return detail::listed_code(codes, 1);
    }

    template <std::size_t N>
    shape<N> output_shape(const shape<N>& in) const noexcept
    {
        return in;
    }

    template <std::size_t N>
    void forward(view<const std::int8_t, N> x, view<std::int8_t, N> y, nn::scratch) const noexcept
    {
        const code_sum change = m_change;
        for (index_t i = 0; i < x.size(); ++i)
        {
            y.data()[i] = change(x.data()[i]);
        }
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("codes", self.codes, nn::role::statistic);
    }

    /// Throws `format_error` for codes from a file that cannot be.
    void refresh()
    {
        detail::check_codes("int8_rescale", codes, 2);
        m_change = code_sum(detail::listed_code(codes, 0), detail::listed_code(codes, 0),
            detail::listed_code(codes, 1), false);
    }

    /// Scale and zero point of the input, those of the output.
    tensor<float, 1> codes;

private:
    code_sum m_change;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
