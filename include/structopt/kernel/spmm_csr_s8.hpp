/// @file
/// Integer product with sparse int8 weights: y = dequantize(x W^T), exact sums in int32.
///
/// Layout and method are those of spmm_csr.hpp, with int8 codes for values: the codes of `lanes`
/// samples stand side by side in a tile X^T [columns][lanes] of int32, and a non-zero costs a
/// broadcast, and one load, multiplication and addition per register. Fewer than four samples walk
/// the rows one sample at a time. Sums are exact, so both ways give the same bits.
#pragma once

#include <structopt/kernel/gemm_s8.hpp>
#include <structopt/kernel/spmm_csr.hpp>
#include <structopt/simd/exact.hpp>
#include <structopt/simd/tail.hpp>

#include <cstddef>
#include <cstdint>

STRUCTOPT_BEGIN_NAMESPACE
namespace kernel
{

/// Bytes of scratch of `spmm_csr_s8`.
template <class Arch = simd::default_arch>
std::size_t spmm_csr_s8_scratch_bytes(index_t batch, index_t columns) noexcept;

/// Y[batch, rows] = X[batch, columns] W^T, converted as `dequantize` says (w_scale and bias per row
/// of W): the same bits as `gemm_s8` gives for the same matrix. X's rows are `x_row` apart;
/// `scratch` is aligned to 64.
template <class Index, class Offset, class Arch = simd::default_arch>
void spmm_csr_s8(index_t batch, index_t rows, index_t columns, const std::int8_t* values,
    const Index* indices, const Offset* offsets, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept;

// ---------------------------------------------------------------------------------------------

namespace detail
{

/// float(sum) * (x_scale * w_scale) + bias, each operation rounded: see `dequantize`.
template <class Arch>
STRUCTOPT_ALWAYS_INLINE simd::batch<float, Arch> dequantized(
    const simd::batch<std::int32_t, Arch>& sum, const simd::batch<float, Arch>& x_scale,
    const simd::batch<float, Arch>& w_scale, bool has_bias, const simd::batch<float, Arch>& bias,
    activation act) noexcept
{
    const auto scale = simd::rounded(x_scale * w_scale);
    auto result = simd::rounded(simd::to_float(sum) * scale);
    if (has_bias)
    {
        result = result + bias;
    }
    return act == activation::relu ? simd::relu(result) : result;
}

/// One sample: rows of W one after the other, converted a register at a time.
template <class Arch, class Index, class Offset>
void spmv_csr_s8(index_t rows, const std::int8_t* values, const Index* indices,
    const Offset* offsets, const std::int8_t* x, float x_scale, const dequantize& e, float* y,
    index_t y_column) noexcept
{
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    for (index_t r = 0; r < rows; r += lanes)
    {
        const index_t count = rows - r < lanes ? rows - r : lanes;
        alignas(64) std::int32_t sums[static_cast<std::size_t>(lanes)] = {};
        for (index_t l = 0; l < count; ++l)
        {
            const auto last = static_cast<index_t>(offsets[r + l + 1]);
            std::int32_t sum = 0;
            for (auto i = static_cast<index_t>(offsets[r + l]); i < last; ++i)
            {
                sum += std::int32_t{values[i]} * std::int32_t{x[indices[i]]};
            }
            sums[l] = sum;
        }
        using real = simd::batch<float, Arch>;
        const bool has_bias = e.bias != nullptr;
        const real bias =
            has_bias ? simd::load_tail<Arch>(e.bias + r, count) : simd::broadcast<Arch>(0.0f);
        const real result =
            dequantized<Arch>(simd::load<Arch>(sums), simd::broadcast<Arch>(x_scale),
                simd::load_tail<Arch>(e.w_scale + r, count), has_bias, bias, e.act);
        alignas(64) float out[static_cast<std::size_t>(lanes)];
        simd::store(out, result);
        for (index_t l = 0; l < count; ++l)
        {
            y[(r + l) * y_column] = out[l];
        }
    }
}

} // namespace detail

template <class Arch>
std::size_t spmm_csr_s8_scratch_bytes(index_t batch, index_t columns) noexcept
{
    return batch < spmm_tile_batch
               ? 0
               : static_cast<std::size_t>(columns * simd::width<std::int32_t, Arch>) *
                     sizeof(std::int32_t);
}

template <class Index, class Offset, class Arch>
void spmm_csr_s8(index_t batch, index_t rows, index_t columns, const std::int8_t* values,
    const Index* indices, const Offset* offsets, const std::int8_t* x, index_t x_row,
    const dequantize& e, matrix_result<float> y, std::byte* scratch) noexcept
{
    using word = simd::batch<std::int32_t, Arch>;
    using real = simd::batch<float, Arch>;
    constexpr index_t lanes = simd::width<std::int32_t, Arch>;
    if (batch < spmm_tile_batch)
    {
        for (index_t b = 0; b < batch; ++b)
        {
            detail::spmv_csr_s8<Arch>(rows, values, indices, offsets, x + b * x_row,
                e.x_scale[e.one_x_scale ? 0 : b], e, y.data + b * y.row_stride, y.col_stride);
        }
        return;
    }
    auto* const tile = reinterpret_cast<std::int32_t*>(scratch);
    for (index_t b = 0; b < batch; b += lanes)
    {
        const index_t count = batch - b < lanes ? batch - b : lanes;
        alignas(64) float x_scale[static_cast<std::size_t>(lanes)] = {};
        for (index_t l = 0; l < lanes; ++l)
        {
            const std::int8_t* const from = x + (b + l) * x_row;
            for (index_t c = 0; c < columns; ++c)
            {
                tile[c * lanes + l] = l < count ? from[c] : 0;
            }
            x_scale[l] = l < count ? e.x_scale[e.one_x_scale ? 0 : b + l] : 0.0f;
        }
        const real row_scale = simd::load<Arch>(x_scale);
        for (index_t r = 0; r < rows; ++r)
        {
            const auto last = static_cast<index_t>(offsets[r + 1]);
            word sum = simd::broadcast<Arch>(std::int32_t{0});
            for (auto i = static_cast<index_t>(offsets[r]); i < last; ++i)
            {
                const word value = simd::broadcast<Arch>(static_cast<std::int32_t>(values[i]));
                sum =
                    sum + value * simd::load<Arch>(tile + static_cast<index_t>(indices[i]) * lanes);
            }
            const real result = detail::dequantized<Arch>(sum, row_scale,
                simd::broadcast<Arch>(e.w_scale[r]), e.bias != nullptr,
                simd::broadcast<Arch>(e.bias != nullptr ? e.bias[r] : 0.0f), e.act);
            alignas(64) float out[static_cast<std::size_t>(lanes)];
            simd::store(out, result);
            for (index_t l = 0; l < count; ++l)
            {
                y.data[(b + l) * y.row_stride + r * y.col_stride] = out[l];
            }
        }
    }
}

} // namespace kernel
STRUCTOPT_END_NAMESPACE
