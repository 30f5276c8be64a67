/// @file
/// How far an approximation is from its original: mean squared error, signal to noise, largest error.
#pragma once

#include <structopt/quantize/numbers.hpp>

#include <cmath>
#include <cstddef>
#include <limits>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Differences of two tensors of the same extents.
struct error_measures
{
    double mse = 0;     ///< mean of the squared differences
    double sqnr_db = 0; ///< 10 log10(sum of squares / sum of squared differences), or infinity
    double largest = 0; ///< largest magnitude of a difference

    friend bool operator==(const error_measures&, const error_measures&) = default;
};

/// Measures `found`, a tensor or what has `dequantize()`, against the original, in double.
///
/// Throws `shape_error` where the extents differ. Without elements there is no error.
template <detail::numbers X, class Y>
error_measures measure_error(const X& original, const Y& found)
{
    if constexpr (requires { found.dequantize(); })
    {
        return measure_error(original, found.dequantize());
    }
    else
    {
        const auto exact = detail::as_numbers(original);
        const auto close = detail::as_numbers(found);
        check_shape("quantize::measure_error", exact.shape(), close.shape());
        const detail::contiguous x(exact);
        const detail::contiguous y(close);
        error_measures m;
        double signal = 0;
        double noise = 0;
        const index_t n = exact.size();
        for (index_t i = 0; i < n; ++i)
        {
            const auto value = static_cast<double>(x.data()[i]);
            const double e = value - static_cast<double>(y.data()[i]);
            signal += value * value;
            noise += e * e;
            m.largest = std::abs(e) > m.largest ? std::abs(e) : m.largest;
        }
        m.mse = n == 0 ? 0 : noise / static_cast<double>(n);
        m.sqnr_db =
            noise > 0 ? 10 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
        return m;
    }
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
