/// @file
/// Logarithmic quantization: powers of a base, and zero.
#pragma once

#include <structopt/quantize/parameters.hpp>
#include <structopt/quantize/uniform.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// With c = b^(floor(log_b max|x|) + 1) values are +- c * b^-k for k = first, ..., first + K - 1,
/// K = 2^(Bits-1) - 1, and 0.
///
/// k = round(log_b(c / |x|)): the rounding is in the log domain, so the relative error is at most
/// sqrt(b) - 1 between the smallest and the largest value. With the usual `first` = 1 the largest
/// value is c / b <= max|x|, and what lies above it has its code; with `first` = 0 it is c. A larger k
/// than the last is 0. The code of c * b^-k is +- (first + K - k), which ascends with the value, and
/// 0 is code 0. The parameter `scale` is c / b, always a float where c need not be. A slice of zeros
/// has scale 1.
///
/// Miyashita, Lee and Murmann, "Convolutional neural networks using logarithmic data
/// representation", 2016 (there b = 2 or sqrt(2), first = 1).
template <int Bits>
struct logarithmic
{
    float base = 2; ///< above 1, at most 16
    int first = 1;  ///< 0 or 1: the smallest k

    static constexpr int bits = Bits >= 2 && Bits <= 8 ? Bits : 4;
    static constexpr bool is_signed = true;
    static constexpr std::string_view name = "logarithmic";
    static constexpr std::int32_t count = (std::int32_t{1} << (bits - 1)) - 1;
    static constexpr code_range codes{-count, count};
    static constexpr bool decode_by_table = true; ///< `decode` costs a power
    using parameters = scale_only;

    /// Throws `argument_error` for ends that are not finite or not in order, and for options out of
    /// range.
    parameters fit(value_range range) const
    {
        detail::check_range("quantize::logarithmic", range);
        if (!(base > 1 && base <= 16) || first < 0 || first > 1)
        {
            structopt::detail::raise<argument_error>("quantize::logarithmic",
                "a base above 1, at most 16, and first 0 or 1",
                "base " + std::to_string(base) + ", first " + std::to_string(first));
        }
        const auto largest = static_cast<double>(detail::magnitude(range));
        if (structopt::detail::is_zero(largest))
        {
            return {};
        }
        const auto b = static_cast<double>(base);
        double exponent = std::floor(std::log(largest) / std::log(b));
        // The logarithms are rounded: b^exponent <= largest < b^(exponent + 1) decides.
        exponent += std::pow(b, exponent + 1) <= largest ? 1 : 0;
        exponent -= std::pow(b, exponent) > largest ? 1 : 0;
        double scale = std::pow(b, exponent);
        while (scale < static_cast<double>(std::numeric_limits<float>::min()))
        {
            scale *= b;
        }
        while (first == 0 && scale * b > static_cast<double>(std::numeric_limits<float>::max()))
        {
            scale /= b;
        }
        return {static_cast<float>(scale)};
    }

    template <rounding R>
    std::int32_t encode(float x, const parameters& p, const R& round) const
    {
        const float ratio = std::abs(x) / p.scale;
        if (!(ratio > 0))
        {
            return 0;
        }
        const float octaves = structopt::detail::is_zero(base - 2) ? 1.0f : std::log2(base);
        const auto lowest = static_cast<float>(first);
        const auto past = static_cast<float>(first + count);
        // log_b(c / |x|) = 1 - log_b(|x| / scale)
        float k = round(1 - std::log2(ratio) / octaves);
        k = k > lowest ? k : lowest;
        k = k < past ? k : past;
        const std::int32_t code = first + count - static_cast<std::int32_t>(k);
        return x < 0 ? -code : code;
    }

    float decode(std::int32_t code, const parameters& p) const noexcept
    {
        if (code == 0)
        {
            return 0;
        }
        const std::int32_t k = first + count - (code < 0 ? -code : code);
        const auto value = static_cast<float>(
            static_cast<double>(p.scale) * std::pow(static_cast<double>(base), 1 - k));
        return code < 0 ? -value : value;
    }

    /// For files.
    std::string options() const
    {
        return "base=" + std::to_string(base) + " first=" + std::to_string(first);
    }

    friend bool operator==(const logarithmic&, const logarithmic&) = default;

    static_assert(Bits >= 2 && Bits <= 8, "quantize::logarithmic<Bits>: Bits is 2 to 8");
};

} // namespace quantize
STRUCTOPT_END_NAMESPACE
