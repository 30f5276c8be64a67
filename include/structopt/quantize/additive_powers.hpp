/// @file
/// Additive powers of two: levels that are sums of a few powers of two, dense near zero.
#pragma once

#include <structopt/quantize/levels.hpp>
#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/uniform.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// A sign and Bits - 1 magnitude bits: value = +- s * level, the levels being sums of one number
/// out of each of a few sets {0, 2^-i, 2^-j, 2^-k}.
///
/// Li, Dong and Wang, "Additive powers-of-two quantization", 2020: every two magnitude bits choose
/// from a set, B = Bits - 1 bits make t = floor(B / 2) of them, set j = {0, 2^-j, 2^-(t + j),
/// 2^-(2t + r + j)}; an odd bit (r = 1) chooses between 0 and 2^-2t. Levels are kept as whole numbers,
/// multiples of the smallest: those of 4 bits are 0 1 2 3 4 6 8 10, and up to 6 bits they fit in
/// int8. s = max|x| / largest level. Codes are +- the position of the level. A slice of zeros has
/// scale 1. The error is at most half of the step in which the value lies.
template <int Bits>
struct additive_powers
{
    static constexpr int bits = Bits >= 2 && Bits <= 8 ? Bits : 4;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = "additive_powers";
    static constexpr std::int32_t count = std::int32_t{1} << (bits - 1);
    static constexpr code_range codes{1 - count, count - 1};
    using parameters = scale_only;

    /// The levels, ascending, as whole numbers.
    static constexpr std::array<float, static_cast<std::size_t>(count)> levels = []
    {
        constexpr int magnitude_bits = bits - 1;
        constexpr int sets = magnitude_bits / 2;
        constexpr int odd = magnitude_bits % 2;
        constexpr int smallest = sets == 0 ? 0 : 3 * sets + odd - 1; // exponent of the smallest
        std::array<float, static_cast<std::size_t>(count)> all{};
        for (int code = 0; code < count; ++code)
        {
            int sum = 0;
            for (int j = 0; j < sets; ++j)
            {
                const int choice = code >> (2 * j) & 3;
                const int exponent = choice == 1 ? j : choice == 2 ? sets + j : 2 * sets + odd + j;
                sum += choice == 0 ? 0 : 1 << (smallest - exponent);
            }
            if (odd == 1 && (code >> (2 * sets) & 1) != 0)
            {
                sum += 1 << (smallest - 2 * sets);
            }
            // Into its place among those before.
            int at = code;
            const auto value = static_cast<float>(sum);
            for (; at > 0 && all[static_cast<std::size_t>(at - 1)] > value; --at)
            {
                all[static_cast<std::size_t>(at)] = all[static_cast<std::size_t>(at - 1)];
            }
            all[static_cast<std::size_t>(at)] = value;
        }
        return all;
    }();

    /// Throws `argument_error` for ends that are not finite or not in order.
    parameters fit(value_range range) const
    {
        detail::check_range("quantize::additive_powers", range);
        constexpr float most = levels.back();
        const float largest = detail::magnitude(range);
        return {detail::usable_scale(
            largest / most, structopt::detail::is_zero(largest), static_cast<std::int32_t>(most))};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        const std::int32_t at =
            detail::level_of(levels.data(), count, std::abs(x) / p.scale, round);
        return x < 0 ? -at : at;
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        const float level = levels[static_cast<std::size_t>(code < 0 ? -code : code)];
        return p.scale * (code < 0 ? -level : level);
    }

    friend bool operator==(const additive_powers&, const additive_powers&) = default;

    static_assert(Bits >= 2 && Bits <= 8, "quantize::additive_powers<Bits>: Bits is 2 to 8");
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
