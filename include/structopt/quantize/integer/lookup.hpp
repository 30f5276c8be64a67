/// @file
/// `int8_lookup`: any function of one number, as a table of 256 codes.
#pragma once

#include <structopt/core/parallel.hpp>
#include <structopt/nn/layer.hpp>
#include <structopt/quantize/integer/border.hpp>

#include <array>
#include <cstdint>
#include <string_view>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// y = table[x]: the code of f(x) for every code of x. Made once, from floats; from then on every
/// machine reads the same codes.
class int8_lookup
{
public:
    using value_type = std::int8_t;

    static constexpr std::string_view name = "int8_lookup";
    static constexpr bool in_place = true;

    /// Of a function float -> float.
    template <class F>
    int8_lookup(const F& f, const scale_and_zero& input, const scale_and_zero& output)
        : table(make_tensor<float>(shape<1>{256}))
    {
        for (int code = -128; code < 128; ++code)
        {
            table.data()[code + 128] =
                to_code(f(from_code(static_cast<std::int8_t>(code), input)), output);
        }
        refresh();
    }

    template <std::size_t N>
    shape<N> output_shape(const shape<N>& in) const noexcept
    {
        return in;
    }

    template <std::size_t N>
    void forward(view<const std::int8_t, N> x, view<std::int8_t, N> y, nn::scratch) const noexcept
    {
        parallel_for(x.size(), index_t{1} << 16,
            [&](index_t first, index_t last)
            {
                for (index_t i = first; i < last; ++i)
                {
                    y.data()[i] = m_codes[static_cast<std::size_t>(x.data()[i] + 128)];
                }
            });
    }

    template <class Self, class Visitor>
    static void parameters(Self& self, Visitor&& visit)
    {
        visit("table", self.table, nn::role::statistic);
    }

    /// Throws `format_error` for a table from a file that is not one of 256 codes.
    void refresh()
    {
        bool good = size_of(table) == 256;
        for (index_t i = 0; good && i < 256; ++i)
        {
            const float code = table.data()[i];
            good = structopt::detail::is_finite(code) && code >= -128 && code <= 127;
            m_codes[static_cast<std::size_t>(i)] =
                good ? static_cast<std::int8_t>(code) : std::int8_t{0};
        }
        if (!good)
        {
            structopt::detail::raise<format_error>("int8_lookup table", "256 codes in [-128, 127]",
                std::to_string(size_of(table)) + " numbers");
        }
    }

    /// The codes as numbers, for files.
    tensor<float, 1> table;

private:
    std::array<std::int8_t, 256> m_codes{};
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
