/// @file
/// What schemes keep per slice: nothing, a scale, a scale and a zero point, a table of values.
///
/// `fields(p, f)` calls `f(name, number or array)`; files store parameters that have it. `valid()`
/// says whether codes can be read with them.
#pragma once

#include <structopt/core/finite.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// For schemes that look at no data.
struct no_parameters
{
    template <class Self, class F>
    static constexpr void fields(Self&, F&&) noexcept
    {
    }

    friend bool operator==(const no_parameters&, const no_parameters&) = default;
};

/// value = scale * code.
struct scale_only
{
    float scale = 1; ///< above 0

    bool valid() const noexcept
    {
        return structopt::detail::is_finite(scale) && scale > 0;
    }

    template <class Self, class F>
    static void fields(Self& p, F&& f)
    {
        f("scale", p.scale);
    }

    friend bool operator==(const scale_only&, const scale_only&) = default;
};

/// value = scale * (code - zero).
struct scale_and_zero
{
    float scale = 1;       ///< above 0
    std::int32_t zero = 0; ///< the code of 0

    bool valid() const noexcept
    {
        return structopt::detail::is_finite(scale) && scale > 0;
    }

    template <class Self, class F>
    static void fields(Self& p, F&& f)
    {
        f("scale", p.scale);
        f("zero_point", p.zero);
    }

    friend bool operator==(const scale_and_zero&, const scale_and_zero&) = default;
};

/// value = values[code].
template <std::size_t Entries>
struct value_table
{
    std::array<float, Entries> values{}; ///< ascending

    bool valid() const noexcept
    {
        bool good = true;
        for (std::size_t i = 0; i < Entries; ++i)
        {
            good = good && structopt::detail::is_finite(values[i]) &&
                   (i == 0 || values[i - 1] <= values[i]);
        }
        return good;
    }

    template <class Self, class F>
    static void fields(Self& p, F&& f)
    {
        f("values", p.values);
    }

    friend bool operator==(const value_table&, const value_table&) = default;
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
