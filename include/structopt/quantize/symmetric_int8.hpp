/// @file
/// Symmetric int8 with one scale per row: the quantized form of a weight.
#pragma once

#include <structopt/core/finite.hpp>
#include <structopt/core/tensor.hpp>
#include <structopt/kernel/quantize_rows.hpp>

#include <cstdint>
#include <string>

STRUCTOPT_BEGIN_NAMESPACE
namespace quantize
{

/// Codes and scales of a matrix: w[r, c] is about codes[r, c] * scales[r].
///
/// With n = 256 levels the scale is s = max|w| / (n / 2 - 1) = max|w| / 127 over a row (a row is an
/// output channel) and the code round(w / s), half to even, in [-127, 127]; the code -128 is not
/// used, so that -w has the code of w with the other sign. The error of a weight is at most s / 2, up
/// to the rounding of float. A row of zeros has scale 0, as has one of numbers below 2^-120.
struct int8_codes
{
    tensor<std::int8_t, 2> codes;
    tensor<float, 1> scales;

    /// The matrix that the codes stand for.
    tensor<float, 2> dequantize() const
    {
        auto w = make_tensor<float>(shape_of(codes));
        const index_t columns = shape_of(codes)[1];
        for (index_t i = 0; i < size_of(w); ++i)
        {
            w.data()[i] = static_cast<float>(codes.data()[i]) * scales.data()[i / columns];
        }
        return w;
    }

    friend bool operator==(const int8_codes&, const int8_codes&) = default;
};

/// Quantizes a matrix row by row. Throws `argument_error` naming the row of a NaN or an infinity.
inline int8_codes to_int8(view<const float, 2> w)
{
    int8_codes q{make_tensor<std::int8_t>(w.shape()), make_tensor<float>(shape<1>{w.shape(0)})};
    const auto rows = structopt::copy(w);
    kernel::quantize_rows<>(w.shape(0), w.shape(1), rows.data(), w.shape(1), q.codes.data(),
        w.shape(1), q.scales.data());
    for (index_t r = 0; r < w.shape(0); ++r)
    {
        if (!structopt::detail::is_finite(q.scales.data()[r]))
        {
            structopt::detail::raise<argument_error>(
                "quantize::to_int8, row " + std::to_string(r), "finite weights", "NaN or infinity");
        }
    }
    return q;
}

} // namespace quantize
STRUCTOPT_END_NAMESPACE
