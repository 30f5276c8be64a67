/// @file
/// `int8_residual`: the sum of a branch and a shortcut in int8 codes.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/nn/residual.hpp>
#include <structopt/quantize/integer/activation_codes.hpp>
#include <structopt/quantize/integer/rescale.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// y = shortcut(x) + branch(x), each in codes of its own scale, the sum in a third: see `code_sum`.
template <class Branch, class Shortcut>
class int8_residual
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "int8_residual";
    static constexpr std::size_t input_rank = nn::residual<Branch, Shortcut>::input_rank;
    static constexpr std::size_t output_rank = nn::residual<Branch, Shortcut>::output_rank;

    int8_residual(Branch b, const scale_and_zero& branch_code, Shortcut s,
        const scale_and_zero& shortcut_code, const scale_and_zero& output, bool relu)
        : branch(std::move(b))
        , shortcut(std::move(s))
        , codes(detail::list_codes(
              branch_code, shortcut_code, output, scale_and_zero{1.0f, relu ? 1 : 0}))
    {
        refresh();
    }

    scale_and_zero output_code() const noexcept
    {
        return detail::listed_code(codes, 2);
    }

    template <std::size_t N>
    auto output_shape(const shape<N>& in) const
    {
        const auto sum = nn::layer_traits<Branch>::output_shape(branch, in);
        check_shape(
            "int8_residual shortcut", sum, nn::layer_traits<Shortcut>::output_shape(shortcut, in));
        return sum;
    }

    template <class T, std::size_t N>
    std::size_t scratch_bytes(const shape<N>& in) const
    {
        return nn::scratch_size<T>(count(output_shape(in))) +
               std::max(nn::layer_traits<Branch>::template scratch_bytes<T>(branch, in),
                   nn::layer_traits<Shortcut>::template scratch_bytes<T>(shortcut, in));
    }

    template <std::size_t N, std::size_t M>
    void forward(
        view<const std::int8_t, N> x, view<std::int8_t, M> y, nn::scratch space) const noexcept
    {
        const view<std::int8_t, M> other(space.template take<std::int8_t>(y.size()), y.shape());
        nn::layer_traits<Branch>::forward(branch, x, y, space);
        nn::layer_traits<Shortcut>::forward(shortcut, x, other, space);
        std::int8_t* const to = y.data();
        const std::int8_t* const from = other.data();
        const code_sum sum = m_sum;
        parallel_for(y.size(), index_t{1} << 16,
            [=](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    to[i] = sum(to[i], from[i]);
                }
            });
    }

    template <class Self, class Visitor>
    static void children(Self& self, Visitor&& visit)
    {
        visit("branch", self.branch);
        visit("shortcut", self.shortcut);
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("codes", self.codes, nn::role::statistic);
    }

    template <std::size_t N>
    index_t cost(const shape<N>& in) const
    {
        return nn::layer_traits<Branch>::multiply_adds(branch, in) +
               nn::layer_traits<Shortcut>::multiply_adds(shortcut, in);
    }

    /// Throws `format_error` for codes from a file that cannot be.
    void refresh()
    {
        detail::check_codes("int8_residual", codes, 4);
        m_sum = code_sum(detail::listed_code(codes, 0), detail::listed_code(codes, 1),
            detail::listed_code(codes, 2), codes.data()[7] != 0);
    }

    Branch branch;
    Shortcut shortcut;
    /// Scale and zero point of the branch, of the shortcut and of the sum, then 1 and 1 for ReLU.
    tensor<float, 1> codes;

private:
    code_sum m_sum;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
